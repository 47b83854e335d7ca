"""Layout of the arrays that the compiled machine works on: int64 tables and the names of their columns.

What the stages of a network are, the graph (`g` in the kernels), stays and may be shared by many runs; the state of a
run (`m`, the machine) begins anew for each. Each is one array, for a kernel that is not inlined passes
seven words for every array that it is given, and takes as much longer to compile.
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.hardware.dram.layout import Words  # noqa: TC001 - a named tuple's types are looked at

FAR_PS = 1 << 62
"""A time that never comes."""

CODES = 6
"""Streams into the memory, as `machine.STREAMS` numbers them."""
IFMAP, WEIGHT, PSUM, OFMAP = range(4)

# -- the graph ---------------------------------------------------------------------------------------------------------
# One array of words that only grows. Whatever refers to something in it names its place, and rows of one kind that
# belong together lie side by side.

# stage: its steps and operands lie in rows side by side, the inputs first and the output behind them
(
    SG_STEP,
    SG_STEPS,
    SG_OPERAND,
    SG_INPUTS,
    SG_OUTPUT,  # operand that is the output
    SG_UNIT,  # component that computes
    SG_KEPT_BITS,
    SG_KEPT_IN,
    SG_KEPT_UNTIL,
    SG_DRAIN_CYCLES,
    SG_LATENCY,
    SG_LATENCY_CAUSE,
    SG_LIMIT,
    SG_LIMITS,
    SG_LOADED,  # stream of the operand that is loaded into the array, -1 for none
    SG_LOAD,  # its first load
    SG_LOADS,
    SG_MADE_ON_CHIP,
    SG_SHIFT_CAUSE,
    SG_DECIDED_BY,
    SG_CLOSED,
    SG_WAITS,
    SG_TILES,  # of all operands; sets and steps likewise, for the sizes of tables
    SG_SETS,
    N_STAGE,
) = range(25)

# step: SP_LEAVE to SP_LEAVE_END are the ranks of the output tiles that leave behind it, SP_LOAD its load or -1
SP_CYCLES, SP_LEAVE, SP_LEAVE_END, SP_LEAD, SP_HANDOVER, SP_EXPOSED, SP_LOAD, N_STEP = range(8)

# loads: one word each, the step that begins with it

# limit: what the waiting is charged to, and where its cycles begin
LM_CAUSE, LM_CYCLES, N_LIMIT = range(3)

# operand: OP_REQUESTS is how often it takes room
(
    OP_CODE,
    OP_BUFFER,
    OP_TILE,
    OP_TILES,
    OP_SET,
    OP_SETS,
    OP_FLIGHT,
    OP_DEPENDENCE,
    OP_DEPENDENCES,
    OP_REQUESTS,
    N_OPERAND,
) = range(11)

# tile: from TL_DELAY on for output tiles alone; TL_LEAVES is the tile whose rank is the place of this one
(
    TL_STEP,
    TL_SET,
    TL_BITS,
    TL_RUN,
    TL_RUN_END,
    TL_BYTES,
    TL_DELAY,
    TL_PASS,  # -1 where results do not pass the vector unit
    TL_SPILLED,
    TL_RANK,
    TL_LEAVES,
    TL_DRAIN,
    TL_DRAIN_END,
    TL_BURSTS,  # of the fetch, and of the drain
    TL_DRAIN_BURSTS,
    N_TILE,
) = range(16)

# set
SE_RELEASED, SE_RETIRE_STEP, SE_TILES, N_SET = range(4)

# dependence: the stage that makes the data, and where the counts of drains begin
DP_STAGE, DP_NEEDED, N_DEPENDENCE = range(3)

# run, as address_pattern.RUN_DTYPE
RN_BASE, RN_OUTER, RN_OUTER_STRIDE, RN_INNER, RN_INNER_STRIDE, RN_BYTES, N_RUN = range(7)


# -- the state ---------------------------------------------------------------------------------------------------------
# One array of words as well: single values, among them the places of the tables that come behind.

TABLES = (
    "order", "event", "process", "stream", "place", "counter", "waiter", "buffer", "request", "transfer", "phase",
    "change", "flags", "arrived", "open_tiles", "to_come", "loaded_from", "stalls", "stall_order", "wasted",
    "wasted_order", "snapshot", "snapshot_rank",
)  # fmt: skip
(
    ORDER,  # place in the graph of each stage
    EVENT,
    PROCESS,
    STREAM,
    PLACE,
    COUNTER,
    WAITER,
    BUFFER,
    REQUEST,
    TRANSFER,
    PHASE,  # what happened when, where there is room for it
    CHANGE,
    FLAGS,  # what is done out of order, behind one another for all counters
    ARRIVED,  # arrival of tiles in ps, -1 before
    OPEN_TILES,  # by set, output tiles that have not left
    TO_COME,  # by buffer and stage, requests that are still to be made
    LOADED_FROM,  # by load, arrival in ps of what it loads
    STALLS,  # by stage and cause, and the number of the cause among all, from 1; 0 for none
    STALL_ORDER,
    WASTED,  # by stage and stream, likewise
    WASTED_ORDER,
    SNAPSHOT,  # what the DRAM had done at the end of each stage, by stage, and by stage and rank
    SNAPSHOT_RANK,
    WD_EVENT_ROWS,  # rows that there are
    WD_WAITER_ROWS,
    WD_REQUEST_ROWS,
    WD_TRANSFER_ROWS,
    WD_PHASE_ROWS,
    WD_CHANGE_ROWS,
    WD_BUFFERS,
    WD_CAUSES,
    WD_NOW,
    WD_EVENTS,  # that wait in the queue
    WD_NEXT,  # number of the next event
    WD_STAGES,
    WD_STREAMS,
    WD_STATUS,
    WD_FINISHED,
    WD_WALK,  # next waiter of a decision that is being told
    WD_KHZ,
    WD_DECISION_PS,
    WD_SPECULATES,  # one bit per stream
    WD_PASSED,  # cycle in which the last results have passed the vector unit
    WD_BURST_BYTES,
    WD_CLOCK_PS,  # of the DRAM; 0 for an ideal memory
    WD_RATE,  # bytes per second of an ideal memory; 0 for no limit
    WD_LATENCY_PS,
    WD_BUS_FREE_PS,
    WD_LAST_DATA_PS,
    WD_READS,
    WD_WRITES,
    WD_PENDING,  # transfers that the memory has still to be told of
    WD_OUTSTANDING,
    WD_OFFER,  # number of the event of an offer, and whether it has been triggered
    WD_OFFERED,
    WD_FREE_TRANSFERS,
    WD_FREE_WAITER,
    WD_FREE_REQUEST,
    WD_PHASES,
    WD_CHANGES,
    WD_CHARGES,  # number of the next new cause
    WD_SYNCHRONISES,  # a stage that has ended waits for the memory to come to the present; its number and one
    WD_STOPS,  # whether to return whenever a stage has ended
    N_WORD,
) = range(64)

# Why the machine stops: there is nothing left to do, a stage has ended, a ring of offers or a table is full.
DONE, STAGE_ENDED, RINGS_FULL, TABLE_FULL = range(4)

# event: a heap by time and key, which is the number of the event, and above all numbers its priority
EV_TIME, EV_KEY, EV_KIND, EV_A, EV_B, N_EVENT = range(6)
URGENT, NORMAL = 0, 1 << 60

# kinds of events
(
    NOTHING,  # a process has ended, and nobody waits for that
    RESUME,  # a process (A) in its life (B)
    COMPLETE,  # a transfer (A)
    OFFER,  # number (A)
    DRAIN_BEGIN,  # of an output tile (A: stream and tile), whose results leave the array in a cycle (B)
    DRAIN,
    DECIDE_BEGIN,  # stage (A)
    DECIDE,
    DECIDED,
    FETCH_END,  # of tiles of a stage that does not run, for the process (A), which waits in its condition (B)
    CONDITION,  # of a process (A), number (B)
    INTERRUPT,  # process (A) in its life (B)
) = range(12)

TILE_BITS = 32
"""Bits of a tile's number in an event; its stream stands above."""

