"""The DRAM controller as a state machine, resumable at any cycle.

In cycle `n` a channel first issues at most one command, then accepts at most one offered request, which therefore can
be served from cycle ``n + 1`` on. Nothing is done in cycles in which nothing can happen: at the end of each step the
earliest cycle is worked out in which a command may issue, with the command that wins then.

Order of choice in a cycle: (1) requests for which a row has been opened, (2) refresh, which keeps new requests for its
rank or bank back, (3) the read or the write queue, (4) power-down. Within (1) and (3) the oldest whose next command may
issue wins (FR-FCFS); a row is not closed while the request it was opened for still waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.issue import count_latency, filter_slot, finish_part, issue, note_waiting
from accelsim.hardware.dram.schedule import admit, scan
from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def ask_refresh(config: Words, channel: Words, rank: Words, cycle: int, c: int) -> None:
    """Ask for the refreshes that are due."""
    soonest = lo.NEVER
    for r in range(c * config[lo.CF_RANKS], (c + 1) * config[lo.CF_RANKS]):
        if rank[r, lo.RK_REFRESH_AT] <= cycle:
            rank[r, lo.RK_REFRESH_WAITS] += 1
            channel[c, lo.CH_REFRESH_WAITS] += 1
            rank[r, lo.RK_REFRESH_AT] += rank[r, lo.RK_REFRESH_EVERY]
        soonest = min(soonest, rank[r, lo.RK_REFRESH_AT])
    channel[c, lo.CH_REFRESH_AT] = soonest


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
def way_in(
    config: Words, channel: Words, bank: Words, entry: Words, offers: Words, c: int, ring_row: int, at: int
) -> int:
    """How an offered request is accepted now: 0 not at all, 1 into its queue, 2 by a queued write to its burst."""
    if is_queued_write(channel, bank, entry, c, offers[ring_row, at, lo.O_BANK], offers[ring_row, at, lo.O_BURST]):
        return 2
    is_write = offers[ring_row, at, lo.O_TRANSFER] & 1
    return 1 if channel[c, lo.CH_READS + is_write] < config[lo.CF_READ_SIZE + is_write] else 0


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
            finish_part(transfer, stats, offers[i, at, lo.O_TRANSFER] >> 1, cycle + 1)
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
            if time < soonest and way_in(config, channel, bank, entry, offers, c, i, at):
                soonest = time
                if time == cycle + 1:
                    break
    return soonest


@lean_kernel
def step(
    config: Words,
    rules: Words,
    points: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    waiting: Words,
    offers: Words,
    ring: Words,
    transfer: Words,
    stats: Words,
    log: Words,
    cycle: int,
    c: int,
) -> None:
    """Simulate one cycle of one channel and work out the next one in which something happens.

    When a refresh is due it is asked for first, and the cycle itself follows in a second step.
    """
    soonest = lo.NEVER
    floor = cycle + 1
    newcomer = -1
    changes = True  # in more than that a request has joined a queue
    if cycle >= channel[c, lo.CH_REFRESH_AT]:
        ask_refresh(config, channel, rank, cycle, c)
        soonest = cycle
        floor = cycle
    else:
        changes = cycle == channel[c, lo.CH_CAND_TIME]
        if changes:
            issue(config, rules, points, channel, rank, bank, entry, ready, waiting, transfer, stats, log, cycle, c)
        if channel[c, lo.CH_OFFERED]:
            newcomer = accept(config, channel, rank, bank, entry, waiting, offers, ring, transfer, stats, cycle, c)
            soonest = next_acceptance(config, channel, bank, entry, offers, ring, cycle, c)
    if changes or not admit(config, channel, rank, bank, entry, ready, c, floor, newcomer):
        scan(config, channel, rank, bank, entry, ready, waiting, c, floor)
    soonest = min(soonest, channel[c, lo.CH_CAND_TIME])
    channel[c, lo.CH_NEXT] = min(soonest, channel[c, lo.CH_REFRESH_AT])


@lean_kernel
def run(
    config: Words,
    rules: Words,
    points: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    waiting: Words,
    offers: Words,
    ring: Words,
    transfer: Words,
    stats: Words,
    log: Words,
    until: int,
    stop_at_completion: int,
    drain: int,
) -> int:
    """Simulate the cycles before `until`.

    Parameters
    ----------
    config, rules, points, channel, rank, bank, entry, ready, waiting, offers, ring, transfer, stats, log
        The memory, as `layout` lays it out.
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
    channels = config[lo.CF_CHANNELS]
    last = -1
    while True:
        c = 0
        for other in range(1, channels):
            if channel[other, lo.CH_NEXT] < channel[c, lo.CH_NEXT]:
                c = other
        cycle = channel[c, lo.CH_NEXT]
        if stop_at_completion and stats[lo.G_DONE] and cycle > last:
            return lo.COMPLETED
        if drain:
            left = 0
            for other in range(channels):
                left += channel[other, lo.CH_OFFERED] + channel[other, lo.CH_READS]
                left += channel[other, lo.CH_WRITES] + channel[other, lo.CH_OPENED]
            if left == 0:
                return lo.DRAINED
        if cycle >= until:
            return lo.REACHED
        if config[lo.CF_LOG] and stats[lo.G_LOGGED] == log.shape[0]:
            return lo.LOG_FULL
        step(
            config,
            rules,
            points,
            channel,
            rank,
            bank,
            entry,
            ready,
            waiting,
            offers,
            ring,
            transfer,
            stats,
            log,
            cycle,
            c,
        )
        last = cycle


