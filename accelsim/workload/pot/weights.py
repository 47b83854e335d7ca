"""Decomposed weights of a network, in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.pot.encoding import from_levels, stored_coefficients
from accelsim.workload.pot.parameters import CODE_BITS, Index, PotParameters
from accelsim.workload.pot.reshaping import SliceLayout, chunks, from_slices
from accelsim.workload.pot.storage import FLOAT_BITS, StorageBits, index_bits

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operators import Shape

    Floats32 = np.ndarray[Any, np.dtype[np.float32]]
    Levels = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True, eq=False)
class PotLayer:
    """A weight array as sparse powers of two times small bases.

    Parameters
    ----------
    name
        Name of the weight array.
    layout
        How it was cut into slices.
    levels
        Coefficients as signed levels, int8 ``(all slices, rows, basis)``: 0 for zero, else plus or minus
        1 + (exponent - `lowest_exponent`).
    lowest_exponent
        Exponent of two of level 1.
    basis
        Bases, int8 ``(all slices, basis, basis)``, in units of `basis_scale`.
    basis_scale
        Value of one unit of a basis entry, exact in 32-bit floating point.
    error
        Frobenius norm of what the decoded weights lack, relative to that of the original ones.
    """

    name: str
    layout: SliceLayout
    levels: Levels
    lowest_exponent: int
    basis: Levels
    basis_scale: float
    error: float

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weight array."""
        return self.layout.weight_shape

    @property
    def sparsity(self) -> float:
        """Fraction of zero coefficients, those of padding included."""
        return 1.0 - np.count_nonzero(self.levels) / self.levels.size

    @property
    def vector_sparsity(self) -> float:
        """Fraction of rows without any nonzero, those of padding included."""
        return 1.0 - int(self.levels.any(axis=2).sum()) / self.layout.all_rows

    def coefficients(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Coefficients as numbers, shaped as `levels`."""
        return from_levels(self.levels, self.lowest_exponent)

    def decode(self) -> Floats32:
        """Weights that hardware rebuilds, rounded once, to 32-bit floating point.

        A coefficient times a basis entry is a shifted 8-bit integer, and a sum of three of them is exact in 64 bits.
        """
        decoded = np.empty(self.weight_shape, np.float32)
        for filters, slices in chunks(self.layout):
            exact = from_levels(self.levels[slices], self.lowest_exponent) @ self.basis[slices].astype(np.float64)
            decoded[filters] = from_slices(exact * self.basis_scale, self.layout)
        return decoded

    def storage(self, index: Index) -> StorageBits:
        """Bits under an index."""
        codes = stored_coefficients(self.levels, self.layout, index)
        return StorageBits(CODE_BITS * codes, index_bits(self.layout, index), 8 * self.basis.size)


@dataclass(frozen=True, eq=False)
class PlainLayer:
    """A weight array that is not decomposed.

    Parameters
    ----------
    name
        Name of the weight array.
    weights
        The weights.
    reason
        Why it stays as it is.
    """

    name: str
    weights: Floats32
    reason: str

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weight array."""
        return tuple(int(size) for size in self.weights.shape)

    def decode(self) -> Floats32:
        """Weights as they are."""
        return self.weights

    def storage(self, index: Index) -> StorageBits:  # noqa: ARG002 - the same for each
        """Bits, 32 to a weight."""
        return StorageBits(plain_bits=FLOAT_BITS * self.weights.size)


@dataclass(frozen=True, eq=False)
class PotWeights:
    """All weight arrays of a network.

    Parameters
    ----------
    network
        What they were made from.
    layers
        In the order of the network.
    parameters
        How they were made.
    """

    network: str
    layers: tuple[PotLayer | PlainLayer, ...]
    parameters: PotParameters

    def storage(self, index: Index | None = None) -> StorageBits:
        """Bits of all layers; left out, under the index with which they were made."""
        return sum((layer.storage(index or self.parameters.index) for layer in self.layers), StorageBits())

    @property
    def weight_count(self) -> int:
        """Weights of all layers."""
        return sum(math.prod(layer.weight_shape) for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Fraction of zeros among the coefficients of all decomposed layers."""
        levels = [layer.levels for layer in self.layers if isinstance(layer, PotLayer)]
        total = sum(part.size for part in levels)
        return 1.0 - sum(int(np.count_nonzero(part)) for part in levels) / total if total else 0.0

    def for_graph(self, graph: LayerGraph, where: object = "PoT weights") -> dict[str, PotLayer | PlainLayer]:
        """Find the layer of the graph that each weight array belongs to; layers without one keep their own weights.

        Parameters
        ----------
        graph
            Network that is to use these weights.
        where
            File they came from, for messages.

        Returns
        -------
        dict
            Weight arrays by the name of the layer.

        Raises
        ------
        WorkloadError
            When the graph has no such weight array or one of another shape: the file is of another network.
        """
        arrays = {layer.name: layer for layer in self.layers}
        found: dict[str, PotLayer | PlainLayer] = {}
        known: set[str] = set()
        for layer in graph.layers:
            tensor = graph.weight_tensor(layer)
            if tensor is None:
                continue
            known.add(tensor.name)
            array = arrays.get(tensor.name)
            if array is not None:
                _check_shape(array, tensor.shape, graph, where)
                found[layer.name] = array
        for name in arrays:
            if name not in known:
                raise WorkloadError(
                    f"network {graph.name} has no such weight array: these are the weights of {self.network!r}",
                    where=where,
                    key=name,
                )
        return found


def _check_shape(array: PotLayer | PlainLayer, shape: Shape, graph: LayerGraph, where: object) -> None:
    if array.weight_shape != shape:
        raise WorkloadError(
            f"has shape {array.weight_shape}, in network {graph.name} it has {shape}", where=where, key=array.name
        )
