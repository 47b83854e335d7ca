"""What a stream prefetcher asks for, and when."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.hierarchy import CacheLevel, Hierarchy, MemoryTraffic, Outstanding, Prefetcher

LINE, PAGE_LINES = 64, 16
SLOW = 10_000  # cycles per line, far longer than any latency


def run(
    lines: list[int], prefetcher: Prefetcher | None, *, outstanding: Outstanding | None = None, cycles: int = SLOW
) -> MemoryTraffic:
    level = CacheLevel("l", 64, 8, prefetcher=prefetcher)
    few = outstanding or Outstanding(demands=8, ahead=8, window_cycles=0, latency_cycles=100)
    records = np.zeros((len(lines), lo.N_RECORD), np.int64)
    records[:, lo.RE_BASE] = np.array(lines) * LINE
    records[:, [lo.RE_RUN, lo.RE_COUNT, lo.RE_COST]] = 1, 1, cycles * lo.TICKS
    return Hierarchy([level], 1, LINE, PAGE_LINES * LINE, few).replay(records)


def demanded(traffic: MemoryTraffic) -> list[int]:
    return [int(event[lo.EV_LINE]) for event in traffic.events if event[lo.EV_KIND] == lo.DEMAND]


def ahead(traffic: MemoryTraffic) -> list[int]:
    return [int(event[lo.EV_LINE]) for event in traffic.events if event[lo.EV_KIND] == lo.AHEAD]


ONE = Prefetcher(streams=4, training_requests=3, degree=1, distance_lines=4)


def test_without_a_prefetcher_every_line_is_waited_for() -> None:
    traffic = run(list(range(10)), None)
    assert demanded(traffic) == list(range(10))


def test_a_stream_is_followed_once_it_is_trained() -> None:
    # the third request makes it ask for the fourth line; a window of no cycles keeps that apart from the demand itself
    outstanding = Outstanding(demands=8, ahead=8, window_cycles=-1, latency_cycles=100)
    traffic = run(list(range(8)), ONE, outstanding=outstanding)
    assert demanded(traffic) == [0, 1, 2]
    assert ahead(traffic) == [3, 4, 5, 6, 7, 8]


def test_what_is_asked_for_beside_a_miss_comes_with_it() -> None:
    traffic = run([0, 1, 2], ONE)
    assert demanded(traffic) == [0, 1, 2, 3]
    assert len(set(traffic.events[-2:, lo.EV_STEP].tolist())) == 1


@pytest.mark.parametrize("step", [1, -1])
def test_streams_run_either_way(step: int) -> None:
    traffic = run([8 + step * number for number in range(6)], ONE)
    assert set(traffic.events[:, lo.EV_LINE].tolist()) == {8 + step * number for number in range(7)}


def test_no_stream_leaves_its_page() -> None:
    traffic = run(list(range(PAGE_LINES)), Prefetcher(4, 2, 8, 32))
    assert max(traffic.events[:, lo.EV_LINE].tolist()) == PAGE_LINES - 1


def test_each_page_is_trained_anew() -> None:
    traffic = run(list(range(3 * PAGE_LINES)), Prefetcher(4, 3, 4, 8))
    missed = traffic.counts[0].misses
    assert missed == 3 * 3


def test_a_stream_is_never_further_ahead_than_its_distance() -> None:
    traffic = run([0, 1, 2], Prefetcher(4, 2, 16, 5), outstanding=Outstanding(8, 64, 0, 100))
    assert max(traffic.events[:, lo.EV_LINE].tolist()) == 2 + 5


def test_a_trigger_asks_for_no_more_lines_than_the_degree() -> None:
    traffic = run([0, 1], Prefetcher(4, 2, 3, 16))
    assert traffic.counts[0].prefetches == 3


def test_requests_all_over_train_nothing() -> None:
    lines = np.random.default_rng(1).permutation(512)[:200] * PAGE_LINES
    assert run(lines.tolist(), ONE).counts[0].prefetches == 0


def test_more_pages_than_streams_are_forgotten() -> None:
    turns = [page * PAGE_LINES + line for line in range(PAGE_LINES) for page in range(5)]
    assert run(turns, Prefetcher(4, 2, 4, 8)).counts[0].prefetches == 0
    assert run(turns, Prefetcher(5, 2, 4, 8)).counts[0].misses == 5 * 2


def test_a_prefetcher_without_a_free_miss_register_asks_again_later() -> None:
    tight = Outstanding(demands=8, ahead=2, window_cycles=0, latency_cycles=10**9)
    free = Outstanding(demands=8, ahead=16, window_cycles=0, latency_cycles=10**9)
    few, many = (run([0, 1], Prefetcher(4, 2, 8, 8), outstanding=limit) for limit in (tight, free))
    assert (few.counts[0].prefetches, many.counts[0].prefetches) == (2, 8)


def test_a_core_waits_for_a_line_that_it_asked_for_too_late() -> None:
    outstanding = Outstanding(demands=8, ahead=8, window_cycles=-1, latency_cycles=100)
    quick = run(list(range(6)), ONE, outstanding=outstanding, cycles=10)
    slow = run(list(range(6)), ONE, outstanding=outstanding, cycles=200)
    assert len(quick.ticks[0]) > len(slow.ticks[0])


def test_lines_that_were_fetched_in_vain_are_counted_as_such() -> None:
    traffic = run([0, 1, 2], Prefetcher(4, 2, 4, 4))
    counts = traffic.counts[0]
    assert (counts.prefetches, counts.covered, counts.misses) == (5, 1, 2)
