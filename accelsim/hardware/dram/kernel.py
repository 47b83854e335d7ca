"""The DRAM controller as a state machine: which command issues when, resumable at any cycle.

In cycle `n` a channel first issues at most one command, then accepts at most one offered request, which therefore can
be served from cycle ``n + 1`` on. Nothing is done in cycles in which nothing can happen: at the end of each step the
earliest cycle is worked out in which a command may issue, with the command that wins then.

Order of choice in a cycle: (1) requests for which a row has been opened, (2) refresh, which keeps new requests for its
rank or bank back, (3) the read or the write queue, (4) power-down. Within (1) and (3) the oldest whose next command may
issue wins (FR-FCFS); a row is not closed while the request it was opened for still waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.issue import (
    count_latency,
    count_outcome,
    filter_slot,
    finish_part,
    issue_access,
    issue_activate,
    issue_bank_refresh,
    issue_precharge,
    issue_to_rank,
)
from accelsim.hardware.dram.layout import State, Tables
from accelsim.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPENED, _REFRESH, _QUEUED, _IDLE = range(4)


@kernel
def earliest(tables: Tables, state: State, channel: int, rank: int, bank: int, command: int, floor: int) -> int:
    """First cycle, not before `floor`, in which no constraint stands against a command to a bank."""
    return max(
        max(floor, state.ready_bank[bank, command]),
        max(
            state.ready_group[tables.bank_group[bank], command],
            max(state.ready_rank[rank, command], state.ready_channel[channel, command]),
        ),
    )


@kernel
def keep(state: State, channel: int, time: int, kind: int, command: int, entry: int, unit: int) -> None:
    """Note the command that wins next."""
    state.channel[channel, lo.CH_CAND_TIME] = time
    state.channel[channel, lo.CH_CAND_KIND] = kind
    state.channel[channel, lo.CH_CAND_COMMAND] = command
    state.channel[channel, lo.CH_CAND_ENTRY] = entry
    state.channel[channel, lo.CH_CAND_UNIT] = unit


@kernel
def choose_mode(tables: Tables, state: State, channel: int) -> None:
    """Turn from reads to writes or back."""
    reads = state.channel[channel, lo.CH_READS]
    writes = state.channel[channel, lo.CH_WRITES]
    if state.channel[channel, lo.CH_WRITE_MODE]:
        if writes < tables.config[lo.CF_WRITE_LOW] and reads:
            state.channel[channel, lo.CH_WRITE_MODE] = 0
    elif writes > tables.config[lo.CF_WRITE_HIGH] or reads == 0:
        state.channel[channel, lo.CH_WRITE_MODE] = 1


@kernel
def scan_opened(tables: Tables, state: State, channel: int, floor: int) -> None:
    """Find the opened request that is served first."""
    best = lo.NEVER
    best_arrive = lo.NEVER
    for place in range(state.channel[channel, lo.CH_ACTIVE]):
        bank = state.opened[channel, place]
        entry = state.bank[bank, lo.BK_ACTIVE]
        command = lo.WR if state.entry[entry, lo.E_WRITE] else lo.RD
        time = earliest(tables, state, channel, tables.bank_rank[bank], bank, command, floor)
        arrive = state.entry[entry, lo.E_ARRIVE]
        if time < best or (time == best and arrive < best_arrive):
            best = time
            best_arrive = arrive
            keep(state, channel, time, _OPENED, command, entry, bank)


@kernel
def scan_refresh(tables: Tables, state: State, channel: int, floor: int) -> None:
    """Let a waiting refresh win where it comes before what has been found so far."""
    per_rank = tables.config[lo.CF_BANKS]
    ranks = tables.config[lo.CF_RANKS]
    for rank in range(channel * ranks, channel * ranks + ranks):
        if state.rank[rank, lo.RK_REFRESH_WAITS] == 0:
            continue
        command = lo.REF
        unit = rank
        if state.rank[rank, lo.RK_DOWN]:
            command = lo.PDX
            time = max(floor, state.ready_rank[rank, command])
        elif tables.config[lo.CF_PER_BANK]:
            unit = rank * per_rank + state.rank[rank, lo.RK_REFRESH_BANK]
            command = lo.REFB if state.bank[unit, lo.BK_ROW] < 0 else lo.PRE
            if command == lo.PRE and state.bank[unit, lo.BK_ACTIVE] >= 0:
                continue
            time = earliest(tables, state, channel, rank, unit, command, floor)
        else:
            if state.rank[rank, lo.RK_OPEN]:
                command = lo.PREA
                waits = False
                for bank in range(rank * per_rank, rank * per_rank + per_rank):
                    waits = waits or state.bank[bank, lo.BK_ACTIVE] >= 0
                if waits:
                    continue
            time = max(floor, max(state.ready_rank[rank, command], state.ready_channel[channel, command]))
        if time < state.channel[channel, lo.CH_CAND_TIME]:
            keep(state, channel, time, _REFRESH, command, -1, unit)


@kernel
def is_held_back(tables: Tables, state: State, rank: int, bank: int) -> bool:
    """Whether a waiting refresh keeps new commands from a bank."""
    if state.rank[rank, lo.RK_REFRESH_WAITS] == 0:
        return False
    if tables.config[lo.CF_PER_BANK]:
        return bank == rank * tables.config[lo.CF_BANKS] + state.rank[rank, lo.RK_REFRESH_BANK]
    return True


@kernel
def scan_queue(tables: Tables, state: State, channel: int, floor: int) -> None:
    """Let a queued request win where its next command comes before what has been found so far."""
    is_write = state.channel[channel, lo.CH_WRITE_MODE]
    access = lo.WR if is_write else lo.RD
    refreshing = state.channel[channel, lo.CH_REFRESH_WAITS] > 0
    down = tables.config[lo.CF_POWER_DOWN] > 0
    best = state.channel[channel, lo.CH_CAND_TIME]
    best_arrive = -1
    best_entry = -1
    best_command = 0
    for place in range(state.channel[channel, lo.CH_PENDING + is_write]):
        bank = state.pending[2 * channel + is_write, place]
        rank = tables.bank_rank[bank]
        if refreshing and is_held_back(tables, state, rank, bank):
            continue
        row = 2 * bank + is_write
        if down and state.rank[rank, lo.RK_DOWN]:
            entry = state.queue[row, lo.Q_HEAD]
            time = max(floor, state.ready_rank[rank, lo.PDX])
            if time < best or (time == best and state.entry[entry, lo.E_ARRIVE] < best_arrive):
                best, best_arrive, best_entry, best_command = time, state.entry[entry, lo.E_ARRIVE], entry, lo.PDX
            continue
        if state.bank[bank, lo.BK_ROW] < 0:
            entry = state.queue[row, lo.Q_HEAD]
            time = earliest(tables, state, channel, rank, bank, lo.ACT, floor)
            if time < best or (time == best and state.entry[entry, lo.E_ARRIVE] < best_arrive):
                best, best_arrive, best_entry, best_command = time, state.entry[entry, lo.E_ARRIVE], entry, lo.ACT
            continue
        entry = state.queue[row, lo.Q_HIT]
        if entry >= 0:
            time = earliest(tables, state, channel, rank, bank, access, floor)
            if time < best or (time == best and state.entry[entry, lo.E_ARRIVE] < best_arrive):
                best, best_arrive, best_entry, best_command = time, state.entry[entry, lo.E_ARRIVE], entry, access
        entry = state.queue[row, lo.Q_OTHER]
        if entry >= 0 and state.bank[bank, lo.BK_ACTIVE] < 0:
            time = earliest(tables, state, channel, rank, bank, lo.PRE, floor)
            if time < best or (time == best and state.entry[entry, lo.E_ARRIVE] < best_arrive):
                best, best_arrive, best_entry, best_command = time, state.entry[entry, lo.E_ARRIVE], entry, lo.PRE
    if best_entry >= 0:
        bank = state.entry[best_entry, lo.E_BANK]
        keep(state, channel, best, _QUEUED, best_command, best_entry, bank)


@kernel
def scan_idle(tables: Tables, state: State, channel: int, floor: int) -> None:
    """Let an idle rank enter power-down where nothing else comes before."""
    ranks = tables.config[lo.CF_RANKS]
    for rank in range(channel * ranks, channel * ranks + ranks):
        if state.rank[rank, lo.RK_DOWN] or state.rank[rank, lo.RK_WAITING] or state.rank[rank, lo.RK_REFRESH_WAITS]:
            continue
        time = state.rank[rank, lo.RK_LAST] + tables.config[lo.CF_POWER_DOWN]
        time = max(max(floor, time), state.ready_rank[rank, lo.PDE])
        if state.rank[rank, lo.RK_OPEN] == 0:
            time = max(time, state.rank[rank, lo.RK_ACTIVE_TO])
        if time < state.channel[channel, lo.CH_CAND_TIME]:
            keep(state, channel, time, _IDLE, lo.PDE, -1, rank)


@kernel
def scan(tables: Tables, state: State, channel: int, floor: int) -> None:
    """Work out the next command of a channel, not before `floor`."""
    state.channel[channel, lo.CH_CAND_TIME] = lo.NEVER
    if state.channel[channel, lo.CH_ACTIVE]:
        scan_opened(tables, state, channel, floor)
        if state.channel[channel, lo.CH_CAND_TIME] == floor:
            return
    if state.channel[channel, lo.CH_REFRESH_WAITS]:
        scan_refresh(tables, state, channel, floor)
    if state.channel[channel, lo.CH_REFRESH_WAITS] == 0 and floor < state.channel[channel, lo.CH_REFRESH_AT]:
        choose_mode(tables, state, channel)
    elif tables.config[lo.CF_PER_BANK] or tables.config[lo.CF_RANKS] > 1:
        choose_mode(tables, state, channel)
    scan_queue(tables, state, channel, floor)
    if tables.config[lo.CF_POWER_DOWN]:
        scan_idle(tables, state, channel, floor)


@kernel
def ask_refresh(tables: Tables, state: State, channel: int, cycle: int) -> None:
    """Ask for the refreshes that are due."""
    ranks = tables.config[lo.CF_RANKS]
    soonest = lo.NEVER
    for rank in range(channel * ranks, channel * ranks + ranks):
        if state.rank[rank, lo.RK_REFRESH_AT] <= cycle:
            state.rank[rank, lo.RK_REFRESH_WAITS] += 1
            state.channel[channel, lo.CH_REFRESH_WAITS] += 1
            state.rank[rank, lo.RK_REFRESH_AT] += tables.refresh_cycles[rank]
        soonest = min(soonest, state.rank[rank, lo.RK_REFRESH_AT])
    state.channel[channel, lo.CH_REFRESH_AT] = soonest


@kernel
def issue(tables: Tables, state: State, channel: int, cycle: int) -> None:
    """Issue the command that won."""
    command = state.channel[channel, lo.CH_CAND_COMMAND]
    entry = state.channel[channel, lo.CH_CAND_ENTRY]
    unit = state.channel[channel, lo.CH_CAND_UNIT]
    rank = unit
    if command == lo.PREA or command == lo.REF or command >= lo.PDE:
        if entry >= 0:
            rank = tables.bank_rank[unit]
        issue_to_rank(tables, state, channel, rank, command, cycle)
    else:
        rank = tables.bank_rank[unit]
        if entry >= 0:
            count_outcome(state, channel, unit, entry, command)
        if command == lo.ACT:
            issue_activate(tables, state, channel, entry, cycle)
        elif command == lo.PRE:
            issue_precharge(tables, state, channel, rank, unit, cycle)
        elif command == lo.REFB:
            issue_bank_refresh(tables, state, channel, rank, unit, cycle)
        else:
            issue_access(tables, state, channel, entry, cycle)
    state.rank[rank, lo.RK_LAST] = cycle


@kernel
def is_queued_write(state: State, channel: int, bank: int, burst: int) -> bool:
    """Whether a write to this very burst waits in the queue."""
    if state.write_filter[channel, filter_slot(burst)] == 0:
        return False
    entry = state.queue[2 * bank + 1, lo.Q_HEAD]
    while entry >= 0:
        if state.entry[entry, lo.E_BURST] == burst:
            return True
        entry = state.entry[entry, lo.E_NEXT]
    return False


@kernel
def enqueue(tables: Tables, state: State, channel: int, ring: int, at: int, cycle: int) -> None:
    """Put an offered request into its queue."""
    free = state.channel[channel, lo.CH_FREE] - 1
    entry = state.free[channel, free]
    state.channel[channel, lo.CH_FREE] = free
    bank = state.offers[ring, at, lo.O_BANK]
    row = state.offers[ring, at, lo.O_ROW]
    burst = state.offers[ring, at, lo.O_BURST]
    packed = state.offers[ring, at, lo.O_TRANSFER]
    is_write = packed & 1
    state.entry[entry, lo.E_ARRIVE] = cycle
    state.entry[entry, lo.E_BURST] = burst
    state.entry[entry, lo.E_BANK] = bank
    state.entry[entry, lo.E_ROW] = row
    state.entry[entry, lo.E_TRANSFER] = packed >> 1
    state.entry[entry, lo.E_WRITE] = is_write
    state.entry[entry, lo.E_COUNTED] = 0
    queue = 2 * bank + is_write
    tail = state.queue[queue, lo.Q_TAIL]
    state.entry[entry, lo.E_NEXT] = -1
    state.entry[entry, lo.E_PREV] = tail
    state.queue[queue, lo.Q_TAIL] = entry
    if tail >= 0:
        state.entry[tail, lo.E_NEXT] = entry
    else:
        state.queue[queue, lo.Q_HEAD] = entry
        place = state.channel[channel, lo.CH_PENDING + is_write]
        state.pending[2 * channel + is_write, place] = bank
        state.queue[queue, lo.Q_PLACE] = place
        state.channel[channel, lo.CH_PENDING + is_write] = place + 1
        state.queue[queue, lo.Q_HIT] = -1
        state.queue[queue, lo.Q_OTHER] = -1
    which = lo.Q_HIT if state.bank[bank, lo.BK_ROW] == row else lo.Q_OTHER
    if state.bank[bank, lo.BK_ROW] >= 0 and state.queue[queue, which] < 0:
        state.queue[queue, which] = entry
    state.channel[channel, lo.CH_READS + is_write] += 1
    state.rank[tables.bank_rank[bank], lo.RK_WAITING] += 1
    if is_write:
        state.write_filter[channel, filter_slot(burst)] += 1


@kernel
def has_room(tables: Tables, state: State, channel: int, ring: int, at: int) -> int:
    """Whether an offered request is accepted now: 0 not, 1 into its queue, 2 answered by a queued write."""
    if is_queued_write(state, channel, state.offers[ring, at, lo.O_BANK], state.offers[ring, at, lo.O_BURST]):
        return 2
    is_write = state.offers[ring, at, lo.O_TRANSFER] & 1
    return 1 if state.channel[channel, lo.CH_READS + is_write] < tables.config[lo.CF_READ_SIZE + is_write] else 0


@kernel
def accept(tables: Tables, state: State, channel: int, cycle: int) -> int:
    """Accept at most one offered request; return the next cycle in which one may be accepted without a command before."""
    streams = tables.config[lo.CF_STREAMS]
    turn = state.channel[channel, lo.CH_TURN]
    for step in range(streams):
        stream = turn + step if turn + step < streams else turn + step - streams
        ring = channel * streams + stream
        if state.offer_count[ring] == 0:
            continue
        at = state.offer_first[ring]
        if state.offers[ring, at, lo.O_EARLIEST] > cycle:
            continue
        way = has_room(tables, state, channel, ring, at)
        if way == 0:
            continue
        packed = state.offers[ring, at, lo.O_TRANSFER]
        is_write = packed & 1
        if way == 1:
            enqueue(tables, state, channel, ring, at, cycle)
        elif is_write:
            state.channel[channel, lo.CH_MERGED] += 1
        else:
            state.channel[channel, lo.CH_FORWARDED] += 1
            count_latency(state, channel, 1)
        if is_write or way == 2:
            finish_part(state, packed >> 1, cycle + 1)
        if way == 2:
            state.channel[channel, lo.CH_LAST_DATA] = max(state.channel[channel, lo.CH_LAST_DATA], cycle + 1)
        state.channel[channel, lo.CH_ACCEPTED_READS + is_write] += 1
        state.channel[channel, lo.CH_LAST_ACCEPT] = cycle
        state.channel[channel, lo.CH_OFFERED] -= 1
        state.offer_count[ring] -= 1
        state.offer_first[ring] = at + 1 if at + 1 < state.offers.shape[1] else 0
        state.channel[channel, lo.CH_TURN] = stream + 1 if stream + 1 < streams else 0
        break
    soonest = lo.NEVER
    if state.channel[channel, lo.CH_OFFERED]:
        for stream in range(streams):
            ring = channel * streams + stream
            if state.offer_count[ring]:
                at = state.offer_first[ring]
                time = max(cycle + 1, state.offers[ring, at, lo.O_EARLIEST])
                if time < soonest and has_room(tables, state, channel, ring, at):
                    soonest = time
    return soonest


@kernel
def step(tables: Tables, state: State, channel: int, cycle: int) -> None:
    """Simulate one cycle of one channel and work out the next one in which something happens."""
    if cycle >= state.channel[channel, lo.CH_REFRESH_AT]:
        ask_refresh(tables, state, channel, cycle)
        scan(tables, state, channel, cycle)
    if cycle == state.channel[channel, lo.CH_CAND_TIME]:
        issue(tables, state, channel, cycle)
    soonest = lo.NEVER
    if state.channel[channel, lo.CH_OFFERED]:
        soonest = accept(tables, state, channel, cycle)
    scan(tables, state, channel, cycle + 1)
    soonest = min(soonest, state.channel[channel, lo.CH_CAND_TIME])
    state.channel[channel, lo.CH_NEXT] = min(soonest, state.channel[channel, lo.CH_REFRESH_AT])


@kernel
def run(tables: Tables, state: State, until: int, stop_at_completion: bool, drain: bool) -> int:  # noqa: FBT001 - compiled
    """Simulate the cycles before `until`.

    Parameters
    ----------
    tables, state
        The memory.
    until
        First cycle not to simulate.
    stop_at_completion
        Return after the first cycle in which a transfer was found complete.
    drain
        Return as soon as no request is left.

    Returns
    -------
    int
        `REACHED`, `COMPLETED`, `LOG_FULL` (to be called again once the log has been emptied) or `DRAINED`.
    """
    channels = tables.config[lo.CF_CHANNELS]
    last = -1
    while True:
        channel = 0
        for other in range(1, channels):
            if state.channel[other, lo.CH_NEXT] < state.channel[channel, lo.CH_NEXT]:
                channel = other
        cycle = state.channel[channel, lo.CH_NEXT]
        if stop_at_completion and state.common[lo.G_DONE] and cycle > last:
            return lo.COMPLETED
        if drain:
            left = 0
            for other in range(channels):
                left += state.channel[other, lo.CH_OFFERED] + state.channel[other, lo.CH_READS]
                left += state.channel[other, lo.CH_WRITES] + state.channel[other, lo.CH_ACTIVE]
            if left == 0:
                return lo.DRAINED
        if cycle >= until:
            return lo.REACHED
        if tables.config[lo.CF_LOG] and state.common[lo.G_LOGGED] == state.log.shape[0]:
            return lo.LOG_FULL
        step(tables, state, channel, cycle)
        last = cycle


@kernel
def offer(
    tables: Tables,
    state: State,
    addresses: NDArray[np.int64],
    earliest_cycles: NDArray[np.int64],
    stream: int,
    slot: int,
    is_write: int,
) -> None:
    """Decode burst addresses and append them to the rings of a stream; `earliest_cycles` has one value or one each."""
    config = tables.config
    channels = config[lo.CF_CHANNELS]
    ranks = config[lo.CF_RANKS]
    each = earliest_cycles.shape[0] > 1
    field = np.zeros(6, np.int64)
    capacity = state.offers.shape[1]
    for i in range(addresses.shape[0]):
        burst = addresses[i] >> config[lo.CF_OFFSET_BITS]
        rest = burst
        for k in range(6):
            field[k] = 0
        for k in range(tables.slices.shape[0]):
            width = tables.slices[k, 1]
            field[tables.slices[k, 0]] |= (rest & ((1 << width) - 1)) << tables.slices[k, 2]
            rest >>= width
        for k in range(tables.xors.shape[0]):
            field[tables.xors[k, 0]] ^= (field[5] >> tables.xors[k, 2]) & ((1 << tables.xors[k, 1]) - 1)
        channel = field[0] % channels
        rank = channel * ranks + field[1]
        ring = channel * config[lo.CF_STREAMS] + stream
        at = (state.offer_first[ring] + state.offer_count[ring]) % capacity
        state.offers[ring, at, lo.O_BURST] = burst
        state.offers[ring, at, lo.O_BANK] = rank * config[lo.CF_BANKS] + field[2] * config[lo.CF_GROUP_BANKS] + field[3]
        state.offers[ring, at, lo.O_ROW] = field[4]
        state.offers[ring, at, lo.O_TRANSFER] = 2 * slot + is_write
        start = earliest_cycles[i] if each else earliest_cycles[0]
        state.offers[ring, at, lo.O_EARLIEST] = start
        state.offer_count[ring] += 1
        state.channel[channel, lo.CH_OFFERED] += 1
        if state.offer_count[ring] == 1:
            state.channel[channel, lo.CH_NEXT] = min(state.channel[channel, lo.CH_NEXT], start)
