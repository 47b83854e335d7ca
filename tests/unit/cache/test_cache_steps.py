"""How misses make steps: which are in flight together, and what the machine makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.hierarchy import CacheLevel, Hierarchy, LevelCounts, MemoryTraffic, Outstanding
from accelsim.hardware.pe_array.simd_steps import WRITE_BUNDLE, StageSteps, merge_cores

LINE = 64


def misses(number: int, outstanding: Outstanding, cycles: int = 1, latency: int = 0) -> MemoryTraffic:
    """A core that misses a line every so many cycles."""
    records = np.zeros((1, lo.N_RECORD), np.int64)
    records[0, [lo.RE_RUN, lo.RE_COUNT, lo.RE_COST]] = number * LINE, 1, number * cycles * lo.TICKS
    level = CacheLevel("l", 8, 2, latency_cycles=latency)
    return Hierarchy([level], 1, LINE, 4096, outstanding).replay(records)


@pytest.mark.parametrize("registers", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("number", [1, 9, 10, 11, 60])
def test_as_many_misses_are_in_flight_as_there_are_registers(registers: int, number: int) -> None:
    traffic = misses(number, Outstanding(registers, 8, window_cycles=10**6, latency_cycles=0))
    per_step = np.bincount(traffic.events[:, lo.EV_STEP])
    assert per_step.max() == min(registers, number)
    assert len(per_step) == -(-number // registers)


@pytest.mark.parametrize(("window", "together"), [(0, 1), (9, 1), (10, 2), (25, 3), (1000, 8)])
def test_a_window_bounds_what_is_in_flight(window: int, together: int) -> None:
    traffic = misses(40, Outstanding(8, 8, window_cycles=window, latency_cycles=0), cycles=10)
    assert np.bincount(traffic.events[:, lo.EV_STEP]).max() == together


def test_time_is_kept_over_all_steps() -> None:
    traffic = misses(33, Outstanding(4, 8, window_cycles=3, latency_cycles=0), cycles=7)
    assert traffic.ticks[0].sum() == 33 * 7 * lo.TICKS


def test_answers_of_lower_caches_occupy_the_miss_registers() -> None:
    levels = [CacheLevel("l1", 1, 1, latency_cycles=2), CacheLevel("l2", 64, 8, latency_cycles=40)]
    hierarchy = Hierarchy(levels, 1, LINE, 4096, Outstanding(4, 8, window_cycles=8, latency_cycles=0))
    records = np.zeros((1, lo.N_RECORD), np.int64)
    records[0, [lo.RE_RUN, lo.RE_COUNT, lo.RE_COST]] = 100 * LINE, 1, 100 * lo.TICKS
    hierarchy.replay(records)
    again = hierarchy.replay(records)
    assert not len(again.events)
    assert again.ticks[0].sum() == 100 * 42 * lo.TICKS // 4


def traffic_of(ticks: list[list[int]], events: list[tuple[int, int, int, int]]) -> MemoryTraffic:
    nothing = LevelCounts(0, 0, 0, 0, 0)
    rows = np.array(events, np.int64).reshape(-1, lo.N_EVENT)
    return MemoryTraffic(rows, tuple(np.array(row) * lo.TICKS for row in ticks), (nothing,))


def test_cores_run_in_step() -> None:
    traffic = traffic_of([[10, 30], [20, 20]], [(5, lo.DEMAND, 1, 1), (6, lo.DEMAND, 0, 0), (7, lo.WRITE, 0, 1)])
    steps = merge_cores(traffic)
    assert steps.cycles.tolist() == [20, 20]
    assert steps.events[:, lo.EV_LINE].tolist() == [6, 5, 7]


def test_a_core_without_misses_adds_nothing_to_the_slowest() -> None:
    steps = merge_cores(traffic_of([[10, 10, 10], [30]], []))
    assert steps.cycles.sum() == 30
    assert merge_cores(traffic_of([[10, 10, 10], [36]], [])).cycles.tolist() == [12, 12, 12]


def graph_of(traffic: MemoryTraffic, window: float = 8, path: int = 3) -> StageSteps:
    return StageSteps(merge_cores(traffic), LINE, window, path, "l", 1)


def test_a_core_runs_on_behind_a_miss_for_as_long_as_its_window_is() -> None:
    graph = graph_of(traffic_of([[20, 30]], [(5, lo.DEMAND, 0, 1)]))
    assert graph.compute_cycles.tolist() == [0, 0, 0, 20, 5, 0, 25, 0]
    exposed = graph_of(traffic_of([[20, 30]], [(5, lo.DEMAND, 0, 1)]), window=1)
    assert exposed.compute_cycles.tolist() == [0, 0, 0, 20, 0, 2, 30, 0]


def test_lines_come_when_they_are_asked_for_and_before_they_are_needed() -> None:
    events = [(5, lo.DEMAND, 0, 0), (8, lo.AHEAD, 0, 0), (9, lo.AHEAD, 0, 0), (6, lo.DEMAND, 0, 1)]
    miss, ahead = graph_of(traffic_of([[20, 30]], events)).inputs
    assert miss.first_step.tolist() == [2, 5], "the waits of both steps"
    assert miss.retire_step[miss.set_index - 1].tolist() == [0, 3], "asked for as the step before has ended"
    assert ahead.first_step.tolist() == [4], "the next step waits for them"
    assert ahead.retire_step[ahead.set_index - 1].tolist() == [2], "asked for as the wait of their own step is over"
    assert ahead.fetch.bursts(0, LINE).tolist() == [8 * LINE, 9 * LINE]


def test_lines_that_leave_are_written_in_bundles() -> None:
    events = [(line, lo.WRITE, 0, line % 3) for line in range(WRITE_BUNDLE + 3)]
    output = graph_of(traffic_of([[1, 1, 1]], sorted(events, key=lambda event: event[lo.EV_STEP]))).output
    assert output.drain.tile_bytes.sum() == (WRITE_BUNDLE + 3) * LINE
    assert len(output.tiles) <= 3
