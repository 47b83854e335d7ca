"""What the elements of Cambricon-X are expected to take for filters of which only the share of zeros is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from accelsim.hardware.pe_array.expectation import Distribution, binomial, maximum_of, sum_of


@dataclass(frozen=True)
class Picking:
    """A filter worked through in stretches of candidates.

    Parameters
    ----------
    density
        Share of its weights that is not zero.
    farthest
        Largest distance from one stored weight to the next.
    k
        Its weights, zeros included.
    candidates
        Inputs from which the weights pick at a time.
    width
        Inputs that are picked per cycle.
    """

    density: float
    farthest: int
    k: int
    candidates: int
    width: int

    @property
    def parts(self) -> list[tuple[Distribution, int]]:
        """Cycles of the first stretch, of those like the second, and of the rest, and how many there are of each."""
        whole, rest = divmod(self.k, self.candidates)
        if not whole:
            return [(self._stretch(rest, first=True), 1)]
        parts = [(self._stretch(self.candidates, first=True), 1)]
        if whole > 1:
            parts.append((self._stretch(self.candidates, first=False), whole - 1))
        if rest:
            parts.append((self._stretch(rest, first=False), 1))
        return parts

    def _stretch(self, candidates: int, *, first: bool) -> Distribution:
        return _stretch_cycles(candidates, self.density, self.farthest, self.width, first)


@lru_cache(maxsize=1024)
def _stretch_cycles(candidates: int, density: float, farthest: int, width: int, first: bool) -> Distribution:  # noqa: FBT001
    """Cycles that a stretch takes: one at least."""
    stored = _stored_weights(candidates, density, farthest, first)
    return stored.of(lambda picked: np.maximum(-(-picked // width), 1))


_RARE = 1e-6
"""Chance of a weight to be a stored zero below which none is."""

_FAR = 1024
"""Distance so large that the zeros stored for its sake, fewer than one in so many weights, are left out."""


def _stores_no_zeros(density: float, farthest: int) -> bool:
    return density >= 1 or farthest > _FAR or (1 - density) ** (farthest - 1) < _RARE


def _stored_weights(weights: int, density: float, farthest: int, first: bool) -> Distribution:  # noqa: FBT001
    """Weights stored of the first ones of a filter, or of as many further in."""
    if _stores_no_zeros(density, farthest):
        return binomial(weights, density)
    chances = np.zeros((farthest, weights + 1))  # by zeros since the last stored weight, and by weights stored so far
    zeros_since = (1 - density) ** np.arange(farthest, dtype=np.float64)
    chances[:, 0] = np.arange(farthest) == 0 if first else zeros_since / zeros_since.sum()
    for _ in range(weights):
        stored = density * chances[:-1].sum(axis=0) + chances[-1]
        chances[1:] = (1 - density) * chances[:-1]
        chances[0, 1:], chances[0, 0] = stored[:-1], 0.0
    return Distribution(chances.sum(axis=0))


@lru_cache(maxsize=16_384)
def expected_slowest(picking: Picking, per_element: tuple[tuple[int, int], ...]) -> float:
    """Expected cycles of the slowest where so many elements (second) have so many filters (first) each."""
    elements = []
    for filters, times in per_element:
        elements.append((sum_of([(part, count * filters) for part, count in picking.parts]), times))
    return maximum_of(elements).mean


def stored_share(density: float, farthest: int, k: int) -> float:
    """Share of the weights of filters of `k` weights that is stored, zeros for the sake of the distance included."""
    if _stores_no_zeros(density, farthest):
        return density
    zeros_since = np.zeros(farthest)
    zeros_since[0], stored = 1.0, 0.0
    for _ in range(min(k, _FAR)):
        here = density + (1 - density) * zeros_since[-1]
        zeros_since[1:] = (1 - density) * zeros_since[:-1]
        zeros_since[0] = here
        stored += here
    lasting = density / -np.expm1(farthest * np.log1p(-density)) if density else 1 / farthest
    return float(stored + max(k - _FAR, 0) * lasting) / k
