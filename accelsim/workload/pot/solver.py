"""The alternating fit W ~ Ce x B of SmartExchange, for many slices at once."""

# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.workload.pot import fit_kernel
from accelsim.workload.pot.reshaping import CHUNK_WEIGHTS

if TYPE_CHECKING:
    from accelsim.workload.pot.parameters import PotParameters

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Integers = np.ndarray[Any, np.dtype[np.int64]]


_FIRST_EXPONENT = -1074
_EXPONENTS = 1074 + 1025
"""Exponents of 64-bit floating point, rounded up to the next power of two."""


@dataclass(frozen=True)
class SliceFit:
    """Fitted slices, before the bases are stored in 8 bits.

    Parameters
    ----------
    coefficients
        Signed powers of two and zeros, ``(slices, rows, basis)``.
    bases
        ``(slices, basis, basis)``.
    iterations
        Alternations of each slice.
    thetas
        Threshold that each slice ended with.
    squared_errors
        Squared Frobenius norm of the residual, ``(slices, iterations + 1)``: after each fit of the basis, NaN once a
        slice rests, and last that of the result.
    """

    coefficients: Floats
    bases: Floats
    iterations: Integers
    thetas: Floats
    squared_errors: Floats


def fit_slices(slices: Floats, parameters: PotParameters, lowest: int, *, row_mode: bool) -> SliceFit:
    """Fit slices: round, fit the basis, fit the coefficients, make them sparse, and so on.

    Parameters
    ----------
    slices
        Float64 ``(slices, rows, basis)``, finite, with at least as many rows as columns.
    parameters
        Thresholds and stop rules.
    lowest
        Smallest exponent of two; the largest follows from the number of magnitudes.
    row_mode
        Whether whole rows may become zero.
    """
    count, rows, size = slices.shape
    settings = fit_kernel.FitSettings(
        theta=parameters.theta,
        theta_decay=parameters.theta_decay,
        row_factor=parameters.row_factor if row_mode else 0.0,
        scale_columns=parameters.scale_columns,
        iterations=parameters.iterations,
        tolerance=parameters.tolerance,
        rcond=parameters.rcond,
        lowest=lowest,
        highest=lowest + parameters.magnitudes - 1,
    )
    columns = np.ascontiguousarray(slices.transpose(0, 2, 1))
    fitted = np.empty((count, size, rows))
    bases = np.empty((count, size, size))
    iterations = np.empty(count, np.int64)
    thetas = np.empty(count)
    errors = np.empty((count, parameters.iterations + 1))
    fit_kernel.fit_all(columns, settings, fitted, bases, iterations, thetas, errors)
    return SliceFit(fitted.transpose(0, 2, 1), bases, iterations, thetas, errors)


def round_to_powers(values: Floats, lowest: int, highest: int) -> Floats:
    """Round to the nearest of 0 and +-2^lowest ... +-2^highest in linear distance, the lower magnitude on ties."""
    flat = np.ascontiguousarray(values, np.float64).ravel()
    rounded = np.empty_like(flat)
    fit_kernel.round_to_powers(flat, lowest, highest, rounded)
    return rounded.reshape(values.shape)


def choose_lowest_exponent(values: np.ndarray[Any, Any], magnitudes: int, max_exponent: int) -> int:
    """Choose the run of exponents to which values round with the least squared error.

    Parameters
    ----------
    values
        Weights of a layer.
    magnitudes
        Length of the run.
    max_exponent
        Largest exponent allowed.

    Returns
    -------
    int
        Smallest exponent of the run; of several equally good ones that with the smallest exponents.
    """
    sums = _sums_by_exponent(values.ravel())
    powers = np.flatnonzero(sums[0].any(axis=1)) + _FIRST_EXPONENT
    if not powers.size or powers[0] > max_exponent:
        return max_exponent - magnitudes + 1
    used = slice(powers[0] - _FIRST_EXPONENT, powers[-1] - _FIRST_EXPONENT + 1)
    exponents = np.arange(powers[0], powers[-1] + 1)
    errors = {
        high - magnitudes + 1: _squared_error([part[used] for part in sums], exponents, high, magnitudes)
        for high in range(int(powers[0]), min(int(powers[-1]), max_exponent) + 1)
    }
    return min(errors, key=lambda low: (errors[low], low))


def _sums_by_exponent(values: np.ndarray[Any, Any]) -> list[Floats]:
    """Sums of |w|^0, |w|^1 and |w|^2, each by nearest exponent and side of that power of two (above, below).

    The squared error of rounding to any run of exponents follows from them.
    """
    sums = [np.zeros(2 * _EXPONENTS) for _ in range(3)]
    for first in range(0, values.size, CHUNK_WEIGHTS):
        sizes = np.abs(values[first : first + CHUNK_WEIGHTS], dtype=np.float64)
        sizes = sizes[sizes > 0]
        fractions, exponents = np.frexp(sizes)
        below = fractions > 0.75  # nearer to the power above it
        bins = 2 * (exponents - 1 + below - _FIRST_EXPONENT) + below
        for order in range(3):
            sums[order] += np.bincount(bins, sizes**order, 2 * _EXPONENTS)
    return [total.reshape(-1, 2) for total in sums]


def _squared_error(sums: list[Floats], powers: Integers, highest: int, magnitudes: int) -> float:
    lowest = highest - magnitudes + 1
    target = np.exp2(np.clip(powers, lowest, highest).astype(np.float64))[:, None].repeat(2, axis=1)
    target[powers < lowest - 1] = 0.0
    target[powers == lowest - 1, 1] = 0.0  # below half of the smallest power: nearer to zero
    return float(np.sum(sums[2] - 2 * target * sums[1] + target**2 * sums[0]))
