"""Kernels that issue a DRAM command: the constraints it starts and the state it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.bank_queues import note_waiting, sort_queues, take_out, unlink
from accelsim.hardware.dram.counts import count_latency, count_outcome, log_command, widen_bins
from accelsim.hardware.dram.rank_states import begin_active, change_rank, close_bank, precharge_all
from accelsim.hardware.dram.transfers import finish_part
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def start_constraints(
    config: Words,
    rules: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    ready: Words,
    cycle: int,
    command: int,
    c: int,
    r: int,
    b: int,
    point: int,
) -> None:
    """Raise the ready times that a command at `cycle` implies; bank `b` is -1 for commands to a whole rank."""
    base = lo.CF_FIRST + 4 * command
    for i in range(config[base], config[base + 1]):
        at = lo.CH_READY + rules[i, lo.R_FOLLOWING]
        channel[c, at] = max(channel[c, at], cycle + rules[i, lo.R_LATENCY + point])
    for i in range(config[base + 1], config[base + 2]):
        at = lo.RK_READY + rules[i, lo.R_FOLLOWING]
        time = cycle + rules[i, lo.R_LATENCY + point]
        if rules[i, lo.R_SIBLING]:
            for other in range(c * config[lo.CF_RANKS], (c + 1) * config[lo.CF_RANKS]):
                if other != r:
                    rank[other, at] = max(rank[other, at], time)
            continue
        window = rules[i, lo.R_WINDOW]
        if window > 1:
            slot = rules[i, lo.R_SLOT]
            newest = rank[r, lo.RK_HISTORY_AT + slot] + 1
            first = lo.RK_HISTORY + lo.WINDOW_SLOTS * slot
            rank[r, first + newest % lo.WINDOW_SLOTS] = cycle
            rank[r, lo.RK_HISTORY_AT + slot] = newest
            if newest < window:
                continue
            time += rank[r, first + (newest - window + 1) % lo.WINDOW_SLOTS] - cycle
        rank[r, at] = max(rank[r, at], time)
    if b < 0:
        return
    inside = config[lo.CF_GROUP_BANKS]
    first = bank[b, lo.BK_GROUP] * inside
    for i in range(config[base + 2], config[base + 3]):
        time = cycle + rules[i, lo.R_LATENCY + point]
        follow = rules[i, lo.R_FOLLOWING]
        for other in range(first, first + inside):
            ready[follow, other] = max(ready[follow, other], time)
    for i in range(config[base + 3], config[base + 4]):
        follow = rules[i, lo.R_FOLLOWING]
        ready[follow, b] = max(ready[follow, b], cycle + rules[i, lo.R_LATENCY + point])


@lean_kernel
def open_row(
    config: Words, points: Words, channel: Words, rank: Words, bank: Words, entry: Words, cycle: int, c: int, e: int
) -> int:
    """Open the row of a queued request, which then has the bank for itself until it is served; return its point."""
    b = entry[e, lo.E_BANK]
    r = bank[b, lo.BK_RANK]
    row = entry[e, lo.E_ROW]
    at = bank[b, lo.BK_POINTS]
    if config[lo.CF_POINTS] > 1:
        while points[at + 1, lo.P_ROW] <= row and points[at + 1, lo.P_ROW] > 0:
            at += 1
    begin_active(rank, r, cycle)
    rank[r, lo.RK_OPEN] += 1
    bank[b, lo.BK_ROW] = row
    bank[b, lo.BK_POINT] = points[at, lo.P_POINT]
    bank[b, lo.BK_OPENED] = cycle
    bank[b, lo.BK_OPENER] = e
    bank[b, lo.BK_ROW_HITS] = 0
    bank[b, lo.BK_ACTS] += 1
    unlink(config, channel, bank, entry, c, e)
    sort_queues(bank, entry, b, row)
    place = channel[c, lo.CH_OPENED]
    bank[c * config[lo.CF_RANKS] * config[lo.CF_BANKS] + place, lo.BK_LIST_OPENED] = b
    bank[b, lo.BK_PLACE] = place
    channel[c, lo.CH_OPENED] = place + 1
    return int(points[at, lo.P_POINT])


@lean_kernel
def serve(
    config: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    transfer: Words,
    stats: Words,
    cycle: int,
    c: int,
    e: int,
) -> int:
    """Read or write; return the command, with auto-precharge under the closed-page policy when nobody wants the row."""
    b = entry[e, lo.E_BANK]
    r = bank[b, lo.BK_RANK]
    is_write = entry[e, lo.E_WRITE]
    take_out(config, channel, bank, entry, c, e)
    bank[b, lo.BK_ROW_HITS] += 1
    command = lo.WR if is_write else lo.RD
    if config[lo.CF_CLOSED]:
        wanted = max(bank[b, lo.BK_QUEUE + lo.Q_HIT], bank[b, lo.BK_QUEUE + lo.N_QUEUE + lo.Q_HIT])
        if max(wanted, bank[b, lo.BK_OPENER]) < 0:
            command = lo.WRA if is_write else lo.RDA
            wait = config[lo.CF_READ_TO_PRECHARGE + is_write]
            restored = bank[b, lo.BK_OPENED] + config[lo.CF_ROW_ACTIVE + bank[b, lo.BK_POINT]]
            close_bank(rank, bank, r, b, max(cycle + wait, restored))
    end = cycle + config[lo.CF_READ_LATENCY + is_write]
    channel[c, lo.CH_LAST_DATA] = max(channel[c, lo.CH_LAST_DATA], end)
    widen_bins(stats, cycle)
    stats[lo.G_TRAFFIC + is_write * lo.TRAFFIC_BINS + (cycle >> stats[lo.G_BIN_BITS])] += 1
    if not is_write:
        count_latency(channel, stats, c, end - entry[e, lo.E_ARRIVE])
        transfer[entry[e, lo.E_TRANSFER], lo.T_QUEUED] -= 1
        finish_part(transfer, stats, entry[e, lo.E_TRANSFER], end, cycle * config[lo.CF_CHANNELS] + c)
    rank[r, lo.RK_WAITING] -= 1
    free = channel[c, lo.CH_FREE]
    entry[c * config[lo.CF_ENTRIES] + free, lo.E_LIST_FREE] = e
    channel[c, lo.CH_FREE] = free + 1
    return command


@lean_kernel
def issue(
    config: Words,
    rules: Words,
    points: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    waiting: Words,
    transfer: Words,
    stats: Words,
    log: Words,
    cycle: int,
    c: int,
) -> None:
    """Issue the command that won in a channel."""
    command = channel[c, lo.CH_CAND_COMMAND]
    e = channel[c, lo.CH_CAND_ENTRY]
    b = channel[c, lo.CH_CAND_UNIT]
    point = 0
    row = -1
    first = b  # of the banks whose state changes
    last = b
    if command == lo.PREA or command == lo.REF or command >= lo.PDE:
        r = b
        b = -1
        first = r * config[lo.CF_BANKS]
        last = first - 1
        if command == lo.PREA:
            last = first + config[lo.CF_BANKS] - 1
            point = precharge_all(config, rank, bank, cycle, r)
        else:
            change_rank(config, channel, rank, cycle, c, r, command)
    else:
        r = bank[b, lo.BK_RANK]
        if e >= 0:
            channel[c, lo.CH_BANK_TURN] = b + 1 - c * config[lo.CF_RANKS] * config[lo.CF_BANKS]
            count_outcome(channel, bank, entry, c, b, e, command)
        if command == lo.REFB:
            change_rank(config, channel, rank, cycle, c, r, command)
        elif command == lo.ACT:
            point = open_row(config, points, channel, rank, bank, entry, cycle, c, e)
            row = bank[b, lo.BK_ROW]
        else:
            point = bank[b, lo.BK_POINT]
            row = bank[b, lo.BK_ROW]
            if command == lo.PRE:
                close_bank(rank, bank, r, b, cycle)
            else:
                command = serve(config, channel, rank, bank, entry, transfer, stats, cycle, c, e)
    for changed in range(2 * first, 2 * last + 2):
        note_waiting(bank, entry, waiting, changed >> 1, changed & 1)
    start_constraints(config, rules, channel, rank, bank, ready, cycle, command, c, r, b, point)
    rank[r, lo.RK_COUNTS + lo.N_COMMANDS * point + command] += 1
    rank[r, lo.RK_LAST] = cycle
    log_command(config, stats, log, cycle, command, c, r, b, row)
