"""The bytes of one tile of decomposed weights, and back: what a fetch brings and what a bit flip hits.

A tile is a stretch of filters and a stretch of rows of each. Its bits follow each other without a gap, the first one
highest in its byte, and only the end is filled up to a whole byte:

1. basis: per filter and slice that the rows touch, nine entries of 8 bits in two's complement, row after row;
2. index: per filter (per group of 32 where the index is shared) and row one bit, or three for an index per coefficient;
3. codes: per filter and row, for what the index names, 4 bits each, as `accelsim.workload.pot.encoding` says.

The first two have a size that follows from the tile's shape, so that a flipped index bit shifts codes and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.units import BITS_PER_BYTE, ceil_div
from accelsim.workload.pot.encoding import from_levels
from accelsim.workload.pot.parameters import CODE_BITS, GROUP_FILTERS
from accelsim.workload.pot.storage import BASIS_BITS

if TYPE_CHECKING:
    from accelsim.workload.pot.operand import KnownPotOperand
    from accelsim.workload.pot.parameters import Index
    from accelsim.workload.pot.reshaping import SliceLayout

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Bits = np.ndarray[Any, np.dtype[np.uint8]]
    Levels = np.ndarray[Any, np.dtype[np.int8]]

_SIGN = 1 << (CODE_BITS - 1)


@dataclass(frozen=True)
class TileShape:
    """Which part of a layer a tile is.

    Parameters
    ----------
    layout
        How the layer is cut.
    index
        What a bit of the index stands for.
    filters, rows
        First and last-plus-one filter, and row of each filter (padding included).
    """

    layout: SliceLayout
    index: Index
    filters: tuple[int, int]
    rows: tuple[int, int]

    @property
    def slices(self) -> tuple[int, int]:
        """First and last-plus-one slice of each filter that the rows touch."""
        return self.rows[0] // self.layout.rows, ceil_div(self.rows[1], self.layout.rows)

    @property
    def basis_shape(self) -> tuple[int, int, int, int]:
        """Filters, slices, rows and columns of the bases."""
        first, end = self.slices
        return (self.filters[1] - self.filters[0], end - first, self.layout.basis, self.layout.basis)

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of the index, one truth value per bit."""
        filters, rows = self.filters[1] - self.filters[0], self.rows[1] - self.rows[0]
        if self.index == "element":
            return (filters, rows, self.layout.basis)
        if self.index == "vector":
            return (filters, rows)
        return (ceil_div(self.filters[1], GROUP_FILTERS) - self.filters[0] // GROUP_FILTERS, rows)

    @property
    def basis_bits(self) -> int:
        """Bits of the bases, with which a tile begins."""
        return int(np.prod(self.basis_shape)) * BASIS_BITS

    @property
    def index_bits(self) -> int:
        """Bits of the index behind them."""
        return int(np.prod(self.index_shape))

    def named(self, index: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Spread an index to one truth value per coefficient, (filters, rows, basis)."""
        if self.index == "element":
            return index
        if self.index == "group":
            group = np.arange(*self.filters) // GROUP_FILTERS - self.filters[0] // GROUP_FILTERS
            index = index[group]
        return np.repeat(index[..., None], self.layout.basis, axis=2)


@dataclass(frozen=True, eq=False)
class TileContent:
    """What a tile holds.

    Parameters
    ----------
    levels
        Signed levels, int8 (filters, rows, basis).
    index
        The index as stored, one truth value per bit.
    basis
        Bases, int8 (filters, slices, basis, basis).
    """

    levels: Levels
    index: np.ndarray[Any, np.dtype[np.bool_]]
    basis: Levels


def tile_content(operand: KnownPotOperand, shape: TileShape) -> TileContent:
    """What one tile of a layer holds."""
    filters, rows = slice(*shape.filters), slice(*shape.rows)
    levels = operand.levels[filters, rows]
    index = levels != 0
    if shape.index == "vector":
        index = index.any(axis=2)
    elif shape.index == "group":
        named = operand.named[:, rows]
        first = shape.filters[0] // GROUP_FILTERS
        index = named[first * GROUP_FILTERS :: GROUP_FILTERS][: shape.index_shape[0]]
    basis = operand.layer.basis.reshape(shape.layout.filters, shape.layout.slices, shape.layout.basis, -1)
    return TileContent(levels, index, basis[filters, slice(*shape.slices)])


def encode_tile(content: TileContent, shape: TileShape) -> Bytes:
    """Lay a tile out in bytes."""
    stored = content.levels[shape.named(content.index)]
    sizes = np.abs(stored).astype(np.uint8) - np.uint8(shape.index == "element")
    codes = np.where(stored < 0, _SIGN, 0).astype(np.uint8) | sizes
    basis = np.unpackbits(content.basis.astype(np.int8).view(np.uint8).ravel())
    code_bits = np.unpackbits(codes[:, None], axis=1)[:, BITS_PER_BYTE - CODE_BITS :]
    bits: Bits = np.concatenate([basis, content.index.ravel().astype(np.uint8), code_bits.ravel()])
    return np.packbits(bits)


def decode_tile(stored: Bytes, shape: TileShape) -> TileContent:
    """Read a tile back: the inverse of `encode_tile`.

    Any bytes are read as a machine would: codes that the index names beyond the end are zero, codes left over are not
    read. For bytes that `encode_tile` made, the content is that which it was given.
    """
    bits = np.unpackbits(stored)
    ends = shape.basis_bits, shape.basis_bits + shape.index_bits
    basis = np.packbits(bits[: ends[0]]).view(np.int8).reshape(shape.basis_shape)
    index = bits[ends[0] : ends[1]].astype(np.bool_).reshape(shape.index_shape)
    named = shape.named(index)
    wanted = int(named.sum())
    code_bits = np.zeros((wanted, BITS_PER_BYTE), np.uint8)
    found = bits[ends[1] :]
    held = min(wanted, len(found) // CODE_BITS)
    code_bits[:held, BITS_PER_BYTE - CODE_BITS :] = found[: held * CODE_BITS].reshape(held, CODE_BITS)
    codes = np.packbits(code_bits, axis=1).ravel() if wanted else np.zeros(0, np.uint8)
    present = np.arange(wanted) < held
    sizes = ((codes & (_SIGN - 1)).astype(np.int8) + np.int8(shape.index == "element")) * present
    levels = np.zeros(named.shape, np.int8)
    levels[named] = np.where(codes & _SIGN, -sizes, sizes)
    return TileContent(levels, index, basis)


def rebuild_tile(content: TileContent, shape: TileShape, lowest_exponent: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weights that a tile stands for, in units of the layer's basis scale, (filters, weights of its rows), exactly."""
    coefficients = from_levels(content.levels, lowest_exponent)
    weights = np.empty(coefficients.shape)
    first, end = shape.slices
    for number in range(first, end):  # each slice has a basis of its own
        rows = slice(
            max(number * shape.layout.rows - shape.rows[0], 0), (number + 1) * shape.layout.rows - shape.rows[0]
        )
        weights[:, rows] = coefficients[:, rows] @ content.basis[:, number - first].astype(np.float64)
    return weights.reshape(len(weights), -1)
