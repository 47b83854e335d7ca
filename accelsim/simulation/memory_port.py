"""Joins a memory to the event loop: transfers in, completions out, and never a cycle too far ahead."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    import simpy
    from numpy.typing import NDArray

    from accelsim.hardware.interfaces import Memory

_FAR_PS = 2**62


class MemoryPort:
    """The process that lets a memory run, up to the next time at which anything else can act.

    Parameters
    ----------
    env
        The event loop.
    memory
        The memory.
    """

    def __init__(self, env: simpy.Environment, memory: Memory) -> None:
        self._env = env
        self._memory = memory
        self._completed: dict[int, Callable[[], None]] = {}
        self._next_transfer = 0
        self._offered = env.event()
        self.outstanding = 0
        env.process(self._run())

    @property
    def burst_bytes(self) -> int:
        """Bytes of one access."""
        return self._memory.burst_bytes

    def transfer(
        self, stream: int, addresses: NDArray[np.int64], completed: Callable[[], None], *, is_write: bool = False
    ) -> None:
        """Offer bursts now; `completed` is called at the time the memory is done with them."""
        number = self._next_transfer
        self._next_transfer += 1
        self._completed[number] = completed
        self.outstanding += 1
        self._memory.submit(number, stream, is_write, addresses, int(self._env.now))
        if not self._offered.triggered:
            self._offered.succeed()

    def synchronise(self) -> None:
        """Bring the memory to the present, for a look at its counters."""
        self._schedule(self._memory.advance(int(self._env.now)))

    def _schedule(self, completions: list[tuple[int, int]]) -> None:
        now = int(self._env.now)
        for transfer, time_ps in completions:
            event = self._env.timeout(max(time_ps - now, 0))
            event.callbacks.append(partial(self._complete, transfer))  # cheaper than a process of its own

    def _complete(self, transfer: int, _: simpy.Event) -> None:
        self.outstanding -= 1
        self._completed.pop(transfer)()

    def _run(self) -> Generator[simpy.Event, None, None]:
        env, memory = self._env, self._memory
        while True:
            if not self.outstanding:  # writes that wait in the memory's queue are served when it next has to run
                self._offered = env.event()
                yield self._offered
            horizon = env.peek()
            if horizon <= env.now:
                yield env.timeout(0)  # others act at this very time: let them, then look again
                continue
            until_ps = _FAR_PS if math.isinf(horizon) else int(horizon)
            completions = memory.advance(until_ps)
            self._schedule(completions)
            if not completions and not math.isinf(horizon):
                yield env.timeout(until_ps - int(env.now))
