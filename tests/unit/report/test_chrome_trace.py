from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import CAPACITIES, COMPONENTS, make_run

from accelsim.report import trace_kernel
from accelsim.report.chrome_trace import chrome_trace, lanes
from accelsim.report.trace_kernel import NAME, NUMBER, TIME, write_events
from accelsim.result import OCCUPANCY_DTYPE

if TYPE_CHECKING:
    from accelsim.result import RunResult

Event = dict[str, Any]


@pytest.fixture(scope="module")
def run() -> RunResult:
    return make_run(['quote " and \\', "plain", "ünï"], steps=8)


@pytest.fixture(scope="module")
def events(run: RunResult) -> list[Event]:
    trace = json.loads(chrome_trace(run))
    assert trace["displayTimeUnit"] == "ns"
    assert trace["otherData"]["run_id"] == run.run.run_id
    listed: list[Event] = trace["traceEvents"]
    return listed


def _tracks(events: list[Event]) -> dict[int, list[Event]]:
    tracks: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["tid"]].append(event)
    return tracks


def test_every_event_is_of_a_known_kind_and_process(events: list[Event]) -> None:
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    assert {event["pid"] for event in events} == {1}
    assert all(event["ts"] >= 0 and event.get("dur", 0) >= 0 for event in events if event["ph"] != "M")


def test_every_track_has_a_name(events: list[Event]) -> None:
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert set(_tracks(events)) <= set(names)
    assert list(names.values()) == ["layers", *COMPONENTS]
    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == ["sample_net on systolic_32x32"]


def test_events_of_a_track_come_in_order_and_nest(events: list[Event]) -> None:
    for track in _tracks(events).values():
        open_until: list[int] = []
        last = 0
        for event in track:
            start, end = (round(value * 1e6) for value in (event["ts"], event["ts"] + event["dur"]))
            assert start >= last
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)
            last = start


def test_every_phase_is_there_to_the_picosecond(run: RunResult, events: list[Event]) -> None:
    assert run.profile is not None
    found = sorted(
        (
            track - 1,
            event["name"],
            event["args"]["step"],
            round(event["ts"] * 1e6),
            round(event["dur"] * 1e6),
            event["args"]["bytes"],
        )
        for track, listed in _tracks(events).items()
        for event in listed
        if track > 0
    )
    expected = sorted(
        (component, run.profile.layers[layer], step, start, end - start, size)
        for component, layer, step, start, end, size in run.profile.phases.tolist()
    )
    assert found == expected


def test_layers_cover_the_run_and_keep_their_names(run: RunResult, events: list[Event]) -> None:
    track = _tracks(events)[0]
    assert [event["name"] for event in track] == [layer.name for layer in run.layer_results]
    assert sum(event["args"]["cycles"] for event in track) == run.totals.total_cycles
    assert track[-1]["ts"] + track[-1]["dur"] == pytest.approx(run.totals.latency_ns / 1000)


def test_counters_carry_bandwidth_and_occupancy(run: RunResult, events: list[Event]) -> None:
    counters: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["ph"] == "C":
            counters[event["name"]].append(event)
    assert set(counters) == {"DRAM bandwidth (GB/s)", *(f"{name} buffer (bytes)" for name in CAPACITIES)}
    for listed in counters.values():
        times = [event["ts"] for event in listed]
        assert times == sorted(times)
    rates = counters["DRAM bandwidth (GB/s)"]
    read = sum(one["args"]["read"] * (two["ts"] - one["ts"]) * 1000 for one, two in itertools.pairwise(rates))
    assert read == pytest.approx(run.totals.dram_read_bytes, rel=1e-4)
    assert rates[-1]["args"] == {"read": 0, "write": 0}


def test_counters_have_every_change_of_a_buffer_once(run: RunResult) -> None:
    assert run.profile is not None
    sizes = [(0, 4), (3, 4), (7, 0), (2_000_000, 0), (2_000_001, 9), (5_000_000, 4), (5_000_001, 4)]
    occupancy = {"ifmap": np.array(sizes, OCCUPANCY_DTYPE)}
    held = replace(run, profile=replace(run.profile, buffer_occupancy=occupancy))
    events = json.loads(chrome_trace(held))["traceEvents"]
    counter = [event for event in events if event["name"] == "ifmap buffer (bytes)"]
    found = [(round(event["ts"] * 1e6), event["args"]["bytes"]) for event in counter]
    assert found == [(0, 4), (7, 0), (2_000_001, 9), (5_000_000, 4)]


def test_phases_that_overlap_get_lanes_of_their_own(run: RunResult) -> None:
    assert run.profile is not None
    phases = run.profile.phases.copy()
    phases["component"] = 0
    crowded = replace(run, profile=replace(run.profile, phases=phases))
    events = json.loads(chrome_trace(crowded))["traceEvents"]
    test_events_of_a_track_come_in_order_and_nest(events)
    names = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert names[:3] == ["layers", "ifmap DMA", "ifmap DMA #2"]
    assert names[-1] == "ofmap DMA"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=40))
def test_lanes_never_overlap(rows: list[tuple[int, int]]) -> None:
    spans = sorted((start, start + length) for start, length in rows)
    start = np.array([span[0] for span in spans], dtype=np.int64)
    end = np.array([span[1] for span in spans], dtype=np.int64)
    free: dict[int, int] = {}
    for lane, first, last in zip(lanes(start, end), start.tolist(), end.tolist(), strict=True):
        assert free.get(lane, 0) <= first
        free[lane] = last


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2)), max_size=5))
def test_events_are_written_as_python_formats_them(rows: list[tuple[int, int, int]]) -> None:
    names = ['"a"', '"layer4.0.conv12"', '""']
    columns = [np.array([row[field] for row in rows], np.int64) for field in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_kernel, "_AT_ONCE", 2)
        events = write_events(["{", ', "longer": ', "", "}"], [NUMBER, TIME, NAME], columns, names)
        written = b"".join(map(bytes, events))
    wanted = [
        f'{{{number}, "longer": {time // 1_000_000}.{time % 1_000_000:06d}{names[name]}}}'
        for number, time, name in rows
    ]
    assert written.decode() == ",\n".join(wanted)


def test_a_run_without_a_profile_has_its_layers() -> None:
    events = json.loads(chrome_trace(make_run(3, profile=False)))["traceEvents"]
    assert list(_tracks(events)) == [0]


def test_layers_without_time_are_not_on_the_track() -> None:
    events = json.loads(chrome_trace(make_run(3, fused=True)))["traceEvents"]
    assert len(_tracks(events)[0]) == 3
