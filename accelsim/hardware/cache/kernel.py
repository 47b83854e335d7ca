"""Set-associative LRU caches of several cores, line by line: the compiled loop.

Every level looks for a line among the ways of its set. A level that misses takes the line in (its least recently used
line leaves, and is written to the level below if it is dirty) and asks the level below. What the last level misses, and
what leaves it dirty, goes to memory: noted as events, each with the step of its core in which it happened.

What a first level without a prefetcher holds depends on nothing but the lines that its own core asks it for. A run of
them is therefore looked for there at once, as many as fall into one group of sets, before the levels below are asked,
one after the other, for those that were missing.

A *step* is a stretch of a core's time that begins with the demand misses that it waits for: they are in flight
together if they lie within the window that the core can run ahead and if there are enough miss registers. Lines that
prefetchers or stores ask for belong to the step in which they were asked for, and have to be there when the next one
begins: where the core needs one that cannot have come yet, or where more stores than allowed would be outstanding, each
for the shortest time that the memory takes. A prefetcher that finds no free miss register asks again later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import lanes
from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.requests import touch, write_back
from accelsim.hardware.cache.sets import look_up, promote_run, promote_while_plain, set_of
from accelsim.hardware.cache.steps import close_step
from accelsim.jit import inner_kernel, kernel, lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words


@lean_kernel
def answer_misses(
    caches: Caches, core: int, zero: int, missing: int, dirty: int, write: int, clock: int, share: int
) -> None:
    """Ask the levels below the first one, which has no prefetcher, for the lines that it did not hold.

    Parameters
    ----------
    caches, core
        The caches, and which core asks.
    zero
        Line of the lowest bit of `missing`.
    missing, dirty
        Lines that were not there, and those of them for which a dirty line has left, as bits.
    write
        1 where the core stores, and does not wait.
    clock, share
        Time at line `zero`, and from line to line.
    """
    levels, entries, cores, left = caches.levels, caches.entries, caches.cores, caches.left
    latency = levels[0, lo.LV_LATENCY]
    levels[0, lo.LV_MISSES] += lanes.ones(missing)
    if levels.shape[0] > 1 and levels[1, lo.LV_ROOM] <= lanes.WIDTH:
        place, sets, room = levels[1, lo.LV_PLACE + core], levels[1, lo.LV_SETS], levels[1, lo.LV_ROOM]
        clean = missing & ((dirty & -dirty) - 1)  # before the first that is not; all where none is
        rest = promote_while_plain(entries, place, sets, room, zero, clean)
        answered = lanes.ones(clean ^ rest)
        levels[1, lo.LV_READS] += answered
        cores[core, lo.CO_LATENCY] += answered * (1 - write) * (latency + levels[1, lo.LV_LATENCY])
        missing ^= clean ^ rest
    while missing:
        column = lanes.lowest(missing)
        missing &= missing - 1
        if dirty >> column & 1:
            write_back(caches, 1, core, left[column] >> 2)
        entry, leaving = look_up(levels, entries, 1, core, zero + column, lo.PREFETCHED, 0)
        cores[core, lo.CO_CLOCK] = clock + share * column
        touch(caches, 1, core, zero + column, 1 - write, entry, leaving, latency)


@lean_kernel
def use_run(caches: Caches, core: int, line: int, end: int, write: int, clock: int, share: int) -> None:
    """Read or write lines up to `end`, which is one of them, where the first level has no prefetcher.

    `clock` is the time of the first of them, `share` that from line to line.
    """
    levels, entries, left = caches.levels, caches.entries, caches.left
    sets, ways = levels[0, lo.LV_SETS], levels[0, lo.LV_WAYS]
    if line <= end:
        levels[0, lo.LV_READS + write] += end + 1 - line
    while line <= end:
        index = set_of(sets, line)
        column = index & lanes.WIDTH - 1
        length = min(lanes.WIDTH - column, end + 1 - line, sets - index)
        group = levels[0, lo.LV_PLACE + core] + (index - column) * ways
        asked = ((1 << length) - 1) << column
        missing, dirty = promote_run(entries, group, ways, line - column, asked, write, left)
        if missing:
            answer_misses(caches, core, line - column, missing, dirty, write, clock - share * column, share)
        line += length
        clock += share * length


@inner_kernel
def use_line(caches: Caches, core: int, line: int, write: int) -> None:
    """Read or write a line where the first level has a prefetcher."""
    levels = caches.levels
    entry, leaving = look_up(levels, caches.entries, 0, core, line, lo.PREFETCHED, write)
    levels[0, lo.LV_READS + write] += 1
    if entry == lo.EMPTY or entry & lo.PREFETCHED:
        levels[0, lo.LV_READS] -= 1  # `fetch` counts a request for the line, whoever asks
        touch(caches, 0, core, line, 1 - write, entry, leaving, 0)


@kernel
def replay(records: Words, number: int, caches: Caches) -> None:
    """Let the cores read and write what the first `number` records say, one after the other.

    What it notes is of no use, but it stays within its arrays, once ``setting[SE_OVERFLOW]`` is set.

    Parameters
    ----------
    records
        Array of `layout.N_RECORD` columns.
    number
        Records that count.
    caches
        As `hierarchy.Hierarchy` has them.
    """
    levels, cores = caches.levels, caches.cores
    shift = caches.setting[lo.SE_LINE_SHIFT]
    for r in range(number):
        core, write, cost = records[r, lo.RE_CORE], records[r, lo.RE_WRITE], records[r, lo.RE_COST]
        base, run = records[r, lo.RE_BASE], records[r, lo.RE_RUN]
        last = -1
        clock = cores[core, lo.CO_CLOCK]
        for _ in range(records[r, lo.RE_COUNT]):
            begin, end = base >> shift, (base + run - 1) >> shift
            base += records[r, lo.RE_STRIDE]
            share = cost // (end - begin + 1) if cost and end > begin else 0
            clock += cost - share * (end - begin)
            line = begin + int(begin == last)  # what the run before has ended with is at hand
            if write and levels[0, lo.LV_THROUGH]:
                for passing in range(line, end + 1):
                    write_back(caches, 0, core, passing)
            elif levels[0, lo.LV_STREAMS]:
                for asked in range(line, end + 1):
                    cores[core, lo.CO_CLOCK] = clock + share * (asked - begin)
                    use_line(caches, core, asked, write)
            else:
                use_run(caches, core, line, end, write, clock + share * (line - begin), share)
            last = end
            clock += share * (end - begin)
        cores[core, lo.CO_CLOCK] = clock


@kernel
def end_steps(caches: Caches) -> None:
    """Close the step of every core, so that the next stage begins a new one."""
    cores, setting, ticks = caches.cores, caches.setting, caches.ticks
    for core in range(cores.shape[0]):
        close_step(cores, setting, ticks, core)
