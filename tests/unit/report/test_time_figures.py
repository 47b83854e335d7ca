from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import CAPACITIES, make_run

from accelsim.report import time_figures
from accelsim.result import OCCUPANCY_DTYPE, Profile, RunResult


def _profile(run: RunResult) -> Profile:
    assert run.profile is not None
    return run.profile


@pytest.fixture(scope="module")
def short() -> RunResult:
    return make_run(3, steps=5)


@pytest.fixture(scope="module")
def long() -> RunResult:
    return make_run(60, steps=60)


def test_few_phases_are_shown_one_by_one(short: RunResult) -> None:
    data = time_figures.timeline(short, _profile(short))
    assert data.merged_gap_ps is None
    assert len(data.segments) == data.phases == 60
    assert all(segment.busy == 1 for segment in data.segments)


def test_merging_keeps_bytes_busy_time_and_layers_apart(long: RunResult) -> None:
    profile = _profile(long)
    data = time_figures.timeline(long, profile)
    assert data.merged_gap_ps is not None
    assert len(data.segments) > time_figures.MAX_SEGMENTS * 0.9
    assert len(data.segments) <= time_figures.MAX_SEGMENTS < data.phases == len(profile.phases)
    assert sum(segment.size_bytes for segment in data.segments) == profile.phases["bytes"].sum()
    busy = sum(segment.busy * (segment.end_ps - segment.start_ps) for segment in data.segments)
    assert busy == pytest.approx(int((profile.phases["end_ps"] - profile.phases["start_ps"]).sum()))
    assert {s.layer for s in data.segments if s.component == 2} == set(range(60))


def test_merged_bars_of_a_component_do_not_overlap(long: RunResult) -> None:
    data = time_figures.timeline(long, _profile(long))
    for component in range(len(data.components)):
        bars = [segment for segment in data.segments if segment.component == component]
        assert all(one.end_ps <= two.start_ps for one, two in itertools.pairwise(bars))


def test_layers_follow_one_another_up_to_the_end(long: RunResult) -> None:
    times = time_figures.layer_times_ps(long)
    assert times[0][0] == 0
    assert all(one[1] == two[0] for one, two in itertools.pairwise(times))
    assert times[-1][1] == time_figures.latency_ps(long)


def test_bandwidth_carries_exactly_the_bytes(long: RunResult) -> None:
    data = time_figures.bandwidth_over_time(long, _profile(long))
    assert data is not None
    spans = np.diff(data.time_ps)
    assert len(data.read_gb_per_s) == len(spans) <= time_figures.MAX_POINTS
    assert (np.array(data.read_gb_per_s) * spans).sum() / 1000 == pytest.approx(long.totals.dram_read_bytes)
    assert (np.array(data.write_gb_per_s) * spans).sum() / 1000 == pytest.approx(long.totals.dram_write_bytes)


def test_occupancies_keep_their_peak(long: RunResult) -> None:
    for data in time_figures.buffer_occupancies(long, _profile(long)):
        changes = _profile(long).buffer_occupancy[data.buffer]
        assert max(data.size_bytes) == changes["bytes"].max()
        assert data.capacity_bytes == CAPACITIES[data.buffer]
        assert len(data.time_ps) <= time_figures.MAX_POINTS + 1


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 1000)), min_size=12, max_size=60),
    st.integers(900, 2000),
)
def test_thinned_occupancy_is_the_maximum_of_each_interval(rows: list[tuple[int, int]], end: int) -> None:
    changes = np.array(sorted(rows), dtype=OCCUPANCY_DTYPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_figures, "MAX_POINTS", 10)
        data = time_figures._occupancy("b", changes, 1000, end)
    assert len(data.time_ps) <= 11
    for start, stop, size in zip(data.time_ps, data.time_ps[1:], data.size_bytes, strict=False):
        held = changes["bytes"][changes["time_ps"] < start][-1:].tolist() or [0]
        last = end if stop == end else stop - 1  # the last interval holds the end itself
        inside = changes["bytes"][(changes["time_ps"] >= start) & (changes["time_ps"] <= last)].tolist()
        assert size == max(held + inside)


def test_empty_records_are_drawn_as_nothing(short: RunResult) -> None:
    profile = _profile(short)
    empty = replace(
        profile,
        phases=profile.phases[:0],
        dram_traffic=profile.dram_traffic[:0],
        buffer_occupancy={"ifmap": profile.buffer_occupancy["ifmap"][:0]},
    )
    assert time_figures.timeline(short, empty).segments == ()
    assert time_figures.bandwidth_over_time(short, empty) is None
    (occupancy,) = time_figures.buffer_occupancies(short, empty)
    assert set(occupancy.size_bytes) == {0}
