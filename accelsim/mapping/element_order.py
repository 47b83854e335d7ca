"""At which bit of its region each element of a tensor lies: the one definition, which tile addresses and faults share.

Feature maps lie pixel by pixel, the channels of a pixel side by side, every pixel rounded up to whole bytes; a map of
less or more than four dimensions counts its last one as channels. Weights lie tile by tile, the tiles in the order
(group, n, k) of their indices and each rounded up to whole bytes; within a tile the elements follow one another by
group, then by output channel n, then along k, which runs through the input channels and within one through the taps of
the kernel. The bits of an element lie from the least significant one up, bit ``i`` of the region in bit ``i % 8`` of
byte ``i // 8``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from accelsim.units import BITS_PER_BYTE, bits_to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ElementOrder(Protocol):
    """How the elements of a tensor lie in its region."""

    @property
    def bits(self) -> int:
        """Bits per element."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the region."""

    def elements_at(self, bit_offset: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Element that holds each bit of the region, counted row by row through its array (-1: none), and bit in it."""


@dataclass(frozen=True)
class MapOrder:
    """Feature map of a shape: pixel by pixel, channels innermost.

    Parameters
    ----------
    shape
        ``(N, C, H, W)``, or any other with the channels last.
    bits
        Bits per element.
    """

    shape: tuple[int, ...]
    bits: int

    @property
    def channels(self) -> int:
        """Elements of a pixel."""
        return self.shape[1] if len(self.shape) == 4 else self.shape[-1]

    @property
    def size_bytes(self) -> int:
        """Bytes of the region."""
        return math.prod(self.shape) // self.channels * bits_to_bytes(self.channels * self.bits)

    def elements_at(self, bit_offset: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Element (row-major in `shape`) that holds each bit of the region, -1 for padding, and the bit within it."""
        pixel, inside = np.divmod(bit_offset, bits_to_bytes(self.channels * self.bits) * BITS_PER_BYTE)
        channel, bit = np.divmod(inside, self.bits)
        if len(self.shape) == 4:
            area = self.shape[2] * self.shape[3]
            image, place = np.divmod(pixel, area)
            element = (image * self.channels + channel) * area + place
        else:
            element = pixel * self.channels + channel
        held = (channel < self.channels) & (element < math.prod(self.shape))
        return np.where(held, element, -1), bit


@dataclass(frozen=True)
class ByteOrder:
    """Bytes one after the other, whatever they hold.

    Parameters
    ----------
    size_bytes
        How many.
    """

    size_bytes: int

    @property
    def bits(self) -> int:
        """Bits of a byte."""
        return BITS_PER_BYTE

    def elements_at(self, bit_offset: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Byte that holds each bit, -1 behind the last one, and the bit within it."""
        byte, bit = np.divmod(bit_offset, BITS_PER_BYTE)
        return np.where(byte < self.size_bytes, byte, -1), bit


@dataclass(frozen=True)
class WeightOrder:
    """Weights tile by tile.

    Parameters
    ----------
    groups, n, k
        Groups, and per group output channels and the length of a sum.
    tile_groups, tile_n, tile_k
        The same of a whole tile; the last ones along each may be cut.
    bits
        Bits per element.
    stored_bytes
        Per tile the bytes that it takes where they are more than its elements need: the rest lies behind them.
    """

    groups: int
    n: int
    k: int
    tile_groups: int
    tile_n: int
    tile_k: int
    bits: int
    stored_bytes: tuple[int, ...] | None = None

    @property
    def plainest(self) -> WeightOrder:
        """The order of the largest tiles in which every element lies where it lies in this one."""
        if self.stored_bytes is not None:
            return self
        row_bits = self.k * self.bits
        tile_n, tile_groups = self.tile_n, self.tile_groups
        if self.tile_k == self.k and tile_groups == 1 and tile_n * row_bits % BITS_PER_BYTE == 0:
            tile_n = self.n
        if self.tile_k == self.k and tile_n == self.n and self.n * row_bits % BITS_PER_BYTE == 0:
            tile_groups = self.groups
        return replace(self, tile_n=tile_n, tile_groups=tile_groups)

    @cached_property
    def tile_starts(self) -> NDArray[np.int64]:
        """First byte of each tile, shape (tiles along the groups, along n, along k), the end of the last one behind."""
        if self.stored_bytes is not None:
            return np.cumsum((0, *self.stored_bytes))
        elements = self.extents[0][:, None, None] * self.extents[1][:, None] * self.extents[2]
        return np.concatenate([[0], np.cumsum(-(-elements.ravel() * self.bits // BITS_PER_BYTE))])

    @cached_property
    def extents(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Groups, output channels and length of the tiles with each index."""

        def extents(whole: int, tile: int) -> NDArray[np.int64]:
            return np.minimum(tile, whole - np.arange(0, whole, tile))

        return extents(self.groups, self.tile_groups), extents(self.n, self.tile_n), extents(self.k, self.tile_k)

    @property
    def size_bytes(self) -> int:
        """Bytes of the region."""
        return int(self.tile_starts[-1])

    def elements_at(self, bit_offset: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Element (row-major in ``(groups * n, k)``) that holds each bit, -1 for padding, and the bit within it."""
        tile = np.searchsorted(self.tile_starts, bit_offset // BITS_PER_BYTE, side="right") - 1
        place, bit = np.divmod(bit_offset - self.tile_starts[tile] * BITS_PER_BYTE, self.bits)
        counts = [len(extents) for extents in self.extents]
        group, n, k = np.unravel_index(np.minimum(tile, math.prod(counts) - 1), counts)
        wide, long = self.extents[1][n], self.extents[2][k]
        within, inner_k = np.divmod(place, long)
        inner_group, inner_n = np.divmod(within, wide)
        held = (inner_group < self.extents[0][group]) & (tile < math.prod(counts))
        row = (group * self.tile_groups + inner_group) * self.n + n * self.tile_n + inner_n
        return np.where(held, row * self.k + k * self.tile_k + inner_k, -1), bit
