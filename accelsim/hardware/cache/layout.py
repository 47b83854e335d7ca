"""Columns of the arrays that the cache kernels share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.int64]
"""An array of whole numbers, one meaning per column."""

Entries = NDArray[np.int32] | NDArray[np.int64]
"""What caches hold, in whole numbers as wide as the lines of the memory need."""


class Caches(NamedTuple):
    """A hierarchy of caches and the cores above it, as kernels take them."""

    levels: Words
    entries: Entries
    streams: Words
    queue: Words
    cores: Words
    setting: Words
    ticks: Words
    events: Words
    issued: Words
    pages: Words
    left: Entries


TICKS = 1_024
"""Parts of a cycle in which kernels count time, so that a line may cost less than a cycle."""

# levels: one row per cache level, from the one next to the core outwards
LV_SETS = 0
LV_WAYS = 1
LV_CORES = 2  # cores that share one cache
LV_THROUGH = 3  # 1 where stores go through and do not allocate
LV_LATENCY = 4  # cycles
LV_STREAM = 5  # first row of this level in `streams`
LV_STREAMS = 6  # streams that one prefetcher follows; 0 without a prefetcher
LV_TRAINING = 7  # misses of a page before it is followed
LV_DEGREE = 8  # lines fetched per trigger
LV_DISTANCE = 9  # lines that a stream may be ahead
LV_ROOM = 10  # entries from set to set; of no meaning in the first level
LV_READS = 11  # requests for a line from above, prefetches of the level above included
LV_WRITES = 12  # stores and write-backs from above
LV_MISSES = 13  # requests for a line that was not there
LV_PREFETCHES = 14  # lines that this level's own prefetcher brought
LV_COVERED = 15  # first uses of such lines
N_LEVEL = 16
LV_PLACE = N_LEVEL  # and behind it, for each core: place in `entries` of its cache

# entries: line * 4 + marks, the most recently used of a set first; -1 where empty, or behind the last way
DIRTY = 1
PREFETCHED = 2
MARKS = DIRTY | PREFETCHED
MARK_BITS = 2
EMPTY = -1

# streams: one row per followed page
ST_PAGE = 0
ST_LAST = 1  # line last asked for
ST_MISSES = 2
ST_STEP = 3  # 1 upwards, -1 downwards
ST_HEAD = 4  # line furthest ahead
ST_USED = 5  # time of last use
N_STREAM = 6

# pages: by the last bits of a page the row of the stream that followed such a page last, one row per prefetcher
PAGES = 64

# cores: one row each; times in ticks
CO_CLOCK = 0
CO_START = 1  # of the current step
CO_FIRST = 2  # of the first demand miss of the step
CO_DEMANDS = 3  # demand misses of the step
CO_AHEAD = 4  # lines that nobody waits for yet, over all steps
CO_LATENCY = 5  # cycles that the caches below the first took to answer in this step
CO_STEP = 6
CO_ASKED = 7  # when the last line was fetched ahead from memory
CO_PLACE = 8  # where the next such line goes in `issued`
N_CORE = 9

# records: runs of bytes that a core reads or writes
RE_CORE = 0
RE_WRITE = 1  # 0 read, 1 write
RE_BASE = 2
RE_RUN = 3  # bytes of one run
RE_COUNT = 4  # runs
RE_STRIDE = 5  # bytes between runs
RE_COST = 6  # ticks per run, spread over its lines
N_RECORD = 7

# setting: what bounds the steps
SE_LINE_SHIFT = 0
SE_PAGE_SHIFT = 1  # lines per page of the prefetchers, as a power of two
SE_DEMANDS = 2  # demand misses that a core can have outstanding
SE_AHEAD = 3  # further lines that a core can have outstanding
SE_WINDOW = 4  # ticks that a core runs on behind a miss
SE_LATENCY = 5  # ticks that a line is on its way at least
SE_TIME = 6  # counts requests, for the age of streams
SE_EVENTS = 7  # events noted
SE_OVERFLOW = 8  # 1 once the events or the steps did not fit
SE_QUEUED = 9  # prefetches that wait in `queue`
N_SETTING = 10

# events: what reaches the memory
EV_LINE = 0
EV_KIND = 1
EV_CORE = 2
EV_STEP = 3
N_EVENT = 4

# issued: per core the lines fetched ahead of its need, the last so many; three planes
IS_LINE = 0
IS_CLOCK = 1
IS_STEP = 2
N_ISSUED = 3

DEMAND = 0
AHEAD = 1
WRITE = 2
"""Kinds of event: a read that a core waits for, one that it does not wait for yet, a write-back."""
