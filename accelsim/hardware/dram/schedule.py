"""Kernels that find the command which a DRAM channel issues next, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.candidate import allowed_at, keep
from accelsim.hardware.dram.queue_scan import scan_queue, scan_turns, scan_waiting
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

_FEW_BANKS = 3
"""Up to so many banks with requests it is faster to visit just these."""


@lean_kernel
def choose_mode(config: Words, channel: Words, c: int) -> None:
    """Turn from reads to writes or back."""
    reads = channel[c, lo.CH_READS]
    writes = channel[c, lo.CH_WRITES]
    if channel[c, lo.CH_WRITE_MODE]:
        if writes < config[lo.CF_WRITE_LOW] and reads:
            channel[c, lo.CH_WRITE_MODE] = 0
    elif writes > config[lo.CF_WRITE_HIGH] or reads == 0:
        channel[c, lo.CH_WRITE_MODE] = 1


@lean_kernel
def scan_opened(
    config: Words, channel: Words, rank: Words, bank: Words, entry: Words, ready: Words, c: int, floor: int
) -> None:
    """Find the opened request that is served first."""
    best = lo.NEVER
    best_arrive = lo.NEVER
    first = c * config[lo.CF_RANKS] * config[lo.CF_BANKS]
    for place in range(channel[c, lo.CH_OPENED]):
        b = bank[first + place, lo.BK_LIST_OPENED]
        e = bank[b, lo.BK_OPENER]
        command = lo.RD + entry[e, lo.E_WRITE]
        time = max(floor, allowed_at(channel, rank, bank, ready, c, b, command))
        arrive = entry[e, lo.E_ARRIVE]
        if time < best or (time == best and arrive < best_arrive):
            best = time
            best_arrive = arrive
            keep(channel, c, time, command, e, b)


@lean_kernel
def scan_refresh(config: Words, channel: Words, rank: Words, bank: Words, ready: Words, c: int, floor: int) -> None:
    """Let a waiting refresh win where it comes before what has been found so far."""
    banks = config[lo.CF_BANKS]
    for r in range(c * config[lo.CF_RANKS], (c + 1) * config[lo.CF_RANKS]):
        if rank[r, lo.RK_REFRESH_WAITS] == 0:
            continue
        unit = r
        if rank[r, lo.RK_DOWN]:
            command = lo.PDX
            time = max(rank[r, lo.RK_READY + command], channel[c, lo.CH_READY + command])
        elif config[lo.CF_PER_BANK]:
            unit = r * banks + rank[r, lo.RK_REFRESH_BANK]
            command = lo.REFB if bank[unit, lo.BK_ROW] < 0 else lo.PRE
            if bank[unit, lo.BK_OPENER] >= 0:
                continue
            time = allowed_at(channel, rank, bank, ready, c, unit, command)
        else:
            command = lo.PREA if rank[r, lo.RK_OPEN] else lo.REF
            opener = -1
            for b in range(r * banks, (r + 1) * banks):
                opener = max(opener, bank[b, lo.BK_OPENER])
            if opener >= 0:
                continue
            time = max(rank[r, lo.RK_READY + command], channel[c, lo.CH_READY + command])
        time = max(floor, time)
        if time < channel[c, lo.CH_CAND_TIME]:
            keep(channel, c, time, command, -1, unit)


@lean_kernel
def scan_idle(config: Words, channel: Words, rank: Words, c: int, floor: int) -> None:
    """Let an idle rank enter power-down where nothing else comes before."""
    for r in range(c * config[lo.CF_RANKS], (c + 1) * config[lo.CF_RANKS]):
        if rank[r, lo.RK_DOWN] or rank[r, lo.RK_WAITING] or rank[r, lo.RK_REFRESH_WAITS]:
            continue
        time = max(channel[c, lo.CH_READY + lo.PDE], rank[r, lo.RK_READY + lo.PDE])
        time = max(time, rank[r, lo.RK_LAST] + config[lo.CF_POWER_DOWN])
        if rank[r, lo.RK_OPEN] == 0:
            time = max(time, rank[r, lo.RK_ACTIVE_TO])
        time = max(floor, time)
        if time < channel[c, lo.CH_CAND_TIME]:
            keep(channel, c, time, lo.PDE, -1, r)


@lean_kernel
def scan(
    config: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    waiting: Words,
    c: int,
    floor: int,
) -> None:
    """Work out the next command of a channel, not before cycle `floor`."""
    channel[c, lo.CH_CAND_TIME] = lo.NEVER
    if channel[c, lo.CH_OPENED] and config[lo.CF_ROUND_ROBIN] == 0:
        scan_opened(config, channel, rank, bank, entry, ready, c, floor)
        if channel[c, lo.CH_CAND_TIME] == floor:
            return
    if channel[c, lo.CH_REFRESH_WAITS]:
        scan_refresh(config, channel, rank, bank, ready, c, floor)
    in_peace = channel[c, lo.CH_REFRESH_WAITS] == 0 and floor < channel[c, lo.CH_REFRESH_AT]
    if in_peace or config[lo.CF_PER_BANK] or config[lo.CF_RANKS] > 1:
        choose_mode(config, channel, c)
    pending = channel[c, lo.CH_PENDING + channel[c, lo.CH_WRITE_MODE]]
    if config[lo.CF_ROUND_ROBIN]:
        scan_turns(config, channel, rank, bank, entry, ready, c, floor)
    elif pending > _FEW_BANKS and channel[c, lo.CH_REFRESH_WAITS] == 0 and config[lo.CF_POWER_DOWN] == 0:
        scan_waiting(config, channel, rank, bank, entry, ready, waiting, c, floor)
    else:
        scan_queue(config, channel, rank, bank, entry, ready, c, floor)
    if config[lo.CF_POWER_DOWN]:
        scan_idle(config, channel, rank, c, floor)


@lean_kernel
def admit(
    config: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    c: int,
    floor: int,
    e: int,
) -> bool:
    """Let a request that has just been queued win if its command comes first; False where all have to be scanned.

    `e` is -1 where nothing has been queued. Nothing else may have changed since the last scan, of which the winner was
    not to issue before cycle `floor`. It stands then, and wins over a newcomer of the same time, which is younger.
    """
    if config[lo.CF_ROUND_ROBIN] or config[lo.CF_POWER_DOWN] or channel[c, lo.CH_REFRESH_WAITS]:
        return False
    winner = channel[c, lo.CH_CAND_ENTRY]
    at_once = channel[c, lo.CH_CAND_TIME] == floor
    if e < 0 or (at_once and winner >= 0 and bank[channel[c, lo.CH_CAND_UNIT], lo.BK_OPENER] == winner):
        return True  # an opened request that issues at once leaves the mode as it is
    mode = channel[c, lo.CH_WRITE_MODE]
    if floor < channel[c, lo.CH_REFRESH_AT] or config[lo.CF_PER_BANK] or config[lo.CF_RANKS] > 1:
        choose_mode(config, channel, c)
    is_write = channel[c, lo.CH_WRITE_MODE]
    if is_write != mode:
        if channel[c, lo.CH_OPENED] or channel[c, lo.CH_READS + is_write] > 1 or entry[e, lo.E_WRITE] != is_write:
            return False
        channel[c, lo.CH_CAND_TIME] = lo.NEVER  # the newcomer is the only one that may win
    elif entry[e, lo.E_WRITE] != is_write:
        return True
    b = entry[e, lo.E_BANK]
    queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
    if bank[b, lo.BK_ROW] < 0:
        command, is_first = lo.ACT, bank[b, queue + lo.Q_HEAD] == e
    elif bank[b, queue + lo.Q_HIT] == e:
        command, is_first = lo.RD + is_write, True
    else:
        command, is_first = lo.PRE, bank[b, queue + lo.Q_OTHER] == e and bank[b, lo.BK_OPENER] < 0
    if is_first:
        time = max(floor, allowed_at(channel, rank, bank, ready, c, b, command))
        if time < channel[c, lo.CH_CAND_TIME]:
            keep(channel, c, time, command, e, b)
    return True
