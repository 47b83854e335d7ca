"""Layout of the arrays that the DRAM kernels work on: plain int64 arrays and the names of their columns.

Channels, ranks, bank groups and banks are numbered through over the whole memory: rank ``channel * ranks + rank``, bank
``rank * banks_per_rank + bank_group * banks_per_group + bank``. Lists (the banks with requests in a queue, the banks
with an opened request, the free entries) lie in columns of the rows of their channel: place `k` is row ``k`` of the
channel's banks or entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.int64]

NEVER = 1 << 62
"""A cycle that never comes."""

# Commands, in the order of constraints.COMMANDS.
ACT, PRE, PREA, RD, WR, RDA, WRA, REF, REFB, PDE, PDX = range(11)
N_COMMANDS = 11

LATENCY_BINS = 1 << 16
TRAFFIC_BINS = 1 << 10
FILTER_SLOTS = 256
ARRIVAL_SLOTS = 1024
WINDOW_SLOTS = 8
MAX_WINDOWS = 2
"""Windowed constraints that a standard may have."""

# Why the kernel returns.
REACHED, LOG_FULL, DRAINED = range(3)

# config: N_CONFIG values, then two per operating point
(
    CF_CHANNELS,
    CF_RANKS,  # per channel
    CF_BANKS,  # per rank
    CF_GROUP_BANKS,  # per bank group
    CF_STREAMS,  # rings per channel
    CF_ENTRIES,  # request entries per channel
    CF_READ_SIZE,
    CF_WRITE_SIZE,
    CF_WRITE_HIGH,  # drain when more writes than this wait
    CF_WRITE_LOW,  # stop when fewer than this wait
    CF_READ_LATENCY,  # command to last beat
    CF_WRITE_LATENCY,
    CF_CLOSED,  # closed page
    CF_PER_BANK,  # refresh per bank
    CF_POWER_DOWN,  # idle cycles before power-down; 0 never
    CF_ROUND_ROBIN,  # banks take turns
    CF_HIT_LIMIT,
    CF_LOG,  # write the command log
    CF_POINTS,  # number of operating points
    CF_OFFSET_BITS,  # bits of the offset within a burst
    CF_READ_TO_PRECHARGE,
    CF_WRITE_TO_PRECHARGE,
    CF_REFRESH_CYCLES,
    CF_BANK_REFRESH_CYCLES,
    CF_BANK_BITS,  # of a bank's number, in what the decoder makes of an address
    CF_CHANNEL_SHIFT,  # bits of it that number the banks of a channel
    CF_FIRST,  # first rule of a command at a level: CF_FIRST + 4 * command + level, one more at the end
) = range(27)
CF_ROW_ACTIVE = CF_FIRST + 4 * N_COMMANDS + 1
"""tRAS of each operating point from here on, and behind them the tRP of a precharge of all banks at each point."""
N_CONFIG = CF_ROW_ACTIVE

# rules: one row per constraint; the latency of each operating point from R_LATENCY on
R_FOLLOWING, R_WINDOW, R_SIBLING, R_SLOT, R_LATENCY = range(5)

# points: one row per run of rows of a bank; BK_POINTS is the first one of a bank
P_ROW, P_POINT, N_POINT = range(3)

# address map: one row per run of bits or XOR
F_FIELD, F_WIDTH, F_SHIFT, F_XOR, N_FIELD = range(5)

DECODER_BITS = 8
"""Bits of an address that a table of the decoder takes."""

# channel
(
    CH_NEXT,  # next cycle in which something can happen
    CH_WRITE_MODE,
    CH_READS,  # entries in the read queue, and in the column behind in the write queue
    CH_WRITES,
    CH_OPENED,  # requests whose row has been opened for them
    CH_FREE,  # free entries
    CH_PENDING,  # banks with queued reads, and in the column behind with queued writes
    CH_PENDING_WRITES,
    CH_TURN,  # stream to be asked first
    CH_BANK_TURN,  # bank to be asked first
    CH_OFFERED,  # requests not yet accepted
    CH_CAND_TIME,  # the command that wins next
    CH_CAND_COMMAND,
    CH_CAND_ENTRY,
    CH_CAND_UNIT,  # its bank or rank
    CH_REFRESH_AT,  # earliest next refresh of any rank
    CH_REFRESH_WAITS,  # refreshes asked for and not yet done
    CH_LAST_DATA,  # end of the last data beat
    CH_LAST_ACCEPT,
    CH_HITS,
    CH_MISSES,
    CH_CONFLICTS,
    CH_ACCEPTED,  # reads accepted, and in the column behind writes
    CH_ACCEPTED_WRITES,
    CH_FORWARDED,
    CH_MERGED,
    CH_LATENCY_SUM,
    CH_LATENCY_COUNT,
    CH_LATENCY_MAX,
    CH_READY,  # first cycle at which the channel's constraints allow each command
) = range(30)
CH_FILTER = CH_READY + N_COMMANDS
"""Queued writes by a hash of their address: 0 means that none is queued."""
CH_BY_ARRIVAL = CH_FILTER + FILTER_SLOTS
"""Entries by the low bits of their arrival; a later arrival takes an older one's place."""
N_CHANNEL = CH_BY_ARRIVAL + ARRIVAL_SLOTS

