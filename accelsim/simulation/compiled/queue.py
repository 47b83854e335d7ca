"""The queue of events and the clock, with SimPy's rules: by time, urgent ones first, then as scheduled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.rows import event_row, process_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

_PS_TIMES_KHZ = 1_000_000_000  # as in units


@inner_kernel
def _is_before(m: Words, row: int, time_ps: int, key: int) -> bool:
    """Whether an event in the queue comes before another."""
    return m[row + la.EV_TIME] < time_ps or (m[row + la.EV_TIME] == time_ps and m[row + la.EV_KEY] < key)


@inner_kernel
def _copy(m: Words, to: int, origin: int) -> None:
    for column in range(la.N_EVENT):
        m[to + column] = m[origin + column]


@inner_kernel
def push(m: Words, time_ps: int, priority: int, kind: int, a: int, b: int) -> None:
    """Schedule an event."""
    place = m[la.WD_EVENTS]
    key = priority + m[la.WD_NEXT]
    m[la.WD_NEXT] += 1
    if place == m[la.WD_EVENT_ROWS]:
        m[la.WD_STATUS] = la.TABLE_FULL
        return
    m[la.WD_EVENTS] = place + 1
    while place > 0:
        above = (place - 1) >> 1
        if _is_before(m, event_row(m, above), time_ps, key):
            break
        _copy(m, event_row(m, place), event_row(m, above))
        place = above
    row = event_row(m, place)
    m[row + la.EV_TIME] = time_ps
    m[row + la.EV_KEY] = key
    m[row + la.EV_KIND] = kind
    m[row + la.EV_A] = a
    m[row + la.EV_B] = b


@inner_kernel
def remove_first(m: Words) -> None:
    """Take the first event out of the queue."""
    last = m[la.WD_EVENTS] - 1
    m[la.WD_EVENTS] = last
    moved = event_row(m, last)
    time_ps, key = m[moved + la.EV_TIME], m[moved + la.EV_KEY]
    place = 0
    while True:
        below = 2 * place + 1
        if below >= last:
            break
        other = event_row(m, below + 1)
        if below + 1 < last and not _is_before(m, event_row(m, below), m[other + la.EV_TIME], m[other + la.EV_KEY]):
            below += 1
        if not _is_before(m, event_row(m, below), time_ps, key):
            break
        _copy(m, event_row(m, place), event_row(m, below))
        place = below
    _copy(m, event_row(m, place), moved)


@inner_kernel
def wake(m: Words, process: int) -> None:
    """Let a process go on, in its turn."""
    push(m, m[la.WD_NOW], la.NORMAL, la.RESUME, process, m[process_row(m, process) + la.PR_LIFE])


@inner_kernel
def end_process(m: Words, process: int) -> None:
    """Note that a process has ended, for which nobody waits."""
    m[process_row(m, process) + la.PR_ALIVE] = 0
    m[process_row(m, process) + la.PR_LIFE] += 1
    push(m, m[la.WD_NOW], la.NORMAL, la.NOTHING, 0, 0)


@inner_kernel
def ps_of(m: Words, cycle: int) -> int:
    """Time at which a cycle begins, as `units.Clock.ps_of`."""
    khz = m[la.WD_KHZ]
    return cycle // khz * _PS_TIMES_KHZ - -(cycle % khz * _PS_TIMES_KHZ) // khz


@inner_kernel
def cycle_at(m: Words, time_ps: int) -> int:
    """First cycle that begins no earlier, as `units.Clock.cycle_at`."""
    khz = m[la.WD_KHZ]
    before = time_ps - 1
    return before // _PS_TIMES_KHZ * khz + before % _PS_TIMES_KHZ * khz // _PS_TIMES_KHZ + 1
