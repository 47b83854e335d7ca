"""The DMA: how many tiles and bursts are on their way, at which rate, and that less of a limit is never slower."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import machine

from accelsim.config.interconnect import DmaConfig
from accelsim.pipeline import simulate
from accelsim.simulation.dma import Dma
from accelsim.units import Clock
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Gemm

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BURST = 64
CLOCK = Clock.from_mhz(1000)


@dataclass
class SlowPort:
    """A memory that takes any number of transfers, each for `latency_ps`, and counts what it has."""

    env: simpy.Environment
    latency_ps: int
    burst_bytes: int = BURST
    outstanding: int = 0
    bursts: int = 0
    most_bursts: int = 0
    most_transfers: int = 0
    addresses: list[int] = field(default_factory=list)

    def transfer(
        self, stream: int, addresses: NDArray[np.int64], completed: Callable[[], None], *, is_write: bool = False
    ) -> None:
        assert stream == 1
        assert not is_write
        self.addresses += addresses.tolist()
        self.outstanding += 1
        self.bursts += len(addresses)
        self.most_bursts, self.most_transfers = (
            max(self.most_bursts, self.bursts),
            max(self.most_transfers, self.outstanding),
        )

        def done(_: simpy.Event) -> None:
            self.outstanding -= 1
            self.bursts -= len(addresses)
            completed()

        event = self.env.timeout(self.latency_ps)
        event.callbacks.append(done)


def run(tiles: list[int], latency_ps: int = 10_000, **limits: Any) -> tuple[SlowPort, list[int]]:  # noqa: ANN401
    """Move tiles of so many bursts, all asked for at the begin; the port, and when each was done in ps."""
    env = simpy.Environment()
    port = SlowPort(env, latency_ps)
    dma = Dma(env, port, CLOCK, DmaConfig(**limits))  # type: ignore[arg-type]
    done = [-1] * len(tiles)

    def note(tile: int) -> None:
        done[tile] = int(env.now)

    base = 0
    for tile, bursts in enumerate(tiles):
        dma.transfer(1, np.arange(bursts) * BURST + base, lambda tile=tile: note(tile))  # type: ignore[misc]
        base += bursts * BURST
    assert dma.outstanding
    env.run()
    assert not dma.outstanding
    assert sorted(port.addresses) == list(range(0, base, BURST)), "every burst once"
    return port, done


def test_without_limits_tiles_go_to_the_memory_whole() -> None:
    port, done = run([5, 3])
    assert port.most_bursts == 8
    assert done == [10_000, 10_000]


def test_channels_take_tiles_in_turn() -> None:
    port, done = run([5, 3, 4], channels=1)
    assert port.most_transfers == 1
    assert done == [10_000, 20_000, 30_000]
    assert run([5, 3, 4], channels=2)[1] == [10_000, 10_000, 20_000]


@pytest.mark.parametrize(("window", "rounds"), [(1, 7), (2, 4), (3, 3), (4, 2), (7, 1), (100, 1)])
def test_no_more_bursts_are_outstanding_than_allowed(window: int, rounds: int) -> None:
    """Seven bursts, all of a round with the same latency; halves of a window come back together here."""
    port, done = run([7], outstanding_bursts=window)
    assert port.most_bursts == min(window, 7)
    assert done == [rounds * 10_000]


def test_rate_holds_all_channels_together() -> None:
    """Each burst of 64 bytes takes 16 cycles at 4 bytes per cycle; memory itself takes none."""
    _, done = run([10, 20], latency_ps=0, bytes_per_cycle=4)
    assert done == [160_000, 480_000]
    _, done = run([1, 1], latency_ps=0, bytes_per_cycle=64 / 3)
    assert done == [3_000, 6_000]


@settings(max_examples=60, deadline=None)
@given(
    tiles=st.lists(st.integers(1, 40), min_size=1, max_size=5), channels=st.integers(1, 3), window=st.integers(1, 20),
    rate=st.sampled_from([3.0, 16.0, 64.0, 200.0]),
)  # fmt: skip
def test_limits_hold_together(tiles: list[int], channels: int, window: int, rate: float) -> None:
    port, done = run(tiles, channels=channels, outstanding_bursts=window, bytes_per_cycle=rate)
    assert port.most_bursts <= channels * window
    assert max(done) >= sum(tiles) * BURST / rate * 1000 * (1 - 1e-9)
    assert max(done) >= 10_000


@pytest.mark.parametrize("key", ["channels", "outstanding_bursts", "bytes_per_cycle"])
@settings(max_examples=40, deadline=None)
@given(tiles=st.lists(st.integers(1, 40), min_size=1, max_size=5), limit=st.integers(1, 40), more=st.integers(1, 40))
def test_more_of_what_is_limited_is_never_slower(key: str, tiles: list[int], limit: int, more: int) -> None:
    """One limit at a time: where several act, tiles that share channels may get into each other's way by a piece."""
    assert max(run(tiles, **{key: limit + more})[1]) <= max(run(tiles, **{key: limit})[1])


def test_a_run_waits_for_its_dma() -> None:
    graph = chain("net", Tensor("x", (4, 64)), [("a", Gemm(64)), ("b", Gemm(32))])
    cycles = []
    for rate in (0.5, 2, 8, None):
        config = machine().model_copy(update={"dma": DmaConfig(bytes_per_cycle=rate)})
        result = simulate(config, graph)
        cycles.append(result.totals.total_cycles)
        if rate:
            moved = (result.dram.reads + result.dram.writes) * BURST
            assert result.totals.total_cycles >= moved / rate
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]
