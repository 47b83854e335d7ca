"""Counts that only grow, and the events of processes that wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import simpy


class ProgressCounter:
    """A count of things done in order.

    Things may finish out of order; the count moves over the longest unbroken run from the start.

    Parameters
    ----------
    env
        The event loop.
    """

    __slots__ = ("_ahead", "_env", "_waiting", "value")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self.value = 0
        self._ahead: set[int] = set()
        self._waiting: list[tuple[int, simpy.Event]] = []

    def finish(self, number: int) -> None:
        """Note that thing `number` (from 0) is done, and wake who waited for it."""
        self._ahead.add(number)
        while self.value in self._ahead:
            self._ahead.remove(self.value)
            self.value += 1
        if self._waiting:
            still_waiting = []
            for needed, event in self._waiting:
                if needed <= self.value:
                    event.succeed()
                else:
                    still_waiting.append((needed, event))
            self._waiting = still_waiting

    def reach(self, needed: int) -> simpy.Event:
        """Event of the count reaching `needed`; call only while it has not."""
        event = self._env.event()
        self._waiting.append((needed, event))
        return event
