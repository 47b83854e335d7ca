"""Kernels that count what happens, for the figures of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def count_outcome(channel: Words, bank: Words, entry: Words, c: int, b: int, e: int, command: int) -> None:
    """Count a request as hit, miss or conflict by its first command."""
    if entry[e, lo.E_COUNTED]:
        return
    entry[e, lo.E_COUNTED] = 1
    kind = 0
    if command == lo.ACT:
        kind = 1
    elif command == lo.PRE:
        kind = 2
    channel[c, lo.CH_HITS + kind] += 1
    bank[b, lo.BK_HITS + kind] += 1


@lean_kernel
def count_latency(channel: Words, stats: Words, c: int, latency: int) -> None:
    """Add a read to the latency statistics."""
    stats[lo.G_LATENCIES + min(latency, lo.LATENCY_BINS - 1)] += 1
    channel[c, lo.CH_LATENCY_SUM] += latency
    channel[c, lo.CH_LATENCY_COUNT] += 1
    channel[c, lo.CH_LATENCY_MAX] = max(channel[c, lo.CH_LATENCY_MAX], latency)


@lean_kernel
def widen_bins(stats: Words, cycle: int) -> None:
    """Join the time bins in pairs until `cycle` lies in one of them."""
    while cycle >> stats[lo.G_BIN_BITS] >= lo.TRAFFIC_BINS:
        for side in range(2):
            first = lo.G_TRAFFIC + side * lo.TRAFFIC_BINS
            for i in range(lo.TRAFFIC_BINS // 2):
                stats[first + i] = stats[first + 2 * i] + stats[first + 2 * i + 1]
            for i in range(lo.TRAFFIC_BINS // 2, lo.TRAFFIC_BINS):
                stats[first + i] = 0
        stats[lo.G_BIN_BITS] += 1


@lean_kernel
def log_command(
    config: Words, stats: Words, log: Words, cycle: int, command: int, c: int, r: int, b: int, row: int
) -> None:
    """Append to the command log, if one is kept; ranks are logged within their channel, banks within their rank."""
    if config[lo.CF_LOG]:
        at = stats[lo.G_LOGGED]
        log[at, lo.L_CYCLE] = cycle
        log[at, lo.L_COMMAND] = command
        log[at, lo.L_CHANNEL] = c
        log[at, lo.L_RANK] = r - c * config[lo.CF_RANKS]
        log[at, lo.L_BANK] = b - r * config[lo.CF_BANKS] if b >= 0 else -1
        log[at, lo.L_ROW] = row
        stats[lo.G_LOGGED] = at + 1
