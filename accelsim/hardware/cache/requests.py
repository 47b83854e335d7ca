"""Requests of a cache: for lines of the levels below, for lines that prefetchers want, and for lines to write back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.prefetcher import follow
from accelsim.hardware.cache.sets import has, look_up
from accelsim.hardware.cache.steps import note, read_memory, wait_if_late
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches


@lean_kernel
def write_back(caches: Caches, level: int, core: int, line: int) -> None:
    """Write a line to a level, and what has to leave for it to the levels below."""
    levels, entries = caches.levels, caches.entries
    while level < levels.shape[0]:
        levels[level, lo.LV_WRITES] += 1
        if levels[level, lo.LV_THROUGH]:
            if has(levels, entries, level, core, line):
                look_up(levels, entries, level, core, line, 0, 0)
        else:
            entry, leaving = look_up(levels, entries, level, core, line, 0, lo.DIRTY)
            if entry != lo.EMPTY:
                return
            if leaving == lo.EMPTY or not leaving & lo.DIRTY:
                return
            line = leaving >> 2
        level += 1
    note(caches.events, caches.setting, caches.cores, core, line, lo.WRITE)


@lean_kernel
def fetch(caches: Caches, level: int, core: int, line: int, waits: int, entry: int, leaving: int, latency: int) -> None:
    """Ask a level for a line and those below it until one has it; each that misses has taken it in.

    `entry` and `leaving` are what looking for it at the first of these levels has found, `latency` what those above
    took.
    """
    levels, entries, streams, queue, cores, setting, ticks, events, issued, pages, _ = caches
    while level < levels.shape[0]:
        levels[level, lo.LV_READS] += 1
        latency += levels[level, lo.LV_LATENCY]
        covered = entry != lo.EMPTY and entry & lo.PREFETCHED
        if covered:
            levels[level, lo.LV_COVERED] += 1
            if waits:
                wait_if_late(cores, setting, ticks, issued, core, line)
        if entry == lo.EMPTY:
            levels[level, lo.LV_MISSES] += 1
            if leaving != lo.EMPTY and leaving & lo.DIRTY:
                write_back(caches, level + 1, core, leaving >> 2)
        if levels[level, lo.LV_STREAMS] and (entry == lo.EMPTY or covered):
            follow(levels, streams, pages, queue, cores, setting, issued, level, core, line)
        if entry != lo.EMPTY:
            cores[core, lo.CO_LATENCY] += latency * waits
            return
        level += 1
        entry, leaving = look_up(levels, entries, level, core, line, lo.PREFETCHED, 0)
    read_memory(cores, setting, ticks, events, issued, core, line, waits)
    cores[core, lo.CO_LATENCY] += latency * waits


@lean_kernel
def take_prefetch(caches: Caches, level: int, core: int, line: int) -> bool:
    """Make room for a line that a level's prefetcher wants; false where the level has it already."""
    levels, entries = caches.levels, caches.entries
    if has(levels, entries, level, core, line):
        return False
    levels[level, lo.LV_PREFETCHES] += 1
    _, leaving = look_up(levels, entries, level, core, line, 0, lo.PREFETCHED)
    if leaving != lo.EMPTY and leaving & lo.DIRTY:
        write_back(caches, level + 1, core, leaving >> 2)
    return True


@lean_kernel
def touch(caches: Caches, level: int, core: int, line: int, waits: int, entry: int, leaving: int, latency: int) -> None:
    """Let a core ask a level for a line, and the prefetchers fetch what they want because of it.

    Arguments as `fetch` takes them.
    """
    queue, setting = caches.queue, caches.setting
    at = -1  # the core's own request, then the places of the queue
    while True:
        fetch(caches, level, core, line, waits, entry, leaving, latency)
        asks = False
        while not asks:
            at += 1
            if at >= setting[lo.SE_QUEUED]:
                setting[lo.SE_QUEUED] = 0
                return
            level, line = queue[at, 0], queue[at, 1]
            asks = take_prefetch(caches, level, core, line)
        level, waits, latency = level + 1, 0, 0
        entry, leaving = look_up(caches.levels, caches.entries, level, core, line, lo.PREFETCHED, 0)
