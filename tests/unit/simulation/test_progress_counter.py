from __future__ import annotations

import simpy

from accelsim.simulation.progress_counter import ProgressCounter


def test_count_moves_over_what_is_done_without_a_gap() -> None:
    counter = ProgressCounter(simpy.Environment())
    for number, value in ((1, 0), (3, 0), (0, 2), (2, 4)):
        counter.finish(number)
        assert counter.value == value


def test_waiters_wake_when_the_count_reaches_them() -> None:
    counter = ProgressCounter(simpy.Environment())
    first, third = counter.reach(1), counter.reach(3)
    counter.finish(2)
    assert not first.triggered
    counter.finish(0)
    assert first.triggered
    assert not third.triggered
    counter.finish(1)
    assert third.triggered


def test_several_may_wait_for_the_same() -> None:
    counter = ProgressCounter(simpy.Environment())
    events = [counter.reach(1) for _ in range(3)]
    counter.finish(0)
    assert all(event.triggered for event in events)
