"""How many terms a number has for a multiplier that works through them one by one.

Either the one bits of its magnitude (the essential bits of Pragmatic, with the sign beside them) or the nonzero digits
of its radix-4 Booth form, each -2, -1, 1 or 2 times a power of four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.expectation import Distribution, binomial, counted, mixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from accelsim.workload.operand_data import OperandStatistics

MOST_LISTED_BITS = 16
"""Widest numbers that are listed one by one to find how many terms uniformly drawn ones have."""

_ALTERNATE_BITS = np.uint64(0x5555_5555_5555_5555)


def one_bits(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    """One bits of each magnitude."""
    count: NDArray[np.uint8] = np.bitwise_count(values)
    return count


def booth_digits(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Nonzero radix-4 Booth digits of numbers that fit into `bits` bits, two's complement.

    Digit i is ``b[2i-1] + b[2i] - 2 b[2i+1]`` of the bits b, b[-1] being 0: zero where all three are equal.
    """
    wide = values.astype(np.int64, copy=False)
    changes = (wide ^ (wide << 1)).astype(np.uint64) & np.uint64((1 << 2 * booth_length(bits)) - 1)
    count: NDArray[np.uint8] = np.bitwise_count((changes | changes >> np.uint64(1)) & _ALTERNATE_BITS)
    return count


def booth_length(bits: int) -> int:
    """Digits of the radix-4 Booth form of a number of `bits` bits, zeros included."""
    return -(-bits // 2)


def one_bit_distribution(statistics: OperandStatistics, bits: int) -> Distribution:
    """One bits per element of a tensor whose magnitudes have up to `bits` bits.

    Parameters
    ----------
    statistics
        Its density, and its one bits per element where they are stated. The bits of a nonzero element count as
        independent of each other, all as likely to be one; half of them are where nothing is stated.
    bits
        Bits of a magnitude.
    """
    stated = statistics.one_bits
    return _of_elements(statistics.density, stated, bits, None if stated is not None else binomial(bits, 0.5))


def booth_distribution(statistics: OperandStatistics, bits: int) -> Distribution:
    """Nonzero radix-4 Booth digits per element of a tensor of numbers of `bits` bits, two's complement.

    Parameters
    ----------
    statistics
        Its density, and its Booth digits per element where they are stated. The digits of a nonzero element count as
        independent of each other, all as likely to be nonzero; where nothing is stated, nonzero elements are drawn
        uniformly from all numbers of `bits` bits.
    bits
        Bits of a number.
    """
    stated, uniform = statistics.booth_digits, None
    if stated is None:
        listed = min(bits, MOST_LISTED_BITS)
        numbers = np.arange(-(1 << listed - 1), 1 << listed - 1)
        uniform = counted(booth_digits(numbers, listed))
    return _of_elements(statistics.density, stated, booth_length(bits), uniform)


def _of_elements(density: float, stated: float | None, places: int, uniform: Distribution | None) -> Distribution:
    """Mix elements that are zero with those that are not: `stated` nonzero places of `places`, or as `uniform`."""
    if density <= 0 or places == 0:
        return mixture([(binomial(places, 0.0), 1.0)])
    if uniform is None:
        share = nonzero_share((stated or 0.0) / density, places)
        uniform = binomial(places, share)
    return mixture([(binomial(places, 0.0), 1 - density), (_nonzero(uniform), density)])


def _nonzero(distribution: Distribution) -> Distribution:
    """Distribution of a number that is known not to be 0."""
    above = distribution.probabilities[1 - distribution.first :] if distribution.first < 1 else None
    if above is None:
        return distribution
    if not above.sum():
        return Distribution(np.ones(1), 1)  # an element that is not zero has a term
    return Distribution(above / above.sum(), 1)


def nonzero_share(mean: float, places: int) -> float:
    """Chance of each of `places` places to be nonzero so that numbers that are not 0 have `mean` nonzero ones.

    A mean outside of what can be (1 to `places`) counts as the nearest that can.
    """
    if mean <= 1:
        return 0.0
    if mean >= places:
        return 1.0
    return _bisect(lambda share: places * share / -np.expm1(places * np.log1p(-share)) - mean)


def _bisect(rising: Callable[[float], float]) -> float:
    """Root between 0 and 1 of a function that rises through 0."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return high