# rank
(
    RK_OPEN,  # open banks
    RK_ACTIVE_FROM,  # since when the rank is active (some bank open, or refreshing)
    RK_ACTIVE_TO,  # until when, once all banks are closed
    RK_ACTIVE_SUM,  # active cycles that are over
    RK_DOWN,  # 0 up, 1 precharge power-down, 2 active power-down
    RK_DOWN_FROM,
    RK_DOWN_SUM,  # cycles in precharge power-down
    RK_ACTIVE_DOWN_SUM,
    RK_REFRESH_EVERY,
    RK_REFRESH_AT,
    RK_REFRESH_WAITS,
    RK_REFRESH_BANK,  # bank whose turn it is
    RK_WAITING,  # requests for this rank, queued or opened
    RK_LAST,  # cycle of the last command
    RK_READY,  # first cycle at which the rank's constraints allow each command
) = range(15)
RK_HISTORY_AT = RK_READY + N_COMMANDS
RK_HISTORY = RK_HISTORY_AT + MAX_WINDOWS
"""Cycles of the last commands under each windowed constraint."""
RK_COUNTS = RK_HISTORY + MAX_WINDOWS * WINDOW_SLOTS
"""Commands issued: RK_COUNTS + N_COMMANDS * operating point + command."""
N_RANK = RK_COUNTS

# bank
(
    BK_RANK,
    BK_GROUP,
    BK_POINTS,  # its first row of points
    BK_ROW,  # open row, -1 when closed
    BK_OPENER,  # entry that the row was opened for, -1 when served
    BK_POINT,  # operating point of the open row
    BK_OPENED,  # cycle of the last ACT
    BK_PLACE,  # its place in the list of opened requests
    BK_ACTS,
    BK_HITS,
    BK_MISSES,
    BK_CONFLICTS,
    BK_ROW_HITS,  # column accesses since the row was opened
    BK_LIST_OPENED,
    BK_LIST,  # list of the banks with queued reads, and in the column behind with queued writes
    BK_LIST_WRITES,
    BK_QUEUE,
) = range(17)
"""A bank's part of the read queue: BK_QUEUE + Q_x, and of the write queue: BK_QUEUE + N_QUEUE + Q_x."""
Q_HEAD, Q_TAIL, Q_HIT, Q_OTHER, Q_PLACE, N_QUEUE = range(6)
# Q_HIT: the oldest request for the open row; Q_OTHER: the oldest for another row; Q_PLACE: place in BK_LIST.
N_BANK = BK_QUEUE + 2 * N_QUEUE

# waiting, N_WAITING by banks: arrival of the request that wants a bank's next command, NEVER for none; reads first
W_ACTIVATE, W_ACCESS, W_PRECHARGE, N_KINDS = range(4)
N_WAITING = 2 * N_KINDS

# ready, N_COMMANDS by banks: first cycle at which the constraints of bank and bank group allow a command

# A request in a queue or opened.
E_ARRIVE, E_BURST, E_BANK, E_ROW, E_TRANSFER, E_WRITE, E_NEXT, E_PREV, E_COUNTED, E_LIST_FREE, N_ENTRY = range(11)

# Requests not yet accepted, in one ring per channel and stream, and where each ring begins and how many it holds.
O_BURST, O_BANK, O_ROW, O_TRANSFER, O_EARLIEST, N_OFFER = range(6)
RG_FIRST, RG_COUNT, N_RING = range(3)

# State of a transfer, one row each: a cache line.
(
    T_REMAINING,  # bursts not done
    T_QUEUED,  # reads accepted and not yet served
    T_WRITES,  # whether some of its bursts are written
    T_END,  # when the bursts that are done were done
    T_FOUND,  # when the last of them was found done, and by which channel: cycle * channels + channel
    T_PLACE,  # its place in the list of open transfers
    T_LIST_OPEN,
    T_LIST_DONE,
    N_TRANSFER,
) = range(9)

# Counters and histograms of the whole memory.
G_DONE, G_OPEN, G_OPEN_WRITES, G_LOGGED, G_BIN_BITS, G_LATENCIES = range(6)
# A time bin has 2 ** G_BIN_BITS cycles.
G_TRAFFIC = G_LATENCIES + LATENCY_BINS
"""Read bursts by time bin, then write bursts."""
N_STATS = G_TRAFFIC + 2 * TRAFFIC_BINS

# The command log, one row each.
L_CYCLE, L_COMMAND, L_CHANNEL, L_RANK, L_BANK, L_ROW, N_LOG = range(7)


STATE = (
    "config", "channel", "rank", "bank", "entry", "ready", "waiting", "offers", "ring", "transfer", "stats", "log",
)  # fmt: skip
"""Arrays of a memory that change while it runs."""


@dataclass
class Memory:
    """All arrays of a memory: what stays (config, rules, points, decoder) and the state, changed in place.

    Parameters
    ----------
    config, rules, points, decoder
        Sizes and policies, timing constraints, operating points by row, what each part of an address selects.
    channel, rank, bank, entry
        The hierarchy and the requests in it.
    ready, waiting
        By bank, the first cycle at which each command is allowed, and the oldest request for it.
    offers, ring, transfer
        Requests not yet accepted, in a ring per channel and stream, and the transfers that they belong to.
    stats, log
        Histograms and the issued commands.
    """

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
