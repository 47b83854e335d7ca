"""Set-associative LRU caches of several cores, line by line: the compiled loop.

Every level looks for a line among the ways of its set, most recently used first. A level that misses takes the line in
(its least recently used line leaves, and is written to the level below if it is dirty) and asks the level below. What
the last level misses, and what leaves it dirty, goes to memory: noted as events, each with the step of its core in
which it happened.

A *step* is a stretch of a core's time that begins with the demand misses that it waits for: they are in flight
together if they lie within the window that the core can run ahead and if there are enough miss registers. Lines that
prefetchers or stores ask for belong to the step in which they were asked for, and have to be there when the next one
begins: where the core needs one that cannot have come yet, or where more stores than allowed would be outstanding, each
for the shortest time that the memory takes. A prefetcher that finds no free miss register asks again later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.prefetcher import follow, in_flight
from accelsim.hardware.cache.sets import first_way, insert, look_up, promote, promote_or_insert, set_of
from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Words


@lean_kernel
def note(events: Words, setting: Words, cores: Words, core: int, line: int, kind: int) -> None:
    """Note what goes to memory because of a core."""
    number = setting[lo.SE_EVENTS]
    if number >= events.shape[0]:
        setting[lo.SE_OVERFLOW] = 1
        return
    events[number, lo.EV_LINE] = line
    events[number, lo.EV_KIND] = kind
    events[number, lo.EV_CORE] = core
    events[number, lo.EV_STEP] = cores[core, lo.CO_STEP]
    setting[lo.SE_EVENTS] = number + 1


@lean_kernel
def close_step(cores: Words, setting: Words, ticks: Words, core: int) -> None:
    """End the step of a core: it took its own time, or as long as its misses occupied the miss registers."""
    step = cores[core, lo.CO_STEP]
    if step + 1 >= ticks.shape[1]:
        setting[lo.SE_OVERFLOW] = 1
        return
    busy = cores[core, lo.CO_LATENCY] * lo.TICKS // setting[lo.SE_DEMANDS]
    ticks[core, step] = max(cores[core, lo.CO_CLOCK] - cores[core, lo.CO_START], busy)
    cores[core, lo.CO_STEP] = step + 1
    cores[core, lo.CO_START] = cores[core, lo.CO_CLOCK]
    cores[core, lo.CO_DEMANDS] = 0
    cores[core, lo.CO_LATENCY] = 0


@lean_kernel
def read_memory(
    cores: Words,
    setting: Words,
    ticks: Words,
    events: Words,
    issued: Words,
    core: int,
    line: int,
    waits: int,
) -> None:
    """Read a line from memory, in the step to which it belongs."""
    clock = cores[core, lo.CO_CLOCK]
    if waits:
        since = cores[core, lo.CO_FIRST] if cores[core, lo.CO_DEMANDS] else cores[core, lo.CO_START]
        if clock - since > setting[lo.SE_WINDOW] or cores[core, lo.CO_DEMANDS] >= setting[lo.SE_DEMANDS]:
            close_step(cores, setting, ticks, core)
        if cores[core, lo.CO_DEMANDS] == 0:
            cores[core, lo.CO_FIRST] = clock
        cores[core, lo.CO_DEMANDS] += 1
        note(events, setting, cores, core, line, lo.DEMAND)
        return
    number = cores[core, lo.CO_AHEAD]
    place = number % setting[lo.SE_AHEAD]
    if number >= setting[lo.SE_AHEAD] and in_flight(cores, setting, issued, core, place):
        close_step(cores, setting, ticks, core)
    # what is asked for together with lines that the core waits for comes together with them
    together = cores[core, lo.CO_DEMANDS] > 0 and clock - cores[core, lo.CO_FIRST] <= setting[lo.SE_WINDOW]
    issued[core, place, lo.IS_LINE] = line
    issued[core, place, lo.IS_CLOCK] = clock
    issued[core, place, lo.IS_STEP] = -1 if together else cores[core, lo.CO_STEP]
    cores[core, lo.CO_AHEAD] = number + 1
    note(events, setting, cores, core, line, lo.DEMAND if together else lo.AHEAD)


@lean_kernel
def wait_if_late(cores: Words, setting: Words, ticks: Words, issued: Words, core: int, line: int) -> None:
    """End the step where the core needs a line that it has fetched ahead but that cannot be there yet."""
    for place in range(min(cores[core, lo.CO_AHEAD], setting[lo.SE_AHEAD])):
        if issued[core, place, lo.IS_LINE] == line:
            if in_flight(cores, setting, issued, core, place):
                close_step(cores, setting, ticks, core)
            return


@lean_kernel
def write_back(
    levels: Words, entries: Words, cores: Words, setting: Words, events: Words, level: int, core: int, line: int
) -> None:
    """Write a line to a level, and what has to leave for it to the levels below."""
    while level < levels.shape[0]:
        levels[level, lo.LV_WRITES] += 1
        first, ways = first_way(levels, level, core, line), levels[level, lo.LV_WAYS]
        if levels[level, lo.LV_THROUGH]:
            promote(entries, first, ways, line)
        else:
            entry, leaving = promote_or_insert(entries, first, ways, line, lo.DIRTY)
            if entry != lo.EMPTY:
                entries[first] |= lo.DIRTY
                return
            if leaving == lo.EMPTY or not leaving & lo.DIRTY:
                return
            line = leaving >> 2
        level += 1
    note(events, setting, cores, core, line, lo.WRITE)


@lean_kernel
def fetch(
    levels: Words,
    entries: Words,
    streams: Words,
    queue: Words,
    cores: Words,
    setting: Words,
    ticks: Words,
    events: Words,
    issued: Words,
    level: int,
    core: int,
    line: int,
    waits: int,
    entry: int,
    leaving: int,
) -> None:
    """Ask a level for a line and those below it until one has it; each that misses has taken it in.

    `entry` and `leaving` are what looking for it at the first of these levels has found.
    """
    latency = 0
    while level < levels.shape[0]:
        levels[level, lo.LV_READS] += 1
        latency += levels[level, lo.LV_LATENCY]
        covered = entry != lo.EMPTY and entry & lo.PREFETCHED
        if covered:
            entries[first_way(levels, level, core, line)] = entry & ~lo.PREFETCHED
            levels[level, lo.LV_COVERED] += 1
            if waits:
                wait_if_late(cores, setting, ticks, issued, core, line)
        if entry == lo.EMPTY:
            levels[level, lo.LV_MISSES] += 1
            if leaving != lo.EMPTY and leaving & lo.DIRTY:
                write_back(levels, entries, cores, setting, events, level + 1, core, leaving >> 2)
        if levels[level, lo.LV_STREAMS] and (entry == lo.EMPTY or covered):
            follow(levels, streams, queue, cores, setting, issued, level, core, line)
        if entry != lo.EMPTY:
            cores[core, lo.CO_LATENCY] += latency * waits
            return
        level += 1
        entry, leaving = look_up(levels, entries, level, core, line, 0)
    read_memory(cores, setting, ticks, events, issued, core, line, waits)
    cores[core, lo.CO_LATENCY] += latency * waits


@lean_kernel
def take_prefetch(
    levels: Words, entries: Words, cores: Words, setting: Words, events: Words, level: int, core: int, line: int
) -> bool:
    """Make room for a line that a level's prefetcher wants; false where the level has it already."""
    first, ways = first_way(levels, level, core, line), levels[level, lo.LV_WAYS]
    for way in range(ways):
        if entries[first + way] >> 2 == line:
            return False
    levels[level, lo.LV_PREFETCHES] += 1
    leaving = insert(entries, first, ways, line << 2 | lo.PREFETCHED)
    if leaving != lo.EMPTY and leaving & lo.DIRTY:
        write_back(levels, entries, cores, setting, events, level + 1, core, leaving >> 2)
    return True


