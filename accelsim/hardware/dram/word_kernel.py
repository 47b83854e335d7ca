"""Flips bits of stored words, access by access, and puts right what cannot be right."""

from __future__ import annotations

import numpy as np

from accelsim.hardware.dram.weak_cells import flip_draw, row_flip_key
from accelsim.jit import kernel

NO_CORRECTION, ZERO, SATURATE = 0, 1, 2


@kernel
def flip_words(
    words: np.ndarray,
    cells: np.ndarray,
    seed: np.uint64,
    first_pass: int,
    batch: int,
    accesses: int,
    touched: np.ndarray,
) -> int:
    """Draw the flips of all weak cells of a tensor on consecutive passes and invert those bits.

    Parameters
    ----------
    words
        Stored words, unsigned, shape (images, elements of an image); changed. Weights are one image.
    cells
        Weak cells (`FAULT_CELL_DTYPE`); `element` counts through the `batch` images of a pass.
    seed
        Names the module.
    first_pass
        Number of the pass that the first image belongs to.
    batch
        Images in a pass.
    accesses
        Accesses to the memory in a pass.
    touched
        Receives what flipped, (image, element), as far as it goes.

    Returns
    -------
    int
        Number of flipped bits.
    """
    images, size = words.shape
    count = 0
    for number in range((images + batch - 1) // batch):
        key = np.uint64(0)
        last_access, last_bank, last_row = -1, -1, -1
        for index in range(len(cells)):
            cell = cells[index]
            element = cell["element"]
            image = number * batch + element // size
            if image >= images:
                continue
            element = element % size
            if cell["access"] != last_access or cell["bank"] != last_bank or cell["row"] != last_row:
                last_access, last_bank, last_row = cell["access"], int(cell["bank"]), int(cell["row"])
                access = (first_pass + number) * accesses + last_access
                key = np.uint64(row_flip_key(seed, np.uint64(access), last_bank, last_row))
            place = words.dtype.type(1) << words.dtype.type(cell["bit"])
            chance = cell["flip_one"] if words[image, element] & place else cell["flip_zero"]
            if flip_draw(key, cell["column"]) < chance:
                words[image, element] ^= place
                if count < len(touched):
                    touched[count, 0] = image
                    touched[count, 1] = element
                count += 1
    return count


@kernel
def mend_words(
    words: np.ndarray,
    touched: np.ndarray,
    bits: int,
    floating: bool,  # noqa: FBT001 - kernels are called by position
    low: int,
    high: int,
    correction: int,
) -> int:
    """Extend the signs of integers, and zero or saturate the implausible among the words that were touched.

    Parameters
    ----------
    words
        Stored words, shape (images, elements); changed.
    touched
        Words to look at, (image, element) each.
    bits, floating
        Their number format.
    low, high
        Plausible range as `accelsim.numerics.number_format.NumberFormat.range_of` gives it.
    correction
        `NO_CORRECTION`, `ZERO` or `SATURATE`.

    Returns
    -------
    int
        Number of words corrected.
    """
    sign = np.int64(1) << (bits - 1)
    mended = 0
    for index in range(len(touched)):
        image, element = touched[index, 0], touched[index, 1]
        word = np.int64(words[image, element]) & (2 * sign - 1)
        if floating:
            negative = (word & sign) != 0
            limit = low if negative else high
            wrong = (word & (sign - 1)) > limit
            nearest = np.int64(limit | sign if negative else limit)
        else:
            word = (word ^ sign) - sign
            wrong = word < low or word > high
            nearest = np.int64(low if word < low else high)
        if wrong and correction != NO_CORRECTION:
            word = nearest if correction == SATURATE else np.int64(0)
            mended += 1
        words[image, element] = words.dtype.type(word)
    return mended


@kernel
def mend_all(words: np.ndarray, bits: int, low: int, high: int, correction: int) -> int:
    """Zero or saturate every implausible float of a tensor; arguments as in `mend_words`."""
    sign = np.int64(1) << (bits - 1)
    mended = 0
    for image in range(words.shape[0]):
        for element in range(words.shape[1]):
            word = np.int64(words[image, element])
            negative = (word & sign) != 0
            limit = low if negative else high
            if (word & (sign - 1)) > limit:
                value = (limit | sign if negative else limit) if correction == SATURATE else 0
                words[image, element] = words.dtype.type(value)
                mended += 1
    return mended
