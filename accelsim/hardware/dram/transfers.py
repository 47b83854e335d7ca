"""Kernels that keep account of transfers: bursts that are read or written together, and when all of them are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def open_transfer(transfer: Words, stats: Words, slot: int, bursts: int, writes: int) -> None:
    """Begin a transfer of some bursts; `writes` tells whether some of them are written."""
    place = stats[lo.G_OPEN]
    transfer[slot, lo.T_REMAINING] = bursts
    transfer[slot, lo.T_QUEUED] = 0
    transfer[slot, lo.T_WRITES] = writes
    transfer[slot, lo.T_END] = 0
    transfer[slot, lo.T_FOUND] = 0
    transfer[slot, lo.T_PLACE] = place
    transfer[place, lo.T_LIST_OPEN] = slot
    stats[lo.G_OPEN] = place + 1
    stats[lo.G_OPEN_WRITES] += writes


@lean_kernel
def finish_part(transfer: Words, stats: Words, slot: int, end: int, found: int) -> None:
    """One burst of a transfer is done at `end`, as was found at `found` (see `layout.T_FOUND`)."""
    transfer[slot, lo.T_END] = max(transfer[slot, lo.T_END], end)
    transfer[slot, lo.T_FOUND] = max(transfer[slot, lo.T_FOUND], found)
    remaining = transfer[slot, lo.T_REMAINING] - 1
    transfer[slot, lo.T_REMAINING] = remaining
    if remaining == 0:
        stats[lo.G_OPEN] -= 1
        stats[lo.G_OPEN_WRITES] -= transfer[slot, lo.T_WRITES]
        moved = transfer[stats[lo.G_OPEN], lo.T_LIST_OPEN]
        transfer[transfer[slot, lo.T_PLACE], lo.T_LIST_OPEN] = moved
        transfer[moved, lo.T_PLACE] = transfer[slot, lo.T_PLACE]
        transfer[stats[lo.G_DONE], lo.T_LIST_DONE] = slot
        stats[lo.G_DONE] += 1


@lean_kernel
def earliest_completion(config: Words, transfer: Words, stats: Words, writes: int, cycle: int) -> int:
    """Cycle before which no transfer can be complete, if none has been simulated from `cycle` on.

    A read is done a read latency after its command. What is done as soon as it is accepted, a write or a read of a
    burst whose write is queued, is accepted once a cycle by each channel. `writes` tells whether any is queued.
    """
    latency = config[lo.CF_READ_LATENCY]
    if writes == 0 and stats[lo.G_OPEN_WRITES] == 0:
        return int(cycle + latency)
    channels = config[lo.CF_CHANNELS]
    fewest = latency * channels
    for place in range(stats[lo.G_OPEN]):
        slot = transfer[place, lo.T_LIST_OPEN]
        if transfer[slot, lo.T_QUEUED] == 0:
            fewest = min(fewest, transfer[slot, lo.T_REMAINING])
    return int(cycle + (fewest + channels - 1) // channels)


@lean_kernel
def sort_completions(transfer: Words, stats: Words) -> None:
    """Bring the transfers that are done into the order in which they were found to be."""
    for place in range(1, stats[lo.G_DONE]):
        slot = transfer[place, lo.T_LIST_DONE]
        before = place
        while before and transfer[transfer[before - 1, lo.T_LIST_DONE], lo.T_FOUND] > transfer[slot, lo.T_FOUND]:
            transfer[before, lo.T_LIST_DONE] = transfer[before - 1, lo.T_LIST_DONE]
            before -= 1
        transfer[before, lo.T_LIST_DONE] = slot
