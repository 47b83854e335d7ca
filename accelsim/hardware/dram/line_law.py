"""How weak fraction and flip probability spread over bitlines or wordlines, estimated from all lines at once.

Estimates of single lines are no basis for this: a line that shows one or two weak cells tells little of itself, and the
likeliest parameters of many such lines are biased together. Pooled over the lines, a weak cell's flip probability is
uniform in ``F (1 - w) .. F (1 + w)`` whatever line it lies on, so mean weak fraction, F and w follow, by maximum
likelihood, from how many cells flipped how often. The spread s of the weak fraction then follows from how the number of
cells that flipped scatters over the lines: two of them share a line as often as the mean square of the weak fraction
says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

_NODES = 2.0 * (np.arange(24) + 0.5) / 24 - 1.0  # flip probabilities inside their range, by the midpoint rule
_GRID = 15
_SHRINK = 0.45
_ROUNDS = 16  # the last grid is 0.45**15 = 6e-6 wide
_STEPS = 200
_LEAST = 1e-12


@dataclass(frozen=True)
class LineLaw:
    """Means and spreads, as the fields of `BitlineModel`."""

    weak_fraction: float
    flip_probability: float
    weak_spread: float
    flip_spread: float


@dataclass(frozen=True)
class _Classes:
    """Cells by number of reads and flips."""

    reads: IntArray
    flips: IntArray
    cells: IntArray


def fit_line_law(reads: IntArray, flips: IntArray, line: IntArray) -> LineLaw:
    """Estimate the law that the lines' parameters were drawn from.

    Parameters
    ----------
    reads, flips
        How often each cell was read, and how often it flipped.
    line
        Number of each cell's line, 0 to lines - 1.
    """
    if not flips.any():
        return LineLaw(0.0, 0.0, 0.0, 0.0)
    radix = int(reads.max()) + 1
    key, cells = np.unique(reads * radix + flips, return_counts=True)
    weak, flip, width = _search(_Classes(key // radix, key % radix, cells))
    return LineLaw(weak, flip, _weak_spread(reads, flips, line, weak, flip * (1.0 + width * _NODES)), width)


def _search(classes: _Classes) -> tuple[float, float, float]:
    """Find the likeliest weak fraction, flip probability and spread of the latter on grids that close in."""
    flip, width, half_flip, half_width = 0.5, 0.5, 0.5, 0.5
    weak = 0.0
    for _ in range(_ROUNDS):
        flips = np.clip(np.linspace(flip - half_flip, flip + half_flip, _GRID), _LEAST, 1.0)
        widths = np.clip(np.linspace(width - half_width, width + half_width, _GRID), 0.0, 1.0)
        grid_flip, grid_width = (axis.ravel() for axis in np.meshgrid(flips, widths))
        grid_width = np.minimum(grid_width, 1.0 / grid_flip - 1.0)
        grid_weak, likelihood = _profile(classes, grid_flip, grid_width)
        best = int(np.argmax(likelihood))
        weak, flip, width = float(grid_weak[best]), float(grid_flip[best]), float(grid_width[best])
        half_flip, half_width = _SHRINK * half_flip, _SHRINK * half_width
    return weak, flip, width


def _profile(classes: _Classes, flip: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Likeliest weak fraction and log-likelihood for each pair of a flip probability and its spread."""
    rate = np.clip(flip[:, None] * (1.0 + width[:, None] * _NODES), _LEAST, 1.0 - _LEAST)[:, :, None]
    logarithm = classes.flips * np.log(rate) + (classes.reads - classes.flips) * np.log1p(-rate)
    peak = logarithm.max(axis=1)
    as_weak = peak + np.log(np.exp(logarithm - peak[:, None, :]).mean(axis=1))
    flipped = classes.flips > 0
    seen = int(classes.cells[flipped].sum())
    silent, hold = classes.cells[~flipped], np.exp(as_weak[:, ~flipped])
    total = seen + int(silent.sum())
    weak = np.full(len(flip), seen / total)
    for _ in range(_STEPS):
        hidden = weak[:, None] * hold
        weak = (seen + (silent * hidden / (1.0 - weak[:, None] + hidden + _LEAST)).sum(axis=1)) / total
    likelihood = seen * np.log(weak) + (classes.cells * as_weak)[:, flipped].sum(axis=1)
    remainder = 1.0 - weak[:, None] * (1.0 - hold)
    return weak, likelihood + (silent * np.log(np.maximum(remainder, _LEAST))).sum(axis=1)


def _weak_spread(reads: IntArray, flips: IntArray, line: IntArray, weak: float, rates: FloatArray) -> float:
    """Spread `s` whose law has the mean square that pairs of flipped cells on one line show."""
    lines = int(line.max()) + 1
    radix = int(reads.max()) + 1
    key, cells = np.unique(line * radix + reads, return_counts=True)
    shown = 1.0 - (1.0 - rates[None, :]) ** (key % radix)[:, None]  # probability that a weak cell flips at all
    single = cells[:, None] * shown
    of_line = np.stack([np.bincount(key // radix, column, lines) for column in single.T], axis=1)
    pairs_if_all_weak = float((of_line**2).mean(axis=1).sum() - (single * shown).mean(axis=1).sum())
    seen = np.bincount(line[flips > 0], minlength=lines).astype(np.float64)
    if pairs_if_all_weak <= 0.0:
        return 0.0
    mean_square = float((seen * (seen - 1.0)).sum()) / pairs_if_all_weak
    relative = max(mean_square / weak**2 - 1.0, 0.0)
    return relative + math.sqrt(relative**2 + relative)
