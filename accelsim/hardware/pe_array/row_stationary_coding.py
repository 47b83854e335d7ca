"""Run-length coding of feature maps on their way to DRAM, as Eyeriss does it (Chen et al., JSSC 2017).

A value that is not zero is stored as a pair: the zeros before it (5 bits, up to 31) and the value itself. Pairs fill
words of 64 bits, of which the last bit says whether the words end there; three pairs of 5 + 16 bits fit. Where more
than 31 zeros follow each other, the zero that comes after them is stored as a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.units import ceil_div

if TYPE_CHECKING:
    from accelsim.workload.operand_data import Integers, OperandData

WORD_BITS = 64
RUN_BITS = 5
LONGEST_RUN = 2**RUN_BITS - 1


def pairs_per_word(level_bits: int) -> int:
    """Pairs of run and value that fit beside the end bit; 0 where values are too wide to be coded."""
    return (WORD_BITS - 1) // (RUN_BITS + level_bits)


def count_pairs(values: Integers) -> int:
    """Pairs that code a feature map, which is read row by row and channel by channel."""
    flat = values.ravel()
    places = np.flatnonzero(flat)
    runs = np.diff(places, prepend=-1) - 1
    behind = flat.size - 1 - (int(places[-1]) if len(places) else -1)
    # a stored zero takes the place of one value, so it closes a stretch of LONGEST_RUN + 1
    stored_zeros = int((runs // (LONGEST_RUN + 1)).sum())
    return len(places) + stored_zeros + ceil_div(behind, LONGEST_RUN + 1)


def expected_pairs(density: float) -> float:
    """Pairs per element of which so many are not zero, each on its own: one over the stretch that a pair covers."""
    zero = 1.0 - density
    stretch = LONGEST_RUN + 1
    return 1.0 / stretch if zero >= 1.0 else density / (1.0 - float(zero**stretch))


def coded_share(data: OperandData, bits: int) -> float:
    """Bits of a coded feature map as a share of those of the plain one; 1 where coding would not save any.

    Counted where the values are known, expected from the density where not.
    """
    together = pairs_per_word(bits)
    if together == 0:
        return 1.0
    if data.values is not None:
        words = -(-count_pairs(data.values) // together)
        return min(1.0, words * WORD_BITS / (data.values.size * bits))
    return min(1.0, expected_pairs(data.density) / together * WORD_BITS / bits)
