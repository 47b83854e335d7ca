"""What the values of several cases come to: a mean, an extreme, or how far they are from what is published of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

from accelsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.validation.experiment import Point

Measure = Literal["mean_error", "worst_error", "mean_difference", "worst_difference", "mismatches"]
"""Errors as shares of the published figures, differences in their unit, or the number of those that are not equal."""
Aggregate = Literal["mean", "geometric_mean", "max", "min", "sum", "range", Measure]

_MEASURES: tuple[Measure, ...] = get_args(Measure)


def aggregate(points: Sequence[Point], how: Aggregate) -> float | tuple[float, float]:
    """Mean, geometric mean, maximum, minimum, sum, both ends, or the error of some cases.

    Raises
    ------
    InputError
        When there are none, or a geometric mean is asked of one that is not positive.
    """
    values = [point.value for point in points]
    if not values:
        raise InputError("has no cases", where="experiment")
    if how in _MEASURES:
        return error_of(points, how)
    if how == "range":
        return min(values), max(values)
    if how == "geometric_mean":
        return geometric_mean(values)
    if how == "mean":
        return math.fsum(values) / len(values)
    if how == "sum":
        return math.fsum(values)
    return max(values) if how == "max" else min(values)


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean.

    Raises
    ------
    InputError
        When one of the values is not positive.
    """
    if min(values) <= 0:
        raise InputError("has no geometric mean", where="experiment", value=min(values))
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def error_of(points: Sequence[Point], measure: Measure) -> float:
    """How far points are from what is published of them.

    Raises
    ------
    InputError
        When nothing is published of any.
    """
    pairs = [(point.value, point.claimed) for point in points if point.claimed is not None]
    if not pairs:
        raise InputError("has no case with a published figure", where="experiment", key="claimed")
    if measure == "mismatches":
        return float(sum(value != claimed for value, claimed in pairs))
    if measure.endswith("difference"):
        errors = [abs(value - claimed) for value, claimed in pairs]
    else:
        errors = [abs(value / claimed - 1) for value, claimed in pairs if claimed]
    return max(errors) if measure.startswith("worst") else math.fsum(errors) / len(errors)


def mean_ratio(points: Sequence[Point]) -> float | None:
    """Geometric mean of simulated over published; None where there is none, or one of them is not positive."""
    ratios = [point.value / point.claimed for point in points if point.claimed]
    return geometric_mean(ratios) if ratios and min(ratios) > 0 else None


def ratio_of(points: Sequence[Point], how: Aggregate) -> float | None:
    """What an experiment tells as its ratio: the mean of its rows, where what is claimed is an error."""
    return mean_ratio(points) if how in _MEASURES else None
