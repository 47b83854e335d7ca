"""A hierarchy of caches over time: what each holds, what it was asked for, and what of that reached the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.hardware.cache import lanes
from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.kernel import end_steps, replay
from accelsim.hardware.cache.layout import Caches
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.hardware.cache.layout import Entries, Words

_FIRST_EVENTS = 1 << 18
_FIRST_STEPS = 1 << 13
_QUEUE = 256

HOST_LINE_BYTES = 64
"""Line of the caches of the processor on which this runs."""


@dataclass(frozen=True)
class Prefetcher:
    """A stream prefetcher of one cache.

    Parameters
    ----------
    streams
        Pages that it follows at one time.
    training_requests
        Requests of a page in one direction from which on it asks for lines itself.
    degree
        Lines that it asks for at one request.
    distance_lines
        Lines that it may be ahead of the request.
    """

    streams: int
    training_requests: int
    degree: int
    distance_lines: int


@dataclass(frozen=True)
class CacheLevel:
    """One level of the hierarchy.

    Parameters
    ----------
    name
        Name in reports.
    sets, ways
        Shape of one cache.
    cores
        Cores that share one cache.
    latency_cycles
        Cycles from the request to the answer of this level.
    writes_through
        Whether stores go through to the next level without taking room here.
    prefetcher
        None where the level has none.
    """

    name: str
    sets: int
    ways: int
    cores: int = 1
    latency_cycles: int = 1
    writes_through: bool = False
    prefetcher: Prefetcher | None = None


@dataclass(frozen=True)
class Outstanding:
    """What a core can have on the way at one time.

    Parameters
    ----------
    demands
        Lines that it waits for.
    ahead
        Lines that prefetchers and stores have asked for on its behalf.
    window_cycles
        Cycles that it runs on behind the first line that it waits for.
    latency_cycles
        Cycles that a line is on its way at least.
    """

    demands: int
    ahead: int
    window_cycles: float
    latency_cycles: int


@dataclass(frozen=True)
class LevelCounts:
    """What a level was asked for, over all its caches.

    Parameters
    ----------
    reads
        Requests for a line from above, prefetches of the level above included.
    writes
        Stores, or write-backs from above.
    misses
        Requests for a line, stores that allocate included, that the level did not hold.
    prefetches
        Lines that its own prefetcher brought.
    covered
        First uses of such lines.
    """

    reads: int
    writes: int
    misses: int
    prefetches: int
    covered: int


@dataclass(frozen=True)
class MemoryTraffic:
    """What a stage asks of the memory.

    Parameters
    ----------
    events
        Array of `layout.N_EVENT` columns in the order in which they happened.
    ticks
        Per core the length of each of its steps, in parts (`layout.TICKS`) of a cycle.
    counts
        Per level what it was asked for.
    """

    events: Words
    ticks: tuple[Words, ...]
    counts: tuple[LevelCounts, ...]


class Hierarchy:
    """The caches of all cores.

    Parameters
    ----------
    levels
        From the one next to the core outwards.
    cores
        Number of cores.
    line_bytes, page_bytes
        Size of a line, and of the pages that prefetchers do not leave; powers of two.
    outstanding
        What a core can have on the way.
    memory_bytes
        Bytes of the memory below; entries are narrow where its lines allow that.
    """

    def __init__(
        self,
        levels: Sequence[CacheLevel],
        cores: int,
        line_bytes: int,
        page_bytes: int,
        outstanding: Outstanding,
        memory_bytes: int = 1 << 62,
    ) -> None:
        self.levels = tuple(levels)
        self.line_bytes = line_bytes
        table = np.zeros((len(levels), lo.N_LEVEL + cores), np.int64)
        first = stream = 0
        for number, (row, level) in enumerate(zip(table, levels, strict=True)):
            room = lanes.HALF if level.ways <= lanes.HALF else ceil_div(level.ways, lanes.WIDTH) * lanes.WIDTH
            size = level.sets * room if number else ceil_div(level.sets, lanes.WIDTH) * lanes.WIDTH * level.ways
            row[[lo.LV_SETS, lo.LV_WAYS, lo.LV_ROOM]] = level.sets, level.ways, room
            row[[lo.LV_CORES, lo.LV_THROUGH]] = level.cores, level.writes_through
            row[[lo.LV_LATENCY, lo.LV_STREAM]] = level.latency_cycles, stream
            caches = ceil_div(cores, level.cores)
            row[lo.LV_PLACE :] = first + np.arange(cores) // level.cores * size
            first += caches * size
            if level.prefetcher:
                own = level.prefetcher
                row[[lo.LV_STREAMS, lo.LV_TRAINING]] = own.streams, own.training_requests
                row[[lo.LV_DEGREE, lo.LV_DISTANCE]] = own.degree, own.distance_lines
                stream += caches * own.streams
        self._levels = table
        narrow = memory_bytes // line_bytes << lo.MARK_BITS <= np.iinfo(np.int32).max
        self._entries = empty_entries(first, np.dtype(np.int32 if narrow else np.int64))
        self._left = np.zeros(lanes.WIDTH, self._entries.dtype)
        self._pages = np.zeros((max(stream, 1), lo.PAGES), np.int64)
        self._streams = np.full((max(stream, 1), lo.N_STREAM), -1, np.int64)
        self._cores = np.zeros((cores, lo.N_CORE), np.int64)
        self._setting = np.zeros(lo.N_SETTING, np.int64)
        self._setting[lo.SE_LINE_SHIFT] = line_bytes.bit_length() - 1
        self._setting[lo.SE_PAGE_SHIFT] = (page_bytes // line_bytes).bit_length() - 1
        self._setting[lo.SE_DEMANDS] = outstanding.demands
        self._setting[lo.SE_AHEAD] = outstanding.ahead
        self._setting[lo.SE_WINDOW] = round(outstanding.window_cycles * lo.TICKS)
        self._setting[lo.SE_LATENCY] = outstanding.latency_cycles * lo.TICKS
        self._issued = np.zeros((cores, outstanding.ahead, lo.N_ISSUED), np.int64)
        self._queue = np.zeros((_QUEUE, 2), np.int64)
        self._events = np.zeros((_FIRST_EVENTS, lo.N_EVENT), np.int64)
        self._ticks = np.zeros((cores, _FIRST_STEPS), np.int64)

    def run(self, program: Callable[[Caches], None]) -> MemoryTraffic:
        """Run a program of loads and stores from where the last one ended; the clocks begin anew, the contents stay.

        Parameters
        ----------
        program
            Calls `kernel.replay` with the caches that it is given. It may be called again from the beginning.
        """
        before = [array.copy() for array in self._state()]
        while True:
            self._cores[:] = 0
            self._cores[:, lo.CO_ASKED] = -self._setting[lo.SE_LATENCY]
            self._levels[:, lo.LV_READS : lo.N_LEVEL] = 0
            self._setting[lo.SE_EVENTS] = 0
            self._issued[:] = -1
            caches = self.caches
            program(caches)
            end_steps(caches)
            if not self._setting[lo.SE_OVERFLOW]:
                return self._traffic()
            for array, old in zip(self._state(), before, strict=True):
                array[:] = old
            self._events = np.zeros((4 * len(self._events), lo.N_EVENT), np.int64)
            self._ticks = np.zeros((len(self._ticks), 4 * self._ticks.shape[1]), np.int64)

    @property
    def caches(self) -> Caches:
        """The arrays as the kernels take them."""
        return Caches(
            levels=self._levels,
            entries=self._entries,
            streams=self._streams,
            queue=self._queue,
            cores=self._cores,
            setting=self._setting,
            ticks=self._ticks,
            events=self._events,
            issued=self._issued,
            pages=self._pages,
            left=self._left,
        )

    def replay(self, records: Words) -> MemoryTraffic:
        """Run the loads and stores that an array of records lists."""
        return self.run(lambda caches: replay(records, len(records), caches))

    def _state(self) -> tuple[Entries | Words, ...]:
        return self._entries, self._streams, self._setting  # the setting holds the clock by which streams age

    def _traffic(self) -> MemoryTraffic:
        number = int(self._setting[lo.SE_EVENTS])
        steps = self._cores[:, lo.CO_STEP].tolist()
        counts = (lo.LV_READS, lo.LV_WRITES, lo.LV_MISSES, lo.LV_PREFETCHES, lo.LV_COVERED)
        return MemoryTraffic(
            events=self._events[:number].copy(),
            ticks=tuple(row[:step].copy() for row, step in zip(self._ticks, steps, strict=True)),
            counts=tuple(LevelCounts(*(int(row[column]) for column in counts)) for row in self._levels),
        )


def empty_entries(count: int, kind: np.dtype[Any]) -> Entries:
    """Entries that begin where a line of the processor's own caches does, so that no vector of them lies in two."""
    entries = np.full(count + HOST_LINE_BYTES // kind.itemsize, lo.EMPTY, kind)
    begin = -entries.ctypes.data % HOST_LINE_BYTES // kind.itemsize
    return entries[begin : begin + count]
