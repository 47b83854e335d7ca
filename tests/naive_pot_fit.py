"""The alternating fit one slice at a time, as it is written down, with NumPy's own least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from accelsim.workload.pot.parameters import PotParameters

    Floats = np.ndarray[Any, np.dtype[np.float64]]


def naive_round(values: Floats, lowest: int, highest: int) -> Floats:
    choices = np.array([0.0, *(2.0**power for power in range(lowest, highest + 1))])
    distances = np.abs(np.abs(values)[..., None] - choices)
    nearest: Floats = np.sign(values) * choices[np.argmin(distances, axis=-1)]  # argmin takes the first: the lower
    return nearest


def naive_quantise(coefficients: Floats, parameters: PotParameters, lowest: int) -> Floats:
    scaled = coefficients.copy()
    if parameters.scale_columns:
        for column in range(scaled.shape[1]):
            nonzero = np.abs(scaled[:, column][scaled[:, column] != 0])
            if nonzero.size:
                logarithms = np.log2(nonzero)
                scaled[:, column] *= 2.0 ** np.mean(np.round(logarithms) - logarithms)
    return naive_round(scaled, lowest, lowest + parameters.magnitudes - 1)


def naive_sparsify(coefficients: Floats, theta: float, row_theta: float) -> Floats:
    sparse = coefficients.copy()
    sparse[np.abs(sparse).sum(axis=1) < row_theta] = 0.0
    sparse[np.abs(sparse) < theta] = 0.0
    return sparse


def naive_fit(
    weights: Floats, parameters: PotParameters, lowest: int, *, row_mode: bool
) -> tuple[Floats, Floats, float]:
    """Coefficients, basis and the theta that was used."""
    theta, restarts = parameters.theta, 0
    while True:
        fit = _alternate(weights, theta, parameters, lowest, row_mode=row_mode)
        if fit is not None:
            return (*fit, theta)
        restarts += 1
        theta = theta * parameters.theta_decay if restarts < 20 else 0.0


def _alternate(
    weights: Floats, theta: float, parameters: PotParameters, lowest: int, *, row_mode: bool
) -> tuple[Floats, Floats] | None:
    coefficients, previous = weights, None
    for _ in range(parameters.iterations):
        rounded = naive_quantise(coefficients, parameters, lowest)
        if previous is not None and np.linalg.norm(rounded - previous) <= parameters.tolerance:
            break
        previous = rounded
        basis = np.linalg.lstsq(rounded, weights, rcond=parameters.rcond)[0]
        free = np.linalg.lstsq(basis.T, weights.T, rcond=parameters.rcond)[0].T
        coefficients = naive_sparsify(free, theta, parameters.row_factor * theta if row_mode else 0.0)
        if theta > 0 and ((free != 0).any(axis=0) & ~(coefficients != 0).any(axis=0)).any():
            return None
    rounded = naive_quantise(coefficients, parameters, lowest)
    return rounded, np.asarray(np.linalg.lstsq(rounded, weights, rcond=parameters.rcond)[0], np.float64)
