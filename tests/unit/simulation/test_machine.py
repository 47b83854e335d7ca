"""Tile graphs written down by hand, so that every time can be checked by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_networks import machine

from accelsim.errors import DeadlockError, RunError
from accelsim.mapping.address_pattern import AddressPattern, runs_of
from accelsim.mapping.tile_graph import Activity, Dependence, OperandTiles, OutputTiles, StageTiles
from accelsim.simulation.simulator import Simulation, run_stages

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig

BURST = 64


def pattern(*sizes: int, base: int = 0) -> AddressPattern:
    """One run per tile, one behind the other."""
    lengths = np.array(sizes, dtype=np.int64)
    starts = base + np.cumsum(lengths) - lengths
    return AddressPattern.gather([(np.arange(len(sizes)), runs_of(starts, lengths))], len(sizes))


def operand(name: str, buffer: str, *sizes: int, copies: int = 2) -> OperandTiles:
    """Tiles of so many bytes, one per step, each a set of its own."""
    steps = np.arange(len(sizes))
    bits = 8 * np.array(sizes, dtype=np.int64)
    return OperandTiles(name, buffer, steps, steps, bits, bits, steps, copies, pattern(*sizes))


def stage(cycles: list[int], inputs: tuple[OperandTiles, ...] = (), drained: int = 0, index: int = 0) -> StageTiles:
    steps = np.arange(len(cycles))
    zeros = np.zeros(len(cycles), np.int64)
    results = replace(operand("psum", "sums", *[8] * len(cycles)), fetch=AddressPattern.empty(len(cycles)))
    output = OutputTiles(
        tiles=results,
        last_step=steps,
        delay_cycles=zeros,
        drain=pattern(*[drained] * len(cycles), base=2**20),
        spilled_before=zeros,
        first_pixel=steps,
        output_pixels=len(cycles),
    )
    return StageTiles(
        index=index,
        name=f"stage{index}",
        on_array=True,
        compute_cycles=np.array(cycles, dtype=np.int64),
        inputs=inputs,
        output=output,
        kept_bits=0,
        kept_in="maps",
        kept_until=index,
        activity=Activity(),
        mapping_efficiency=1.0,
        mapping={},
    )


def slow(gb_per_s: float = 64, latency_ns: float = 0, clock_mhz: float = 1000) -> HardwareConfig:
    """One burst a nanosecond, which is a cycle."""
    dram = {"kind": "ideal", "ideal_bandwidth_gb_per_s": gb_per_s, "ideal_latency_ns": latency_ns}
    return machine(dram=dram, clock_mhz=clock_mhz)


def run(*stages: StageTiles, config: HardwareConfig | None = None) -> Simulation:
    return run_stages(stages, config or slow())


def test_compute_alone_takes_its_cycles() -> None:
    result = run(stage([5, 7]))
    assert result.timings[0].compute_cycles == 12
    assert result.timings[0].stalls == {}
    assert (result.end_cycle, result.end_ps) == (12, 12_000)


def test_first_fetch_is_a_stall_and_the_next_overlaps() -> None:
    """Tile 0 arrives at 4, step 0 runs to 14; tile 1 arrived at 8; tile 2 may come in at 14 and arrives at 18."""
    weights = operand("weight", "weights", *[4 * BURST] * 3)
    result = run(stage([10, 1, 3], (weights,)))
    assert result.timings[0].stalls == {"weight_fetch": 4 + 3}
    assert result.end_cycle == 4 + 10 + 1 + 3 + 3


def test_single_buffer_does_not_overlap() -> None:
    weights = operand("weight", "weights", *[4 * BURST] * 3, copies=1)
    result = run(stage([10, 1, 3], (weights,)))
    assert result.timings[0].stalls == {"weight_fetch": 12}


def test_stall_is_charged_to_what_came_last() -> None:
    inputs = operand("ifmap", "maps", 2 * BURST), operand("weight", "weights", 3 * BURST)
    assert run(stage([1], inputs)).timings[0].stalls == {"weight_fetch": 5}
    assert run(stage([1], (*inputs[1:], replace(inputs[0], fetch=pattern(9 * BURST))))).timings[0].stalls == {
        "weight_fetch": 12
    }  # ifmap is offered first, and one pipe serves all


def test_latency_is_waited_for_once_per_set_that_cannot_be_prefetched() -> None:
    weights = operand("weight", "weights", BURST, BURST)
    assert run(stage([1, 1], (weights,)), config=slow(latency_ns=20)).end_cycle == 1 + 20 + 1 + 1


def test_results_leave_behind_the_last_step() -> None:
    result = run(stage([3], drained=5 * BURST))
    assert result.timings[0].end_cycle == 3
    assert result.end_cycle == 8
    assert result.writes == 5


def test_compute_waits_for_room_for_its_results() -> None:
    """Two result tiles may be in the buffer; the third waits for the first to have left."""
    result = run(stage([1, 1, 1], drained=10 * BURST))
    assert result.timings[0].stalls == {"ofmap_drain": 9}


def test_delayed_results_are_sent_when_they_have_left_the_array() -> None:
    base = stage([3], drained=5 * BURST)
    late = replace(base, output=replace(base.output, delay_cycles=np.array([4])))
    assert run(late).end_cycle == 3 + 4 + 5


def test_later_stage_prefetches_and_waits_for_what_it_reads() -> None:
    first = stage([10], drained=6 * BURST)
    weights = operand("weight", "weights", 2 * BURST)
    reads = operand("ifmap", "maps", 3 * BURST).after(Dependence(0, np.array([1])))
    result = run(first, stage([4], (reads, weights), index=1))
    assert result.timings[1].stalls == {"ifmap_fetch": 6 + 3}, (
        "results have to be in the memory; weights are long there"
    )
    assert result.end_cycle == 10 + 6 + 3 + 4


def test_map_kept_on_chip_holds_its_room_until_its_last_reader_has_ended() -> None:
    first = replace(stage([5]), kept_bits=800, kept_until=1)
    result = run(first, stage([5], index=1), stage([5], index=2))
    held = result.occupancy["maps"]
    assert held["bytes"].tolist() == [100, 0]
    assert held["time_ps"].tolist() == [0, 10_000]


@pytest.mark.parametrize("clock_mhz", [700, 333.333, 0.001, 1000, 2400])
def test_steps_end_on_edges_of_the_clock(clock_mhz: float) -> None:
    config = slow(clock_mhz=clock_mhz)
    clock = config.pe_array.clock
    result = run(stage([7, 11, 13]), config=config)
    phases = result.trace.phases([0])
    ends = [clock.ps_of(cycle) for cycle in (7, 18, 31)]
    assert phases["end_ps"].tolist() == ends
    assert phases["start_ps"].tolist() == [0, *ends[:-1]]
    assert result.end_ps == clock.ps_of(31)
    assert result.end_cycle == 31


def test_stall_ends_at_the_first_edge_after_the_arrival() -> None:
    """64 bytes take 1000 ps, the third edge of 700 MHz lies at 1429 ps: the step begins in cycle 1."""
    result = run(stage([2], (operand("weight", "weights", BURST),)), config=slow(clock_mhz=700))
    assert result.timings[0].stalls == {"weight_fetch": 1}
    assert result.end_ps == -(-3 * 10_000 // 7)


def test_deadlock_says_who_waits_for_what() -> None:
    """A stage that reads a result which only comes after it."""
    reads = operand("ifmap", "maps", BURST).after(Dependence(0, np.array([2])))
    never = stage([4], drained=BURST), stage([4], (reads,), index=1)
    message = (
        "the simulation stopped before its last step: ifmap waits for 2 results that stage1 reads; "
        "compute waits for ifmap tile 0 of stage1; buffer maps holds 0 of 65536 bytes, 0 requests wait; "
        "buffer weights holds 0 of 65536 bytes, 0 requests wait; buffer sums holds 8 of 65536 bytes, 0 requests wait"
    )
    with pytest.raises(DeadlockError, match=f"^{re.escape(message)}$") as caught:
        run(*never)
    assert isinstance(caught.value, RunError)
    assert caught.value.exit_code == 1


def test_tile_larger_than_its_buffer_is_a_deadlock_that_names_the_buffer() -> None:
    weights = operand("weight", "weights", 70_000)
    with pytest.raises(DeadlockError, match=r"weight waits for 560000 bits of buffer weights.*1 requests wait"):
        run(stage([1], (weights,)))


def test_progress_is_told_stage_by_stage() -> None:
    shares: list[float] = []
    run_stages([stage([1]), stage([1], index=1)], slow(), shares.append)
    assert shares == [0.5, 1.0]
