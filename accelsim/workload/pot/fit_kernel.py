"""Kernels of the alternating fit: slice after slice, compiled.

Slices come transposed, ``(columns, rows)``, so that every sum runs over adjacent memory. Least squares go through a
Householder factorisation and the singular values of its small triangle, which gives what a truncated SVD of the slice
gives without ever squaring its condition number. Arguments are typed by Numba.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from accelsim.jit import kernel

MOST_RESTARTS = 20
"""Restarts of a slice before its theta is taken to be zero."""
_ROTATION_LIMIT = 1e-16
_MOST_SWEEPS = 40


class FitSettings(NamedTuple):
    """What the kernels need of the parameters; exponents from `lowest` to `highest` are allowed."""

    theta: float
    theta_decay: float
    row_factor: float
    scale_columns: bool
    iterations: int
    tolerance: float
    rcond: float
    lowest: int
    highest: int


@kernel
def nearest_power(value, lowest, highest):
    """Signed power of two nearest to `value` in linear distance, the lower on ties; zero is one of the choices."""
    magnitude = abs(value)
    if magnitude <= math.ldexp(1.0, lowest - 1):
        return 0.0
    fraction, exponent = math.frexp(magnitude)
    power = exponent - 1 if fraction <= 0.75 else exponent
    return math.copysign(math.ldexp(1.0, min(max(power, lowest), highest)), value)


@kernel
def round_to_powers(values, lowest, highest, rounded):
    """Round a flat array into `rounded`."""
    for index in range(values.size):
        rounded[index] = nearest_power(values[index], lowest, highest)


@kernel
def _square_sum(values, first):
    total = 0.0
    for index in range(first, values.size):
        total += values[index] * values[index]
    return total


@kernel
def _column_scale(column):
    """Factor that makes the binary logarithms of a column whole numbers on average; 1 for a column of zeros."""
    total, count = 0.0, 0
    for value in column:
        if value != 0.0:
            logarithm = math.log2(abs(value))
            total += round(logarithm) - logarithm
            count += 1
    return 2.0 ** (total / count) if count else 1.0


@kernel
def _quantise(coefficients, settings, rounded):
    """Round to powers of two; return how far `rounded` has moved (Frobenius norm)."""
    moved = 0.0
    for column in range(coefficients.shape[0]):
        scale = _column_scale(coefficients[column]) if settings.scale_columns else 1.0
        for row in range(coefficients.shape[1]):
            power = nearest_power(coefficients[column, row] * scale, settings.lowest, settings.highest)
            moved += (power - rounded[column, row]) ** 2
            rounded[column, row] = power
    return math.sqrt(moved)


@kernel
def _orthogonalise(columns, turned):
    """One-sided Jacobi: turn `columns` (as rows of the array) until they are orthogonal; `turned` takes the rotations.

    A matrix whose columns are the rows of `columns` is then (orthogonal columns) x transpose(turned).
    """
    size = columns.shape[0]
    turned[:, :] = 0.0
    for index in range(size):
        turned[index, index] = 1.0
    for _ in range(_MOST_SWEEPS):
        rotated = False
        for first in range(size - 1):
            for second in range(first + 1, size):
                one, other, both = 0.0, 0.0, 0.0
                for row in range(columns.shape[1]):
                    one += columns[first, row] ** 2
                    other += columns[second, row] ** 2
                    both += columns[first, row] * columns[second, row]
                if abs(both) <= _ROTATION_LIMIT * math.sqrt(one * other):
                    continue
                rotated = True
                ratio = (other - one) / (2.0 * both)
                tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.hypot(1.0, ratio))
                cosine = 1.0 / math.hypot(1.0, tangent)
                _rotate(columns, first, second, cosine, cosine * tangent)
                _rotate(turned, first, second, cosine, cosine * tangent)
        if not rotated:
            return


@kernel
def _rotate(lines, first, second, cosine, sine):
    for index in range(lines.shape[1]):
        one, other = lines[first, index], lines[second, index]
        lines[first, index] = cosine * one - sine * other
        lines[second, index] = sine * one + cosine * other


@kernel
def _squared_cutoff(columns, rcond):
    """Square of the smallest singular value that counts, given orthogonal columns."""
    largest = 0.0
    for column in range(columns.shape[0]):
        largest = max(largest, _square_sum(columns[column], 0))
    return largest * rcond**2


@kernel
def _triangularise(work, size):
    """Householder reflections that clear the first `size` columns (rows of `work`) below their diagonal."""
    rows = work.shape[1]
    for column in range(size):
        norm = math.sqrt(_square_sum(work[column], column))
        if norm == 0.0:
            continue
        diagonal = -math.copysign(norm, work[column, column])
        head = work[column, column] - diagonal
        half_square = -diagonal * head
        for other in range(column + 1, work.shape[0]):
            dot = head * work[other, column]
            for row in range(column + 1, rows):
                dot += work[column, row] * work[other, row]
            factor = dot / half_square
            work[other, column] -= factor * head
            for row in range(column + 1, rows):
                work[other, row] -= factor * work[column, row]
        work[column, column] = diagonal


@kernel
def solve_basis(coefficients, weights, rcond, work, basis):
    """Least squares for the basis.

    `basis` takes the solution of coefficients^T x basis = weights^T of least norm; the squared error is returned.
    `work` is scratch of ``(2 * columns, rows)``.
    """
    size = coefficients.shape[0]
    work[:size] = coefficients
    work[size:] = weights
    _triangularise(work, size)
    columns = np.zeros((size, size))
    turned = np.empty((size, size))
    for column in range(size):
        for row in range(column + 1):
            columns[column, row] = work[column, row]
    _orthogonalise(columns, turned)
    cutoff = _squared_cutoff(columns, rcond)
    error = 0.0
    basis[:, :] = 0.0
    for target in range(size):
        error += _square_sum(work[size + target], 0)
        for direction in range(size):
            square = _square_sum(columns[direction], 0)
            if square <= cutoff:
                continue
            dot = 0.0
            for row in range(size):
                dot += columns[direction, row] * work[size + target, row]
            error -= dot * dot / square
            for row in range(size):
                basis[row, target] += turned[direction, row] * dot / square
    return max(error, 0.0)


@kernel
def solve_coefficients(basis, weights, rcond, coefficients):
    """Least squares for the coefficients: `coefficients` takes the solution of least norm."""
    size = basis.shape[0]
    columns = basis.T.copy()
    turned = np.empty((size, size))
    _orthogonalise(columns, turned)
    cutoff = _squared_cutoff(columns, rcond)
    inverse = np.zeros((size, size))  # [coefficient column, weight column]
    for direction in range(size):
        square = _square_sum(columns[direction], 0)
        if square <= cutoff:
            continue
        for column in range(size):
            for source in range(size):
                inverse[column, source] += columns[direction, column] * turned[direction, source] / square
    for column in range(size):
        for row in range(weights.shape[1]):
            total = 0.0
            for source in range(size):
                total += inverse[column, source] * weights[source, row]
            coefficients[column, row] = total


@kernel
def sparsify(coefficients, theta, row_theta):
    """Zero rows whose magnitudes sum to less than `row_theta`, then what is below `theta`; say if a column emptied."""
    size, rows = coefficients.shape
    before = np.zeros(size, np.int64)
    after = np.zeros(size, np.int64)
    for row in range(rows):
        total = 0.0
        for column in range(size):
            before[column] += coefficients[column, row] != 0.0
            total += abs(coefficients[column, row])
        for column in range(size):
            if total < row_theta or abs(coefficients[column, row]) < theta:
                coefficients[column, row] = 0.0
            after[column] += coefficients[column, row] != 0.0
    emptied = False
    for column in range(size):
        emptied |= before[column] > 0 and after[column] == 0
    return emptied


@kernel
def _alternate(weights, theta, settings, coefficients, rounded, basis, work, errors):
    """Alternate until the rounded coefficients rest; return the iterations, or -1 where theta emptied a column."""
    coefficients[:, :] = weights
    rounded[:, :] = 0.0
    errors[:] = np.nan
    done = 0
    for iteration in range(settings.iterations):
        moved = _quantise(coefficients, settings, rounded)
        if iteration and moved <= settings.tolerance:
            break
        errors[iteration] = solve_basis(rounded, weights, settings.rcond, work, basis)
        solve_coefficients(basis, weights, settings.rcond, coefficients)
        if sparsify(coefficients, theta, settings.row_factor * theta) and theta > 0.0:
            return -1
        done = iteration + 1
    _quantise(coefficients, settings, rounded)
    errors[settings.iterations] = solve_basis(rounded, weights, settings.rcond, work, basis)
    return done


@kernel
def fit_all(slices, settings, coefficients, bases, iterations, thetas, errors):
    """Fit every slice.

    Parameters
    ----------
    slices
        ``(slices, columns, rows)``.
    settings
        `FitSettings`.
    coefficients, bases, iterations, thetas
        Results, one per slice; `coefficients` shaped as `slices`.
    errors
        Squared errors ``(slices, iterations + 1)``: before each step back to coefficients, and at the end.
    """
    count, size, rows = slices.shape
    work = np.empty((2 * size, rows))
    free = np.empty((size, rows))
    for index in range(count):
        thetas[index] = settings.theta
        if not np.any(slices[index]):
            coefficients[index] = 0.0
            bases[index] = 0.0
            iterations[index] = 0
            errors[index] = 0.0
            continue
        restarts = 0
        while True:
            iterations[index] = _alternate(
                slices[index], thetas[index], settings, free, coefficients[index], bases[index], work, errors[index]
            )
            if iterations[index] >= 0:
                break
            restarts += 1
            thetas[index] = thetas[index] * settings.theta_decay if restarts < MOST_RESTARTS else 0.0
