"""The DMA: cuts tiles into the bursts that the memory may have at one time, and paces them.

A tile waits for a channel, in the order in which tiles are asked for. A channel keeps at most so many bursts of its
tile at the memory, in two halves: when one half is done the next is asked for. What passes in all is held to a rate: a
piece is asked for when those before it have had their time, and a tile is done when all its bytes have had theirs.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import simpy
    from numpy.typing import NDArray

    from accelsim.config.interconnect import DmaConfig
    from accelsim.simulation.memory_port import MemoryPort
    from accelsim.units import Clock

PACED_BURSTS = 16
"""Bursts that are asked for at once where there is a rate and nothing limits how many are outstanding."""

_FINEST_RATE = 1_000_000  # a rate is kept as a fraction of whole numbers up to this, so that times are exact


@dataclass
class _Tile:
    """A tile on its way."""

    stream: int
    addresses: NDArray[np.int64]
    completed: Callable[[], None]
    is_write: bool
    asked: int = 0
    done: int = 0
    paid_ps: int = 0


class Dma:
    """The DMA of a machine; with no limit it hands whole tiles to the memory.

    Parameters
    ----------
    env
        The event loop.
    port
        The way to the memory.
    clock
        Clock of the array, in which the rate is counted.
    config
        Its limits.
    """

    def __init__(self, env: simpy.Environment, port: MemoryPort, clock: Clock, config: DmaConfig) -> None:
        self._env = env
        self._port = port
        self._clock = clock
        self._config = config
        self._is_limited = config.is_limited
        rate = config.bytes_per_cycle
        self._bytes_per_cycle = None if rate is None else Fraction(rate).limit_denominator(_FINEST_RATE)
        self._waiting: deque[_Tile] = deque()
        self._on_their_way = 0
        self._paid_bytes = 0
        self._since_cycle = 0

    @property
    def burst_bytes(self) -> int:
        """Bytes of one access."""
        return self._port.burst_bytes

    @property
    def outstanding(self) -> int:
        """Transfers that have not been completed."""
        return self._port.outstanding + self._on_their_way + len(self._waiting)

    def transfer(
        self, stream: int, addresses: NDArray[np.int64], completed: Callable[[], None], *, is_write: bool = False
    ) -> None:
        """Move the bursts of a tile; `completed` is called when all have been moved."""
        if not self._is_limited:
            self._port.transfer(stream, addresses, completed, is_write=is_write)
            return
        self._waiting.append(_Tile(stream, addresses, completed, is_write))
        self._start()

    def _start(self) -> None:
        """Let waiting tiles have the channels that are free."""
        while self._waiting and (self._config.channels is None or self._on_their_way < self._config.channels):
            self._on_their_way += 1
            tile = self._waiting.popleft()
            window = self._config.outstanding_bursts
            for _ in range(len(tile.addresses) if window is None else min(window, 2)):
                if not self._ask(tile):
                    break

    def _ask(self, tile: _Tile) -> bool:
        """Ask for the next piece of a tile, now or when its time has come; False where there is none."""
        begin = tile.asked
        if begin == len(tile.addresses):
            return False
        size = self._piece(first=begin == 0)
        tile.asked = min(begin + size, len(tile.addresses))
        piece = tile.addresses[begin : tile.asked]
        start_ps = self._pace(len(piece) * self.burst_bytes, tile)

        def ask(_: simpy.Event | None = None) -> None:
            self._port.transfer(tile.stream, piece, lambda: self._arrived(tile, len(piece)), is_write=tile.is_write)

        if start_ps <= self._env.now:
            ask()
        else:
            self._after(start_ps, ask)
        return True

    def _piece(self, *, first: bool) -> int:
        """Bursts to ask for at once: half of those that may be outstanding, the first time the larger half."""
        window = self._config.outstanding_bursts
        if window is None:
            return 2**62 if self._config.bytes_per_cycle is None else PACED_BURSTS
        return max((window + first) // 2, 1)

    def _pace(self, size_bytes: int, tile: _Tile) -> int:
        """Time at which a piece may be asked for; it is paid for at the rate from then on."""
        rate = self._bytes_per_cycle
        now = int(self._env.now)
        if rate is None:
            return now
        cycle = self._clock.cycle_at(now)
        if self._since_cycle + self._paid_bytes / rate <= cycle:  # idle: what was not used is lost
            self._since_cycle, self._paid_bytes = cycle, 0
        start = self._since_cycle + math.floor(self._paid_bytes / rate)
        self._paid_bytes += size_bytes
        end = self._since_cycle + math.ceil(self._paid_bytes / rate)
        tile.paid_ps = self._clock.ps_of(end)
        return max(self._clock.ps_of(start), now)

    def _arrived(self, tile: _Tile, bursts: int) -> None:
        """Ask for more of a tile, or let the next one have its channel."""
        tile.done += bursts
        if tile.done < len(tile.addresses):
            self._ask(tile)
        elif tile.paid_ps > self._env.now:
            self._after(tile.paid_ps, lambda _: self._end(tile))
        else:
            self._end(tile)

    def _end(self, tile: _Tile) -> None:
        self._on_their_way -= 1
        self._start()
        tile.completed()

    def _after(self, time_ps: int, act: Callable[[simpy.Event], None]) -> None:
        event = self._env.timeout(time_ps - int(self._env.now))
        event.callbacks.append(act)
