"""Integer tensors drawn with stated statistics, by a counter hash: equal seeds give equal tensors, in any order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_STEP, _MIX_A, _MIX_B = (np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_ELEMENT, _VECTOR, _PLACE, _MAGNITUDE, _SIGN = range(5)  # what a draw is for; each has numbers of its own


def uniform_numbers(seed: int, stream: int, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), the i-th a hash (SplitMix64) of seed, stream and i."""
    with np.errstate(over="ignore"):
        start = _mixed(_mixed(np.uint64(seed & (1 << 64) - 1) + _STEP) + np.uint64(stream) * _STEP)
        words = _mixed(start + np.arange(1, count + 1, dtype=np.uint64) * _STEP)
    numbers: NDArray[np.float64] = (words >> np.uint64(11)) * 2.0**-53
    return numbers


def _mixed(words: Any) -> Any:  # noqa: ANN401 - a word or an array of them
    words = (words ^ (words >> np.uint64(30))) * _MIX_A
    words = (words ^ (words >> np.uint64(27))) * _MIX_B
    return words ^ (words >> np.uint64(31))


def draw_integers(
    shape: Sequence[int],
    density: float,
    seed: int,
    *,
    vector_density: float | None = None,
    magnitudes: Sequence[float] | None = None,
    signed: bool = True,
) -> NDArray[np.int8]:
    """Draw a tensor of int8.

    Parameters
    ----------
    shape
        Its shape.
    density
        Expected share of elements that are not zero.
    seed
        Seed of all draws.
    vector_density
        Expected share of vectors along the last dimension that hold any nonzero; None for elements that are zero
        independently of each other.
    magnitudes
        Weights of the magnitudes 1, 2, ... of nonzeros, at most 127 of them; None for all of 1 to 127 alike.
    signed
        Whether half of the nonzeros are negative.

    Raises
    ------
    ValueError
        When the shares are not within 0 to 1, or no tensor has both.
    """
    length, elements = (shape[-1] if len(shape) else 1), math.prod(shape)
    if not 0 <= density <= 1 or (vector_density is not None and not 0 <= vector_density <= 1):
        message = f"density {density} and vector density {vector_density} have to be within 0 to 1"
        raise ValueError(message)
    draws = uniform_numbers(seed, _ELEMENT, elements)
    if vector_density is None:
        nonzero = draws < density
    else:
        nonzero = _in_vectors(draws.reshape(-1, length), density, vector_density, seed).ravel()
    weights = np.ones(127) if magnitudes is None else np.asarray(magnitudes, np.float64)
    if weights.ndim != 1 or not 1 <= len(weights) <= 127 or weights.min() < 0 or not weights.sum() > 0:
        message = "magnitudes have to be 1 to 127 weights of which none is negative and one is positive"
        raise ValueError(message)
    steps = np.cumsum(weights) / weights.sum()
    values = 1 + np.searchsorted(steps[:-1], uniform_numbers(seed, _MAGNITUDE, elements), side="right")
    if signed:
        values = np.where(uniform_numbers(seed, _SIGN, elements) < 0.5, -values, values)
    drawn: NDArray[np.int8] = np.where(nonzero, values, 0).astype(np.int8).reshape(tuple(shape))
    return drawn


def _in_vectors(draws: NDArray[np.float64], density: float, vector_density: float, seed: int) -> NDArray[np.bool_]:
    """Which elements are not zero: none of some vectors, at least one of each other."""
    vectors, length = draws.shape
    if not vector_density / length <= density <= vector_density:
        message = (
            f"density {density} does not go with vector density {vector_density}: in vectors of {length} it has to be "
            f"from {vector_density / length:g} to {vector_density:g}"
        )
        raise ValueError(message)
    alive = uniform_numbers(seed, _VECTOR, vectors) < vector_density
    chance = _chance(density / vector_density if vector_density else 0.0, length)
    nonzero = draws < chance
    empty = np.flatnonzero(~nonzero.any(axis=1))
    places = (uniform_numbers(seed, _PLACE, vectors)[empty] * length).astype(np.int64)
    nonzero[empty, places] = True
    filled: NDArray[np.bool_] = nonzero & alive[:, None]
    return filled


def _chance(wanted: float, length: int) -> float:
    """Chance of each element such that `wanted` are filled when each empty vector gets one: p + (1 - p)^L / L."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if middle + (1 - middle) ** length / length < wanted:
            low = middle
        else:
            high = middle
    return high if wanted >= 1 else (low + high) / 2