@lean_kernel
def place_burst(
    config: Words,
    decoder: Words,
    channel: Words,
    offers: Words,
    ring: Words,
    address: int,
    start: int,
    stream: int,
    slot: int,
    is_write: int,
) -> bool:
    """Decode an address and append the burst to its ring, as offered from `start` on; False where the ring is full."""
    burst = address >> config[lo.CF_OFFSET_BITS]
    rest = burst
    place = 0
    for part in range(decoder.shape[0]):
        place ^= decoder[part, rest & ((1 << lo.DECODER_BITS) - 1)]
        rest >>= lo.DECODER_BITS
    b = place & ((1 << config[lo.CF_BANK_BITS]) - 1)
    c = b >> config[lo.CF_CHANNEL_SHIFT]
    i = c * config[lo.CF_STREAMS] + stream
    capacity = offers.shape[1]
    count = ring[i, lo.RG_COUNT]
    if count == capacity:
        return False
    if count == 0:
        ring[i, lo.RG_FIRST] = 0  # so that a large ring of few requests stays in the cache
    at = ring[i, lo.RG_FIRST] + count
    if at >= capacity:
        at -= capacity
    offers[i, at, lo.O_BURST] = burst
    offers[i, at, lo.O_BANK] = b
    offers[i, at, lo.O_ROW] = place >> config[lo.CF_BANK_BITS]
    offers[i, at, lo.O_TRANSFER] = 2 * slot + is_write
    offers[i, at, lo.O_EARLIEST] = start
    ring[i, lo.RG_COUNT] = count + 1
    channel[c, lo.CH_OFFERED] += 1
    channel[c, lo.CH_NEXT] = min(channel[c, lo.CH_NEXT], start)
    return True


@kernel
def offer(
    config: Words,
    decoder: Words,
    channel: Words,
    offers: Words,
    ring: Words,
    addresses: Words,
    times: Words,
    stream: int,
    slot: int,
    is_write: Words,
) -> None:
    """Decode addresses and append them to the rings of a stream; `times` and `is_write` hold one value, or one each."""
    for k in range(addresses.shape[0]):
        start = times[k] if times.shape[0] > 1 else times[0]
        writes = is_write[k] if is_write.shape[0] > 1 else is_write[0]
        place_burst(config, decoder, channel, offers, ring, addresses[k], start, stream, slot, writes)
