"""Kernels for the command that a channel issues next: which one it is, and from when on commands are allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


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
def is_held_back(config: Words, rank: Words, r: int, b: int) -> bool:
    """Whether a waiting refresh keeps new commands from a bank."""
    if rank[r, lo.RK_REFRESH_WAITS] == 0:
        return False
    return bool(config[lo.CF_PER_BANK] == 0 or b == r * config[lo.CF_BANKS] + rank[r, lo.RK_REFRESH_BANK])
