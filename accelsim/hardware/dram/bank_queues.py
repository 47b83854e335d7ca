"""Kernels that keep the queues of the banks, and which of their requests come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def filter_slot(burst: int) -> int:
    """Column of a burst in the channel's filter of queued writes."""
    return lo.CH_FILTER + ((burst ^ (burst >> 8) ^ (burst >> 17)) & (lo.FILTER_SLOTS - 1))


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
