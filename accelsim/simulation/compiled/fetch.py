"""Data in: the processes that fetch operands and make room for results; their part of `simulation.machine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.buffers import forgo, give_back, take
from accelsim.simulation.compiled.counters import new_waiter, wait_for_count
from accelsim.simulation.compiled.memory import send
from accelsim.simulation.compiled.queue import end_process, push, wake
from accelsim.simulation.compiled.rows import (
    counter_row,
    operand_row,
    place_row,
    process_row,
    stage_row,
    stream_row,
    waiter_row,
)

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

# where a process goes on: between stages, after the decision, with a tile, its dependences, room for it, its transfer
NEXT_STAGE, AFTER_DECISION, AFTER_CONDITION, BEGIN, TILE, DEPENDENCES, SPACE, READ = range(8)


@inner_kernel
def is_undecided(g: Words, m: Words, stage: int) -> bool:
    """Whether it is not known yet if a stage runs."""
    decided_by = g[stage_row(m, stage) + la.SG_DECIDED_BY]
    return decided_by >= 0 and m[place_row(m, decided_by) + la.PL_DECISION] != la.TOLD


@inner_kernel
def wait_for_decision(g: Words, m: Words, stage: int, process: int, condition: int) -> None:
    """Let a process, or the condition that it waits for, wait for the decision on a stage."""
    row = place_row(m, g[stage_row(m, stage) + la.SG_DECIDED_BY])
    index = new_waiter(m, 0, process, condition)
    if m[row + la.PL_TAIL] < 0:
        m[row + la.PL_HEAD] = index
    else:
        m[waiter_row(m, m[row + la.PL_TAIL]) + la.WT_NEXT] = index
    m[row + la.PL_TAIL] = index


@inner_kernel
def stream_of(g: Words, m: Words, stage: int, code: int) -> int:
    """Input of a stage by its stream into the memory; -1 where it has none."""
    row = stage_row(m, stage)
    for index in range(g[row + la.SG_INPUTS]):
        if g[g[row + la.SG_OPERAND] + la.N_OPERAND * index + la.OP_CODE] == code:
            return m[place_row(m, stage) + la.PL_STREAM] + index
    return -1


@inner_kernel
def arrive(g: Words, m: Words, stream: int, tile: int) -> None:
    """Note that a tile is there, and wake who waits for it."""
    row = stream_row(m, stream)
    if g[stage_row(m, m[row + la.SM_STAGE]) + la.SG_CLOSED]:
        operand = m[row + la.SM_OPERAND]
        bits = g[g[operand + la.OP_TILE] + la.N_TILE * tile + la.TL_BITS]
        if m[row + la.SM_DROPPED] == 0:
            m[row + la.SM_HELD] += bits
        elif bits > 0:
            give_back(m, g[operand + la.OP_BUFFER], bits)
    m[m[la.ARRIVED] + m[row + la.SM_TILE] + tile] = m[la.WD_NOW]
    if m[row + la.SM_AWAITED] == tile:
        m[row + la.SM_AWAITED] = -1
        wake(m, m[row + la.SM_WAITER])


@inner_kernel
def _read(g: Words, m: Words, stream: int, index: int) -> None:
    """Offer a tile's bursts to the memory; it arrives when they have."""
    stage = m[stream_row(m, stream) + la.SM_STAGE]
    operand = operand_row(m, stream)
    tile = g[operand + la.OP_TILE] + la.N_TILE * index
    code = g[operand + la.OP_CODE]
    if g[stage_row(m, stage) + la.SG_CLOSED]:
        if m[m[la.WASTED_ORDER] + la.CODES * stage + code] == 0:
            m[la.WD_CHARGES] += 1
            m[m[la.WASTED_ORDER] + la.CODES * stage + code] = m[la.WD_CHARGES]
        m[m[la.WASTED] + la.CODES * stage + code] += g[tile + la.TL_BYTES]
    bursts = g[tile + la.TL_BURSTS]
    if bursts > 0:
        send(m, bursts, g[tile + la.TL_RUN], g[tile + la.TL_RUN_END], code, stream, index, 0)
    else:
        arrive(g, m, stream, index)


@inner_kernel
def _begin_closed(g: Words, m: Words, process: int, stream: int) -> None:
    """Start fetching for a stage that does not run, until that is decided."""
    row = process_row(m, process)
    first = la.FETCH_CLOSED + 2 * (process - la.FETCH)
    other = first if m[row + la.PR_CLOSED] != first else first + 1
    m[row + la.PR_CLOSED] = other
    m[row + la.PR_CONDITION] += 1
    m[row + la.PR_CONDITION_STATE] = 1
    m[process_row(m, other) + la.PR_AT] = BEGIN
    m[process_row(m, other) + la.PR_ALIVE] = 1
    m[process_row(m, other) + la.PR_STREAM] = stream
    m[process_row(m, other) + la.PR_STAGE] = m[row + la.PR_STAGE]
    m[process_row(m, other) + la.PR_CONDITION] = m[row + la.PR_CONDITION]
    push(m, m[la.WD_NOW], la.URGENT, la.RESUME, other, m[process_row(m, other) + la.PR_LIFE])
    wait_for_decision(g, m, m[row + la.PR_STAGE], process, m[row + la.PR_CONDITION])