# Numbers of the processes.
PORT, LOADER, ROOM, COMPUTE, FETCH = range(5)
FETCH_CLOSED = FETCH + CODES
"""Fetching for stages that do not run: two places for each operand, one to be interrupted while the next begins."""
N_PROCESSES = FETCH_CLOSED + 2 * CODES

# process: what it remembers
(
    PR_AT,  # where it goes on
    PR_LIFE,  # events of an earlier life are nothing to it
    PR_ALIVE,
    PR_STAGE,
    PR_STREAM,
    PR_TILE,
    PR_STEP,
    PR_INDEX,
    PR_GRANTED,  # room that it has been given since it asked
    PR_CYCLE,
    PR_START,
    PR_CONDITION,  # number of the condition that it waits for last, and 0 nothing, 1 waits, 2 is triggered
    PR_CONDITION_STATE,
    PR_CLOSED,  # process that fetches for it for a stage that does not run
    PR_WAITS,  # whether it waits for an offer
    N_PROCESS,
) = range(16)

# stream: an operand of a stage while it runs
(
    SM_STAGE,
    SM_OPERAND,
    SM_TILE,  # place of its tiles in `arrived`
    SM_SET,  # place of its sets in `open_tiles`
    SM_NEXT,
    SM_AWAITED,  # tile that somebody waits for, -1 for none
    SM_WAITER,
    SM_HELD,
    SM_DROPPED,
    N_STREAM,
) = range(10)

