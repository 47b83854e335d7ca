"""Where the weak cells of a DRAM lie and which of them flip: kernels that step from one weak cell to the next.

Every cell has a *strength*, a number uniform in [0, 1) that depends on nothing but (seed, bank, row, column). A cell is
weak where its strength lies below the weak fraction of its place, so a higher error rate adds weak cells to those that
were weak before and never moves one. On every access each weak cell flips or holds by a draw of its own, which depends
on (seed, cell, access number) alone.

A row is cut into blocks of `BLOCK_BYTES`. Within a block the cells come in order of rising strength: the gaps between
the order statistics of n uniform numbers are exponential (Renyi), so the next weaker cell costs one logarithm, and the
walk ends at the first cell that is too strong. The work is one step a block and one a weak cell, whatever the number of
bits; and because a block is always walked as a whole, any part of it meets the same weak cells.

Model: own construction. Mixing function: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

from __future__ import annotations

import math

import numpy as np

from accelsim.jit import kernel

BLOCK_BYTES = 64
BLOCK_BITS = 8 * BLOCK_BYTES

SAME_EVERYWHERE = 0
PER_BITLINE = 1
PER_WORDLINE = 2

_STEP = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64: 2^64 over the golden ratio, the distance between two counters
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)
_STRENGTH_SHIFT = np.uint64(24)  # of a 64-bit draw 40 bits make the strength, the other 24 choose the place
_PLACE_MASK = np.uint64((1 << 24) - 1)
_STRENGTH_UNIT = 2.0**-40
_UNIFORM_SHIFT = np.uint64(11)
_UNIFORM_UNIT = 2.0**-53
_STREAM_STRENGTH = np.uint64(1)  # what a draw is for; keeps the draws of one cell independent of each other
_STREAM_FLIP = np.uint64(2)
_STREAM_LINE_WEAK = np.uint64(3)
_STREAM_LINE_FLIP = np.uint64(4)


@kernel
def mix(value: np.uint64) -> np.uint64:
    """Scatter 64 bits so that counters next to each other give unrelated numbers."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_A
    value = (value ^ (value >> np.uint64(27))) * _MIX_B
    return value ^ (value >> np.uint64(31))


@kernel
def absorb(key: np.uint64, value: np.uint64) -> np.uint64:
    """Fold one more coordinate into a key; the order of the coordinates matters."""
    return mix(mix(key + _STEP) ^ (value * _STEP))


@kernel
def uniform(bits: np.uint64) -> float:
    """Map 64 random bits to a number in [0, 1)."""
    return float(bits >> _UNIFORM_SHIFT) * _UNIFORM_UNIT


@kernel
def walk_block(key: np.uint64, limit: float, places: np.ndarray, swapped: np.ndarray, depths: np.ndarray) -> int:
    """List the cells of one block whose strength is at most ``1 - exp(-limit)``, weakest first.

    Parameters
    ----------
    key
        Key of the block.
    limit
        ``-log(1 - weak fraction)``; infinite for a weak fraction of one.
    places
        Scratch that holds 0 .. `BLOCK_BITS` - 1 in order; afterwards its head holds the places of the listed cells.
    swapped
        Scratch; what `restore_places` needs to bring `places` back into order.
    depths
        Receives ``-log(1 - strength)`` of every listed cell.

    Returns
    -------
    int
        Number of listed cells.
    """
    depth = 0.0
    count = 0
    while count < BLOCK_BITS:
        left = BLOCK_BITS - count
        draw = np.uint64(mix(key + _STEP * np.uint64(count + 1)))
        depth -= math.log((float(draw >> _STRENGTH_SHIFT) + 0.5) * _STRENGTH_UNIT) / left
        if depth > limit:
            break
        chosen = count + ((int(draw & _PLACE_MASK) * left) >> 24)
        places[count], places[chosen] = places[chosen], places[count]
        swapped[count] = chosen
        depths[count] = depth
        count += 1
    return count


@kernel
def restore_places(places: np.ndarray, swapped: np.ndarray, count: int) -> None:
    """Undo the swaps of `walk_block`, in time proportional to the cells it listed."""
    for index in range(count):
        places[index] = index
        places[swapped[index]] = swapped[index]


