"""Kernels that find the command which a DRAM channel issues next, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

_ARRIVAL_BITS = 44
"""Room for the arrival of a request, in cycles, below the time in a key: four hours at 1.2 GHz."""
_FEW_BANKS = 3
"""Up to so many banks with requests it is faster to visit just these."""


@lean_kernel
def keep(channel: Words, c: int, time: int, command: int, e: int, unit: int) -> None:
    """Note the command that wins so far; `unit` is its bank, or its rank for a command to a whole rank."""
    channel[c, lo.CH_CAND_TIME] = time
    channel[c, lo.CH_CAND_COMMAND] = command
    channel[c, lo.CH_CAND_ENTRY] = e
    channel[c, lo.CH_CAND_UNIT] = unit


@lean_kernel
def allowed_at(channel: Words, rank: Words, bank: Words, ready: Words, c: int, b: int, command: int) -> int:
    """First cycle in which no constraint stands against a command to a bank."""
    wide = max(channel[c, lo.CH_READY + command], rank[bank[b, lo.BK_RANK], lo.RK_READY + command])
    return int(max(wide, ready[command, b]))


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
def is_held_back(config: Words, rank: Words, r: int, b: int) -> bool:
    """Whether a waiting refresh keeps new commands from a bank."""
    if rank[r, lo.RK_REFRESH_WAITS] == 0:
        return False
    return bool(config[lo.CF_PER_BANK] == 0 or b == r * config[lo.CF_BANKS] + rank[r, lo.RK_REFRESH_BANK])


@lean_kernel
def scan_queue(
    config: Words, channel: Words, rank: Words, bank: Words, entry: Words, ready: Words, c: int, floor: int
) -> None:
    """Let a queued request win where its next command comes before what has been found so far."""
    is_write = channel[c, lo.CH_WRITE_MODE]
    queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
    access = lo.RD + is_write
    refreshing = channel[c, lo.CH_REFRESH_WAITS] > 0
    first = c * config[lo.CF_RANKS] * config[lo.CF_BANKS]
    best = channel[c, lo.CH_CAND_TIME]
    best_arrive = -1
    best_entry = -1
    best_command = 0
    r = -1
    wide_activate = wide_access = wide_precharge = 0
    for place in range(channel[c, lo.CH_PENDING + is_write]):
        b = bank[first + place, lo.BK_LIST + is_write]
        if bank[b, lo.BK_RANK] != r:
            r = bank[b, lo.BK_RANK]
            wide_activate = max(floor, channel[c, lo.CH_READY + lo.ACT], rank[r, lo.RK_READY + lo.ACT])
            wide_access = max(floor, channel[c, lo.CH_READY + access], rank[r, lo.RK_READY + access])
            wide_precharge = max(floor, channel[c, lo.CH_READY + lo.PRE], rank[r, lo.RK_READY + lo.PRE])
        if refreshing and is_held_back(config, rank, r, b):
            continue
        e = -1
        time = lo.NEVER
        command = lo.PRE
        if rank[r, lo.RK_DOWN]:
            command = lo.PDX
            e = bank[b, queue + lo.Q_HEAD]
            time = max(floor, channel[c, lo.CH_READY + lo.PDX], rank[r, lo.RK_READY + lo.PDX])
        elif bank[b, lo.BK_ROW] < 0:
            command = lo.ACT
            e = bank[b, queue + lo.Q_HEAD]
            time = max(wide_activate, ready[lo.ACT, b])
        else:
            hit = bank[b, queue + lo.Q_HIT]
            if hit >= 0:
                time = max(wide_access, ready[access, b])
                if time < best or (time == best and entry[hit, lo.E_ARRIVE] < best_arrive):
                    best, best_arrive, best_entry, best_command = time, entry[hit, lo.E_ARRIVE], hit, access
            if bank[b, lo.BK_OPENER] < 0:
                e = bank[b, queue + lo.Q_OTHER]
                time = max(wide_precharge, ready[lo.PRE, b])
        if e >= 0 and (time < best or (time == best and entry[e, lo.E_ARRIVE] < best_arrive)):
            best, best_arrive, best_entry, best_command = time, entry[e, lo.E_ARRIVE], e, command
    if best_entry >= 0:
        b = entry[best_entry, lo.E_BANK]
        if best_command == lo.PDX:
            keep(channel, c, best, best_command, -1, bank[b, lo.BK_RANK])
        else:
            keep(channel, c, best, best_command, best_entry, b)


@lean_kernel
def scan_waiting(
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
    """Do what `scan_queue` does, where no rank is in power-down and no refresh waits: without branches, over all banks.

    The time at which a command may issue and the arrival of its request make up one number, of which the least wins;
    the arrival, of which there is one per cycle and channel, then tells the request.
    """
    is_write = channel[c, lo.CH_WRITE_MODE]
    access = lo.RD + is_write
    kind = lo.N_KINDS * is_write
    banks = config[lo.CF_BANKS]
    best = lo.NEVER - floor
    for r in range(c * config[lo.CF_RANKS], (c + 1) * config[lo.CF_RANKS]):
        if rank[r, lo.RK_WAITING] == 0:
            continue
        wide = max(floor, channel[c, lo.CH_READY + lo.ACT], rank[r, lo.RK_READY + lo.ACT]) - floor
        wide_access = max(floor, channel[c, lo.CH_READY + access], rank[r, lo.RK_READY + access]) - floor
        wide_precharge = max(floor, channel[c, lo.CH_READY + lo.PRE], rank[r, lo.RK_READY + lo.PRE]) - floor
        for b in range(r * banks, r * banks + banks):
            key = (max(ready[lo.ACT, b] - floor, wide) << _ARRIVAL_BITS) + waiting[kind + lo.W_ACTIVATE, b]
            best = min(best, key)
            key = (max(ready[access, b] - floor, wide_access) << _ARRIVAL_BITS) + waiting[kind + lo.W_ACCESS, b]
            best = min(best, key)
            key = (max(ready[lo.PRE, b] - floor, wide_precharge) << _ARRIVAL_BITS) + waiting[kind + lo.W_PRECHARGE, b]
            best = min(best, key)
    arrive = best & ((1 << _ARRIVAL_BITS) - 1)
    time = floor + (best >> _ARRIVAL_BITS)
    if time >= channel[c, lo.CH_CAND_TIME] or best >= lo.NEVER - floor:
        return
    e = channel[c, lo.CH_BY_ARRIVAL + (arrive & (lo.ARRIVAL_SLOTS - 1))]
    if entry[e, lo.E_ARRIVE] != arrive or entry[e, lo.E_WRITE] != is_write:  # a request that has waited for long
        e = c * config[lo.CF_ENTRIES]
        while entry[e, lo.E_ARRIVE] != arrive or entry[e, lo.E_WRITE] != is_write:
            e += 1
    b = entry[e, lo.E_BANK]
    if bank[b, lo.BK_ROW] < 0:
        keep(channel, c, time, lo.ACT, e, b)
    else:
        keep(channel, c, time, access if entry[e, lo.E_ROW] == bank[b, lo.BK_ROW] else lo.PRE, e, b)


@lean_kernel
def scan_turns(
    config: Words, channel: Words, rank: Words, bank: Words, entry: Words, ready: Words, c: int, floor: int
) -> None:
    """Choose among opened and queued requests with the banks taking turns, as DRAMsim3's command queues do.

    Within a bank the oldest whose command may issue wins. A row that has waiting hits is closed only for a request
    that is older than all of them, and after `CF_HIT_LIMIT` accesses.
    """
    is_write = channel[c, lo.CH_WRITE_MODE]
    queue = lo.BK_QUEUE + lo.N_QUEUE * is_write
    banks = config[lo.CF_RANKS] * config[lo.CF_BANKS]
    best = channel[c, lo.CH_CAND_TIME]
    for turn in range(banks):
        b = c * banks + (channel[c, lo.CH_BANK_TURN] + turn) % banks
        r = bank[b, lo.BK_RANK]
        opener = bank[b, lo.BK_OPENER]
        if opener >= 0:
            command = lo.RD + entry[opener, lo.E_WRITE]
            time = max(floor, allowed_at(channel, rank, bank, ready, c, b, command))
            if time < best:
                best = time
                keep(channel, c, time, command, opener, b)
        head = bank[b, queue + lo.Q_HEAD]
        if head < 0 or is_held_back(config, rank, r, b):
            continue
        command = lo.ACT
        e = head
        if rank[r, lo.RK_DOWN]:
            time = max(floor, channel[c, lo.CH_READY + lo.PDX], rank[r, lo.RK_READY + lo.PDX])
            if time < best:
                best = time
                keep(channel, c, time, lo.PDX, -1, r)
            continue
        if bank[b, lo.BK_ROW] >= 0:
            e = bank[b, queue + lo.Q_HIT]
            command = lo.RD + is_write
        if e >= 0:
            time = max(floor, allowed_at(channel, rank, bank, ready, c, b, command))
            if time < best:
                best = time
                keep(channel, c, time, command, e, b)
        closable = e < 0 or (head != e and bank[b, lo.BK_ROW_HITS] >= config[lo.CF_HIT_LIMIT])
        if command != lo.ACT and opener < 0 and closable and bank[b, queue + lo.Q_OTHER] >= 0:
            time = max(floor, allowed_at(channel, rank, bank, ready, c, b, lo.PRE))
            if time < best:
                best = time
                keep(channel, c, time, lo.PRE, bank[b, queue + lo.Q_OTHER], b)


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