# place: a stage of the run; PL_DECISION is 0 for none, 1 open, 2 triggered, 3 told
PL_STREAM, PL_LOAD, PL_DECISION, PL_HEAD, PL_TAIL, PL_END, PL_COMPUTE, PL_ORDER, N_PLACE = range(9)
NO_DECISION, OPEN, TRIGGERED, TOLD = range(4)

# counter: retired sets by stream, drains by stage, then loads that have ended, loads handed over, and ended stages
CN_VALUE, CN_FLAG, CN_HEAD, CN_TAIL, N_COUNTER = range(5)

# waiter: for a count, or for a decision; WT_CONDITION is the number of the condition that waits, or -1
WT_NEEDED, WT_PROCESS, WT_LIFE, WT_CONDITION, WT_NEXT, N_WAITER = range(6)

# buffer
BF_CAPACITY, BF_USED, BF_SERVING, BF_HEAD, BF_TAIL, BF_CHANGE, N_BUFFER = range(7)

# request: for room
RQ_STAGE, RQ_BITS, RQ_PROCESS, RQ_LIFE, RQ_NEXT, N_REQUEST = range(6)

# transfer
(
    TR_STREAM,
    TR_TILE,
    TR_DRAINS,
    TR_BEGIN_PS,
    TR_BURSTS,
    TR_CODE,
    TR_RUN,
    TR_RUN_END,
    TR_FREE,  # list of those that are free
    TR_PENDING,  # list of those that the memory has still to be told of
    N_TRANSFER,
) = range(11)

# phase, as `trace.Trace` notes it
PH_COMPONENT, PH_STAGE, PH_STEP, PH_BEGIN_PS, PH_END_PS, PH_BURSTS, N_PHASE = range(7)

# change of what a buffer holds
CG_BUFFER, CG_TIME_PS, CG_BITS, N_CHANGE = range(4)

# What the channels of a DRAM had done when a stage ended.
SN_TIME_PS, SN_HITS, SN_MISSES, SN_CONFLICTS, SN_FORWARDED, SN_MERGED, SN_ACTS, N_SNAPSHOT = range(8)
RANK_STATES = 8
"""Columns of a rank, from the first on, that a snapshot keeps; behind them it keeps the counts of commands."""


class MemoryArrays(NamedTuple):
    """The arrays of a DRAM, as `hardware.dram.layout` has them."""

    config: Words
    rules: Words
    points: Words
    decoder: Words
    channel: Words
    rank: Words
    bank: Words
    entry: Words
    ready: Words
    waiting: Words
    offers: Words
    ring: Words
    transfer: Words
    stats: Words
    log: Words
