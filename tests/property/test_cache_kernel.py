"""The compiled caches against plain lists, and against reuse distances."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_caches import NaiveCache, NaivePrefetcher, reuse_distances

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.hierarchy import CacheLevel, Hierarchy, MemoryTraffic, Outstanding, Prefetcher

LINE = 64
PLENTY = Outstanding(demands=4, ahead=512, window_cycles=0, latency_cycles=0)
"""No line takes any time, and more are let out at one time than prefetchers ask for: a miss register is always free."""

accesses = st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.integers(0, 40)), min_size=1, max_size=300)
"""Core, whether it stores, line."""

shapes = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 6, 8, 20, 32]), st.sampled_from([1, 2, 3, 5, 8, 9, 16, 17, 35])),
    min_size=1,
    max_size=3,
)
"""Sets and ways of each level: part of a vector, a whole one, and more."""

runs = st.lists(
    st.tuples(st.integers(0, 1), st.booleans(), st.integers(0, 150), st.integers(1, 40)), min_size=1, max_size=60
)
"""Core, whether it stores, first line, lines."""

PAGE_LINES = 16

followers = st.builds(
    NaivePrefetcher,
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 6),
    st.just(PAGE_LINES),
)


def records_of(program: list[tuple[int, bool, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    records = np.zeros((len(program), lo.N_RECORD), np.int64)
    for row, (core, store, line) in zip(records, program, strict=True):
        row[[lo.RE_CORE, lo.RE_WRITE, lo.RE_BASE]] = core, store, line * LINE
        row[[lo.RE_RUN, lo.RE_COUNT]] = 1, 1
    return records


def memory_of(traffic: MemoryTraffic) -> list[tuple[str, int]]:
    names = {lo.DEMAND: "read", lo.AHEAD: "read", lo.WRITE: "write"}
    return [(names[int(event[lo.EV_KIND])], int(event[lo.EV_LINE])) for event in traffic.events]


def runs_of(program: list[tuple[int, bool, int, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    records = records_of([access[:3] for access in program])
    records[:, lo.RE_RUN] = [length * LINE for *_, length in program]
    return records


def lines_of(program: list[tuple[int, bool, int, int]]) -> list[tuple[int, bool, int]]:
    return [(core, store, line + each) for core, store, line, length in program for each in range(length)]


def naive_cores(
    levels: list[CacheLevel], prefetchers: list[NaivePrefetcher | None]
) -> tuple[list[NaiveCache], list[tuple[str, int]]]:
    """The first caches of two cores, and the list into which the memory's accesses go."""
    log: list[tuple[str, int]] = []
    queue: list[tuple[NaiveCache, int]] = []
    below: list[NaiveCache | None] = [None, None]
    for level, prefetcher in reversed(list(zip(levels, prefetchers, strict=True))):
        made = [
            NaiveCache(level.sets, level.ways, level.writes_through, under, log, queue, copy.deepcopy(prefetcher))
            for under in below
        ]
        below = [made[0], made[1] if level.cores == 1 else made[0]]
    return [cache for cache in below if cache is not None], log


@settings(deadline=None)
@given(
    program=runs,
    levels=shapes,
    through=st.booleans(),
    shared_from=st.integers(1, 3),
    wide=st.booleans(),
    follows=st.lists(st.none() | followers, min_size=3, max_size=3),
)
def test_compiled_caches_do_what_plain_lists_do(
    program: list[tuple[int, bool, int, int]],
    levels: list[tuple[int, int]],
    follows: list[NaivePrefetcher | None],
    *,
    through: bool,
    shared_from: int,
    wide: bool,
) -> None:
    built = [
        CacheLevel(
            f"l{number}",
            sets,
            ways,
            1 if number + 1 < shared_from else 2,
            writes_through=through and number == 0,
            prefetcher=Prefetcher(follow.streams, follow.training, follow.degree, follow.distance) if follow else None,
        )
        for number, ((sets, ways), follow) in enumerate(zip(levels, follows, strict=False))
    ]
    memory_bytes = 1 << 40 if wide else 1 << 30
    hierarchy = Hierarchy(built, 2, LINE, PAGE_LINES * LINE, PLENTY, memory_bytes)
    half = len(program) // 2
    found = [hierarchy.replay(runs_of(part)) for part in (program[:half], program[half:]) if part]
    cores, log = naive_cores(built, follows[: len(levels)])
    for core, store, line in lines_of(program):
        cores[core].store(line) if store else cores[core].read(line)
    assert [entry for traffic in found for entry in memory_of(traffic)] == log


