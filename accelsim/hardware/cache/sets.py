"""One set of a cache at a time: where it lies, whether it holds a line, and what leaves for a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Words


@lean_kernel
def set_of(sets: int, line: int) -> int:
    """Number of the set that a line belongs to."""
    return line % sets if sets & (sets - 1) else line & (sets - 1)


@lean_kernel
def cache_of(levels: Words, level: int, core: int) -> int:
    """Number of the cache of a core among those of a level; a division takes as long as the search through a set."""
    sharers = levels[level, lo.LV_CORES]
    if sharers == 1:
        return core
    return 0 if core < sharers else core // sharers


@lean_kernel
def first_way(levels: Words, level: int, core: int, line: int) -> int:
    """Place in the entries of the set that holds a line, in the cache of a core."""
    index = set_of(levels[level, lo.LV_SETS], line)
    cache = cache_of(levels, level, core)
    first: int = levels[level, lo.LV_FIRST] + cache * levels[level, lo.LV_SIZE] + index * levels[level, lo.LV_WAYS]
    return first


@lean_kernel
def promote(entries: Words, first: int, ways: int, line: int) -> int:
    """Make a line the most recently used of its set; its entry as it was, or -1 where it is not there."""
    entry: int = entries[first]
    if entry >> 2 == line:
        return entry
    for way in range(1, ways):
        entry = entries[first + way]
        if entry >> 2 == line:
            for behind in range(way, 0, -1):
                entries[first + behind] = entries[first + behind - 1]
            entries[first] = entry
            return entry
    return lo.EMPTY


@lean_kernel
def promote_or_insert(entries: Words, first: int, ways: int, line: int, mark: int) -> tuple[int, int]:
    """Make a line the most recently used of its set, put there with a mark where it was not, in one pass.

    Returns
    -------
    tuple
        Its entry as it was, or -1 where it was not there, and then the entry that left for it.
    """
    moved: int = entries[first]
    if moved >> 2 == line:
        return moved, lo.EMPTY
    for way in range(1, ways):
        entry = entries[first + way]
        entries[first + way] = moved
        if entry >> 2 == line:
            entries[first] = entry
            return entry, lo.EMPTY
        moved = entry
    entries[first] = line << 2 | mark
    return lo.EMPTY, moved


@lean_kernel
def look_up(levels: Words, entries: Words, level: int, core: int, line: int, mark: int) -> tuple[int, int]:
    """Do `promote_or_insert` in the cache of a core at a level; behind the last level nothing is found."""
    if level >= levels.shape[0]:
        return lo.EMPTY, lo.EMPTY
    return promote_or_insert(entries, first_way(levels, level, core, line), levels[level, lo.LV_WAYS], line, mark)


@lean_kernel
def insert(entries: Words, first: int, ways: int, entry: int) -> int:
    """Put a new entry first in its set; the entry that leaves."""
    leaving: int = entries[first + ways - 1]
    for way in range(ways - 1, 0, -1):
        entries[first + way] = entries[first + way - 1]
    entries[first] = entry
    return leaving
