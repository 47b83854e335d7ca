"""Kernels that find the queued request whose command comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.candidate import allowed_at, is_held_back, keep
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words

_ARRIVAL_BITS = 44
"""Room for the arrival of a request, in cycles, below the time in a key: four hours at 1.2 GHz."""


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
