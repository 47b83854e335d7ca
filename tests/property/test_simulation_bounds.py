"""What a simulation may never do, on small random networks and machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, reject, settings
from small_networks import machine, machines, networks

from accelsim.errors import MappingError
from accelsim.pipeline import simulate
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, Window

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.result import RunResult
    from accelsim.workload.graph import LayerGraph

BURST_BYTES = 64


def run(config: HardwareConfig, graph: LayerGraph) -> RunResult:
    try:
        return simulate(config, graph)
    except MappingError:
        reject()


def with_dram(config: HardwareConfig, **changes: object) -> HardwareConfig:
    return config.model_copy(update={"dram": config.dram.model_copy(update=changes)})


@settings(max_examples=30, deadline=None)
@given(networks(), machines())
def test_kind_of_memory_changes_time_alone(graph: LayerGraph, config: HardwareConfig) -> None:
    ideal, command = (run(with_dram(config, kind=kind), graph) for kind in ("ideal", "command"))
    for one, other in zip(ideal.layer_results, command.layer_results, strict=True):
        for name in ("dram_read_bytes", "dram_write_bytes", "compute_cycles", "effective_macs", "mapping"):
            assert getattr(one, name) == getattr(other, name), name
    stalls = {cause for layer in ideal.layer_results for cause in layer.stalls}
    if all(buffer.double_buffer for buffer in config.sram.values()):
        assert not stalls, "nothing waits for a memory without latency or limit"
    assert stalls <= {"ofmap_drain"}, "but for the last results of a block, in a buffer that has no room for the next"
    assert command.totals.total_cycles >= ideal.totals.total_cycles
    assert command.dram.reads <= ideal.dram.reads, "reads of what waits to be written are served from the queue"
    assert command.dram.writes <= ideal.dram.writes, "and two writes of one burst are written once"


@settings(max_examples=30, deadline=None)
@given(networks(), machines())
def test_totals_keep_to_the_roofline(graph: LayerGraph, config: HardwareConfig) -> None:
    result = run(with_dram(config, kind="command"), graph)
    totals = result.totals
    assert totals.total_cycles == totals.compute_cycles + totals.stall_cycles
    assert totals.total_cycles * result.machine.peak_macs_per_cycle >= totals.effective_macs
    moved = (result.dram.reads + result.dram.writes) * BURST_BYTES
    assert totals.latency_ns * result.machine.peak_dram_gb_per_s >= moved * (1 - 1e-12)


@settings(max_examples=20, deadline=None)
@given(networks(), machines())
def test_same_input_gives_the_same_bytes(graph: LayerGraph, config: HardwareConfig) -> None:
    assert run(config, graph).to_json() == run(config, graph).to_json()


@settings(max_examples=30, deadline=None)
@given(networks(), machines())
def test_a_pipe_of_twice_the_bandwidth_is_never_slower(graph: LayerGraph, config: HardwareConfig) -> None:
    """Traffic does not depend on the bandwidth of the pipe, so the mapping is the same."""
    times = [
        run(with_dram(config, kind="ideal", ideal_bandwidth_gb_per_s=speed), graph).totals.latency_ns
        for speed in (0.5, 1.0, 2.0, None)
    ]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
def test_twice_the_channels_are_never_slower(dataflow: str) -> None:
    graph = chain(
        "net",
        Tensor("x", (1, 32, 28, 28)),
        [("c1", Conv(64, Window((3, 3)))), ("c2", Conv(64, Window((1, 1)))), ("c3", Conv(32, Window((3, 3), (2, 2))))],
    )
    given_tiles = {
        "c1": {"order": "nmk", "m": 52, "n": 32, "k": 144},
        "c2": {"order": "mnk", "m": 104, "n": 32, "k": 64},
        "c3": {"order": "nkm", "m": 24, "n": 16, "k": 288},
    }
    times, traffic = [], set()
    for channels in (1, 2, 4):
        config = machine(
            rows=16,
            cols=16,
            dataflow=dataflow,
            keep_on_chip=False,
            layers=given_tiles,
            dram={"kind": "command", "channels": channels},
        )
        totals = simulate(config, graph).totals
        times.append(totals.total_cycles)
        traffic.add((totals.dram_read_bytes, totals.dram_write_bytes, totals.compute_cycles))
    assert len(traffic) == 1
    assert times[0] >= times[1] >= times[2]
    assert times[0] > times[2]
