"""Compute, and data out: the steps of all stages, what they wait for and what leaves; part of `simulation.machine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.buffers import give_back
from accelsim.simulation.compiled.counters import finish, wait_for_count
from accelsim.simulation.compiled.fetch import is_undecided, wait_for_decision
from accelsim.simulation.compiled.memory import send
from accelsim.simulation.compiled.phases import note_phase
from accelsim.simulation.compiled.queue import cycle_at, end_process, ps_of, push
from accelsim.simulation.compiled.rows import (
    counter_row,
    operand_row,
    place_row,
    process_row,
    stage_row,
    stream_row,
)
from accelsim.simulation.compiled.tiles import last_arrival, misses, retire

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

# where the process goes on
NEXT_STAGE, AFTER_DECISION, STEP, TILES, START, HANDOVER, RUN, FINISH, LEAVE, END, AFTER_END = range(11)

# causes of stalls; those of a fetch are numbered as the streams
OFMAP_DRAIN = la.OFMAP
DECISION, ARRAY_DRAIN = la.CODES, la.CODES + 1
FIRST_CAUSE = la.CODES + 2


@inner_kernel
def charge(m: Words, stage: int, cause: int, cycles: int) -> None:
    """Charge cycles of waiting, if any, to a cause."""
    if cycles == 0:
        return
    if m[m[la.STALL_ORDER] + stage * m[la.WD_CAUSES] + cause] == 0:
        m[la.WD_CHARGES] += 1
        m[m[la.STALL_ORDER] + stage * m[la.WD_CAUSES] + cause] = m[la.WD_CHARGES]
    m[m[la.STALLS] + stage * m[la.WD_CAUSES] + cause] += cycles


@inner_kernel
def _charge_wait(g: Words, m: Words, stage: int, step: int, since: int, until: int) -> None:
    """Charge the cycles before a step to what came last, those after it to the load into the array."""
    planned = stage_row(m, stage)
    first = m[place_row(m, stage) + la.PL_STREAM]
    latest, which, last = -2, -1, -1
    for stream in range(first, first + g[planned + la.SG_INPUTS] + 1):
        if g[operand_row(m, stream) + la.OP_CODE] != g[planned + la.SG_LOADED]:
            arrived, tile = last_arrival(g, m, stream, step)
            if arrived > latest:
                latest, which, last = arrived, tile, stream
    operand = operand_row(m, last)
    cause = g[operand + la.OP_CODE]
    load = -1
    if g[planned + la.SG_LOADED] >= 0:
        load = g[g[planned + la.SG_STEP] + la.N_STEP * step + la.SP_LOAD]
    from_ps = -1
    if load >= 0:
        from_ps = m[m[la.LOADED_FROM] + m[place_row(m, stage) + la.PL_LOAD] + load]
    if from_ps > latest:
        latest, cause = from_ps, g[planned + la.SG_LOADED]
    elif cause == la.PSUM:
        tile = g[operand + la.OP_TILE] + la.N_TILE * which
        if which < 0 or g[tile + la.TL_RUN] == g[tile + la.TL_RUN_END]:
            cause = OFMAP_DRAIN
    arrival = until
    if load >= 0:
        arrival = min(max(cycle_at(m, max(latest, 0)), since), until)
        charge(m, stage, g[planned + la.SG_SHIFT_CAUSE], until - arrival)
    charge(m, stage, cause, arrival - since)


# -- data out ----------------------------------------------------------------------------------------------------------


@inner_kernel
def drain(g: Words, m: Words, stream: int, index: int) -> None:
    """Send an output tile on its way; its room is free once the memory has taken it."""
    tile = g[operand_row(m, stream) + la.OP_TILE] + la.N_TILE * index
    bursts = g[tile + la.TL_DRAIN_BURSTS]
    if bursts > 0:
        send(m, bursts, g[tile + la.TL_DRAIN], g[tile + la.TL_DRAIN_END], la.OFMAP, stream, index, 1)
    else:
        drained(g, m, stream, index)


@inner_kernel
def drained(g: Words, m: Words, stream: int, index: int) -> None:
    """The memory has taken an output tile."""
    row = stream_row(m, stream)
    operand = m[row + la.SM_OPERAND]
    tile = g[operand + la.OP_TILE] + la.N_TILE * index
    if g[tile + la.TL_BITS]:
        give_back(m, g[operand + la.OP_BUFFER], g[tile + la.TL_BITS])
    place = m[row + la.SM_SET] + g[tile + la.TL_SET]
    m[m[la.OPEN_TILES] + place] -= 1
    if m[m[la.OPEN_TILES] + place] == 0:
        finish(m, stream, g[tile + la.TL_SET])
    finish(m, m[la.WD_STREAMS] + m[row + la.SM_STAGE], g[tile + la.TL_RANK])


@inner_kernel
def _finish_step(g: Words, m: Words, stage: int, step: int, cycle: int) -> None:
    """Give back the input sets that the step was the last to use, send off the results that it completed."""
    planned = stage_row(m, stage)
    first = m[place_row(m, stage) + la.PL_STREAM]
    for index in range(g[planned + la.SG_INPUTS]):
        retire(g, m, first + index, step)
    output = first + g[planned + la.SG_INPUTS]
    tiles = g[g[planned + la.SG_OUTPUT] + la.OP_TILE]
    row = g[planned + la.SG_STEP] + la.N_STEP * step
    for rank in range(g[row + la.SP_LEAVE], g[row + la.SP_LEAVE_END]):
        tile = g[tiles + la.N_TILE * rank + la.TL_LEAVES]
        left = cycle + g[tiles + la.N_TILE * tile + la.TL_DELAY]
        if g[tiles + la.N_TILE * tile + la.TL_PASS] >= 0:
            left = max(left, m[la.WD_PASSED]) + g[tiles + la.N_TILE * tile + la.TL_PASS]
            m[la.WD_PASSED] = left
        if left > cycle:
            push(m, m[la.WD_NOW], la.URGENT, la.DRAIN_BEGIN, (output << la.TILE_BITS) | tile, left)
        else:
            drain(g, m, output, tile)


# -- steps -------------------------------------------------------------------------------------------------------------


@inner_kernel
def _begin_step(g: Words, m: Words, stage: int, step: int) -> None:
    """Work out when a step begins and ends, and what it waited for."""
    row = process_row(m, la.COMPUTE)
    planned = stage_row(m, stage)
    start = max(m[row + la.PR_CYCLE], cycle_at(m, m[la.WD_NOW]))
    if start != m[row + la.PR_CYCLE]:
        _charge_wait(g, m, stage, step, m[row + la.PR_CYCLE], start)
    if step == 0:
        charge(m, stage, g[planned + la.SG_LATENCY_CAUSE], g[planned + la.SG_LATENCY])
        start += g[planned + la.SG_LATENCY]
    plan = g[planned + la.SG_STEP] + la.N_STEP * step
    cycles = g[plan + la.SP_CYCLES]
    m[place_row(m, stage) + la.PL_COMPUTE] += cycles
    for index in range(g[planned + la.SG_LIMITS]):
        limit = g[planned + la.SG_LIMIT] + la.N_LIMIT * index
        least = g[g[limit + la.LM_CYCLES] + step]
        if least > cycles:
            charge(m, stage, g[limit + la.LM_CAUSE], least - cycles)
            cycles = least
    m[row + la.PR_START] = start
    m[row + la.PR_CYCLE] = start + cycles
    if g[planned + la.SG_LOADED] >= 0:
        m[place_row(m, stage) + la.PL_COMPUTE] -= g[plan + la.SP_EXPOSED]
        charge(m, stage, g[planned + la.SG_SHIFT_CAUSE], g[plan + la.SP_EXPOSED])


@inner_kernel
def _waits_until(m: Words, process: int, cycle: int) -> bool:
    """Let a process wait until a cycle begins, unless it has."""
    time_ps = ps_of(m, cycle)
    if time_ps <= m[la.WD_NOW]:
        return False
    push(m, time_ps, la.NORMAL, la.RESUME, process, m[process_row(m, process) + la.PR_LIFE])
    return True


@inner_kernel
def _end_stage(g: Words, m: Words, stage: int) -> None:
    """Note that a stage has ended, and give back the feature maps kept on chip that it was the last to read."""
    m[place_row(m, stage) + la.PL_END] = m[process_row(m, la.COMPUTE) + la.PR_CYCLE]
    finish(m, m[la.WD_STREAMS] + m[la.WD_STAGES] + 2, stage)
    for maker in range(m[la.WD_STAGES]):
        planned = stage_row(m, maker)
        if g[planned + la.SG_KEPT_UNTIL] == stage and g[planned + la.SG_KEPT_BITS] and g[planned + la.SG_CLOSED] == 0:
            give_back(m, g[planned + la.SG_KEPT_IN], g[planned + la.SG_KEPT_BITS])
    if m[la.WD_STOPS] and m[la.WD_STATUS] == la.DONE:
        m[la.WD_STATUS] = la.STAGE_ENDED


@inner_kernel
def _waits_for_tiles(g: Words, m: Words, stage: int, step: int) -> bool:
    """Let the process wait for the next tile that a step needs, but for what is loaded into the array beforehand."""
    row, planned = process_row(m, la.COMPUTE), stage_row(m, stage)
    while m[row + la.PR_INDEX] <= g[planned + la.SG_INPUTS]:
        stream = m[place_row(m, stage) + la.PL_STREAM] + m[row + la.PR_INDEX]
        code = g[operand_row(m, stream) + la.OP_CODE]
        if code != g[planned + la.SG_LOADED] and misses(g, m, stream, step, la.COMPUTE):
            return True
        m[row + la.PR_INDEX] += 1
    return False


@inner_kernel
def compute(g: Words, m: Words) -> None:  # noqa: C901 - a process, and where it goes on
    """Run the steps of all stages, one after the other, until there is to wait."""
    row = process_row(m, la.COMPUTE)
    loads = m[la.WD_STREAMS] + m[la.WD_STAGES]  # counter of those that have ended, that of those handed over next
    at = m[row + la.PR_AT]
    while m[la.WD_STATUS] != la.RINGS_FULL and m[la.WD_STATUS] != la.TABLE_FULL:
        if at == NEXT_STAGE:
            m[row + la.PR_STAGE] += 1
            m[row + la.PR_STEP] = 0
            if m[row + la.PR_STAGE] == m[la.WD_STAGES]:
                m[la.WD_FINISHED] = 1
                end_process(m, la.COMPUTE)
                return
            at = STEP
            if is_undecided(g, m, m[row + la.PR_STAGE]):
                m[row + la.PR_AT] = AFTER_DECISION
                wait_for_decision(g, m, m[row + la.PR_STAGE], la.COMPUTE, -1)
                return
        stage = m[row + la.PR_STAGE]
        step = m[row + la.PR_STEP]
        planned = stage_row(m, stage)
        if at == AFTER_DECISION:
            known = max(m[row + la.PR_CYCLE], cycle_at(m, m[la.WD_NOW]))
            charge(m, stage, DECISION, known - m[row + la.PR_CYCLE])
            m[row + la.PR_CYCLE] = known
            at = STEP
        if at == STEP:
            at = LEAVE
            if step < g[planned + la.SG_STEPS]:
                m[row + la.PR_INDEX] = 0
                at = TILES
        if at == TILES:
            m[row + la.PR_AT] = TILES
            if _waits_for_tiles(g, m, stage, step):
                return
            at = START
            if g[planned + la.SG_LOADED] >= 0 and g[g[planned + la.SG_STEP] + la.N_STEP * step + la.SP_LOAD] >= 0:
                number = (
                    m[place_row(m, stage) + la.PL_LOAD] + g[g[planned + la.SG_STEP] + la.N_STEP * step + la.SP_LOAD]
                )
                if m[counter_row(m, loads) + la.CN_VALUE] <= number:
                    m[row + la.PR_AT] = START
                    wait_for_count(m, loads, number + 1, la.COMPUTE)
                    return
        if at == START:
            _begin_step(g, m, stage, step)
            at = RUN
            if g[planned + la.SG_LOADED] >= 0:
                m[row + la.PR_AT] = at = HANDOVER
                plan = g[planned + la.SG_STEP] + la.N_STEP * step
                if _waits_until(m, la.COMPUTE, m[row + la.PR_START] + g[plan + la.SP_HANDOVER]):
                    return
        if at == HANDOVER:
            load = g[g[planned + la.SG_STEP] + la.N_STEP * step + la.SP_LOAD]
            if load >= 0:
                finish(m, loads + 1, m[place_row(m, stage) + la.PL_LOAD] + load)
            at = RUN
        if at == RUN:
            m[row + la.PR_AT] = at = FINISH
            if _waits_until(m, la.COMPUTE, m[row + la.PR_CYCLE]):
                return
        if at == FINISH:
            if g[g[planned + la.SG_STEP] + la.N_STEP * step + la.SP_CYCLES]:
                begin_ps, end_ps = ps_of(m, m[row + la.PR_START]), ps_of(m, m[row + la.PR_CYCLE])
                note_phase(m, g[planned + la.SG_UNIT], stage, step, begin_ps, end_ps, 0)
            _finish_step(g, m, stage, step, m[row + la.PR_CYCLE])
            m[row + la.PR_STEP] += 1
            at = STEP
            continue
        if at == LEAVE:
            m[row + la.PR_AT] = at = END
            if g[planned + la.SG_CLOSED] == 0:
                left = max(m[row + la.PR_CYCLE] + g[planned + la.SG_DRAIN_CYCLES], m[la.WD_PASSED])
                charge(m, stage, ARRAY_DRAIN, left - m[row + la.PR_CYCLE])
                m[row + la.PR_CYCLE] = left
                if _waits_until(m, la.COMPUTE, left):
                    return
        if at == END:
            _end_stage(g, m, stage)
            m[row + la.PR_AT] = at = AFTER_END
            if m[la.WD_CLOCK_PS] > 0:
                m[la.WD_SYNCHRONISES] = stage + 1
                return
        if at == AFTER_END:
            if m[place_row(m, stage) + la.PL_DECISION] == la.OPEN:
                push(m, m[la.WD_NOW], la.URGENT, la.DECIDE_BEGIN, stage, 0)
            at = NEXT_STAGE
