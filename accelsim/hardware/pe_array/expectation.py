"""What the slowest of several parts is expected to take when their work is only known by its distribution.

A machine that waits for the slowest of its elements takes the expected maximum, not the maximum of expectations. All
results are exact up to rounding: sums by the discrete Fourier transform, maxima by the product of the distribution
functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Part = tuple["Distribution", int]
    """A distribution, and how many independent draws of it take part."""

_WHOLE_SUPPORT = 1024
"""Widest sum whose support is kept whole."""

_DEVIATIONS = 12
"""Standard deviations around the mean that are kept of wider sums; what lies beyond has a share of some 1e-32."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """Probabilities of whole numbers.

    Parameters
    ----------
    probabilities
        Of `first` and the numbers after it; they add up to 1.
    first
        Smallest number.
    """

    probabilities: NDArray[np.float64]
    first: int = 0

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers that the probabilities belong to."""
        return np.arange(self.first, self.first + len(self.probabilities))

    @cached_property
    def mean(self) -> float:
        """Expected value."""
        return float(self.probabilities @ self.numbers)

    @cached_property
    def variance(self) -> float:
        """Expected square of the distance from the mean."""
        return float(self.probabilities @ (self.numbers - self.mean) ** 2)

    def of(self, function: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Distribution:
        """Distribution of a function of the number; it takes and returns arrays of whole numbers."""
        values = function(self.numbers)
        first = int(values.min())
        return Distribution(np.bincount(values - first, weights=self.probabilities).astype(np.float64), first)


def certain(number: int) -> Distribution:
    """A number that is not random."""
    return Distribution(np.ones(1), number)


def binomial(trials: int, share: float) -> Distribution:
    """Successes among independent trials, each with probability `share`."""
    if share <= 0 or share >= 1 or trials == 0:
        return certain(trials if share >= 1 else 0)
    numbers = np.arange(trials + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    chances = logs[-1] - logs - logs[::-1] + numbers * math.log(share) + numbers[::-1] * math.log1p(-share)
    probabilities = np.exp(chances)
    return Distribution(probabilities / probabilities.sum())


def counted(values: NDArray[np.integer]) -> Distribution:
    """How often each number occurs among `values`, none of which is negative."""
    counts = np.bincount(values.ravel())
    return Distribution(counts / counts.sum())


def mixture(parts: Sequence[tuple[Distribution, float]]) -> Distribution:
    """One of several distributions, each with its probability."""
    first, rows = _aligned([part for part, _ in parts])
    shares = np.array([share for _, share in parts])
    return Distribution(shares @ rows, first)


def sum_of(parts: Sequence[Part]) -> Distribution:
    """Sum of independent draws."""
    parts = [(part, times) for part, times in parts if times]
    lowest = sum(part.first * times for part, times in parts)
    width = sum((len(part.probabilities) - 1) * times for part, times in parts) + 1
    if width == 1:
        return certain(lowest)
    mean = sum(part.mean * times for part, times in parts) - lowest
    spread = math.sqrt(sum(part.variance * times for part, times in parts))
    widest = max(len(part.probabilities) for part, _ in parts)
    kept = 2 * int(_DEVIATIONS * spread) + 2 * widest
    begin, length = (0, width) if width <= max(_WHOLE_SUPPORT, kept) else (max(int(mean) - kept // 2, 0), kept)
    transform = np.ones(length // 2 + 1, np.complex128)
    for part, times in parts:
        transform *= np.fft.rfft(part.probabilities, length) ** times
    wrapped = np.maximum(np.fft.irfft(transform, length), 0.0)  # number x stands at x modulo the length
    probabilities = wrapped[(begin + np.arange(length)) % length]
    return Distribution(probabilities / probabilities.sum(), lowest + begin)


def maximum_of(parts: Sequence[Part]) -> Distribution:
    """Largest of independent draws."""
    parts = [(part, times) for part, times in parts if times]
    first, rows = _aligned([part for part, _ in parts])
    below = np.ones(rows.shape[1])
    for row, (_, times) in zip(rows, parts, strict=True):
        below *= np.minimum(np.cumsum(row), 1.0) ** times
    below[-1] = 1.0
    return Distribution(np.diff(below, prepend=0.0), first)


def expected_maximum(distribution: Distribution, draws: int) -> float:
    """Expected value of the largest of `draws` independent draws."""
    return maximum_of([(distribution, draws)]).mean


_ROUNDING = 1e-9
"""What sums of floats may lie above a whole number."""


def whole_cycles(expected: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cycles of blocks that are expected to take so many: no fewer, or cutting a layer into tiny blocks would pay."""
    cycles: NDArray[np.int64] = np.ceil(expected - _ROUNDING).astype(np.int64)
    return cycles


def _aligned(parts: Sequence[Distribution]) -> tuple[int, NDArray[np.float64]]:
    """First number of all, and per distribution a row of probabilities from there on."""
    first = min(part.first for part in parts)
    end = max(part.first + len(part.probabilities) for part in parts)
    rows = np.zeros((len(parts), end - first))
    for row, part in zip(rows, parts, strict=True):
        row[part.first - first : part.first - first + len(part.probabilities)] = part.probabilities
    return first, rows
