"""What is known of the values in a tensor: the values themselves, stated statistics, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.workload.pot.operand import PotOperand

    Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]

Known = Literal["tensor", "statistics", "nothing"]


@dataclass(frozen=True)
class OperandStatistics:
    """Statistics of a tensor, stated instead of its values.

    Parameters
    ----------
    density
        Share of the elements that are not zero.
    vector_density
        Share of the vectors (rows of a kernel, rows of a feature map) that hold any nonzero; None as if elements were
        zero independently of each other.
    booth_digits
        Nonzero radix-4 Booth digits per element, zeros counted as having none; None for uniformly drawn nonzeros.
    one_bits
        One bits of the magnitude per element, zeros counted as having none; None for uniformly drawn nonzeros.
    magnitude_bits
        Bits that the magnitudes use, from the lowest to the highest that is ever set; None for all of the stored width
        but the sign.
    """

    density: float = 1.0
    vector_density: float | None = None
    booth_digits: float | None = None
    one_bits: float | None = None
    magnitude_bits: int | None = None


@dataclass(frozen=True, eq=False)
class OperandData:
    """What is known of one tensor's values.

    Parameters
    ----------
    statistics
        What was stated; of no account where the values are known.
    load
        Returns the values as the integers that are stored: weights shaped ``(out, in, ...)``, feature maps
        ``(N, C, ...)``. None where they are not known. Called when they are first needed.
    stated
        Whether `statistics` were given by the user rather than taken by default.
    pot
        The same weights as sparse powers of two times small bases, where they are stored so.
    load_shaped
        Returns a feature map with as many samples as a shape has, where there may be more than `load` returns.
    """

    statistics: OperandStatistics = OperandStatistics()
    load: Callable[[], Integers] | None = None
    stated: bool = False
    pot: PotOperand | None = None
    load_shaped: Callable[[tuple[int, ...]], Integers] | None = None

    def of_batch(self, shape: tuple[int, ...]) -> OperandData:
        """The same of a feature map of another batch: more samples where there are, else those there are repeated."""
        if self.load is None:
            return self
        if self.load_shaped is not None:
            return replace(self, load=partial(self.load_shaped, shape))
        return replace(self, load=partial(_repeated, self.load, shape))

    @property
    def known(self) -> Known:
        """What the cycles of an array that depends on values rest on."""
        if self.load is not None:
            return "tensor"
        return "statistics" if self.stated else "nothing"

    @cached_property
    def values(self) -> Integers | None:
        """The values, loaded once; None where only statistics are known."""
        return None if self.load is None else self.load()

    @cached_property
    def density(self) -> float:
        """Share of elements that are not zero."""
        if self.values is None:
            return self.statistics.density
        return np.count_nonzero(self.values) / max(self.values.size, 1)


def _repeated(load: Callable[[], Integers], shape: tuple[int, ...]) -> Integers:
    values = load()
    return values if values.shape == shape else np.resize(values, shape)


UNKNOWN = OperandData()
"""A tensor of which nothing is known: taken as dense."""
