"""An on-chip buffer over time: who holds how much of it, and who waits for room."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.result import OCCUPANCY_DTYPE
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    import simpy
    from numpy.typing import NDArray


@dataclass
class _Request:
    stage: int
    bits: int
    granted: simpy.Event


class Buffer:
    """Room that stages take and give back.

    Stages are served in their order: a later stage may prefetch into a buffer only when every earlier one has taken
    all that it will take of it. A stage therefore never waits for room that a later one holds, and since the mapper
    keeps what each stage holds within the capacity, no two stages can block each other.

    Parameters
    ----------
    env
        The event loop.
    name
        Name in reports and messages.
    capacity_bits
        Capacity.
    requests_per_stage
        Per stage the number of `take` calls to come.
    """

    def __init__(self, env: simpy.Environment, name: str, capacity_bits: int, requests_per_stage: list[int]) -> None:
        self._env = env
        self.name = name
        self.capacity_bits = capacity_bits
        self.used_bits = 0
        self._to_come = requests_per_stage
        self._serving = 0
        self._skip_finished_stages()
        self._waiting: dict[int, deque[_Request]] = {}
        self._changes: list[tuple[int, int]] = [(0, 0)]

    def take(self, stage: int, bits: int) -> simpy.Event:
        """Ask for room; the event happens once it is granted."""
        request = _Request(stage, bits, self._env.event())
        if stage == self._serving and not self._waiting.get(stage) and self.used_bits + bits <= self.capacity_bits:
            self._grant(request)
            self._grant_waiting()
        else:
            self._waiting.setdefault(stage, deque()).append(request)
        return request.granted

    def forgo(self, stage: int) -> None:
        """Give up all that a stage has asked for and not been granted, and all that it was still to ask for."""
        self._waiting.pop(stage, None)
        self._to_come[stage] = 0
        self._skip_finished_stages()
        self._grant_waiting()

    def give_back(self, bits: int) -> None:
        """Free room, and grant what now fits."""
        self.used_bits -= bits
        self._record()
        self._grant_waiting()

    def _grant(self, request: _Request) -> None:
        self.used_bits += request.bits
        self._record()
        self._to_come[request.stage] -= 1
        self._skip_finished_stages()
        request.granted.succeed()

    def _skip_finished_stages(self) -> None:
        while self._serving < len(self._to_come) and self._to_come[self._serving] == 0:
            self._serving += 1

    def _grant_waiting(self) -> None:
        while queue := self._waiting.get(self._serving):
            fitting = next((request for request in queue if self.used_bits + request.bits <= self.capacity_bits), None)
            if fitting is None:
                return
            queue.remove(fitting)
            self._grant(fitting)

    def _record(self) -> None:
        now = int(self._env.now)
        if self._changes[-1][0] == now:
            self._changes[-1] = (now, self.used_bits)
        else:
            self._changes.append((now, self.used_bits))

    @property
    def occupancy(self) -> NDArray[np.void]:
        """Bytes held over time, `OCCUPANCY_DTYPE`, one entry per change."""
        record = np.array(self._changes, dtype=np.int64)
        occupancy = np.empty(len(record), OCCUPANCY_DTYPE)
        occupancy["time_ps"] = record[:, 0]
        occupancy["bytes"] = -(-record[:, 1] // BITS_PER_BYTE)
        return occupancy

    def describe(self) -> str:
        """State in words, for the message of a deadlock."""
        waiting = sum(len(queue) for queue in self._waiting.values())
        used, capacity = -(-self.used_bits // BITS_PER_BYTE), self.capacity_bits // BITS_PER_BYTE
        return f"buffer {self.name} holds {used} of {capacity} bytes, {waiting} requests wait"
