"""Terms of activations: the shifts by which a bit-serial multiplier adds a weight, as the one bits of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from accelsim.hardware.pe_array.bit_content import booth_length, nonzero_share
from accelsim.workload.drawn_values import uniform_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.workload.operand_data import OperandStatistics

Encoding = Literal["one_bits", "booth", "all_bits"]
Masks = np.ndarray[Any, np.dtype[np.unsignedinteger[Any]]]

_SEED = 0x5EED
_EVEN, _ODD = 0x5555_5555_5555_5555, 0xAAAA_AAAA_AAAA_AAAA
_WIDER: dict[int, tuple[type[np.signedinteger[Any]], type[np.unsignedinteger[Any]]]] = {
    1: (np.int32, np.uint32),
    2: (np.int32, np.uint32),
}
"""Types that numbers of so many bytes are worked on in, and their masks kept in; 64 bits for all others."""


def term_masks(values: NDArray[np.integer], encoding: Encoding) -> Masks:
    """Shifts of the terms of each number.

    Parameters
    ----------
    values
        The numbers.
    encoding
        ``one_bits`` for the one bits of the magnitude, ``booth`` for the digits of the radix-4 Booth form, of which
        each is a power of two, ``all_bits`` for every bit that any of the magnitudes needs.
    """
    signed, unsigned = _WIDER.get(values.dtype.itemsize, (np.int64, np.uint64))
    wide = values.astype(signed, copy=False)
    if encoding == "booth":
        changes = (wide ^ (wide << 1)).astype(unsigned)
        even, odd = unsigned(_EVEN & np.iinfo(unsigned).max), unsigned(_ODD & np.iinfo(unsigned).max)
        ones = changes & even  # digits 1 and -1: the bit differs from the one below it
        twos = changes & odd & ~(ones << unsigned(1))  # digits 2 and -2: equal to it, but not to the one above
        digits: Masks = ones | twos
        return digits
    masks: Masks = np.abs(wide).astype(unsigned)
    if encoding == "all_bits":
        return np.full_like(masks, needed_bits(int(np.bitwise_or.reduce(masks, axis=None))))
    return masks


def needed_bits(used: int) -> int:
    """Mask of the bits from the lowest used one to the highest."""
    if not used:
        return 1
    return (1 << used.bit_length()) - (used & -used)


def drawn_masks(statistics: OperandStatistics, bits: int, encoding: Encoding, count: int) -> NDArray[np.uint64]:
    """Masks of numbers of `bits` bits, sign included, drawn with stated statistics by a counter hash.

    Bits of a magnitude (digits of a Booth form) count as independent of each other, all as likely to be set, in
    numbers that are not zero.
    """
    places = statistics.magnitude_bits or max(bits - 1, 1)
    if encoding == "all_bits":
        return np.full(count, (1 << places) - 1, np.uint64)
    if encoding == "booth" and statistics.booth_digits is None:
        numbers = 1 + (uniform_numbers(_SEED, 0, count) * ((1 << places) - 1)).astype(np.int64)
        masks = term_masks(np.where(uniform_numbers(_SEED, 2, count) < 0.5, -numbers, numbers), encoding)
    elif encoding == "booth":
        digits = booth_length(bits)
        masks = _drawn_places(_share_of(statistics, statistics.booth_digits, digits), digits, 2, count)
    else:
        masks = _drawn_places(_share_of(statistics, statistics.one_bits, places), places, 1, count)
    return np.where(uniform_numbers(_SEED, 1, count) < statistics.density, masks, np.uint64(0))


def _share_of(statistics: OperandStatistics, terms: float | None, places: int) -> float:
    """Chance of each place to hold a term in a number that is not zero, but for the condition that one does."""
    if terms is None or not statistics.density:
        return 0.5
    return nonzero_share(terms / statistics.density, places)


def _drawn_places(share: float, places: int, spacing: int, count: int) -> NDArray[np.uint64]:
    """Numbers that have each of their places set with chance `share`, and at least one of them."""
    chances = np.array([share * (1 - share) ** place for place in range(places)]) if share else np.ones(places)
    lowest = np.searchsorted(np.cumsum(chances)[:-1] / chances.sum(), uniform_numbers(_SEED, 3, count), side="right")
    masks = np.zeros(count, np.uint64)
    for place in range(places):
        is_set = (lowest == place) | ((lowest < place) & (uniform_numbers(_SEED, 10 + place, count) < share))
        shift = place * spacing + (uniform_numbers(_SEED, 100 + place, count) < 0.5) * (spacing - 1)
        masks |= np.where(is_set, np.uint64(1) << shift.astype(np.uint64), np.uint64(0))
    return masks
