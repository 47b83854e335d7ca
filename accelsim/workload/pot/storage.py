"""Bits that decomposed weights take: of layers as they are, or of shapes at a stated sparsity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.units import BITS_PER_BYTE, ceil_div
from accelsim.workload.pot.parameters import CODE_BITS, GROUP_FILTERS, Index
from accelsim.workload.pot.reshaping import SliceLayout, plain_reason, slice_layout

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operators import Shape

FLOAT_BITS = 32
BASIS_BITS = 8


@dataclass(frozen=True)
class StorageBits:
    """Bits by what they hold.

    Parameters
    ----------
    coefficient_bits
        Codes of the coefficients that are stored.
    index_bits
        Which ones are.
    basis_bits
        Bases.
    plain_bits
        Weights that are not decomposed, as 32-bit floating-point numbers.
    """

    coefficient_bits: int = 0
    index_bits: int = 0
    basis_bits: int = 0
    plain_bits: int = 0

    def __add__(self, other: StorageBits) -> StorageBits:
        return StorageBits(
            self.coefficient_bits + other.coefficient_bits,
            self.index_bits + other.index_bits,
            self.basis_bits + other.basis_bits,
            self.plain_bits + other.plain_bits,
        )

    @property
    def total_bits(self) -> int:
        """All of them."""
        return self.coefficient_bits + self.index_bits + self.basis_bits + self.plain_bits

    @property
    def megabytes(self) -> float:
        """All of them in 10^6 bytes."""
        return self.total_bits / BITS_PER_BYTE / 1e6


def index_bits(layout: SliceLayout, index: Index) -> int:
    """Bits of the index of a layer; it covers padding, too."""
    if index == "element":
        return layout.coefficients
    if index == "vector":
        return layout.all_rows
    return ceil_div(layout.filters, GROUP_FILTERS) * layout.slices * layout.rows


def storage_at_sparsity(shape: Shape, sparsity: float, index: Index) -> StorageBits:
    """Storage of a weight array of which a fraction of the coefficients is zero.

    An index per vector or per group of vectors names only zeros that fill whole vectors: all are taken to do so, which
    makes the result a lower bound for a layer with zeros elsewhere. Padding is not counted among the coefficients that
    are stored.

    Parameters
    ----------
    shape
        Shape of the weights.
    sparsity
        Fraction of zeros, from 0 to 1; ignored where the layer stays plain.
    index
        What a bit of the index stands for.
    """
    weights = math.prod(shape)
    if plain_reason(shape) is not None:
        return StorageBits(plain_bits=FLOAT_BITS * weights)
    layout = slice_layout(shape)
    return StorageBits(
        CODE_BITS * round((1.0 - sparsity) * weights), index_bits(layout, index), BASIS_BITS * layout.basis_entries
    )


def network_storage_at_sparsity(graph: LayerGraph, sparsity: float, index: Index) -> StorageBits:
    """Storage of all weights of a network (each array once) and, as plain bits, of its biases and normalisations."""
    shapes = {weight.name: weight.shape for layer in graph.layers if (weight := graph.weight_tensor(layer)) is not None}
    parts = [storage_at_sparsity(shape, sparsity, index) for shape in shapes.values()]
    others = graph.total_parameters - sum(math.prod(shape) for shape in shapes.values())
    return sum(parts, StorageBits(plain_bits=FLOAT_BITS * others))
