"""Decomposed weights as annotations of a network: from a file, or by their stated sparsity."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.pot.files import load_pot_weights
from accelsim.workload.pot.operand import KnownPotOperand, StatedPotOperand
from accelsim.workload.pot.parameters import GROUP_FILTERS
from accelsim.workload.pot.reshaping import slice_layout
from accelsim.workload.pot.weights import PotLayer

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operators import Shape
    from accelsim.workload.pot.parameters import Index
    from accelsim.workload.pot.weights import PlainLayer

MOST_INTEGER = 127
"""Largest magnitude of a weight that a machine holds in 8 bits, once it is decoded."""


def known_weights(path: Path, network: LayerGraph) -> dict[str, OperandData]:
    """Weights of a PoT file, by the name of their tensor.

    The values of a tensor are its decoded weights as a machine without an encoding of its own holds them: 8 bits, one
    scale per filter.

    Raises
    ------
    WorkloadError
        When the file cannot be read or belongs to another network.
    """
    weights = load_pot_weights(path)
    arrays = {array.name: array for array in weights.for_graph(network, path).values()}
    return {name: known_operand(array, weights.parameters.index) for name, array in arrays.items()}


def known_operand(array: PotLayer | PlainLayer, index: Index) -> OperandData:
    """Weights that are known, decomposed or not, under an index."""
    pot = KnownPotOperand(array, index) if isinstance(array, PotLayer) else None
    return OperandData(load=partial(_integers, array), pot=pot)


def _integers(array: PotLayer | PlainLayer) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Decoded weights, rounded to 8 bits filter by filter."""
    decoded = array.decode()
    filters = decoded.reshape(len(decoded), -1)
    largest = np.abs(filters).max(axis=1, keepdims=True)
    scaled = filters / np.where(largest > 0, largest, 1.0) * MOST_INTEGER
    return np.rint(scaled).astype(np.int8).reshape(decoded.shape)


def stated_weights(
    shape: Shape, vector_density: float, density: float, index: Index, shared_filters: int | None = None
) -> OperandData:
    """Weights of this shape, which can be decomposed, at a stated sparsity.

    Parameters
    ----------
    shape
        ``(out, in, rows, columns)`` or ``(out, in)``.
    vector_density
        Share of the rows of coefficients that are not zero as a whole; a weight is zero where its row is.
    density
        Share of the coefficients in those that are not zero.
    index
        What a bit of the index stands for.
    shared_filters
        Neighbouring filters that have their zero rows in common; left out, 32 where they share their index, else 1.
    """
    shared = shared_filters or (GROUP_FILTERS if index == "group" else 1)
    pot = StatedPotOperand(slice_layout(shape), index, vector_density, density, shared)
    statistics = OperandStatistics(density=vector_density, vector_density=vector_density)
    return OperandData(statistics, stated=True, pot=pot)
