"""Tiles that a step needs, and the room of those that it was the last to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.buffers import give_back
from accelsim.simulation.compiled.counters import finish
from accelsim.simulation.compiled.rows import counter_row, operand_row, stream_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@inner_kernel
def misses(g: Words, m: Words, stream: int, step: int, process: int) -> bool:
    """Let a process wait for the next tile that a step needs and that is not there; False where all are."""
    row = stream_row(m, stream)
    operand = m[row + la.SM_OPERAND]
    first = g[operand + la.OP_TILE]
    while (
        m[row + la.SM_NEXT] < g[operand + la.OP_TILES]
        and g[first + la.N_TILE * m[row + la.SM_NEXT] + la.TL_STEP] <= step
    ):
        if m[m[la.ARRIVED] + m[row + la.SM_TILE] + m[row + la.SM_NEXT]] < 0:
            m[row + la.SM_AWAITED] = m[row + la.SM_NEXT]
            m[row + la.SM_WAITER] = process
            return True
        m[row + la.SM_NEXT] += 1
    return False


@inner_kernel
def last_arrival(g: Words, m: Words, stream: int, step: int) -> tuple[int, int]:
    """Time and number of the tile that arrived last among those that a step was the first to need."""
    row = stream_row(m, stream)
    first = g[m[row + la.SM_OPERAND] + la.OP_TILE]
    tile = m[row + la.SM_NEXT] - 1
    latest, which = -1, -1
    while tile >= 0 and g[first + la.N_TILE * tile + la.TL_STEP] == step:
        arrived = m[m[la.ARRIVED] + m[row + la.SM_TILE] + tile]
        if arrived > latest:
            latest, which = arrived, tile
        tile -= 1
    return latest, which


@inner_kernel
def retire(g: Words, m: Words, stream: int, step: int) -> None:
    """Give back the room of a set that a step was the last to use."""
    operand = operand_row(m, stream)
    done = m[counter_row(m, stream) + la.CN_VALUE]
    if done < g[operand + la.OP_SETS] and g[g[operand + la.OP_SET] + la.N_SET * done + la.SE_RETIRE_STEP] == step:
        released = g[g[operand + la.OP_SET] + la.N_SET * done + la.SE_RELEASED]
        if released:
            give_back(m, g[operand + la.OP_BUFFER], released)
        finish(m, stream, done)
