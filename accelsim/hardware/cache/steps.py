"""Steps of a core: what it waits for together, and what goes to memory meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.prefetcher import in_flight
from accelsim.jit import lean_kernel

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
    place = cores[core, lo.CO_PLACE]
    if number >= setting[lo.SE_AHEAD] and in_flight(cores, setting, issued, core, place):
        close_step(cores, setting, ticks, core)
    # what is asked for together with lines that the core waits for comes together with them
    together = cores[core, lo.CO_DEMANDS] > 0 and clock - cores[core, lo.CO_FIRST] <= setting[lo.SE_WINDOW]
    issued[core, place, lo.IS_LINE] = line
    issued[core, place, lo.IS_CLOCK] = clock
    issued[core, place, lo.IS_STEP] = -1 if together else cores[core, lo.CO_STEP]
    cores[core, lo.CO_AHEAD] = number + 1
    cores[core, lo.CO_ASKED] = clock
    cores[core, lo.CO_PLACE] = place + 1 if place + 1 < setting[lo.SE_AHEAD] else 0
    note(events, setting, cores, core, line, lo.DEMAND if together else lo.AHEAD)


@lean_kernel
def wait_if_late(cores: Words, setting: Words, ticks: Words, issued: Words, core: int, line: int) -> None:
    """End the step where the core needs a line that it has fetched ahead but that cannot be there yet."""
    if cores[core, lo.CO_CLOCK] - cores[core, lo.CO_ASKED] >= setting[lo.SE_LATENCY]:
        return
    for place in range(min(cores[core, lo.CO_AHEAD], setting[lo.SE_AHEAD])):
        if issued[core, place, lo.IS_LINE] == line:
            if in_flight(cores, setting, issued, core, place):
                close_step(cores, setting, ticks, core)
            return
