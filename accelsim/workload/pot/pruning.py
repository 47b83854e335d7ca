"""Zeros set in weights before they are decomposed: whole channels, and vectors shared by groups of filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.workload.pot.parameters import GROUP_FILTERS
from accelsim.workload.pot.reshaping import from_slices, to_slices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accelsim.workload.pot.reshaping import SliceLayout

    Weights = np.ndarray[Any, Any]


def prune_channels(weights: Weights, channels: Iterable[int] = (), filters: Iterable[int] = ()) -> Weights:
    """Zero input channels and filters (output channels), such as those with a small batch-normalisation factor.

    Raises
    ------
    IndexError
        When the array has no such channel.
    """
    pruned = weights.copy()
    pruned[:, list(channels)] = 0
    pruned[list(filters)] = 0
    return pruned


def prune_vectors(weights: Weights, fraction: float, layout: SliceLayout, group: int = GROUP_FILTERS) -> Weights:
    """Zero the weakest vectors of every group of consecutive filters, the same ones in all its filters.

    A vector is a row of the slices: for 3 x 3 kernels an (input channel, kernel row), for 1 x 1 kernels three adjacent
    input channels, so that a zero vector is a zero row of coefficients. Vectors are ranked by the sum of their
    magnitudes over the group; of equal ones the first goes first.

    Parameters
    ----------
    weights
        ``(filters, ...)``.
    fraction
        Fraction of the vectors to zero, rounded down to whole vectors.
    layout
        Cut of the layer.
    group
        Filters per group; the last one may be smaller.
    """
    slices = to_slices(weights, layout)
    rows = slices.reshape(layout.filters, -1, layout.basis)
    doomed_rows = int(fraction * layout.filter_rows)
    for first in range(0, layout.filters, group):
        members = rows[first : first + group]
        strength = np.abs(members[:, : layout.filter_rows]).sum(axis=(0, 2))
        members[:, np.argsort(strength, kind="stable")[:doomed_rows]] = 0.0
    return from_slices(slices, layout).astype(weights.dtype)