@inner_kernel
def check_condition(m: Words, process: int, number: int) -> None:
    """One of the two things happened that a process waits for: the end of fetching, or the decision."""
    row = process_row(m, process)
    if m[row + la.PR_CONDITION] == number and m[row + la.PR_CONDITION_STATE] == 1:
        m[row + la.PR_CONDITION_STATE] = 2
        push(m, m[la.WD_NOW], la.NORMAL, la.CONDITION, process, number)


@inner_kernel
def interrupt(g: Words, m: Words, process: int) -> None:
    """End fetching for a stage that does not run; room that came at the very time of the decision goes back."""
    row = process_row(m, process)
    if m[row + la.PR_AT] == READ and m[row + la.PR_GRANTED]:
        operand = operand_row(m, m[row + la.PR_STREAM])
        bits = g[g[operand + la.OP_TILE] + la.N_TILE * m[row + la.PR_TILE] + la.TL_BITS]
        give_back(m, g[operand + la.OP_BUFFER], bits)
    end_process(m, process)


@inner_kernel
def drop_closed(g: Words, m: Words, decided_by: int) -> None:
    """Give back what has arrived for stages that do not run, and all that they have asked for."""
    for stage in range(m[la.WD_STAGES]):
        planned = stage_row(m, stage)
        if g[planned + la.SG_CLOSED] == 0 or g[planned + la.SG_DECIDED_BY] != decided_by:
            continue
        first = m[place_row(m, stage) + la.PL_STREAM]
        for stream in range(first, first + g[planned + la.SG_INPUTS]):
            row = stream_row(m, stream)
            m[row + la.SM_DROPPED] = 1
            if m[row + la.SM_HELD]:
                give_back(m, g[m[row + la.SM_OPERAND] + la.OP_BUFFER], m[row + la.SM_HELD])
            m[row + la.SM_HELD] = 0
        for buffer in range(m[la.WD_BUFFERS]):
            forgo(m, buffer, stage)


@inner_kernel
def _next_fetched(g: Words, m: Words, process: int) -> int:
    """Turn to the next stage whose tiles are to be fetched, or that is to be decided on; return where to go on."""
    row = process_row(m, process)
    code = process - la.FETCH
    while True:
        m[row + la.PR_STAGE] += 1
        stage = m[row + la.PR_STAGE]
        if stage == m[la.WD_STAGES]:
            return -1
        stream = stream_of(g, m, stage, code)
        if stream < 0:
            continue
        m[row + la.PR_STREAM] = stream
        planned = stage_row(m, stage)
        if not is_undecided(g, m, stage):
            if g[planned + la.SG_CLOSED] == 0:
                return BEGIN
            continue
        if g[planned + la.SG_WAITS] or (m[la.WD_SPECULATES] >> code) & 1 == 0:
            return AFTER_DECISION
        if g[planned + la.SG_CLOSED] == 0:
            return BEGIN
        if m[place_row(m, g[planned + la.SG_DECIDED_BY]) + la.PL_DECISION] == la.OPEN:
            return AFTER_CONDITION


@inner_kernel
def _next_made_room(g: Words, m: Words) -> int:
    """Turn to the next stage whose results need room, or that is to be decided on; return where to go on."""
    row = process_row(m, la.ROOM)
    while True:
        m[row + la.PR_STAGE] += 1
        stage = m[row + la.PR_STAGE]
        if stage == m[la.WD_STAGES]:
            return -1
        planned = stage_row(m, stage)
        m[row + la.PR_STREAM] = m[place_row(m, stage) + la.PL_STREAM] + g[planned + la.SG_INPUTS]
        if g[planned + la.SG_CLOSED] == 0:
            return BEGIN
        if is_undecided(g, m, stage):
            return AFTER_DECISION