@lean_kernel
def touch(
    levels: Words,
    entries: Words,
    streams: Words,
    queue: Words,
    cores: Words,
    setting: Words,
    ticks: Words,
    events: Words,
    issued: Words,
    core: int,
    line: int,
    write: int,
    entry: int,
    leaving: int,
) -> None:
    """Let a core read or write a line, and the prefetchers fetch what they want because of it.

    `entry` and `leaving` are what looking for it at the first level has found, where a store may allocate there.
    """
    at = -1  # the core's own request, then the places of the queue
    while at < setting[lo.SE_QUEUED]:
        level, wanted, waits, asks = 0, line, 1 - write, True
        if at >= 0:
            level, wanted, waits = queue[at, 0], queue[at, 1], 0
            asks = take_prefetch(levels, entries, cores, setting, events, level, core, wanted)
            level += 1
            if asks:
                entry, leaving = look_up(levels, entries, level, core, wanted, 0)
        elif write:
            levels[0, lo.LV_READS] -= 1  # `fetch` counts a request for the line, whoever asks
            if levels[0, lo.LV_THROUGH]:
                levels[0, lo.LV_READS] += 1
                write_back(levels, entries, cores, setting, events, 0, core, line)
                asks = False
            else:
                levels[0, lo.LV_WRITES] += 1
        if asks:
            fetch(
                levels, entries, streams, queue, cores, setting, ticks, events, issued, level, core, wanted, waits,
                entry, leaving,
            )  # fmt: skip
        if at < 0 and write and asks:
            entries[first_way(levels, 0, core, line)] |= lo.DIRTY
        at += 1
    setting[lo.SE_QUEUED] = 0


