"""Kernels that offer bursts to the channels, in rings in which they wait to be accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.transfers import open_transfer
from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


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
    transfer: Words,
    stats: Words,
    addresses: Words,
    times: Words,
    stream: int,
    slot: int,
    is_write: Words,
) -> None:
    """Offer a transfer in the rings of a stream; `times` and `is_write` hold one value, or one each."""
    open_transfer(transfer, stats, slot, addresses.shape[0], int(is_write.max()))
    for k in range(addresses.shape[0]):
        start = times[k] if times.shape[0] > 1 else times[0]
        writes = is_write[k] if is_write.shape[0] > 1 else is_write[0]
        place_burst(config, decoder, channel, offers, ring, addresses[k], start, stream, slot, writes)
