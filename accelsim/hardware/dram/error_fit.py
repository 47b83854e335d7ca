"""Fits the four error models to observed flips by maximum likelihood, and chooses among them as EDEN does.

A cell that was read n times and flipped k times has the likelihood ``[k = 0] (1 - P) + P F**k (1 - F)**(n - k)``: it is
strong, or it is weak and flips with probability F on each read. P and F are those of the whole (model 0), of the cell's
bitline (1) or wordline (2), or F depends on the stored bit (3). Which cells are weak is not observed, so the maximum is
climbed by expectation maximisation (Dempster, Laird and Rubin, 1977).

The paper ("EDEN", MICRO 2019) takes the likeliest model; between models about equally likely it takes model 0, and one
at random where model 0 is not among them. Model 0 is a special case of each of the others, which therefore are never
less likely on the data they were fitted to. Likelihoods are compared as Akaike (1974) does, less one nat for each
fitted parameter, which estimates the likelihood of flips not yet seen. What "about equally likely" means is not
printed: here (assumption) within `NEAR_TIE_NATS`.

Estimates of single lines need flips: a line that shows one or two weak cells, each flipping once, is as likely to be
full of weak cells that hardly flip, and its P comes out high and its F low. The means and spreads of a fitted line
model are therefore estimated from all lines at once (`accelsim.hardware.dram.line_law`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.hardware.dram.error_model import (
    BitlineModel,
    DataDependentModel,
    ErrorModel,
    LineModel,
    UniformModel,
    WordlineModel,
)
from accelsim.hardware.dram.flip_observations import FlipObservations, FlipStatistics, group_flips
from accelsim.hardware.dram.line_law import fit_line_law

FloatArray = NDArray[np.float64]

NEAR_TIE_NATS = 5.0
_MAX_STEPS = 1_000
_CONVERGED = 1e-9


@dataclass(frozen=True, eq=False)
class LineEstimates:
    """What was estimated of each bitline (or wordline) that was read; one entry a line, in all arrays.

    Attributes
    ----------
    bank, line
        Bank and column (or row) of the line.
    weak_fraction, flip_probability
        Estimates of P and F. Where a line had no flip, its F is that of all lines.
    weak_cells
        Expected number of weak cells seen, the weight of the line's flip probability.
    """

    bank: NDArray[np.int64]
    line: NDArray[np.int64]
    weak_fraction: FloatArray
    flip_probability: FloatArray
    weak_cells: FloatArray


@dataclass(frozen=True, eq=False)
class ErrorModelFit:
    """One error model at its likeliest parameters.

    Attributes
    ----------
    model
        The fitted model; of the line models, the law that the lines' parameters are drawn from.
    log_likelihood
        Natural logarithm of the likelihood at the maximum, of the order in which flips were seen.
    parameters
        Number of parameters that the data determined.
    lines
        Estimates per line, of the line models.
    """

    model: ErrorModel
    log_likelihood: float
    parameters: int
    lines: LineEstimates | None = None

    @property
    def score(self) -> float:
        """Log-likelihood less the number of parameters: expected log-likelihood of new data, up to a constant."""
        return self.log_likelihood - self.parameters


@dataclass(frozen=True)
class _Maximum:
    """Likeliest parameters of every group of cells."""

    weak: FloatArray
    flip_one: FloatArray
    flip_zero: FloatArray
    weak_cells: FloatArray
    log_likelihood: float


def fit_error_models(observations: FlipObservations) -> dict[str, ErrorModelFit]:
    """Fit every error model that the observations can tell apart.

    Returns
    -------
    dict
        Fits by kind. Without reads of both stored values, ``data_dependent`` is missing.

    Raises
    ------
    ConfigError
        When no cell was read twice: then P and F show only as their product.
    """
    reads = observations.reads_of_one + observations.reads_of_zero
    if not len(reads) or reads.max() < 2:
        raise ConfigError(
            "no cell was read more than once",
            where="fit_error_models",
            key="observations",
            allowed="2 or more reads per cell, to tell the weak fraction from the flip probability",
        )
    fits = [
        _fit_uniform(observations),
        _fit_lines(observations, BitlineModel),
        _fit_lines(observations, WordlineModel),
    ]
    if observations.reads_of_one.any() and observations.reads_of_zero.any():
        fits.append(_fit_data_dependent(observations))
    return {fit.model.kind: fit for fit in fits}


def choose_error_model(
    fits: dict[str, ErrorModelFit], *, seed: int = 0, near_tie_nats: float = NEAR_TIE_NATS
) -> ErrorModelFit:
    """Choose the likeliest model; on a near tie model 0, or without it one of the tied at random.

    Parameters
    ----------
    fits
        From `fit_error_models`.
    seed
        Decides a near tie without model 0.
    near_tie_nats
        Models whose scores lie this close to the best are taken for equally likely.
    """
    best = max(fit.score for fit in fits.values())
    tied = [kind for kind in sorted(fits) if best - fits[kind].score <= near_tie_nats]
    if UniformModel.kind in tied:
        return fits[UniformModel.kind]
    return fits[tied[int(np.random.default_rng(seed).integers(len(tied)))]]


def _fit_uniform(observations: FlipObservations) -> ErrorModelFit:
    whole = np.zeros(len(observations.bank), np.int64)
    found = _climb(group_flips(observations, whole, by_value=False))
    model = UniformModel(float(found.weak[0]), float(found.flip_zero[0]))
    return ErrorModelFit(model, found.log_likelihood, 2)


def _fit_data_dependent(observations: FlipObservations) -> ErrorModelFit:
    whole = np.zeros(len(observations.bank), np.int64)
    found = _climb(group_flips(observations, whole, by_value=True))
    model = DataDependentModel(float(found.weak[0]), float(found.flip_one[0]), float(found.flip_zero[0]))
    return ErrorModelFit(model, found.log_likelihood, 3)


def _fit_lines(observations: FlipObservations, kind: type[LineModel]) -> ErrorModelFit:
    along = observations.column if kind is BitlineModel else observations.row
    width = int(along.max()) + 1
    lines, group = np.unique(observations.bank * width + along, return_inverse=True)
    statistics = group_flips(observations, group, by_value=False)
    found = _climb(statistics)
    law = fit_line_law(
        observations.reads_of_one + observations.reads_of_zero,
        observations.flips_of_one + observations.flips_of_zero,
        group,
    )
    model = kind(law.weak_fraction, law.flip_probability, law.weak_spread, law.flip_spread)
    flips = np.where(statistics.flipped_cells > 0, found.flip_zero, law.flip_probability)
    parameters = len(lines) + int(np.count_nonzero(statistics.flipped_cells))
    estimates = LineEstimates(lines // width, lines % width, found.weak, flips, found.weak_cells)
    return ErrorModelFit(model, found.log_likelihood, parameters, estimates)


def _climb(statistics: FlipStatistics) -> _Maximum:
    """Maximise the likelihood of each group of cells by itself."""
    seen = statistics
    groups = len(seen.cells)
    weak = seen.flipped_cells / seen.cells
    one = _ratio(seen.flips_of_one, seen.flips_of_one + seen.holds_of_one)
    zero = _ratio(seen.flips_of_zero, seen.flips_of_zero + seen.holds_of_zero)
    for _ in range(_MAX_STEPS):
        silent_weak, _ = _silent(seen, weak, one, zero)
        weak_cells = seen.flipped_cells + np.bincount(seen.silent_group, silent_weak, groups)
        silent_ones = np.bincount(seen.silent_group, silent_weak * seen.silent_reads_of_one, groups)
        silent_zeros = np.bincount(seen.silent_group, silent_weak * seen.silent_reads_of_zero, groups)
        reads_of_one = seen.flips_of_one + seen.holds_of_one + silent_ones
        reads_of_zero = seen.flips_of_zero + seen.holds_of_zero + silent_zeros
        before = weak, one, zero
        weak = weak_cells / seen.cells
        one, zero = _ratio(seen.flips_of_one, reads_of_one), _ratio(seen.flips_of_zero, reads_of_zero)
        if max(np.abs(new - old).max() for new, old in zip((weak, one, zero), before, strict=True)) < _CONVERGED:
            break
    _, silent_log = _silent(seen, weak, one, zero)
    log_likelihood = float(
        _times_log(seen.flipped_cells, weak).sum()
        + _times_log(seen.flips_of_one, one).sum()
        + _times_log(seen.flips_of_zero, zero).sum()
        + _times_log(seen.holds_of_one, 1.0 - one).sum()
        + _times_log(seen.holds_of_zero, 1.0 - zero).sum()
        + silent_log.sum()
    )
    return _Maximum(weak, one, zero, weak_cells, log_likelihood)


def _silent(seen: FlipStatistics, weak: FloatArray, one: FloatArray, zero: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of each class of cells that never flipped: how many are expected to be weak, and their log-likelihood."""
    group = seen.silent_group
    hold = (1.0 - one[group]) ** seen.silent_reads_of_one * (1.0 - zero[group]) ** seen.silent_reads_of_zero
    hidden = weak[group] * hold
    likelihood = 1.0 - weak[group] + hidden
    return seen.silent_cells * _ratio(hidden, likelihood), _times_log(seen.silent_cells, likelihood)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Divide, with 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _times_log(count: FloatArray, probability: FloatArray) -> FloatArray:
    """Multiply a count by a logarithm; nothing counted contributes nothing, whatever its probability."""
    logarithm = np.log(probability, out=np.zeros_like(probability), where=count > 0)
    return count * logarithm
