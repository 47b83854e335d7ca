"""What becomes of the values of several cases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from accelsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Aggregate = Literal["mean", "geometric_mean", "max", "min", "sum", "range"]


def aggregate(values: Sequence[float], how: Aggregate) -> float | tuple[float, float]:
    """Mean, geometric mean, maximum, minimum, sum, or both ends of some values.

    Raises
    ------
    InputError
        When there are none, or a geometric mean is asked of one that is not positive.
    """
    if not values:
        raise InputError("has no cases", where="experiment")
    if how == "range":
        return min(values), max(values)
    if how == "geometric_mean":
        if min(values) <= 0:
            raise InputError("has no geometric mean", where="experiment", value=min(values))
        return math.exp(math.fsum(map(math.log, values)) / len(values))
    if how == "mean":
        return math.fsum(values) / len(values)
    if how == "sum":
        return math.fsum(values)
    return max(values) if how == "max" else min(values)