@settings(deadline=None)
@given(
    program=runs,
    levels=shapes,
    follows=st.lists(st.none() | followers, min_size=3, max_size=3),
    share=st.integers(0, 4 * lo.TICKS),
    outstanding=st.builds(Outstanding, st.integers(1, 4), st.integers(1, 4), st.integers(0, 9), st.integers(0, 20)),
)
def test_a_run_does_what_its_lines_do_one_by_one(
    program: list[tuple[int, bool, int, int]],
    levels: list[tuple[int, int]],
    follows: list[NaivePrefetcher | None],
    share: int,
    outstanding: Outstanding,
) -> None:
    """Steps, times and counts as well, whatever waits for what."""
    built = [
        CacheLevel(
            f"l{number}",
            sets,
            ways,
            1 if number == 0 else 2,
            latency_cycles=3 * number + 1,
            prefetcher=Prefetcher(follow.streams, follow.training, follow.degree, follow.distance) if follow else None,
        )
        for number, ((sets, ways), follow) in enumerate(zip(levels, [None, *follows], strict=False))
    ]
    whole, single = runs_of(program), records_of(lines_of(program))
    whole[:, lo.RE_COST] = share * np.array([length for *_, length in program])
    single[:, lo.RE_COST] = share
    one, other = (
        Hierarchy(built, 2, LINE, PAGE_LINES * LINE, outstanding).replay(records) for records in (whole, single)
    )
    assert one.counts == other.counts
    assert one.events.tolist() == other.events.tolist()
    assert [ticks.tolist() for ticks in one.ticks] == [ticks.tolist() for ticks in other.ticks]


def test_lines_far_up_in_a_large_memory_are_told_apart() -> None:
    far = 1 << 33  # their low bits, as far as narrow entries hold them, are those of the first lines
    records = records_of([(0, False, line + base) for _ in range(2) for base in (0, far) for line in range(8)])
    traffic = Hierarchy([CacheLevel("l", 8, 2)], 1, LINE, 4096, PLENTY, 1 << 41).replay(records)
    assert traffic.counts[0].misses == 16


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_distances_tell_the_hits_of_full_associativity(lines: list[int]) -> None:
    distances = reuse_distances(lines)
    for ways in range(1, 32):
        traffic = Hierarchy([CacheLevel("l", 1, ways)], 1, LINE, 4096, PLENTY).replay(
            records_of([(0, False, line) for line in lines])
        )
        assert traffic.counts[0].misses == sum(distance < 0 or distance >= ways for distance in distances)


@settings(deadline=None)
@given(accesses, st.integers(1, 8))
def test_a_larger_fully_associative_cache_misses_no_more(program: list[tuple[int, bool, int]], ways: int) -> None:
    small, large = (
        Hierarchy([CacheLevel("l", 1, size, 2)], 2, LINE, 4096, PLENTY).replay(records_of(program)).counts[0].misses
        for size in (ways, ways + 1)
    )
    assert large <= small


def test_events_and_steps_beyond_the_first_room_are_all_kept() -> None:
    lines = 300_000
    records = np.zeros((1, lo.N_RECORD), np.int64)
    records[0, [lo.RE_RUN, lo.RE_COUNT]] = lines * LINE, 1
    traffic = Hierarchy([CacheLevel("l", 4, 2)], 1, LINE, 4096, PLENTY).replay(records)
    assert traffic.events[:, lo.EV_LINE].tolist() == list(range(lines))
    assert len(traffic.ticks[0]) == pytest.approx(lines / PLENTY.demands, abs=1)