@kernel
def bank_key(seed: np.uint64, stream: np.uint64, bank: int) -> np.uint64:
    """Key of the draws of one kind in one bank."""
    return absorb(absorb(seed, stream), np.uint64(bank))


@kernel
def line_weak_fraction(key: np.uint64, line: int, mean: float, spread: float) -> float:
    """Weak fraction of one line: ``mean (1 + spread) u**spread`` with `u` uniform, so its expectation is `mean`."""
    if spread == 0.0:
        return mean
    return mean * (1.0 + spread) * math.pow(uniform(absorb(key, np.uint64(line))), spread)


@kernel
def line_flip_factor(key: np.uint64, line: int, spread: float) -> float:
    """Factor on the flip probability of one line: uniform in ``1 - spread .. 1 + spread``, expectation one."""
    if spread == 0.0:
        return 1.0
    return 1.0 + spread * (2.0 * uniform(absorb(key, np.uint64(line))) - 1.0)


@kernel
def row_flip_key(seed: np.uint64, access: np.uint64, bank: int, row: int) -> np.uint64:
    """Key of the draws of the cells of one row on one access."""
    access_key = np.uint64(bank_key(np.uint64(absorb(seed, access)), _STREAM_FLIP, bank))
    return absorb(access_key, np.uint64(row))


@kernel
def flip_draw(key: np.uint64, column: int) -> float:
    """Draw of a cell, uniform in [0, 1), from the key of its row: it flips where this lies below its probability."""
    return uniform(np.uint64(mix(key + _STEP * np.uint64(column + 1))))


