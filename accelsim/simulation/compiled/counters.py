"""Counts that only grow, and the processes that wait for them; `simulation.progress_counter` as kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.queue import push
from accelsim.simulation.compiled.rows import counter_row, process_row, waiter_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@inner_kernel
def new_waiter(m: Words, needed: int, process: int, condition: int) -> int:
    """Take a waiter for a process, or for the condition that it waits for."""
    index = m[la.WD_FREE_WAITER]
    if m[waiter_row(m, index) + la.WT_NEXT] < 0:
        m[la.WD_STATUS] = la.TABLE_FULL
        return index
    m[la.WD_FREE_WAITER] = m[waiter_row(m, index) + la.WT_NEXT]
    m[waiter_row(m, index) + la.WT_NEEDED] = needed
    m[waiter_row(m, index) + la.WT_PROCESS] = process
    m[waiter_row(m, index) + la.WT_LIFE] = m[process_row(m, process) + la.PR_LIFE]
    m[waiter_row(m, index) + la.WT_CONDITION] = condition
    m[waiter_row(m, index) + la.WT_NEXT] = -1
    return index


@inner_kernel
def free_waiter(m: Words, index: int) -> None:
    """Give a waiter back."""
    m[waiter_row(m, index) + la.WT_NEXT] = m[la.WD_FREE_WAITER]
    m[la.WD_FREE_WAITER] = index


@inner_kernel
def wait_for_count(m: Words, counter: int, needed: int, process: int) -> None:
    """Let a process wait until a count reaches `needed`, which it has not."""
    index = new_waiter(m, needed, process, -1)
    tail = m[counter_row(m, counter) + la.CN_TAIL]
    if tail < 0:
        m[counter_row(m, counter) + la.CN_HEAD] = index
    else:
        m[waiter_row(m, tail) + la.WT_NEXT] = index
    m[counter_row(m, counter) + la.CN_TAIL] = index


@inner_kernel
def finish(m: Words, counter: int, number: int) -> None:
    """Note that thing `number` is done, and wake who waited for it."""
    row = counter_row(m, counter)
    flags = m[row + la.CN_FLAG]
    m[m[la.FLAGS] + flags + number] = 1
    value = m[row + la.CN_VALUE]
    while m[m[la.FLAGS] + flags + value]:
        value += 1
    m[row + la.CN_VALUE] = value
    before = -1
    index = m[row + la.CN_HEAD]
    while index >= 0:
        following = m[waiter_row(m, index) + la.WT_NEXT]
        if m[waiter_row(m, index) + la.WT_NEEDED] <= value:
            push(
                m,
                m[la.WD_NOW],
                la.NORMAL,
                la.RESUME,
                m[waiter_row(m, index) + la.WT_PROCESS],
                m[waiter_row(m, index) + la.WT_LIFE],
            )
            if before < 0:
                m[row + la.CN_HEAD] = following
            else:
                m[waiter_row(m, before) + la.WT_NEXT] = following
            if following < 0:
                m[row + la.CN_TAIL] = before
            free_waiter(m, index)
        else:
            before = index
        index = following
