"""The alternating fit W ~ Ce x B of SmartExchange, for many slices at once."""

# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.workload.pot import fit_kernel

if TYPE_CHECKING:
    from accelsim.workload.pot.parameters import PotParameters

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Integers = np.ndarray[Any, np.dtype[np.int64]]


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
    sizes = np.abs(values, dtype=np.float64).ravel()
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return max_exponent - magnitudes + 1
    fractions, exponents = np.frexp(sizes)
    above = fractions > 0.75  # nearer to the power above than to that below
    nearest = exponents - 1 + above
    first = int(nearest.min())
    # sums of |w|^0, |w|^1, |w|^2 by nearest exponent and side: squared errors of every run follow from them
    bins = 2 * (nearest - first) + above
    length = 2 * (int(nearest.max()) - first + 1)
    sums: list[Floats] = [np.bincount(bins, sizes**order, length).astype(float).reshape(-1, 2) for order in range(3)]
    powers = np.arange(first, first + length // 2)
    highest = range(first, max(min(int(powers[-1]), max_exponent), first) + 1) if first <= max_exponent else ()
    errors = {high - magnitudes + 1: _squared_error(sums, powers, high, magnitudes) for high in highest}
    return min(errors, key=lambda low: (errors[low], low), default=max_exponent - magnitudes + 1)


def _squared_error(sums: list[Floats], powers: Integers, highest: int, magnitudes: int) -> float:
    lowest = highest - magnitudes + 1
    target = np.exp2(np.clip(powers, lowest, highest).astype(np.float64))[:, None].repeat(2, axis=1)
    target[powers < lowest - 1] = 0.0
    target[powers == lowest - 1, 1] = 0.0  # below half of the smallest power: nearer to zero
    return float(np.sum(sums[2] - 2 * target * sums[1] + target**2 * sums[0]))
