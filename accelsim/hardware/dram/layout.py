"""Layout of the tables and of the state that the DRAM kernels work on: plain int64 arrays and the names of their columns.

Channels, ranks, bank groups and banks are numbered through over the whole memory: rank ``c * ranks + r``, bank
``(c * ranks + r) * banks_per_rank + bank_group * banks_per_group + bank``.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.int64]

NEVER = 1 << 62
"""A cycle that never comes."""

# Commands, in the order of constraints.COMMANDS.
ACT, PRE, PREA, RD, WR, RDA, WRA, REF, REFB, PDE, PDX = range(11)
N_COMMANDS = 11

# Columns of Tables.config.
(
    CF_CHANNELS,
    CF_RANKS,
    CF_GROUPS,
    CF_BANKS,  # banks per rank
    CF_GROUP_BANKS,  # banks per group
    CF_READ_SIZE,
    CF_WRITE_SIZE,
    CF_WRITE_HIGH,  # drain when more writes than this wait
    CF_WRITE_LOW,  # stop when fewer than this wait
    CF_READ_LATENCY,  # command to last beat
    CF_WRITE_LATENCY,
    CF_CLOSED,  # closed page
    CF_PER_BANK,  # refresh per bank
    CF_POWER_DOWN,  # idle cycles before power-down; 0 never
    CF_LOG,  # write the command log
    CF_OPS,  # number of operating points
    CF_STREAMS,
    CF_ROUND_ROBIN,  # banks take turns
    CF_HIT_LIMIT,
    CF_ENTRIES,  # request entries per channel
    CF_OFFSET_BITS,  # bits of the offset within a burst
    CF_READ_TO_PRECHARGE,
    CF_WRITE_TO_PRECHARGE,
    CF_REFRESH_CYCLES,
    CF_BANK_REFRESH_CYCLES,
    N_CONFIG,
) = range(26)

# Columns of State.channel.
(
    CH_NEXT,  # next cycle in which something can happen
    CH_WRITE_MODE,
    CH_READS,  # entries in the read queue
    CH_WRITES,
    CH_ACTIVE,  # requests whose row has been opened for them
    CH_FREE,  # free entries
    CH_TURN,  # stream to be asked first
    CH_LAST_DATA,  # end of the last data beat
    CH_LAST_ACCEPT,
    CH_OFFERED,  # requests not yet accepted
    CH_CAND_TIME,
    CH_CAND_KIND,
    CH_CAND_COMMAND,
    CH_CAND_ENTRY,
    CH_CAND_UNIT,  # bank or rank
    CH_DIRTY,
    CH_REFRESH_AT,  # earliest next refresh of any rank
    CH_REFRESH_WAITS,  # refreshes asked for and not yet done
    CH_HITS,
    CH_MISSES,
    CH_CONFLICTS,
    CH_ACCEPTED_READS,
    CH_ACCEPTED_WRITES,
    CH_FORWARDED,
    CH_MERGED,
    CH_LATENCY_SUM,
    CH_LATENCY_COUNT,
    CH_LATENCY_MAX,
    CH_BANK_TURN,
    CH_PENDING,  # banks with queued reads; the next column: with queued writes
    CH_PENDING_WRITES,
    N_CHANNEL,
) = range(32)

# Columns of State.rank.
(
    RK_OPEN,  # open banks
    RK_ACTIVE_FROM,  # since when the rank is active (some bank open, or refreshing)
    RK_ACTIVE_TO,  # until when, once all banks are closed
    RK_ACTIVE_SUM,  # active cycles that are over
    RK_DOWN,  # 0 up, 1 precharge power-down, 2 active power-down
    RK_DOWN_FROM,
    RK_DOWN_SUM,  # cycles in precharge power-down
    RK_ACTIVE_DOWN_SUM,
    RK_REFRESH_AT,
    RK_REFRESH_WAITS,
    RK_REFRESH_BANK,  # bank whose turn it is
    RK_WAITING,  # requests for this rank in the queues or opened
    RK_LAST,  # cycle of the last command
    N_RANK,
) = range(14)

# Columns of State.bank.
(
    BK_ROW,  # open row, -1 when closed
    BK_ACTIVE,  # entry that the row was opened for, -1 when served
    BK_POINT,  # operating point of the open row
    BK_OPENED,  # cycle of the last ACT
    BK_PLACE,  # position in the list of banks with an opened request
    BK_ACTS,
    BK_HITS,
    BK_MISSES,
    BK_CONFLICTS,
    BK_ROW_HITS,  # column accesses since the row was opened
    N_BANK,
) = range(11)

# Columns of State.queue: one row per (bank, queue), read queue first.
# Q_HIT is the oldest request for the open row, Q_OTHER the oldest for another row, Q_PLACE the place in State.pending.
Q_HEAD, Q_TAIL, Q_HIT, Q_OTHER, Q_PLACE, N_QUEUE = range(6)

# Columns of State.entry.
E_ARRIVE, E_BURST, E_BANK, E_ROW, E_TRANSFER, E_WRITE, E_NEXT, E_PREV, E_COUNTED, N_ENTRY = range(10)

# Columns of an offered request.
O_BURST, O_BANK, O_ROW, O_TRANSFER, O_EARLIEST, N_OFFER = range(6)

# Columns of State.transfer.
T_REMAINING, T_DONE, N_TRANSFER = range(3)

# State.common.
G_DONE, G_LOGGED, G_BIN_CYCLES, N_COMMON = range(4)

# Columns of the command log.
L_CYCLE, L_COMMAND, L_CHANNEL, L_RANK, L_BANK, L_ROW, N_LOG = range(7)

LATENCY_BINS = 1 << 16
TRAFFIC_BINS = 1 << 10
FILTER_SLOTS = 256
WINDOW_SLOTS = 8

# What the kernel returns.
REACHED, COMPLETED, LOG_FULL, DRAINED = range(4)


class Tables(NamedTuple):
    """What stays the same during a run.

    Parameters
    ----------
    config
        ``(N_CONFIG,)``.
    first
        ``(N_COMMANDS * 4 + 1,)``: first constraint of a command at a level.
    following, window, sibling, slot
        ``(constraints,)``: following command, window, 1 for siblings, row of the history or -1.
    latency
        ``(constraints, operating points)`` in cycles.
    bank_rank, bank_group
        ``(banks,)``: rank and bank group of each bank.
    refresh_cycles
        ``(ranks,)``: cycles between refreshes.
    row_active
        ``(operating points,)``: tRAS in cycles.
    point_first, point_row, point
        Operating points by row: those of bank `b` are ``point[point_first[b]:point_first[b + 1]]``, each from its row on.
    slices, xors
        The address map.
    """

    config: Words
    first: Words
    following: Words
    window: Words
    sibling: Words
    slot: Words
    latency: Words
    bank_rank: Words
    bank_group: Words
    refresh_cycles: Words
    row_active: Words
    point_first: Words
    point_row: Words
    point: Words
    slices: Words
    xors: Words


class State(NamedTuple):
    """What changes; every array is int64 and is changed in place.

    Parameters
    ----------
    channel, rank, bank, queue, entry, transfer, common
        Rows as the columns above name them.
    free
        ``(channels, entries)``: stack of free entries.
    pending
        ``(channels * 2, banks of a channel)``: banks with requests in the read or write queue.
    opened
        ``(channels, banks of a channel)``: banks with an opened request.
    ready_channel, ready_rank, ready_group, ready_bank
        ``(nodes, N_COMMANDS)``: first cycle at which the constraints of that level allow a command.
    history, history_at
        ``(ranks, slots, WINDOW_SLOTS)`` and ``(ranks, slots)``: cycles of the last commands under a windowed constraint.
    write_filter
        ``(channels, FILTER_SLOTS)``: queued writes by a hash of their address; 0 means that none is queued.
    offers, offer_first, offer_count
        ``(channels * streams, capacity, N_OFFER)``: rings of requests not yet accepted.
    counts
        ``(ranks, operating points, N_COMMANDS)``: commands issued.
    latencies
        ``(LATENCY_BINS,)``: reads by their latency in cycles; the last bin holds all longer ones.
    traffic
        ``(2, TRAFFIC_BINS)``: read and write bursts per time bin.
    done
        ``(transfers,)``: slots of transfers found complete.
    log
        ``(capacity, N_LOG)``: issued commands.
    """

    channel: Words
    rank: Words
    bank: Words
    queue: Words
    entry: Words
    transfer: Words
    common: Words
    free: Words
    pending: Words
    opened: Words
    ready_channel: Words
    ready_rank: Words
    ready_group: Words
    ready_bank: Words
    history: Words
    history_at: Words
    write_filter: Words
    offers: Words
    offer_first: Words
    offer_count: Words
    counts: Words
    latencies: Words
    traffic: Words
    done: Words
    log: Words
