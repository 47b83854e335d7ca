"""Sets a machine up: every stage in its place, all tables empty, every process about to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.simulation.compiled import layout as la

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


def set_up(graph: Words, state: Words) -> None:
    """Set up a machine whose tables have their places, with constants, stages and capacities of the buffers given."""
    stages = int(state[la.WD_STAGES])
    planned = graph[_part(state, la.ORDER, stages)[:, None] + np.arange(la.N_STAGE)]
    inputs = planned[:, la.SG_INPUTS]
    stage = np.repeat(np.arange(stages), inputs + 1)
    first = _starts(inputs + 1)
    place = planned[stage, la.SG_OPERAND] + la.N_OPERAND * (np.arange(len(stage)) - first[stage])
    operand = graph[place[:, None] + np.arange(la.N_OPERAND)]
    _empty_tables(state)
    _place_stages(state, planned, first)
    stream = _table(state, la.STREAM, len(stage), la.N_STREAM)
    stream[:] = 0
    stream[:, la.SM_STAGE], stream[:, la.SM_OPERAND], stream[:, la.SM_AWAITED] = stage, place, -1
    tiles, sets = operand[:, la.OP_TILES], operand[:, la.OP_SETS]
    stream[:, la.SM_TILE], stream[:, la.SM_SET] = _starts(tiles), _starts(sets)
    stream[:, la.SM_DROPPED] = (planned[stage, la.SG_CLOSED] > 0) & (planned[stage, la.SG_DECIDED_BY] < 0)
    state[la.WD_STREAMS] = len(stage)
    _part(state, la.ARRIVED, int(tiles.sum()))[:] = -1
    within = np.arange(int(sets.sum())) - np.repeat(_starts(sets), sets)
    _part(state, la.OPEN_TILES, len(within))[:] = graph[
        np.repeat(operand[:, la.OP_SET], sets) + la.N_SET * within + la.SE_TILES
    ]
    loads = int(planned[:, la.SG_LOADS].sum())
    _part(state, la.LOADED_FROM, loads)[:] = -1
    _place_counters(state, [*sets, *operand[first + inputs, la.OP_TILES], loads, loads, stages])
    _fill_buffers(state, planned, stage, operand)
    _begin_processes(state, operand[:, la.OP_CODE], loads=loads > 0)


def _starts(sizes: Words) -> Words:
    """Where each of some things begins that lie behind one another."""
    ends: Words = np.cumsum(sizes)
    return ends - sizes


def _part(state: Words, place: int, size: int) -> Words:
    first = int(state[place])
    return state[first : first + size]


def _table(state: Words, place: int, rows: int, columns: int) -> Words:
    return _part(state, place, rows * columns).reshape(rows, columns)


def _place_stages(state: Words, planned: Words, first: Words) -> None:
    """No stage has begun, and what some decide is open."""
    stages = len(planned)
    place = _table(state, la.PLACE, stages, la.N_PLACE)
    place[:] = 0
    place[:, la.PL_STREAM], place[:, la.PL_LOAD] = first, _starts(planned[:, la.SG_LOADS])
    place[:, [la.PL_HEAD, la.PL_TAIL]] = -1
    decided_by = planned[:, la.SG_DECIDED_BY]
    place[decided_by[decided_by >= 0], la.PL_DECISION] = la.OPEN
    for table, width in (
        (la.STALLS, int(state[la.WD_CAUSES])),
        (la.STALL_ORDER, int(state[la.WD_CAUSES])),
        (la.WASTED, la.CODES),
        (la.WASTED_ORDER, la.CODES),
    ):
        _part(state, table, stages * width)[:] = 0


def _place_counters(state: Words, sizes: list[int]) -> None:
    """Give every counter its flags and one more, which stays unset."""
    flags = np.array(sizes, np.int64) + 1
    counter = _table(state, la.COUNTER, len(flags), la.N_COUNTER)
    counter[:, la.CN_VALUE], counter[:, la.CN_FLAG] = 0, _starts(flags)
    counter[:, [la.CN_HEAD, la.CN_TAIL]] = -1
    _part(state, la.FLAGS, int(flags.sum()))[:] = 0


def _fill_buffers(state: Words, planned: Words, stage: Words, operand: Words) -> None:
    """Count the requests that each stage will make of each buffer; none does that is known not to run."""
    buffers, stages = int(state[la.WD_BUFFERS]), len(planned)
    takes = np.bincount(
        operand[:, la.OP_BUFFER] * stages + stage, weights=operand[:, la.OP_REQUESTS], minlength=buffers * stages
    ).astype(np.int64)
    kept = np.flatnonzero(planned[:, la.SG_KEPT_BITS])
    np.add.at(takes, planned[kept, la.SG_KEPT_IN] * stages + kept, 1)
    to_come = takes.reshape(buffers, stages)
    to_come[:, (planned[:, la.SG_CLOSED] > 0) & (planned[:, la.SG_DECIDED_BY] < 0)] = 0
    _part(state, la.TO_COME, takes.size)[:] = takes
    buffer = _table(state, la.BUFFER, buffers, la.N_BUFFER)
    buffer[:, la.BF_USED] = 0
    buffer[:, la.BF_SERVING] = np.where(to_come.any(axis=1), (to_come > 0).argmax(axis=1), stages)
    buffer[:, [la.BF_HEAD, la.BF_TAIL, la.BF_CHANGE]] = -1
    if state[la.WD_CHANGE_ROWS]:
        change = _table(state, la.CHANGE, buffers, la.N_CHANGE)
        change[:] = 0
        change[:, la.CG_BUFFER] = buffer[:, la.BF_CHANGE] = np.arange(buffers)
        state[la.WD_CHANGES] = buffers


def _empty_tables(state: Words) -> None:
    """Let all rows of the tables be free, and nothing have happened."""
    for table, rows, width, column in (
        (la.WAITER, la.WD_WAITER_ROWS, la.N_WAITER, la.WT_NEXT),
        (la.REQUEST, la.WD_REQUEST_ROWS, la.N_REQUEST, la.RQ_NEXT),
    ):
        following = _table(state, table, int(state[rows]), width)[:, column]
        following[:] = np.arange(1, len(following) + 1)
        following[-1] = -1
    transfers = int(state[la.WD_TRANSFER_ROWS])
    _table(state, la.TRANSFER, transfers, la.N_TRANSFER)[:, la.TR_FREE] = np.arange(transfers)[::-1]
    state[list(_FIRST_ZERO)] = 0
    state[la.WD_FREE_TRANSFERS], state[la.WD_WALK] = transfers, -1


_FIRST_ZERO = (
    la.WD_NOW, la.WD_EVENTS, la.WD_NEXT, la.WD_FINISHED, la.WD_PASSED, la.WD_BUS_FREE_PS, la.WD_LAST_DATA_PS,
    la.WD_READS, la.WD_WRITES, la.WD_PENDING, la.WD_OUTSTANDING, la.WD_OFFER, la.WD_OFFERED, la.WD_FREE_WAITER,
    la.WD_FREE_REQUEST, la.WD_PHASES, la.WD_CHANGES, la.WD_CHARGES, la.WD_SYNCHRONISES,
)  # fmt: skip


def _begin_processes(state: Words, codes: Words, *, loads: bool) -> None:
    """Let all processes begin at once, in the order in which `simulation.machine` makes them."""
    process = _table(state, la.PROCESS, la.N_PROCESSES, la.N_PROCESS)
    process[:] = 0
    process[:, la.PR_STAGE] = -1
    fetched = dict.fromkeys([la.IFMAP, la.WEIGHT, *(code for code in codes.tolist() if code != la.PSUM)])
    begun = [la.PORT, *([la.LOADER] if loads else []), *(la.FETCH + code for code in fetched), la.ROOM, la.COMPUTE]
    process[begun, la.PR_ALIVE] = 1
    event = _table(state, la.EVENT, len(begun), la.N_EVENT)
    event[:] = 0
    event[:, la.EV_KEY] = np.arange(len(begun)) + la.URGENT
    event[:, la.EV_KIND], event[:, la.EV_A] = la.RESUME, begun
    state[la.WD_EVENTS] = state[la.WD_NEXT] = len(begun)
