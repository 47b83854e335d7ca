"""What tiles of decomposed weights take to store, whichever array they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.blocks import BlockSequence
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
    filters = blocks.extents["n"]
    group = np.arange(blocks.group_trips)
    column = np.arange(blocks.trips["n"])
    first = (group * blocks.tiling.groups)[:, None] * filters + column * blocks.sizes["n"]
    several = blocks.group_extent(group)[:, None]  # groups of one tile follow each other, each of them whole
    held = np.where(several > 1, several * filters, blocks.block_extent("n", column))
    depth = np.arange(blocks.trips["k"])
    begin = depth * blocks.sizes["k"]
    basis = pot.layout.basis
    stop = -(-(begin + blocks.block_extent("k", depth)) // basis)
    stop[-1] = pot.filter_rows
    bits = pot.tile_bits((first.ravel(), (first + held).ravel()), (begin // basis, stop))
    return bits.total.reshape(*first.shape, len(depth))
