"""Kernels that issue a DRAM command: the constraints it starts, the state it changes, what is counted."""

from __future__ import annotations

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.layout import State, Tables
from accelsim.jit import kernel


@kernel
def filter_slot(burst: int) -> int:
    """Slot of a burst in the filter of queued writes."""
    return (burst ^ (burst >> 8) ^ (burst >> 17)) & (lo.FILTER_SLOTS - 1)


@kernel
def operating_point(tables: Tables, bank: int, row: int) -> int:
    """Operating point of a row."""
    if tables.config[lo.CF_OPS] == 1:
        return 0
    at = tables.point_first[bank]
    end = tables.point_first[bank + 1]
    while at + 1 < end and tables.point_row[at + 1] <= row:
        at += 1
    return tables.point[at]


@kernel
def start_constraints(
    tables: Tables, state: State, cycle: int, command: int, channel: int, rank: int, bank: int, point: int
) -> None:
    """Raise the ready times that a command at `cycle` implies; `bank` is -1 for commands to a whole rank."""
    base = command * 4
    for i in range(tables.first[base], tables.first[base + 1]):
        time = cycle + tables.latency[i, point]
        follow = tables.following[i]
        state.ready_channel[channel, follow] = max(state.ready_channel[channel, follow], time)
    for i in range(tables.first[base + 1], tables.first[base + 2]):
        follow = tables.following[i]
        time = cycle + tables.latency[i, point]
        if tables.sibling[i]:
            ranks = tables.config[lo.CF_RANKS]
            for other in range(channel * ranks, channel * ranks + ranks):
                if other != rank:
                    state.ready_rank[other, follow] = max(state.ready_rank[other, follow], time)
            continue
        slot = tables.slot[i]
        if slot >= 0:
            newest = state.history_at[rank, slot] + 1
            state.history[rank, slot, newest % lo.WINDOW_SLOTS] = cycle
            state.history_at[rank, slot] = newest
            if newest < tables.window[i]:
                continue
            time += state.history[rank, slot, (newest - tables.window[i] + 1) % lo.WINDOW_SLOTS] - cycle
        state.ready_rank[rank, follow] = max(state.ready_rank[rank, follow], time)
    if bank < 0:
        return
    group = tables.bank_group[bank]
    for i in range(tables.first[base + 2], tables.first[base + 3]):
        time = cycle + tables.latency[i, point]
        follow = tables.following[i]
        state.ready_group[group, follow] = max(state.ready_group[group, follow], time)
    for i in range(tables.first[base + 3], tables.first[base + 4]):
        time = cycle + tables.latency[i, point]
        follow = tables.following[i]
        state.ready_bank[bank, follow] = max(state.ready_bank[bank, follow], time)


@kernel
def log_command(
    tables: Tables, state: State, cycle: int, command: int, channel: int, rank: int, bank: int, row: int
) -> None:
    """Append to the command log, if one is kept; banks are logged within their rank."""
    if tables.config[lo.CF_LOG]:
        at = state.common[lo.G_LOGGED]
        state.log[at, lo.L_CYCLE] = cycle
        state.log[at, lo.L_COMMAND] = command
        state.log[at, lo.L_CHANNEL] = channel
        state.log[at, lo.L_RANK] = rank - channel * tables.config[lo.CF_RANKS]
        state.log[at, lo.L_BANK] = bank - rank * tables.config[lo.CF_BANKS] if bank >= 0 else -1
        state.log[at, lo.L_ROW] = row
        state.common[lo.G_LOGGED] = at + 1


