"""Kernels that issue a DRAM command: the constraints it starts, the state it changes, what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.transfers import finish_part
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def filter_slot(burst: int) -> int:
    """Column of a burst in the channel's filter of queued writes."""
    return lo.CH_FILTER + ((burst ^ (burst >> 8) ^ (burst >> 17)) & (lo.FILTER_SLOTS - 1))


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
def note_waiting(bank: Words, entry: Words, waiting: Words, b: int, is_write: int) -> None:
    """Note which requests of a queue want the next command of a bank."""
    queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
    kind = lo.N_KINDS * is_write
    activate = access = precharge = lo.NEVER
    head = bank[b, queue + lo.Q_HEAD]
    if head >= 0:
        if bank[b, lo.BK_ROW] < 0:
            activate = entry[head, lo.E_ARRIVE]
        else:
            hit = bank[b, queue + lo.Q_HIT]
            other = bank[b, queue + lo.Q_OTHER]
            if hit >= 0:
                access = entry[hit, lo.E_ARRIVE]
            if other >= 0 and bank[b, lo.BK_OPENER] < 0:
                precharge = entry[other, lo.E_ARRIVE]
    waiting[kind + lo.W_ACTIVATE, b] = activate
    waiting[kind + lo.W_ACCESS, b] = access
    waiting[kind + lo.W_PRECHARGE, b] = precharge


@lean_kernel
def log_command(
    config: Words, stats: Words, log: Words, cycle: int, command: int, c: int, r: int, b: int, row: int
) -> None:
    """Append to the command log, if one is kept; ranks are logged within their channel, banks within their rank."""
    if config[lo.CF_LOG]:
        at = stats[lo.G_LOGGED]
        log[at, lo.L_CYCLE] = cycle
        log[at, lo.L_COMMAND] = command
        log[at, lo.L_CHANNEL] = c
        log[at, lo.L_RANK] = r - c * config[lo.CF_RANKS]
        log[at, lo.L_BANK] = b - r * config[lo.CF_BANKS] if b >= 0 else -1
        log[at, lo.L_ROW] = row
        stats[lo.G_LOGGED] = at + 1


