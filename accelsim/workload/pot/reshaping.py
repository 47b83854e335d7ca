"""Cuts a weight array into the tall, narrow slices that are decomposed, and puts it together again.

Convolutions with 3 x 3 kernels: filter after filter, one row per (input channel, kernel row). Kernels of 1 x 1 and
fully connected layers: output after output, three adjacent inputs per row. Other kernels are left as they are
(SmartExchange's released code).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accelsim.workload.operators import Shape

    Floats = np.ndarray[Any, np.dtype[np.float64]]

BASIS_SIZE = 3
"""Rows and columns of a basis: the width of a 3 x 3 kernel, and the row length chosen for everything else."""
MOST_ROWS_PER_COLUMN = 64
"""A slice has at most this many rows per column, so that its basis can fit."""
CHUNK_WEIGHTS = 1 << 19
"""Weights worked on at once, which bounds the memory and the time between two signs of progress."""
PRESET_ROWS = {3072: 192, 1638: 171, 8364: 204}
"""Rows per slice of matrices for which the released code does not follow its own rule."""


@dataclass(frozen=True)
class SliceLayout:
    """How one weight array is cut.

    Parameters
    ----------
    weight_shape
        ``(out, in, kernel rows, kernel columns)`` or ``(out, in)``.
    slices
        Slices per filter (output).
    rows
        Rows per slice; behind the last weight of a filter they are filled with zeros.
    basis
        Columns of a slice, and so rows and columns of its basis.
    """

    weight_shape: Shape
    slices: int
    rows: int
    basis: int = BASIS_SIZE

    @property
    def filters(self) -> int:
        """Outputs of the layer."""
        return self.weight_shape[0]

    @property
    def filter_weights(self) -> int:
        """Weights of one filter, without padding."""
        return math.prod(self.weight_shape[1:])

    @property
    def filter_rows(self) -> int:
        """Rows of one filter that hold at least one weight."""
        return ceil_div(self.filter_weights, self.basis)

    @property
    def all_slices(self) -> int:
        """Slices of all filters; each has a basis of its own."""
        return self.filters * self.slices

    @property
    def all_rows(self) -> int:
        """Rows of all slices, padding included."""
        return self.all_slices * self.rows

    @property
    def coefficients(self) -> int:
        """Coefficients of all slices, padding included."""
        return self.all_rows * self.basis

    @property
    def basis_entries(self) -> int:
        """Entries of all bases."""
        return self.all_slices * self.basis**2

    @property
    def is_kernel(self) -> bool:
        """Whether rows are rows of kernels, which alone can become zero as a whole."""
        return len(self.weight_shape) == 4 and self.weight_shape[-1] == self.basis


def plain_reason(shape: Shape) -> str | None:
    """Tell why a weight array is not decomposed; None where it is."""
    kernel = shape[2:]
    if len(shape) not in (2, 4):
        return f"it has {len(shape)} dimensions"
    if kernel not in ((), (1, 1), (BASIS_SIZE, BASIS_SIZE)):
        return f"its kernel of {kernel[0]} x {kernel[1]} is neither 1 x 1 nor 3 x 3"
    rows = ceil_div(math.prod(shape[1:]), BASIS_SIZE)
    if rows < BASIS_SIZE:
        return f"its filters of {math.prod(shape[1:])} weights are smaller than a basis of 3 x 3"
    return None


def slice_layout(shape: Shape) -> SliceLayout:
    """Cut a weight array for which `plain_reason` is None."""
    rows = ceil_div(math.prod(shape[1:]), BASIS_SIZE)
    is_kernel = shape[2:] == (BASIS_SIZE, BASIS_SIZE)
    per_slice = rows_per_slice(rows, BASIS_SIZE, divide=is_kernel)
    return SliceLayout(tuple(shape), ceil_div(rows, per_slice), per_slice)


def rows_per_slice(rows: int, columns: int, *, divide: bool) -> int:
    """Rows of the slices into which a matrix is cut, at most 64 per column where that is possible.

    Parameters
    ----------
    rows, columns
        Size of the matrix.
    divide
        Whether slices shall divide the matrix, as those of 3 x 3 kernels do: they get the largest product of its last
        prime factors that keeps to the bound. Otherwise, and where there is none, slices are equal and as few as
        possible, zeros behind the last row: the published table for 1 x 1 kernels (4096 inputs to 8 slices of 171 rows,
        1280 to 3 of 143, ...) is this rule.
    """
    most = MOST_ROWS_PER_COLUMN * columns
    if rows in PRESET_ROWS and columns == BASIS_SIZE:
        return PRESET_ROWS[rows]
    if rows <= most:
        return rows
    product, tail = 1, 0
    for factor in reversed(_prime_factors(rows)) if divide else ():
        product *= factor
        if product > most:
            break
        tail = product
    return tail or ceil_div(rows, ceil_div(rows, most))


def _prime_factors(number: int) -> list[int]:
    factors, factor = [], 2
    while factor * factor <= number:
        while number % factor == 0:
            factors.append(factor)
            number //= factor
        factor += 1
    return [*factors, number] if number > 1 else factors


def to_slices(weights: np.ndarray[Any, Any], layout: SliceLayout) -> Floats:
    """Cut filters into slices.

    Parameters
    ----------
    weights
        Some or all filters of the layer, ``(filters, ...)``.
    layout
        How to cut them.

    Returns
    -------
    ndarray
        Float64 ``(filters * slices, rows, basis)``.
    """
    filters = len(weights)
    slices = np.zeros((filters, layout.slices * layout.rows * layout.basis))
    slices[:, : layout.filter_weights] = weights.reshape(filters, -1)
    return slices.reshape(-1, layout.rows, layout.basis)


def chunks(layout: SliceLayout) -> Iterator[tuple[slice, slice]]:
    """Runs of filters and the slices that belong to them, so that large layers are worked on piece by piece."""
    step = max(1, CHUNK_WEIGHTS // layout.filter_weights)
    for first in range(0, layout.filters, step):
        last = min(first + step, layout.filters)
        yield slice(first, last), slice(first * layout.slices, last * layout.slices)


def from_slices(slices: np.ndarray[Any, Any], layout: SliceLayout) -> np.ndarray[Any, Any]:
    """Put slices together to filters, ``(filters, ...)``: the inverse of `to_slices`."""
    filters = len(slices) // layout.slices
    flat = slices.reshape(filters, -1)[:, : layout.filter_weights]
    return flat.reshape(filters, *layout.weight_shape[1:])
