"""Stream prefetchers: follow the misses of a page, and ask for the lines that come next.

A prefetcher follows a number of pages, as that of Nehalem does, which ZSim models (16 pages of 64 lines). A page is
followed from its first miss; once `training` requests have come in one direction, each further one makes the
prefetcher ask for up to `degree` lines, no more than `distance` ahead of the line asked for, never beyond the page, and
only while a miss register is free.
Only misses, and the first use of lines that the prefetcher itself has brought, count as requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Words


@lean_kernel
def cache_of(levels: Words, level: int, core: int) -> int:
    """Number of the cache of a core among those of a level; a division takes as long as the search through a set."""
    sharers = levels[level, lo.LV_CORES]
    if sharers == 1:
        return core
    return 0 if core < sharers else core // sharers


@lean_kernel
def find_stream(levels: Words, streams: Words, pages: Words, setting: Words, level: int, core: int, line: int) -> int:
    """Row of the stream that follows the page of a line; the oldest one is given up for a new page."""
    count = levels[level, lo.LV_STREAMS]
    row = levels[level, lo.LV_STREAM] + cache_of(levels, level, core) * count
    page = line >> setting[lo.SE_PAGE_SHIFT]
    setting[lo.SE_TIME] += 1
    likely: int = pages[row, page & lo.PAGES - 1]
    if streams[likely, lo.ST_PAGE] == page and row <= likely < row + count:
        streams[likely, lo.ST_USED] = setting[lo.SE_TIME]
        return likely
    for s in range(row, row + count):
        if streams[s, lo.ST_PAGE] == page:
            streams[s, lo.ST_USED] = setting[lo.SE_TIME]
            pages[row, page & lo.PAGES - 1] = s
            return s
    oldest: int = row
    for s in range(row, row + count):
        if streams[s, lo.ST_USED] < streams[oldest, lo.ST_USED]:
            oldest = s
    pages[row, page & lo.PAGES - 1] = oldest
    streams[oldest, lo.ST_PAGE] = page
    streams[oldest, lo.ST_LAST] = line
    streams[oldest, lo.ST_HEAD] = line
    streams[oldest, lo.ST_MISSES] = 0
    streams[oldest, lo.ST_STEP] = 0
    streams[oldest, lo.ST_USED] = setting[lo.SE_TIME]
    return oldest


@lean_kernel
def in_flight(cores: Words, setting: Words, issued: Words, core: int, place: int) -> bool:
    """Whether a line fetched ahead in this step is still on its way, as far as the core's own time tells."""
    if issued[core, place, lo.IS_STEP] != cores[core, lo.CO_STEP]:
        return False
    late: bool = cores[core, lo.CO_CLOCK] - issued[core, place, lo.IS_CLOCK] < setting[lo.SE_LATENCY]
    return late


@lean_kernel
def is_free(cores: Words, setting: Words, issued: Words, core: int, queued: int) -> bool:
    """Whether a miss register is left behind `queued` further prefetches."""
    limit = setting[lo.SE_AHEAD]
    if queued >= limit:
        return False
    if cores[core, lo.CO_AHEAD] + queued < limit:
        return True
    place = cores[core, lo.CO_PLACE] + queued
    return not in_flight(cores, setting, issued, core, place - limit if place >= limit else place)


@lean_kernel
def follow(
    levels: Words,
    streams: Words,
    pages: Words,
    queue: Words,
    cores: Words,
    setting: Words,
    issued: Words,
    level: int,
    core: int,
    line: int,
) -> None:
    """Tell a level's prefetcher of a request; the lines that it wants go into `queue`."""
    s = find_stream(levels, streams, pages, setting, level, core, line)
    moved = line - streams[s, lo.ST_LAST]
    streams[s, lo.ST_LAST] = line
    if moved == 0 and streams[s, lo.ST_MISSES] > 0:
        return
    step = 1 if moved > 0 else -1
    if streams[s, lo.ST_MISSES] < 2 or step == streams[s, lo.ST_STEP]:
        streams[s, lo.ST_MISSES] += 1
        if moved != 0:
            streams[s, lo.ST_STEP] = step
    else:  # it turned round
        streams[s, lo.ST_MISSES] = 1
        streams[s, lo.ST_STEP] = 0
        streams[s, lo.ST_HEAD] = line
    if streams[s, lo.ST_MISSES] < levels[level, lo.LV_TRAINING] or streams[s, lo.ST_STEP] == 0:
        return
    step = streams[s, lo.ST_STEP]
    head = streams[s, lo.ST_HEAD]
    if (line - head) * step > 0:
        head = line
    for _ in range(levels[level, lo.LV_DEGREE]):
        wanted = head + step
        beyond = wanted >> setting[lo.SE_PAGE_SHIFT] != streams[s, lo.ST_PAGE]
        number = setting[lo.SE_QUEUED]
        if beyond or (wanted - line) * step > levels[level, lo.LV_DISTANCE] or number >= queue.shape[0]:
            break
        if not is_free(cores, setting, issued, core, number):
            break
        head = wanted
        queue[number, 0] = level
        queue[number, 1] = wanted
        setting[lo.SE_QUEUED] = number + 1
    streams[s, lo.ST_HEAD] = head