@inner_kernel
def _turn(g: Words, m: Words, process: int) -> int:
    """Turn to the next stage; return where to go on at once, or -1 to wait or to end."""
    row = process_row(m, process)
    at = _next_made_room(g, m) if process == la.ROOM else _next_fetched(g, m, process)
    stage = m[row + la.PR_STAGE]
    if at < 0:
        end_process(m, process)
        return -1
    if at == AFTER_DECISION:
        m[row + la.PR_AT] = AFTER_DECISION
        wait_for_decision(g, m, stage, process, -1)
        return -1
    if at == AFTER_CONDITION:
        m[row + la.PR_AT] = AFTER_CONDITION
        _begin_closed(g, m, process, m[row + la.PR_STREAM])
        return -1
    planned = stage_row(m, stage)
    m[row + la.PR_TILE] = 0
    if process == la.ROOM and g[planned + la.SG_KEPT_BITS] > 0:
        m[row + la.PR_AT] = TILE
        take(m, g[planned + la.SG_KEPT_IN], stage, g[planned + la.SG_KEPT_BITS], process)
        return -1
    return TILE


@inner_kernel
def _end_closed(m: Words, process: int) -> None:
    """All tiles of a stage that does not run have been asked for before that was decided."""
    row = process_row(m, process)
    m[row + la.PR_ALIVE] = 0
    m[row + la.PR_LIFE] += 1
    waits = la.FETCH + (process - la.FETCH_CLOSED) // 2
    push(m, m[la.WD_NOW], la.NORMAL, la.FETCH_END, waits, m[row + la.PR_CONDITION])


@inner_kernel
def _waits_for_drains(g: Words, m: Words, process: int, stream: int, index: int) -> bool:
    """Let a process wait for the next results that its tile depends on; False where all have left."""
    row = process_row(m, process)
    operand = operand_row(m, stream)
    drains = m[la.WD_STREAMS]
    is_room = process == la.ROOM
    dependences = 1 if is_room else g[operand + la.OP_DEPENDENCES]
    while m[row + la.PR_INDEX] < dependences:
        if is_room:
            counter = drains + m[row + la.PR_STAGE]
            needed = g[g[operand + la.OP_TILE] + la.N_TILE * index + la.TL_SPILLED]
        else:
            dependence = g[operand + la.OP_DEPENDENCE] + la.N_DEPENDENCE * m[row + la.PR_INDEX]
            counter = drains + g[dependence + la.DP_STAGE]
            needed = g[g[dependence + la.DP_NEEDED] + index]
        m[row + la.PR_INDEX] += 1
        if m[counter_row(m, counter) + la.CN_VALUE] < needed:
            m[row + la.PR_AT] = DEPENDENCES
            wait_for_count(m, counter, needed, process)
            return True
    return False


@inner_kernel
def bring(g: Words, m: Words, process: int) -> None:  # noqa: C901 - a process, and where it goes on
    """Fetch one operand of all stages, tile by tile in order, or make room for their results, until there is to wait.

    For results the dependences are the drains of spilled partial sums, which are then fetched again.
    """
    row = process_row(m, process)
    at = m[row + la.PR_AT]
    if at == AFTER_DECISION:
        at = NEXT_STAGE
        if process != la.ROOM and g[stage_row(m, m[row + la.PR_STAGE]) + la.SG_CLOSED] == 0:
            at = BEGIN
    elif at == AFTER_CONDITION:
        other = m[row + la.PR_CLOSED]
        if m[process_row(m, other) + la.PR_ALIVE]:
            push(m, m[la.WD_NOW], la.URGENT, la.INTERRUPT, other, m[process_row(m, other) + la.PR_LIFE])
        at = NEXT_STAGE
    while m[la.WD_STATUS] == la.DONE:
        if at == NEXT_STAGE:
            at = _turn(g, m, process)
            if at < 0:
                return
        if at == BEGIN:
            m[row + la.PR_TILE] = 0
            at = TILE
        stream = m[row + la.PR_STREAM]
        operand = operand_row(m, stream)
        index = m[row + la.PR_TILE]
        if at == TILE and index == g[operand + la.OP_TILES]:
            if process >= la.FETCH_CLOSED:
                _end_closed(m, process)
                return
            at = NEXT_STAGE
            continue
        tile = g[operand + la.OP_TILE] + la.N_TILE * index
        if at == TILE:
            at = DEPENDENCES
            m[row + la.PR_INDEX] = 0
            needed = g[tile + la.TL_SET] - g[operand + la.OP_FLIGHT] + 1
            if m[counter_row(m, stream) + la.CN_VALUE] < needed:
                m[row + la.PR_AT] = DEPENDENCES
                wait_for_count(m, stream, needed, process)
                return
        if at == DEPENDENCES:
            if _waits_for_drains(g, m, process, stream, index):
                return
            at = SPACE
        if at == SPACE:
            at = READ
            if g[tile + la.TL_BITS] > 0:
                m[row + la.PR_AT] = READ
                take(
                    m, g[operand + la.OP_BUFFER], m[stream_row(m, stream) + la.SM_STAGE], g[tile + la.TL_BITS], process
                )
                return
        if at == READ:
            _read(g, m, stream, index)
            m[row + la.PR_TILE] += 1
            at = TILE
