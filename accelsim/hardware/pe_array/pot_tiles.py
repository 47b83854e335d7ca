"""What tiles of decomposed weights take to store, whichever array they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.workload.pot.tile_bytes import TileShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.element_order import WeightOrder
    from accelsim.workload.pot.operand import PotOperand


def pot_weight_form(pot: PotOperand, weight_bits: int) -> float:
    """Share of the bits of plain weights that decomposed ones take, index and bases included."""
    weights = pot.layout.filters * pot.layout.filter_weights
    return pot.storage.total_bits / (weights * weight_bits)


def pot_tile_bits(pot: PotOperand, blocks: BlockSequence) -> NDArray[np.int64]:
    """Bits of each tile of decomposed weights, (groups, n, k) in blocks.

    Tiles that cut no slice and no group of filters that share an index add up to the storage of the layer. What lies on
    a cut is in the tiles of both sides: rows of three weights that begin in one tile and end in the next, the basis of
    a slice, the index of 32 filters. Padding behind the last row of a filter lies in its last tile.
    """
    first, end, begin, stop = _ranges(pot, blocks.weight_order)
    bits = pot.tile_bits((first.ravel(), end.ravel()), (begin, stop))
    return bits.total.reshape(*first.shape, len(begin))


def pot_tile_shapes(pot: PotOperand, order: WeightOrder) -> list[TileShape]:
    """Part of the layer that each tile is, in the order in which tiles lie in DRAM: by groups, n, k.

    Each tile begins with a byte of its own; `accelsim.workload.pot.tile_bytes` says what its bytes are.

    Parameters
    ----------
    pot
        The weights.
    order
        How plain weights would be cut into the same tiles.
    """
    first, end, begin, stop = (part.ravel().tolist() for part in _ranges(pot, order))
    return [
        TileShape(pot.layout, pot.index, filters, rows)
        for filters in zip(first, end, strict=True)
        for rows in zip(begin, stop, strict=True)
    ]


def _ranges(pot: PotOperand, order: WeightOrder) -> tuple[NDArray[np.int64], ...]:
    """First and last-plus-one filter of each tile, (groups, n) in blocks, and row, by block of k."""
    groups, filters, depths = order.extents
    first = (np.arange(len(groups)) * order.tile_groups * order.n)[:, None] + np.arange(len(filters)) * order.tile_n
    several = groups[:, None]  # groups of one tile follow each other, each of them whole
    held = np.where(several > 1, several * order.n, filters)
    begin = np.arange(len(depths)) * order.tile_k
    basis = pot.layout.basis
    stop = -(-(begin + depths) // basis)
    stop[-1] = pot.filter_rows
    return first, first + held, begin // basis, stop