@kernel
def visit_weak_cells(
    seed: np.uint64,
    access: np.uint64,
    banks: np.ndarray,
    rows: np.ndarray,
    byte_columns: np.ndarray,
    sizes: np.ndarray,
    data: np.ndarray,
    lines: int,
    weak: float,
    weak_spread: float,
    flip_one: float,
    flip_zero: float,
    flip_spread: float,
    mask: np.ndarray,
) -> int:
    """Set the bits of `mask` that flip on one access to runs of bytes; return how many weak cells were met.

    Parameters
    ----------
    seed, access
        What the draws hang on besides the address.
    banks, rows, byte_columns, sizes
        One run of consecutive bytes of one row per entry; their sizes add up to the length of `data`.
    data
        Bytes as stored; bit ``k`` of a byte is ``(byte >> k) & 1`` and lies in column ``8 * byte_column + k``.
    lines
        `SAME_EVERYWHERE`, `PER_BITLINE` or `PER_WORDLINE`.
    weak, weak_spread
        Mean weak fraction and its spread over the lines; ``weak * (1 + weak_spread)`` is at most one.
    flip_one, flip_zero, flip_spread
        Flip probability of a weak cell that stores 1 or 0, and its spread over the lines.
    mask
        Zeros of the shape of `data`; written.
    """
    weakest = weak if lines == SAME_EVERYWHERE else min(1.0, weak * (1.0 + weak_spread))
    if weakest <= 0.0:
        return 0
    places = np.arange(BLOCK_BITS)
    swapped = np.empty(BLOCK_BITS, np.int64)
    depths = np.empty(BLOCK_BITS)
    met = 0
    # The casts of keys change nothing in compiled code; called as plain Python, a kernel returns its key as an int.
    first = 0  # index in `data` of the first byte of the run
    for run in range(len(sizes)):
        bank = banks[run]
        row = rows[run]
        start = byte_columns[run]
        end = start + sizes[run]
        bound = weakest
        factor = 1.0
        line_weak_key = np.uint64(bank_key(seed, _STREAM_LINE_WEAK, bank))
        line_flip_key = np.uint64(bank_key(seed, _STREAM_LINE_FLIP, bank))
        if lines == PER_WORDLINE:
            bound = line_weak_fraction(line_weak_key, row, weak, weak_spread)
            factor = line_flip_factor(line_flip_key, row, flip_spread)
        limit = -math.log1p(-bound) if bound < 1.0 else math.inf
        strength_key = np.uint64(bank_key(seed, _STREAM_STRENGTH, bank))
        row_key = np.uint64(absorb(strength_key, np.uint64(row)))
        flip_key = np.uint64(row_flip_key(seed, access, bank, row))
        for block in range(start // BLOCK_BYTES, (end + BLOCK_BYTES - 1) // BLOCK_BYTES):
            count = walk_block(np.uint64(absorb(row_key, np.uint64(block))), limit, places, swapped, depths)
            for index in range(count):
                column = block * BLOCK_BITS + places[index]
                byte = column >> 3
                if byte < start or byte >= end:
                    continue
                if lines == PER_BITLINE:
                    fraction = line_weak_fraction(line_weak_key, column, weak, weak_spread)
                    if -math.expm1(-depths[index]) >= fraction:
                        continue
                    factor = line_flip_factor(line_flip_key, column, flip_spread)
                met += 1
                place = first + byte - start
                bit = column & 7
                chance = flip_one if (data[place] >> bit) & 1 else flip_zero
                if flip_draw(flip_key, column) < chance * factor:
                    mask[place] |= np.uint8(1 << bit)
            restore_places(places, swapped, count)
        first += sizes[run]
    return met


@kernel
def list_weak_cells(
    seed: np.uint64,
    banks: np.ndarray,
    rows: np.ndarray,
    byte_columns: np.ndarray,
    sizes: np.ndarray,
    lines: int,
    weak: float,
    weak_spread: float,
    flip_spread: float,
    cells: np.ndarray,
) -> int:
    """List the weak cells of runs of bytes, those that `visit_weak_cells` meets, in the order of the runs.

    Parameters
    ----------
    seed, banks, rows, byte_columns, sizes, lines, weak, weak_spread, flip_spread
        As for `visit_weak_cells`.
    cells
        Filled as far as it goes with `byte` (counted through the runs), `bit`, `bank`, `row`, `column`, and `factor`,
        by which the flip probability of the cell's line differs from the mean.

    Returns
    -------
    int
        Number of weak cells, which may be more than there was room for.
    """
    weakest = weak if lines == SAME_EVERYWHERE else min(1.0, weak * (1.0 + weak_spread))
    if weakest <= 0.0:
        return 0
    places = np.arange(BLOCK_BITS)
    swapped = np.empty(BLOCK_BITS, np.int64)
    depths = np.empty(BLOCK_BITS)
    met = 0
    first = 0
    for run in range(len(sizes)):
        bank = banks[run]
        row = rows[run]
        start = byte_columns[run]
        end = start + sizes[run]
        bound = weakest
        factor = 1.0
        line_weak_key = np.uint64(bank_key(seed, _STREAM_LINE_WEAK, bank))
        line_flip_key = np.uint64(bank_key(seed, _STREAM_LINE_FLIP, bank))
        if lines == PER_WORDLINE:
            bound = line_weak_fraction(line_weak_key, row, weak, weak_spread)
            factor = line_flip_factor(line_flip_key, row, flip_spread)
        limit = -math.log1p(-bound) if bound < 1.0 else math.inf
        strength_key = np.uint64(bank_key(seed, _STREAM_STRENGTH, bank))
        row_key = np.uint64(absorb(strength_key, np.uint64(row)))
        for block in range(start // BLOCK_BYTES, (end + BLOCK_BYTES - 1) // BLOCK_BYTES):
            count = walk_block(np.uint64(absorb(row_key, np.uint64(block))), limit, places, swapped, depths)
            for index in range(count):
                column = block * BLOCK_BITS + places[index]
                byte = column >> 3
                if byte < start or byte >= end:
                    continue
                if lines == PER_BITLINE:
                    fraction = line_weak_fraction(line_weak_key, column, weak, weak_spread)
                    if -math.expm1(-depths[index]) >= fraction:
                        continue
                    factor = line_flip_factor(line_flip_key, column, flip_spread)
                if met < len(cells):
                    cell = cells[met]
                    cell["byte"] = first + byte - start
                    cell["bit"] = column & 7
                    cell["bank"] = bank
                    cell["row"] = row
                    cell["column"] = column
                    cell["factor"] = factor
                met += 1
            restore_places(places, swapped, count)
        first += sizes[run]
    return met
