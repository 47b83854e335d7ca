"""Decomposed weights as the bytes in which they lie in DRAM, and the weights that are rebuilt where bits of them flip.

A machine fetches tiles of bases, index and codes (`accelsim.workload.pot.tile_bytes`) and rebuilds weights from what it
reads. A flipped bit of a code negates or shifts one coefficient, one of a basis changes weights of one slice. One of
the index puts a coefficient in or leaves one out, after which the codes of the rest of the tile belong to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.hardware.pe_array.pot_tiles import pot_tile_shapes
from accelsim.mapping.element_order import ByteOrder
from accelsim.workload.pot.tile_bytes import decode_tile, encode_tile, rebuild_tile, tile_content

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.element_order import WeightOrder
    from accelsim.workload.pot.operand import KnownPotOperand
    from accelsim.workload.pot.tile_bytes import TileShape

    Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class EncodedWeights:
    """Decomposed weights of a layer in the tiles of a machine.

    Parameters
    ----------
    pot
        The weights.
    cut
        How plain weights would be cut into the same tiles.
    """

    pot: KnownPotOperand
    cut: WeightOrder

    @property
    def order(self) -> ByteOrder:
        """The place in DRAM, byte by byte."""
        return ByteOrder(self.stored.size)

    @cached_property
    def tiles(self) -> list[TileShape]:
        """Part of the layer that each tile is, as they follow each other."""
        return pot_tile_shapes(self.pot, self.cut)

    @cached_property
    def _encoded(self) -> list[NDArray[np.uint8]]:
        return [encode_tile(tile_content(self.pot, shape), shape) for shape in self.tiles]

    @cached_property
    def stored(self) -> NDArray[np.uint8]:
        """All tiles as they lie in DRAM."""
        return np.concatenate(self._encoded)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First byte of each tile, and the end of the last one."""
        return np.cumsum([0, *(len(tile) for tile in self._encoded)])

    @cached_property
    def weights(self) -> Floats:
        """Weights without errors, (outputs, inputs)."""
        layer = self.pot.layer
        return layer.decode().reshape(layer.layout.filters, -1)

    def changed(
        self, read: NDArray[np.uint8], touched: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Weights that come out different.

        Parameters
        ----------
        read
            Bytes as read, as many as are stored.
        touched
            Which of them differ from those stored.

        Returns
        -------
        tuple of ndarray
            Elements, counted as (outputs, inputs), and their values.
        """
        elements, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        bounds = list(pairwise(self.starts.tolist()))
        for tile in np.unique(np.searchsorted(self.starts, touched, side="right") - 1).tolist():
            begin, end = bounds[tile]
            where, rebuilt = self._rebuilt(tile, read[begin:end])
            differs = rebuilt != self.weights.reshape(-1)[where]
            elements.append(where[differs])
            values.append(rebuilt[differs])
        return np.concatenate(elements), np.concatenate(values)

    def _rebuilt(self, tile: int, stored: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Elements and values of the weights that a machine takes from a tile: rows on its edges are in others, too."""
        shape, layer = self.tiles[tile], self.pot.layer
        size = layer.layout.filter_weights
        first, end = self._inputs[tile % len(self._inputs)]
        before = shape.rows[0] * layer.layout.basis
        weights = rebuild_tile(decode_tile(stored, shape), shape, layer.lowest_exponent) * layer.basis_scale
        outputs = np.arange(*shape.filters)
        elements: NDArray[Any] = outputs[:, None] * size + np.arange(first, end)
        return elements.ravel(), weights[:, first - before : end - before].astype(np.float32).ravel()

    @cached_property
    def _inputs(self) -> list[tuple[int, int]]:
        """First and last-plus-one weight of a filter that the tiles of each block of k hold."""
        depths = self.cut.extents[2].tolist()
        return [(number * self.cut.tile_k, number * self.cut.tile_k + depth) for number, depth in enumerate(depths)]
