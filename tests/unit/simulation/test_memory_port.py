from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import simpy

from accelsim.hardware.ideal_memory import IdealMemory
from accelsim.simulation.memory_port import MemoryPort

BURST = 64

if TYPE_CHECKING:
    from collections.abc import Generator


def bursts(number: int) -> np.ndarray:
    return np.arange(number, dtype=np.int64) * BURST


def port_of(memory: IdealMemory) -> tuple[simpy.Environment, MemoryPort, list[tuple[str, int]]]:
    env = simpy.Environment()
    return env, MemoryPort(env, memory), []


def test_transfer_completes_after_its_bytes_and_the_latency() -> None:
    env, port, done = port_of(IdealMemory(BURST, latency_ps=1000, bandwidth_gb_per_s=64))
    port.transfer(0, bursts(3), lambda: done.append(("read", int(env.now))))
    assert port.outstanding == 1
    env.run()
    assert done == [("read", 4000)]
    assert port.outstanding == 0


def test_transfers_share_the_bandwidth_one_after_the_other() -> None:
    env, port, done = port_of(IdealMemory(BURST, latency_ps=500, bandwidth_gb_per_s=64))
    port.transfer(0, bursts(2), lambda: done.append(("a", int(env.now))))
    port.transfer(3, bursts(1), lambda: done.append(("b", int(env.now))), is_write=True)
    env.run()
    assert done == [("a", 2500), ("b", 3500)]


def test_transfer_offered_later_begins_later() -> None:
    env, port, done = port_of(IdealMemory(BURST, latency_ps=0, bandwidth_gb_per_s=64))

    def late() -> Generator[simpy.Event, None, None]:
        yield env.timeout(10_000)
        port.transfer(0, bursts(1), lambda: done.append(("late", int(env.now))))

    env.process(late())
    env.run()
    assert done == [("late", 11_000)]


def test_memory_without_limit_serves_at_once_but_not_within_the_call() -> None:
    env, port, done = port_of(IdealMemory(BURST))
    port.transfer(0, bursts(1000), lambda: done.append(("read", int(env.now))))
    assert not done
    env.run()
    assert done == [("read", 0)]


@pytest.mark.parametrize(("gb_per_s", "ps"), [(64, 1000), (0.001, 64_000_000), (3, 21_334), (6.4, 10_000)])
def test_pipe_rounds_time_up_to_whole_picoseconds(gb_per_s: float, ps: int) -> None:
    memory = IdealMemory(BURST, 0, gb_per_s)
    memory.submit(7, 0, is_write=False, addresses=bursts(1), at_ps=0)
    assert memory.busy
    assert memory.advance(10**12) == [(7, ps)]
    assert not memory.busy
    assert memory.finish() == ps


def test_pipe_counts_bursts() -> None:
    memory = IdealMemory(BURST)
    memory.submit(0, 0, is_write=False, addresses=bursts(5), at_ps=0)
    memory.submit(1, 3, is_write=True, addresses=bursts(2), at_ps=0)
    assert (memory.reads, memory.writes) == (5, 2)
