"""Sets of a cache: where a line lies, whether it is held, and what leaves for a new one.

The sets of the first level lie `lanes.WIDTH` to a group, way by way, so that a run of lines, each of which falls into
the next set, is looked for in a few steps. Those of the other levels lie one after the other, the ways of each side by
side and filled up to whole vectors, so that all of them are compared at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import lanes
from accelsim.hardware.cache import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.lanes import Vector
    from accelsim.hardware.cache.layout import Entries, Words


@lean_kernel
def set_of(sets: int, line: int) -> int:
    """Number of the set that a line belongs to."""
    return line % sets if sets & (sets - 1) else line & (sets - 1)


@lean_kernel
def first_way(levels: Words, level: int, core: int, line: int) -> int:
    """Place in the entries of the first way of the set that holds a line, in the cache of a core."""
    index = set_of(levels[level, lo.LV_SETS], line)
    first: int = levels[level, lo.LV_PLACE + core]
    if level == 0:
        column = index & lanes.WIDTH - 1
        first += (index - column) * levels[level, lo.LV_WAYS] + column
    else:
        first += index * levels[level, lo.LV_ROOM]
    return first


# -- a set of the first level ------------------------------------------------------------------------------------------


@lean_kernel
def way_in_column(entries: Entries, first: int, ways: int, line: int) -> int:
    """Way of a set of the first level that holds a line; -1 where none does."""
    for way in range(ways):
        if entries[first + way * lanes.WIDTH] >> 2 == line:
            return way
    return -1


@lean_kernel
def shift_column(entries: Entries, first: int, way: int, newest: int) -> None:
    """Move the ways before one of a set of the first level by one, over it, and put an entry first."""
    for behind in range(way, 0, -1):
        entries[first + behind * lanes.WIDTH] = entries[first + (behind - 1) * lanes.WIDTH]
    entries[first] = newest


@lean_kernel
def promote_run(
    entries: Entries, group: int, ways: int, line: int, asked: int, mark: int, left: Entries
) -> tuple[int, int]:
    """Make lines the most recently used of their sets, those of one group of the first level, and put a mark on them.

    Parameters
    ----------
    entries
        All caches.
    group
        Place of the first way of the group's first set.
    ways
        Ways.
    line
        Line that the first set of the group would take if the run began there.
    asked
        Sets of the group that are asked for a line, as bits.
    mark
        Put on the lines.
    left
        Takes what left for the lines that were not there, by set of the group.

    Returns
    -------
    tuple
        Sets that did not hold their line, and those of them from which a dirty line left, as bits.
    """
    newest = lanes.load_wide(entries, group)
    lines = lanes.add(lanes.spread(newest, line << 2), lanes.counted(newest, 4))
    asks = lanes.mask_of(newest, asked)
    seeks = asks
    marks = lanes.spread(newest, mark)
    held = newest
    for way in range(ways):
        place = group + way * lanes.WIDTH
        passed = held
        held = lanes.load_wide(entries, place)
        if way:
            lanes.store(entries, place, lanes.pick(seeks, passed, held))
        same = lanes.equal(lanes.both(held, lanes.spread(held, ~lo.MARKS)), lines)
        marks = lanes.pick(lanes.both(seeks, same), lanes.either(held, marks), marks)
        seeks = lanes.without(seeks, same)
        if lanes.bits(seeks) == 0:
            break
    lanes.store(entries, group, lanes.pick(asks, lanes.either(lines, marks), newest))
    missing: int = lanes.bits(seeks)
    if missing == 0:
        return 0, 0
    lanes.store(left, 0, held)
    written = lanes.equal(lanes.both(held, lanes.spread(held, lo.DIRTY)), lanes.spread(held, lo.DIRTY))
    full = lanes.at_most(lanes.spread(held, 0), held)
    return missing, lanes.bits(lanes.both(seeks, lanes.both(written, full)))


# -- a set of another level --------------------------------------------------------------------------------------------


@lean_kernel
def ways_with(held: Vector, line: int, marks: int) -> int:
    """Ways of a vector that hold a line, as bits, whatever it has of some marks; none where it has another."""
    found: int = lanes.bits(lanes.equal(lanes.both(held, lanes.spread(held, ~marks)), lanes.spread(held, line << 2)))
    return found


@lean_kernel
def shift_ways(entries: Entries, place: int, held: Vector, until: int, newest: int) -> None:
    """Move the ways of a vector by one, over the lowest way of `until`, and put an entry first."""
    moved: Vector = lanes.shifted(held, newest)
    lanes.store(entries, place, lanes.pick(lanes.mask_of(held, until ^ until - 1), moved, held))


@lean_kernel
def promote_or_insert(entries: Entries, first: int, ways: int, line: int, lost: int, mark: int) -> tuple[int, int]:
    """Make a line the most recently used of its set, put there where it was not.

    It loses some marks and gets others.

    Returns
    -------
    tuple
        Its entry as it was, or -1 where it was not there, and then the entry that left for it.
    """
    carried: int = line << 2 | mark
    if ways <= lanes.HALF:
        few = lanes.load_narrow(entries, first)
        match = ways_with(few, line, lo.MARKS)
        until = match | 1 << ways - 1
        leaving = entries[first + lanes.lowest(until)]
        if match:
            shift_ways(entries, first, few, until, leaving & ~lost | mark)
            return leaving, lo.EMPTY
        shift_ways(entries, first, few, until, carried)
        return lo.EMPTY, leaving
    for begin in range(0, ways, lanes.WIDTH):
        held = lanes.load_wide(entries, first + begin)
        match = ways_with(held, line, lo.MARKS)
        until = match | 1 << min(ways - begin, lanes.WIDTH) - 1
        leaving = entries[first + begin + lanes.lowest(until)]
        if match and begin == 0:
            carried = leaving & ~lost | mark
        shift_ways(entries, first + begin, held, until, carried)
        if match:
            entries[first] = leaving & ~lost | mark
            return leaving, lo.EMPTY
        carried = leaving
    return lo.EMPTY, carried


@lean_kernel
def promote_while_plain(entries: Entries, place: int, sets: int, room: int, zero: int, wanted: int) -> int:
    """Make lines the most recently used of their sets, up to the first that is not there or is marked as prefetched.

    Parameters
    ----------
    entries
        All caches.
    place, sets, room
        Where the cache begins, its sets, and entries from set to set; no more than a vector has.
    zero
        Line of the lowest bit of `wanted`.
    wanted
        The lines, as bits.

    Returns
    -------
    int
        What is left of `wanted`.
    """
    while wanted:
        line = zero + lanes.lowest(wanted)
        first = place + set_of(sets, line) * room
        if room == lanes.HALF:
            few = lanes.load_narrow(entries, first)
            match = ways_with(few, line, lo.DIRTY)
            if match == 0:
                break
            shift_ways(entries, first, few, match, entries[first + lanes.lowest(match)])
        else:
            held = lanes.load_wide(entries, first)
            match = ways_with(held, line, lo.DIRTY)
            if match == 0:
                break
            shift_ways(entries, first, held, match, entries[first + lanes.lowest(match)])
        wanted &= wanted - 1
    return wanted


@lean_kernel
def holds(entries: Entries, first: int, ways: int, line: int) -> bool:
    """Whether a set holds a line."""
    if ways <= lanes.HALF:
        return ways_with(lanes.load_narrow(entries, first), line, lo.MARKS) != 0
    for begin in range(0, ways, lanes.WIDTH):
        if ways_with(lanes.load_wide(entries, first + begin), line, lo.MARKS):
            return True
    return False


# -- a set of any level ------------------------------------------------------------------------------------------------


@lean_kernel
def look_up(levels: Words, entries: Entries, level: int, core: int, line: int, lost: int, mark: int) -> tuple[int, int]:
    """Do `promote_or_insert` in the cache of a core at a level; behind the last level nothing is found."""
    if level >= levels.shape[0]:
        return lo.EMPTY, lo.EMPTY
    first, ways = first_way(levels, level, core, line), levels[level, lo.LV_WAYS]
    if level > 0:
        return promote_or_insert(entries, first, ways, line, lost, mark)
    way = way_in_column(entries, first, ways, line)
    if way < 0:
        leaving = entries[first + (ways - 1) * lanes.WIDTH]
        shift_column(entries, first, ways - 1, line << 2 | mark)
        return lo.EMPTY, leaving
    entry = entries[first + way * lanes.WIDTH]
    shift_column(entries, first, way, entry & ~lost | mark)
    return entry, lo.EMPTY


@lean_kernel
def has(levels: Words, entries: Entries, level: int, core: int, line: int) -> bool:
    """Whether the cache of a core at a level holds a line."""
    first, ways = first_way(levels, level, core, line), levels[level, lo.LV_WAYS]
    if level > 0:
        return holds(entries, first, ways, line)
    return way_in_column(entries, first, ways, line) >= 0
