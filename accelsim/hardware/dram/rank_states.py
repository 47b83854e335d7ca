"""Kernels that open and close banks, and lead ranks through refresh and power-down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def close_bank(rank: Words, bank: Words, r: int, b: int, cycle: int) -> None:
    """A bank is precharged; the rank stays active until `cycle` at least."""
    bank[b, lo.BK_ROW] = -1
    rank[r, lo.RK_OPEN] -= 1
    rank[r, lo.RK_ACTIVE_TO] = max(rank[r, lo.RK_ACTIVE_TO], cycle)


@lean_kernel
def begin_active(rank: Words, r: int, cycle: int) -> None:
    """The rank becomes active at `cycle`, or stays so."""
    if rank[r, lo.RK_OPEN] == 0 and cycle > rank[r, lo.RK_ACTIVE_TO]:
        rank[r, lo.RK_ACTIVE_SUM] += rank[r, lo.RK_ACTIVE_TO] - rank[r, lo.RK_ACTIVE_FROM]
        rank[r, lo.RK_ACTIVE_FROM] = cycle
        rank[r, lo.RK_ACTIVE_TO] = cycle


@lean_kernel
def change_rank(config: Words, channel: Words, rank: Words, cycle: int, c: int, r: int, command: int) -> None:
    """State of a rank after a refresh, or when it enters or leaves power-down."""
    if command == lo.REF or command == lo.REFB:
        begin_active(rank, r, cycle)
        until = cycle + config[lo.CF_REFRESH_CYCLES + command - lo.REF]
        rank[r, lo.RK_ACTIVE_TO] = max(rank[r, lo.RK_ACTIVE_TO], until)
        rank[r, lo.RK_REFRESH_WAITS] -= 1
        channel[c, lo.CH_REFRESH_WAITS] -= 1
        if command == lo.REFB:
            rank[r, lo.RK_REFRESH_BANK] = (rank[r, lo.RK_REFRESH_BANK] + 1) % config[lo.CF_BANKS]
    elif command == lo.PDE:
        rank[r, lo.RK_DOWN] = 2 if rank[r, lo.RK_OPEN] > 0 else 1
        rank[r, lo.RK_DOWN_FROM] = cycle
    else:
        total = lo.RK_ACTIVE_DOWN_SUM if rank[r, lo.RK_DOWN] == 2 else lo.RK_DOWN_SUM
        rank[r, total] += cycle - rank[r, lo.RK_DOWN_FROM]
        rank[r, lo.RK_DOWN] = 0


@lean_kernel
def precharge_all(config: Words, rank: Words, bank: Words, cycle: int, r: int) -> int:
    """Close all banks of a rank; return the operating point among the open rows that takes longest."""
    slowest = -1
    longest = -1
    for b in range(r * config[lo.CF_BANKS], (r + 1) * config[lo.CF_BANKS]):
        if bank[b, lo.BK_ROW] >= 0:
            close_bank(rank, bank, r, b, cycle)
            point = bank[b, lo.BK_POINT]
            if config[lo.CF_ROW_ACTIVE + config[lo.CF_POINTS] + point] > longest:
                longest = config[lo.CF_ROW_ACTIVE + config[lo.CF_POINTS] + point]
                slowest = point
    return int(slowest)
