"""Loads into the array: the process that fills the second copy of the stationary operand ahead of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.counters import finish, wait_for_count
from accelsim.simulation.compiled.fetch import stream_of
from accelsim.simulation.compiled.phases import SHIFTS, note_phase
from accelsim.simulation.compiled.queue import cycle_at, end_process, ps_of, push
from accelsim.simulation.compiled.rows import counter_row, place_row, process_row, stage_row
from accelsim.simulation.compiled.tiles import last_arrival, misses, retire

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

# where the process goes on
NEXT_LOADS, OPERAND, SHIFT, LOADED = range(4)


@inner_kernel
def load(g: Words, m: Words) -> None:  # noqa: C901 - a process, and where it goes on
    """Load the stationary operand into the second copy that the array holds; `simulation.array_loader` as a kernel."""
    row = process_row(m, la.LOADER)
    loads = m[la.WD_STREAMS] + m[la.WD_STAGES]
    at = m[row + la.PR_AT]
    while True:
        if at == NEXT_LOADS:
            m[row + la.PR_STAGE] += 1
            m[row + la.PR_INDEX] = 0
            stage = m[row + la.PR_STAGE]
            if stage == m[la.WD_STAGES]:
                end_process(m, la.LOADER)
                return
            planned = stage_row(m, stage)
            if g[planned + la.SG_LOADED] < 0 or g[planned + la.SG_CLOSED]:
                continue
            m[row + la.PR_STREAM] = stream_of(g, m, stage, g[planned + la.SG_LOADED])
            m[row + la.PR_AT] = at = OPERAND
            if g[planned + la.SG_MADE_ON_CHIP] and m[counter_row(m, loads + 2) + la.CN_VALUE] < stage:
                wait_for_count(m, loads + 2, stage, la.LOADER)
                return
        stage, stream = m[row + la.PR_STAGE], m[row + la.PR_STREAM]
        planned = stage_row(m, stage)
        if at == OPERAND and m[row + la.PR_INDEX] == g[planned + la.SG_LOADS]:
            at = NEXT_LOADS
            continue
        step = g[g[planned + la.SG_LOAD] + m[row + la.PR_INDEX]]
        plan = g[planned + la.SG_STEP] + la.N_STEP * step
        number = m[place_row(m, stage) + la.PL_LOAD] + m[row + la.PR_INDEX]
        if at == OPERAND:
            m[row + la.PR_AT] = OPERAND
            if stream >= 0:
                if misses(g, m, stream, step, la.LOADER):
                    return
                m[m[la.LOADED_FROM] + number] = last_arrival(g, m, stream, step)[0]
            m[row + la.PR_AT] = at = SHIFT
            if m[counter_row(m, loads + 1) + la.CN_VALUE] < number:
                wait_for_count(m, loads + 1, number, la.LOADER)
                return
        if at == SHIFT:
            m[row + la.PR_START] = cycle_at(m, m[la.WD_NOW])
            m[row + la.PR_AT] = LOADED
            end_ps = ps_of(m, m[row + la.PR_START] + g[plan + la.SP_LEAD])
            push(m, end_ps, la.NORMAL, la.RESUME, la.LOADER, m[row + la.PR_LIFE])
            return
        if at == LOADED:
            finish(m, loads, number)
            begin_ps = ps_of(m, m[row + la.PR_START])
            note_phase(m, SHIFTS + g[planned + la.SG_LOADED], stage, step, begin_ps, m[la.WD_NOW], 0)
            if stream >= 0 and g[plan + la.SP_HANDOVER] == 0:
                retire(g, m, stream, step)
            m[row + la.PR_INDEX] += 1
            at = OPERAND