@kernel
def replay(records: Words, number: int, caches: tuple[Words, ...]) -> None:
    """Let the cores read and write what the first `number` records say, one after the other.

    What it notes is of no use, but it stays within its arrays, once ``setting[SE_OVERFLOW]`` is set.

    Parameters
    ----------
    records
        Array of `layout.N_RECORD` columns.
    number
        Records that count.
    caches
        ``(levels, entries, streams, queue, cores, setting, ticks, events, issued)``.
    """
    levels, entries, streams, queue, cores, setting, ticks, events, issued = caches
    shift = setting[lo.SE_LINE_SHIFT]
    sets, ways = levels[0, lo.LV_SETS], levels[0, lo.LV_WAYS]
    for r in range(number):
        core, write, cost = records[r, lo.RE_CORE], records[r, lo.RE_WRITE], records[r, lo.RE_COST]
        base, run = records[r, lo.RE_BASE], records[r, lo.RE_RUN]
        allocates = not (write and levels[0, lo.LV_THROUGH])
        cache = first_way(levels, 0, core, 0)
        last = -1
        hits = 0
        clock = cores[core, lo.CO_CLOCK]
        for _ in range(records[r, lo.RE_COUNT]):
            begin, end = base >> shift, (base + run - 1) >> shift
            base += records[r, lo.RE_STRIDE]
            share = cost // (end - begin + 1) if cost and end > begin else 0
            clock += cost - share * (end - begin)
            for line in range(begin, end + 1):
                if line > begin:
                    clock += share
                if line == last:
                    continue
                last = line
                entry = leaving = lo.EMPTY
                if allocates:
                    first = cache + set_of(sets, line) * ways
                    entry, leaving = promote_or_insert(entries, first, ways, line, 0)
                    if entry != lo.EMPTY and not entry & lo.PREFETCHED:
                        hits += 1
                        if write:
                            entries[first] = entry | lo.DIRTY
                        continue
                cores[core, lo.CO_CLOCK] = clock
                touch(
                    levels, entries, streams, queue, cores, setting, ticks, events, issued, core, line, write,
                    entry, leaving,
                )  # fmt: skip
        cores[core, lo.CO_CLOCK] = clock
        levels[0, lo.LV_READS + write] += hits


@kernel
def end_steps(caches: tuple[Words, ...]) -> None:
    """Close the step of every core, so that the next stage begins a new one."""
    cores, setting, ticks = caches[4], caches[5], caches[6]
    for core in range(cores.shape[0]):
        close_step(cores, setting, ticks, core)
