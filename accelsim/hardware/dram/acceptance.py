"""Kernels that accept offered requests into the queues of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.bank_queues import filter_slot, note_waiting
from accelsim.hardware.dram.counts import count_latency
from accelsim.hardware.dram.transfers import finish_part
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def is_queued_write(channel: Words, bank: Words, entry: Words, c: int, b: int, burst: int) -> bool:
    """Whether a write to this very burst waits in the queue."""
    if channel[c, lo.CH_WRITES] == 0 or channel[c, filter_slot(burst)] == 0:
        return False
    e = bank[b, lo.BK_QUEUE + lo.N_QUEUE + lo.Q_HEAD]
    while e >= 0:
        if entry[e, lo.E_BURST] == burst:
            return True
        e = entry[e, lo.E_NEXT]
    return False


@lean_kernel
def enqueue(
    config: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    waiting: Words,
    offers: Words,
    cycle: int,
    c: int,
    ring_row: int,
    at: int,
) -> int:
    """Put an offered request into its queue; return its entry."""
    free = channel[c, lo.CH_FREE] - 1
    e = entry[c * config[lo.CF_ENTRIES] + free, lo.E_LIST_FREE]
    channel[c, lo.CH_FREE] = free
    b = offers[ring_row, at, lo.O_BANK]
    row = offers[ring_row, at, lo.O_ROW]
    packed = offers[ring_row, at, lo.O_TRANSFER]
    is_write = packed & 1
    queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
    tail = bank[b, queue + lo.Q_TAIL]
    entry[e, lo.E_ARRIVE] = cycle
    channel[c, lo.CH_BY_ARRIVAL + (cycle & (lo.ARRIVAL_SLOTS - 1))] = e
    entry[e, lo.E_BURST] = offers[ring_row, at, lo.O_BURST]
    entry[e, lo.E_BANK] = b
    entry[e, lo.E_ROW] = row
    entry[e, lo.E_TRANSFER] = packed >> 1
    entry[e, lo.E_WRITE] = is_write
    entry[e, lo.E_COUNTED] = 0
    entry[e, lo.E_NEXT] = -1
    entry[e, lo.E_PREV] = tail
    bank[b, queue + lo.Q_TAIL] = e
    if tail >= 0:
        entry[tail, lo.E_NEXT] = e
    else:
        place = channel[c, lo.CH_PENDING + is_write]
        bank[c * config[lo.CF_RANKS] * config[lo.CF_BANKS] + place, lo.BK_LIST + is_write] = b
        channel[c, lo.CH_PENDING + is_write] = place + 1
        bank[b, queue + lo.Q_HEAD] = e
        bank[b, queue + lo.Q_PLACE] = place
        bank[b, queue + lo.Q_HIT] = -1
        bank[b, queue + lo.Q_OTHER] = -1
    which = queue + (lo.Q_HIT if bank[b, lo.BK_ROW] == row else lo.Q_OTHER)
    if bank[b, lo.BK_ROW] >= 0 and bank[b, which] < 0:
        bank[b, which] = e
    channel[c, lo.CH_READS + is_write] += 1
    rank[bank[b, lo.BK_RANK], lo.RK_WAITING] += 1
    if is_write:
        channel[c, filter_slot(entry[e, lo.E_BURST])] += 1
    note_waiting(bank, entry, waiting, b, is_write)
    return int(e)


@lean_kernel
def has_room(config: Words, channel: Words, c: int, is_write: int) -> bool:
    """Whether the read or the write queue takes one more request."""
    return bool(channel[c, lo.CH_READS + is_write] < config[lo.CF_READ_SIZE + is_write])


@lean_kernel
def way_in(
    config: Words, channel: Words, bank: Words, entry: Words, offers: Words, c: int, ring_row: int, at: int
) -> int:
    """How an offered request is accepted now: 0 not at all, 1 into its queue, 2 by a queued write to its burst."""
    if is_queued_write(channel, bank, entry, c, offers[ring_row, at, lo.O_BANK], offers[ring_row, at, lo.O_BURST]):
        return 2
    return 1 if has_room(config, channel, c, offers[ring_row, at, lo.O_TRANSFER] & 1) else 0


@lean_kernel
def accept(
    config: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    waiting: Words,
    offers: Words,
    ring: Words,
    transfer: Words,
    stats: Words,
    cycle: int,
    c: int,
) -> int:
    """Accept at most one offered request; the streams take turns. Return its entry, or -1 where none is queued."""
    streams = config[lo.CF_STREAMS]
    for step in range(streams):
        stream = channel[c, lo.CH_TURN] + step
        if stream >= streams:
            stream -= streams
        i = c * streams + stream
        at = ring[i, lo.RG_FIRST]
        if ring[i, lo.RG_COUNT] == 0 or offers[i, at, lo.O_EARLIEST] > cycle:
            continue
        way = way_in(config, channel, bank, entry, offers, c, i, at)
        if way == 0:
            continue
        is_write = offers[i, at, lo.O_TRANSFER] & 1
        e = -1
        if way == 1:
            e = enqueue(config, channel, rank, bank, entry, waiting, offers, cycle, c, i, at)
        else:
            channel[c, lo.CH_FORWARDED + is_write] += 1
            channel[c, lo.CH_LAST_DATA] = max(channel[c, lo.CH_LAST_DATA], cycle + 1)
            if not is_write:
                count_latency(channel, stats, c, 1)
        if is_write or way == 2:
            found = cycle * config[lo.CF_CHANNELS] + c
            finish_part(transfer, stats, offers[i, at, lo.O_TRANSFER] >> 1, cycle + 1, found)
        else:
            transfer[offers[i, at, lo.O_TRANSFER] >> 1, lo.T_QUEUED] += 1
        channel[c, lo.CH_ACCEPTED + is_write] += 1
        channel[c, lo.CH_LAST_ACCEPT] = cycle
        channel[c, lo.CH_OFFERED] -= 1
        ring[i, lo.RG_COUNT] -= 1
        ring[i, lo.RG_FIRST] = at + 1 if at + 1 < offers.shape[1] else 0
        channel[c, lo.CH_TURN] = stream + 1 if stream + 1 < streams else 0
        return e
    return -1


@lean_kernel
def next_acceptance(
    config: Words, channel: Words, bank: Words, entry: Words, offers: Words, ring: Words, cycle: int, c: int
) -> int:
    """First later cycle in which a request is accepted even if no command issues before."""
    soonest = lo.NEVER
    for stream in range(config[lo.CF_STREAMS]):
        i = c * config[lo.CF_STREAMS] + stream
        if ring[i, lo.RG_COUNT]:
            at = ring[i, lo.RG_FIRST]
            time = max(cycle + 1, offers[i, at, lo.O_EARLIEST])
            if time >= soonest:
                continue
            if has_room(config, channel, c, offers[i, at, lo.O_TRANSFER] & 1) or way_in(
                config, channel, bank, entry, offers, c, i, at
            ):
                soonest = time
                if time == cycle + 1:
                    break
    return soonest
