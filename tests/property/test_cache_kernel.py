"""The compiled caches against plain lists, and against reuse distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_caches import NaiveCache, reuse_distances

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.hierarchy import CacheLevel, Hierarchy, MemoryTraffic, Outstanding

LINE = 64
PLENTY = Outstanding(demands=4, ahead=4, window_cycles=0, latency_cycles=0)

accesses = st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.integers(0, 40)), min_size=1, max_size=300)
"""Core, whether it stores, line."""

shapes = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=3)
"""Sets and ways of each level."""


def records_of(program: list[tuple[int, bool, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    records = np.zeros((len(program), lo.N_RECORD), np.int64)
    for row, (core, store, line) in zip(records, program, strict=True):
        row[[lo.RE_CORE, lo.RE_WRITE, lo.RE_BASE]] = core, store, line * LINE
        row[[lo.RE_RUN, lo.RE_COUNT]] = 1, 1
    return records


def memory_of(traffic: MemoryTraffic) -> list[tuple[str, int]]:
    names = {lo.DEMAND: "read", lo.AHEAD: "read", lo.WRITE: "write"}
    return [(names[int(event[lo.EV_KIND])], int(event[lo.EV_LINE])) for event in traffic.events]


@settings(deadline=None)
@given(program=accesses, levels=shapes, through=st.booleans(), shared_from=st.integers(1, 3))
def test_compiled_caches_do_what_plain_lists_do(
    program: list[tuple[int, bool, int]], levels: list[tuple[int, int]], *, through: bool, shared_from: int
) -> None:
    private = [number + 1 < shared_from for number in range(len(levels))]
    built = [
        CacheLevel(f"l{number}", sets, ways, 1 if own else 2, writes_through=through and number == 0)
        for number, ((sets, ways), own) in enumerate(zip(levels, private, strict=True))
    ]
    log: list[tuple[str, int]] = []
    cores: list[NaiveCache | None] = [None, None]
    for number, own in reversed(list(enumerate(private))):
        sets, ways = levels[number]
        made = [NaiveCache(sets, ways, through and number == 0, below, log) for below in cores]
        cores = [made[0], made[1] if own else made[0]]
        for cache in made:
            cache.memory = log
    hierarchy = Hierarchy(built, 2, LINE, 4096, PLENTY)
    half = len(program) // 2
    found = [hierarchy.replay(records_of(part)) for part in (program[:half], program[half:]) if part]
    for core, store, line in program:
        reached = cores[core]
        assert reached is not None
        reached.store(line) if store else reached.read(line)
    assert [entry for traffic in found for entry in memory_of(traffic)] == log


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
    lines = 200_000
    records = np.zeros((1, lo.N_RECORD), np.int64)
    records[0, [lo.RE_RUN, lo.RE_COUNT]] = lines * LINE, 1
    traffic = Hierarchy([CacheLevel("l", 4, 2)], 1, LINE, 4096, PLENTY).replay(records)
    assert traffic.events[:, lo.EV_LINE].tolist() == list(range(lines))
    assert len(traffic.ticks[0]) == pytest.approx(lines / PLENTY.demands, abs=1)
