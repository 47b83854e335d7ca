"""The loop over the events: who goes on at each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import accelsim.hardware.dram
from accelsim.jit import inner_kernel, outer_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.compute import compute, drain, drained
from accelsim.simulation.compiled.counters import free_waiter
from accelsim.simulation.compiled.fetch import arrive, bring, check_condition, drop_closed, interrupt
from accelsim.simulation.compiled.loader import load
from accelsim.simulation.compiled.memory import advance, horizon, snapshot
from accelsim.simulation.compiled.phases import OFMAP_DRAINS, note_phase
from accelsim.simulation.compiled.queue import ps_of, push, remove_first
from accelsim.simulation.compiled.rows import operand_row, place_row, process_row, stream_row, transfer_row, waiter_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words
    from accelsim.simulation.compiled.layout import MemoryArrays


@inner_kernel
def _complete(g: Words, m: Words, index: int) -> None:
    """A transfer is over."""
    m[la.WD_OUTSTANDING] -= 1
    row = transfer_row(m, index)
    stream, tile, begin_ps, bursts = (
        m[row + la.TR_STREAM],
        m[row + la.TR_TILE],
        m[row + la.TR_BEGIN_PS],
        m[row + la.TR_BURSTS],
    )
    drains = m[row + la.TR_DRAINS]
    m[transfer_row(m, m[la.WD_FREE_TRANSFERS]) + la.TR_FREE] = index
    m[la.WD_FREE_TRANSFERS] += 1
    stage = m[stream_row(m, stream) + la.SM_STAGE]
    operand = operand_row(m, stream)
    step = g[g[operand + la.OP_TILE] + la.N_TILE * tile + la.TL_STEP]
    component = OFMAP_DRAINS if drains else g[operand + la.OP_CODE]
    note_phase(m, component, stage, step, begin_ps, m[la.WD_NOW], bursts)
    if drains:
        drained(g, m, stream, tile)
    else:
        arrive(g, m, stream, tile)


@inner_kernel
def _decide(g: Words, m: Words, stage: int) -> None:
    """Make known what a stage has decided."""
    drop_closed(g, m, stage)
    m[place_row(m, stage) + la.PL_DECISION] = la.TRIGGERED
    push(m, m[la.WD_NOW], la.NORMAL, la.DECIDED, stage, 0)
    push(m, m[la.WD_NOW], la.NORMAL, la.NOTHING, 0, 0)


@inner_kernel
def _next_told(m: Words) -> int:
    """Next process that a decision wakes, -1 where all have been told."""
    while m[la.WD_WALK] >= 0:
        index = m[la.WD_WALK]
        row = waiter_row(m, index)
        process, condition = m[row + la.WT_PROCESS], m[row + la.WT_CONDITION]
        is_alive = m[row + la.WT_LIFE] == m[process_row(m, process) + la.PR_LIFE]
        m[la.WD_WALK] = m[row + la.WT_NEXT]
        free_waiter(m, index)
        if condition >= 0:
            check_condition(m, process, condition)
        elif is_alive:
            return process
    return -1


@inner_kernel
def _next_process(g: Words, m: Words) -> int:  # noqa: C901 - a case for each kind of event
    """Take the next event; return the process that goes on then, or -1."""
    first = m[la.EVENT]
    kind, a, b = m[first + la.EV_KIND], m[first + la.EV_A], m[first + la.EV_B]
    m[la.WD_NOW] = m[first + la.EV_TIME]
    remove_first(m)
    if kind == la.RESUME:
        return a if m[process_row(m, a) + la.PR_LIFE] == b else -1
    if kind == la.COMPLETE:
        _complete(g, m, a)
    elif kind == la.OFFER:
        if m[process_row(m, la.PORT) + la.PR_WAITS] and m[la.WD_OFFER] == a:
            m[process_row(m, la.PORT) + la.PR_WAITS] = 0
            return la.PORT
    elif kind == la.DRAIN_BEGIN:
        push(m, max(ps_of(m, b), m[la.WD_NOW]), la.NORMAL, la.DRAIN, a, 0)
    elif kind == la.DRAIN:
        drain(g, m, a >> la.TILE_BITS, a & ((1 << la.TILE_BITS) - 1))
        push(m, m[la.WD_NOW], la.NORMAL, la.NOTHING, 0, 0)
    elif kind == la.DECIDE_BEGIN and m[la.WD_DECISION_PS] > 0:
        push(m, m[la.WD_NOW] + m[la.WD_DECISION_PS], la.NORMAL, la.DECIDE, a, 0)
    elif kind == la.DECIDE or kind == la.DECIDE_BEGIN:
        _decide(g, m, a)
    elif kind == la.DECIDED:
        m[place_row(m, a) + la.PL_DECISION] = la.TOLD
        m[la.WD_WALK] = m[place_row(m, a) + la.PL_HEAD]
    elif kind == la.FETCH_END:
        check_condition(m, a, b)
    elif kind == la.CONDITION:
        m[process_row(m, a) + la.PR_CONDITION_STATE] = 0
        return a
    elif kind == la.INTERRUPT and m[process_row(m, a) + la.PR_LIFE] == b:
        interrupt(g, m, a)
    return -1


@outer_kernel(accelsim.hardware.dram)
def run_events(g: Words, m: Words, memory: MemoryArrays) -> int:
    """Run until nothing is left to do, or to the end of a stage where that is asked for.

    Parameters
    ----------
    graph
        What the stages are.
    state
        The machine, as `machine_state` sets it up or as an earlier call has left it.
    memory
        The DRAM; arrays that are never looked at where the memory is an ideal one.

    Returns
    -------
    int
        `DONE`, `STAGE_ENDED` (to be called again), or `RINGS_FULL` or `TABLE_FULL`, after which nothing is of use.
    """
    m[la.WD_STATUS] = la.DONE
    until_ps = m[la.WD_NOW] if m[la.WD_SYNCHRONISES] else -1
    while m[la.WD_STATUS] == la.DONE:
        if until_ps >= 0:
            completions = advance(g, m, memory, until_ps)
            process = la.PORT
            if m[la.WD_SYNCHRONISES]:
                snapshot(m, memory, m[la.WD_SYNCHRONISES] - 1)
                m[la.WD_SYNCHRONISES] = 0
                process = la.COMPUTE
            elif completions == 0 and until_ps < la.FAR_PS:
                push(m, until_ps, la.NORMAL, la.RESUME, la.PORT, 0)
                process = -1
            until_ps = -1
        else:
            process = _next_told(m)
            if process < 0:
                if m[la.WD_EVENTS] == 0:
                    return la.DONE
                process = _next_process(g, m)
        if process == la.PORT:
            until_ps = horizon(m)
        elif process == la.COMPUTE:
            compute(g, m)
            if m[la.WD_SYNCHRONISES]:
                until_ps = m[la.WD_NOW]
        elif process == la.LOADER:
            load(g, m)
        elif process >= 0:
            bring(g, m, process)
    return m[la.WD_STATUS]