@lean_kernel
def widen_bins(stats: Words, cycle: int) -> None:
    """Join the time bins in pairs until `cycle` lies in one of them."""
    while cycle >> stats[lo.G_BIN_BITS] >= lo.TRAFFIC_BINS:
        for side in range(2):
            first = lo.G_TRAFFIC + side * lo.TRAFFIC_BINS
            for i in range(lo.TRAFFIC_BINS // 2):
                stats[first + i] = stats[first + 2 * i] + stats[first + 2 * i + 1]
            for i in range(lo.TRAFFIC_BINS // 2, lo.TRAFFIC_BINS):
                stats[first + i] = 0
        stats[lo.G_BIN_BITS] += 1


@lean_kernel
def count_latency(channel: Words, stats: Words, c: int, latency: int) -> None:
    """Add a read to the latency statistics."""
    stats[lo.G_LATENCIES + min(latency, lo.LATENCY_BINS - 1)] += 1
    channel[c, lo.CH_LATENCY_SUM] += latency
    channel[c, lo.CH_LATENCY_COUNT] += 1
    channel[c, lo.CH_LATENCY_MAX] = max(channel[c, lo.CH_LATENCY_MAX], latency)


@lean_kernel
def unlink(config: Words, channel: Words, bank: Words, entry: Words, c: int, e: int) -> None:
    """Take an entry out of its queue."""
    is_write = entry[e, lo.E_WRITE]
    b = entry[e, lo.E_BANK]
    queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
    before = entry[e, lo.E_PREV]
    after = entry[e, lo.E_NEXT]
    if before >= 0:
        entry[before, lo.E_NEXT] = after
    else:
        bank[b, queue + lo.Q_HEAD] = after
    if after >= 0:
        entry[after, lo.E_PREV] = before
    else:
        bank[b, queue + lo.Q_TAIL] = before
    channel[c, lo.CH_READS + is_write] -= 1
    if is_write:
        channel[c, filter_slot(entry[e, lo.E_BURST])] -= 1
    if before < 0 and after < 0:
        first = c * config[lo.CF_RANKS] * config[lo.CF_BANKS]
        last = channel[c, lo.CH_PENDING + is_write] - 1
        place = bank[b, queue + lo.Q_PLACE]
        moved = bank[first + last, lo.BK_LIST + is_write]
        bank[first + place, lo.BK_LIST + is_write] = moved
        bank[moved, queue + lo.Q_PLACE] = place
        channel[c, lo.CH_PENDING + is_write] = last


@lean_kernel
def sort_queues(bank: Words, entry: Words, b: int, row: int) -> None:
    """After a row was opened: find the oldest request for it and the oldest for another row, in both queues."""
    for is_write in range(2):
        queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
        hit = -1
        other = -1
        e = bank[b, queue + lo.Q_HEAD]
        while e >= 0 and (hit < 0 or other < 0):
            if entry[e, lo.E_ROW] == row:
                if hit < 0:
                    hit = e
            elif other < 0:
                other = e
            e = entry[e, lo.E_NEXT]
        bank[b, queue + lo.Q_HIT] = hit
        bank[b, queue + lo.Q_OTHER] = other


@lean_kernel
def close_bank(rank: Words, bank: Words, r: int, b: int, cycle: int) -> None:
    """A bank is precharged; the rank stays active until `cycle` at least."""
    bank[b, lo.BK_ROW] = -1
    rank[r, lo.RK_OPEN] -= 1
    rank[r, lo.RK_ACTIVE_TO] = max(rank[r, lo.RK_ACTIVE_TO], cycle)


@lean_kernel
def begin_active(rank: Words, r: int, cycle: int) -> None:
    """The rank becomes active at `cycle`, or stays so."""
    if rank[r, lo.RK_OPEN] == 0 and cycle > rank[r, lo.RK_ACTIVE_TO]:
        rank[r, lo.RK_ACTIVE_SUM] += rank[r, lo.RK_ACTIVE_TO] - rank[r, lo.RK_ACTIVE_FROM]
        rank[r, lo.RK_ACTIVE_FROM] = cycle
        rank[r, lo.RK_ACTIVE_TO] = cycle


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
def take_out(config: Words, channel: Words, bank: Words, entry: Words, c: int, e: int) -> None:
    """Take a request that is being served out of its queue or out of the list of opened ones."""
    b = entry[e, lo.E_BANK]
    if bank[b, lo.BK_OPENER] == e:
        first = c * config[lo.CF_RANKS] * config[lo.CF_BANKS]
        bank[b, lo.BK_OPENER] = -1
        last = channel[c, lo.CH_OPENED] - 1
        moved = bank[first + last, lo.BK_LIST_OPENED]
        place = bank[b, lo.BK_PLACE]
        bank[first + place, lo.BK_LIST_OPENED] = moved
        bank[moved, lo.BK_PLACE] = place
        channel[c, lo.CH_OPENED] = last
    else:
        following = entry[e, lo.E_NEXT]
        while following >= 0 and entry[following, lo.E_ROW] != entry[e, lo.E_ROW]:
            following = entry[following, lo.E_NEXT]
        bank[b, lo.BK_QUEUE + lo.N_QUEUE * entry[e, lo.E_WRITE] + lo.Q_HIT] = following
        unlink(config, channel, bank, entry, c, e)


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
def change_rank(config: Words, channel: Words, rank: Words, cycle: int, c: int, r: int, command: int) -> None:
    """State of a rank after a refresh, or when it enters or leaves power-down."""
    if command == lo.REF or command == lo.REFB:
        begin_active(rank, r, cycle)
        until = cycle + config[lo.CF_REFRESH_CYCLES + command - lo.REF]
        rank[r, lo.RK_ACTIVE_TO] = max(rank[r, lo.RK_ACTIVE_TO], until)
        rank[r, lo.RK_REFRESH_WAITS] -= 1
        channel[c, lo.CH_REFRESH_WAITS] -= 1
        if command == lo.REFB:
            rank[r, lo.RK_REFRESH_BANK] = (rank[r, lo.RK_REFRESH_BANK] + 1) % config[lo.CF_BANKS]
    elif command == lo.PDE:
        rank[r, lo.RK_DOWN] = 2 if rank[r, lo.RK_OPEN] > 0 else 1
        rank[r, lo.RK_DOWN_FROM] = cycle
    else:
        total = lo.RK_ACTIVE_DOWN_SUM if rank[r, lo.RK_DOWN] == 2 else lo.RK_DOWN_SUM
        rank[r, total] += cycle - rank[r, lo.RK_DOWN_FROM]
        rank[r, lo.RK_DOWN] = 0


@lean_kernel
def precharge_all(config: Words, rank: Words, bank: Words, cycle: int, r: int) -> int:
    """Close all banks of a rank; return the operating point among the open rows that takes longest."""
    slowest = -1
    longest = -1
    for b in range(r * config[lo.CF_BANKS], (r + 1) * config[lo.CF_BANKS]):
        if bank[b, lo.BK_ROW] >= 0:
            close_bank(rank, bank, r, b, cycle)
            point = bank[b, lo.BK_POINT]
            if config[lo.CF_ROW_ACTIVE + config[lo.CF_POINTS] + point] > longest:
                longest = config[lo.CF_ROW_ACTIVE + config[lo.CF_POINTS] + point]
                slowest = point
    return int(slowest)


@lean_kernel
def count_outcome(channel: Words, bank: Words, entry: Words, c: int, b: int, e: int, command: int) -> None:
    """Count a request as hit, miss or conflict by its first command."""
    if entry[e, lo.E_COUNTED]:
        return
    entry[e, lo.E_COUNTED] = 1
    kind = 0
    if command == lo.ACT:
        kind = 1
    elif command == lo.PRE:
        kind = 2
    channel[c, lo.CH_HITS + kind] += 1
    bank[b, lo.BK_HITS + kind] += 1


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