@kernel
def count_traffic(state: State, cycle: int, is_write: int) -> None:
    """Add a burst to the histogram over time; when time runs out of it, bins are joined in pairs."""
    width = state.common[lo.G_BIN_CYCLES]
    while cycle >= width * lo.TRAFFIC_BINS:
        for side in range(2):
            for i in range(lo.TRAFFIC_BINS // 2):
                state.traffic[side, i] = state.traffic[side, 2 * i] + state.traffic[side, 2 * i + 1]
            for i in range(lo.TRAFFIC_BINS // 2, lo.TRAFFIC_BINS):
                state.traffic[side, i] = 0
        width *= 2
        state.common[lo.G_BIN_CYCLES] = width
    state.traffic[is_write, cycle // width] += 1


@kernel
def finish_part(state: State, slot: int, cycle: int) -> None:
    """One burst of a transfer is done at `cycle`."""
    state.transfer[slot, lo.T_REMAINING] -= 1
    state.transfer[slot, lo.T_DONE] = max(state.transfer[slot, lo.T_DONE], cycle)
    if state.transfer[slot, lo.T_REMAINING] == 0:
        state.done[state.common[lo.G_DONE]] = slot
        state.common[lo.G_DONE] += 1


@kernel
def count_latency(state: State, channel: int, latency: int) -> None:
    """Add a read to the latency statistics."""
    state.latencies[min(latency, lo.LATENCY_BINS - 1)] += 1
    state.channel[channel, lo.CH_LATENCY_SUM] += latency
    state.channel[channel, lo.CH_LATENCY_COUNT] += 1
    state.channel[channel, lo.CH_LATENCY_MAX] = max(state.channel[channel, lo.CH_LATENCY_MAX], latency)


@kernel
def unlink(state: State, channel: int, entry: int) -> None:
    """Take an entry out of its queue."""
    is_write = state.entry[entry, lo.E_WRITE]
    row = 2 * state.entry[entry, lo.E_BANK] + is_write
    before = state.entry[entry, lo.E_PREV]
    after = state.entry[entry, lo.E_NEXT]
    if before >= 0:
        state.entry[before, lo.E_NEXT] = after
    else:
        state.queue[row, lo.Q_HEAD] = after
    if after >= 0:
        state.entry[after, lo.E_PREV] = before
    else:
        state.queue[row, lo.Q_TAIL] = before
    state.channel[channel, lo.CH_READS + is_write] -= 1
    if is_write:
        state.write_filter[channel, filter_slot(state.entry[entry, lo.E_BURST])] -= 1
    if before < 0 and after < 0:
        place = state.queue[row, lo.Q_PLACE]
        last = state.channel[channel, lo.CH_PENDING + is_write] - 1
        moved = state.pending[2 * channel + is_write, last]
        state.pending[2 * channel + is_write, place] = moved
        state.queue[2 * moved + is_write, lo.Q_PLACE] = place
        state.channel[channel, lo.CH_PENDING + is_write] = last


@kernel
def sort_queue(state: State, bank: int, row: int) -> None:
    """After a row was opened: find the oldest request for it and the oldest for another row, in both queues."""
    for is_write in range(2):
        hit = -1
        other = -1
        entry = state.queue[2 * bank + is_write, lo.Q_HEAD]
        while entry >= 0 and (hit < 0 or other < 0):
            if state.entry[entry, lo.E_ROW] == row:
                if hit < 0:
                    hit = entry
            elif other < 0:
                other = entry
            entry = state.entry[entry, lo.E_NEXT]
        state.queue[2 * bank + is_write, lo.Q_HIT] = hit
        state.queue[2 * bank + is_write, lo.Q_OTHER] = other


@kernel
def close_bank(state: State, rank: int, bank: int, cycle: int) -> None:
    """A bank is precharged; the rank stays active until `cycle` at least."""
    state.bank[bank, lo.BK_ROW] = -1
    state.rank[rank, lo.RK_OPEN] -= 1
    state.rank[rank, lo.RK_ACTIVE_TO] = max(state.rank[rank, lo.RK_ACTIVE_TO], cycle)


@kernel
def begin_active(state: State, rank: int, cycle: int) -> None:
    """The rank becomes active at `cycle`, or stays so."""
    if state.rank[rank, lo.RK_OPEN] == 0 and cycle > state.rank[rank, lo.RK_ACTIVE_TO]:
        state.rank[rank, lo.RK_ACTIVE_SUM] += state.rank[rank, lo.RK_ACTIVE_TO] - state.rank[rank, lo.RK_ACTIVE_FROM]
        state.rank[rank, lo.RK_ACTIVE_FROM] = cycle
        state.rank[rank, lo.RK_ACTIVE_TO] = cycle


@kernel
def issue_activate(tables: Tables, state: State, channel: int, entry: int, cycle: int) -> None:
    """Open the row of a queued request, which from now on has the bank for itself until it is served."""
    bank = state.entry[entry, lo.E_BANK]
    rank = tables.bank_rank[bank]
    row = state.entry[entry, lo.E_ROW]
    point = operating_point(tables, bank, row)
    begin_active(state, rank, cycle)
    state.rank[rank, lo.RK_OPEN] += 1
    state.bank[bank, lo.BK_ROW] = row
    state.bank[bank, lo.BK_POINT] = point
    state.bank[bank, lo.BK_OPENED] = cycle
    state.bank[bank, lo.BK_ACTIVE] = entry
    state.bank[bank, lo.BK_ROW_HITS] = 0
    state.bank[bank, lo.BK_ACTS] += 1
    unlink(state, channel, entry)
    sort_queue(state, bank, row)
    opened = state.channel[channel, lo.CH_ACTIVE]
    state.opened[channel, opened] = bank
    state.bank[bank, lo.BK_PLACE] = opened
    state.channel[channel, lo.CH_ACTIVE] = opened + 1
    state.counts[rank, point, lo.ACT] += 1
    start_constraints(tables, state, cycle, lo.ACT, channel, rank, bank, point)
    log_command(tables, state, cycle, lo.ACT, channel, rank, bank, row)


@kernel
def issue_precharge(tables: Tables, state: State, channel: int, rank: int, bank: int, cycle: int) -> None:
    """Close one bank."""
    point = state.bank[bank, lo.BK_POINT]
    row = state.bank[bank, lo.BK_ROW]
    close_bank(state, rank, bank, cycle)
    state.counts[rank, point, lo.PRE] += 1
    start_constraints(tables, state, cycle, lo.PRE, channel, rank, bank, point)
    log_command(tables, state, cycle, lo.PRE, channel, rank, bank, row)


@kernel
def issue_access(tables: Tables, state: State, channel: int, entry: int, cycle: int) -> None:
    """Read or write, with auto-precharge under the closed-page policy when nobody else wants the row."""
    bank = state.entry[entry, lo.E_BANK]
    rank = tables.bank_rank[bank]
    is_write = state.entry[entry, lo.E_WRITE]
    row = state.entry[entry, lo.E_ROW]
    point = state.bank[bank, lo.BK_POINT]
    if state.bank[bank, lo.BK_ACTIVE] == entry:
        state.bank[bank, lo.BK_ACTIVE] = -1
        last = state.channel[channel, lo.CH_ACTIVE] - 1
        moved = state.opened[channel, last]
        place = state.bank[bank, lo.BK_PLACE]
        state.opened[channel, place] = moved
        state.bank[moved, lo.BK_PLACE] = place
        state.channel[channel, lo.CH_ACTIVE] = last
    else:
        following = state.entry[entry, lo.E_NEXT]
        while following >= 0 and state.entry[following, lo.E_ROW] != row:
            following = state.entry[following, lo.E_NEXT]
        state.queue[2 * bank + is_write, lo.Q_HIT] = following
        unlink(state, channel, entry)
    state.bank[bank, lo.BK_ROW_HITS] += 1
    command = lo.WR if is_write else lo.RD
    if (
        tables.config[lo.CF_CLOSED]
        and state.bank[bank, lo.BK_ACTIVE] < 0
        and state.queue[2 * bank, lo.Q_HIT] < 0
        and state.queue[2 * bank + 1, lo.Q_HIT] < 0
    ):
        command = lo.WRA if is_write else lo.RDA
        wait = tables.config[lo.CF_WRITE_TO_PRECHARGE] if is_write else tables.config[lo.CF_READ_TO_PRECHARGE]
        ras = state.bank[bank, lo.BK_OPENED] + tables.row_active[point]
        close_bank(state, rank, bank, max(cycle + wait, ras))
    state.counts[rank, point, command] += 1
    start_constraints(tables, state, cycle, command, channel, rank, bank, point)
    log_command(tables, state, cycle, command, channel, rank, bank, row)
    latency = tables.config[lo.CF_WRITE_LATENCY] if is_write else tables.config[lo.CF_READ_LATENCY]
    state.channel[channel, lo.CH_LAST_DATA] = max(state.channel[channel, lo.CH_LAST_DATA], cycle + latency)
    count_traffic(state, cycle, is_write)
    if not is_write:
        count_latency(state, channel, cycle + latency - state.entry[entry, lo.E_ARRIVE])
        finish_part(state, state.entry[entry, lo.E_TRANSFER], cycle + latency)
    state.rank[rank, lo.RK_WAITING] -= 1
    free = state.channel[channel, lo.CH_FREE]
    state.free[channel, free] = entry
    state.channel[channel, lo.CH_FREE] = free + 1


@kernel
def issue_to_rank(tables: Tables, state: State, channel: int, rank: int, command: int, cycle: int) -> None:
    """Precharge all banks, refresh, or enter or leave power-down."""
    per_rank = tables.config[lo.CF_BANKS]
    count_at = 0
    if command == lo.PREA:
        for bank in range(rank * per_rank, rank * per_rank + per_rank):
            if state.bank[bank, lo.BK_ROW] >= 0:
                count_at = state.bank[bank, lo.BK_POINT]
                close_bank(state, rank, bank, cycle)
                start_constraints(tables, state, cycle, command, channel, rank, -1, count_at)
    else:
        start_constraints(tables, state, cycle, command, channel, rank, -1, 0)
    if command == lo.REF:
        begin_active(state, rank, cycle)
        state.rank[rank, lo.RK_ACTIVE_TO] = cycle + tables.config[lo.CF_REFRESH_CYCLES]
        state.rank[rank, lo.RK_REFRESH_WAITS] -= 1
        state.channel[channel, lo.CH_REFRESH_WAITS] -= 1
    elif command == lo.PDE:
        state.rank[rank, lo.RK_DOWN] = 2 if state.rank[rank, lo.RK_OPEN] > 0 else 1
        state.rank[rank, lo.RK_DOWN_FROM] = cycle
    elif command == lo.PDX:
        total = lo.RK_ACTIVE_DOWN_SUM if state.rank[rank, lo.RK_DOWN] == 2 else lo.RK_DOWN_SUM
        state.rank[rank, total] += cycle - state.rank[rank, lo.RK_DOWN_FROM]
        state.rank[rank, lo.RK_DOWN] = 0
    state.counts[rank, count_at, command] += 1
    log_command(tables, state, cycle, command, channel, rank, -1, -1)


@kernel
def issue_bank_refresh(tables: Tables, state: State, channel: int, rank: int, bank: int, cycle: int) -> None:
    """Refresh one bank and pass the turn on."""
    begin_active(state, rank, cycle)
    until = cycle + tables.config[lo.CF_BANK_REFRESH_CYCLES]
    state.rank[rank, lo.RK_ACTIVE_TO] = max(state.rank[rank, lo.RK_ACTIVE_TO], until)
    state.rank[rank, lo.RK_REFRESH_WAITS] -= 1
    state.channel[channel, lo.CH_REFRESH_WAITS] -= 1
    state.rank[rank, lo.RK_REFRESH_BANK] = (bank - rank * tables.config[lo.CF_BANKS] + 1) % tables.config[lo.CF_BANKS]
    state.counts[rank, 0, lo.REFB] += 1
    start_constraints(tables, state, cycle, lo.REFB, channel, rank, bank, 0)
    log_command(tables, state, cycle, lo.REFB, channel, rank, bank, -1)


@kernel
def count_outcome(state: State, channel: int, bank: int, entry: int, command: int) -> None:
    """Count a request as hit, miss or conflict by its first command."""
    if state.entry[entry, lo.E_COUNTED]:
        return
    state.entry[entry, lo.E_COUNTED] = 1
    kind = 0
    if command == lo.ACT:
        kind = 1
    elif command == lo.PRE:
        kind = 2
    state.channel[channel, lo.CH_HITS + kind] += 1
    state.bank[bank, lo.BK_HITS + kind] += 1
