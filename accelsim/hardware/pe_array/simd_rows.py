"""Matrix products row by row, without blocks, as plain C writes them: the loops of DarkNet.

A convolution is lowered into a matrix of ``k`` rows, one per channel and tap, of all output pixels of an image
(``im2col``); then, for one row of results after the other and within it for each element of k, the row of that matrix
times one weight is added to the row of results. Both rows stream past the core once per row of results and element of
k: what stays in which cache follows from their lengths alone. Feature maps lie channel by channel.

Within a row the cores take turns after each *stretch*, as many results as fill a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache.kernel import replay
from accelsim.hardware.pe_array.simd_loops import SPARE, emit, share_of
from accelsim.jit import kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words

# rows: a product row by row; places count bits
RW_M = 0  # rows of results
RW_N = 1  # results of a row
RW_K = 2
RW_STRETCH = 3  # results after which the next core has its turn
RW_FIRST_BITS = 4  # bits of an element of the first operand, the one of which each element is used for a whole row
RW_SECOND_BITS = 5
RW_SUM = 6  # place of the sums
RW_SUM_ROW = 7  # from row to row of them
RW_SUM_BITS = 8
RW_OUT = 9  # place of the results where they are narrower than the sums; -1 where the sums are the results
RW_OUT_ROW = 10
RW_OUT_BITS = 11
RW_LANES = 12  # results per vector
RW_TICKS = 13  # per vector
RW_ROW_TICKS = 14  # per row, besides
N_ROWS = 15

# lowering: the matrix of one image
LW_KERNEL_Y = 0
LW_KERNEL_X = 1
LW_STRIDE_Y = 2
LW_STRIDE_X = 3
LW_DILATION_Y = 4
LW_DILATION_X = 5
LW_TOP = 6
LW_LEFT = 7
LW_HEIGHT = 8
LW_WIDTH = 9
LW_OUT_HEIGHT = 10
LW_OUT_WIDTH = 11
LW_BITS = 12
LW_TICKS = 13  # per row of pixels
N_LOWERING = 14


@kernel
def run_rows(
    rows: Words,
    first: Words,
    second: Words,
    begin: int,
    end: int,
    from_k: int,
    records: Words,
    caches: Caches,
) -> None:
    """Add up rows of results, the cores sharing the rows in equal stretches.

    Parameters
    ----------
    rows
        The product.
    first
        Per element of k the place of the first operand for row 0, and what to add from row to row.
    second
        Per element of k the place of its row of the second operand.
    begin, end
        Rows of each core that are run, counted from its first one.
    from_k
        Element of k from which on rows are updated; of those before, the first operand is read alone.
    records
        Room for a batch of records.
    caches
        As `replay` takes them.
    """
    cores = caches.cores.shape[0]
    m, n, stretch, bits = rows[RW_M], rows[RW_N], rows[RW_STRETCH], rows[RW_SUM_BITS]
    number = 0
    for turn in range(begin, end):
        for k in range(rows[RW_K]):
            for core in range(cores):
                low, high = share_of(m, 1, core, cores)
                if low + turn < high:
                    place = (first[k, 0] + (low + turn) * first[k, 1]) // 8
                    run = max(rows[RW_FIRST_BITS] // 8, 1)
                    number = emit(records, number, core, 0, place, run, 1, 0, rows[RW_ROW_TICKS])
                    if number + SPARE > records.shape[0]:
                        replay(records, number, caches)
                        number = 0
            for j in range(0, n if k >= from_k else 0, stretch):
                count = min(stretch, n - j)
                ticks = -(-count // rows[RW_LANES]) * rows[RW_TICKS]
                place = (second[k] + j * rows[RW_SECOND_BITS]) // 8
                run = max(count * rows[RW_SECOND_BITS] // 8, 1)
                for core in range(cores):
                    low, high = share_of(m, 1, core, cores)
                    if low + turn >= high:
                        continue
                    sums = (rows[RW_SUM] + (low + turn) * rows[RW_SUM_ROW] + j * bits) // 8
                    size = max(count * bits // 8, 1)
                    number = emit(records, number, core, 0, place, run, 1, 0, 0)
                    number = emit(records, number, core, 0, sums, size, 1, 0, 0)
                    number = emit(records, number, core, 1, sums, size, 1, 0, ticks)
                    if number + SPARE > records.shape[0]:
                        replay(records, number, caches)
                        number = 0
        if rows[RW_OUT] >= 0:
            number = narrow(rows, turn, number, records, caches)
    replay(records, number, caches)


@kernel
def narrow(rows: Words, turn: int, number: int, records: Words, caches: Caches) -> int:
    """Write results that are narrower than their sums; the number of records."""
    cores = caches.cores.shape[0]
    for j in range(0, rows[RW_N], rows[RW_STRETCH]):
        count = min(rows[RW_STRETCH], rows[RW_N] - j)
        ticks = -(-count // rows[RW_LANES]) * rows[RW_TICKS]
        for core in range(cores):
            low, high = share_of(rows[RW_M], 1, core, cores)
            if low + turn >= high:
                continue
            sums = (rows[RW_SUM] + (low + turn) * rows[RW_SUM_ROW] + j * rows[RW_SUM_BITS]) // 8
            place = (rows[RW_OUT] + (low + turn) * rows[RW_OUT_ROW] + j * rows[RW_OUT_BITS]) // 8
            number = emit(records, number, core, 0, sums, max(count * rows[RW_SUM_BITS] // 8, 1), 1, 0, 0)
            number = emit(records, number, core, 1, place, max(count * rows[RW_OUT_BITS] // 8, 1), 1, 0, ticks)
            if number + SPARE > records.shape[0]:
                replay(records, number, caches)
                number = 0
    return number


@kernel
def run_lowering(lowering: Words, planes: Words, matrix: int, records: Words, caches: Caches) -> None:
    """Lower an image into a matrix, the cores sharing its rows.

    Parameters
    ----------
    lowering
        The window.
    planes
        Per channel the place of its plane, in bits.
    matrix
        Address of the matrix.
    records, caches
        As `run_rows` takes them.
    """
    cores = caches.cores.shape[0]
    taps_x, bits = lowering[LW_KERNEL_X], lowering[LW_BITS]
    taps = lowering[LW_KERNEL_Y] * taps_x
    total = planes.shape[0] * taps
    out_height, out_width, stride_x = lowering[LW_OUT_HEIGHT], lowering[LW_OUT_WIDTH], lowering[LW_STRIDE_X]
    number = 0
    for turn in range(-(-total // cores)):
        for out_row in range(out_height):
            for core in range(cores):
                low, high = share_of(total, 1, core, cores)
                row = low + turn
                if row >= high:
                    continue
                tap = row % taps
                in_row = out_row * lowering[LW_STRIDE_Y] - lowering[LW_TOP] + tap // taps_x * lowering[LW_DILATION_Y]
                shift = tap % taps_x * lowering[LW_DILATION_X] - lowering[LW_LEFT]
                begin = max(-(shift // stride_x), 0)  # the first pixel whose tap lies inside
                end = min((lowering[LW_WIDTH] - 1 - shift) // stride_x, out_width - 1)
                if 0 <= in_row < lowering[LW_HEIGHT] and begin <= end:
                    col = begin * stride_x + shift
                    place = (planes[row // taps] + (in_row * lowering[LW_WIDTH] + col) * bits) // 8
                    run = max(((end - begin) * stride_x + 1) * bits // 8, 1)
                    number = emit(records, number, core, 0, place, run, 1, 0, 0)
                place = matrix + (row * out_height + out_row) * out_width * bits // 8
                run = max(out_width * bits // 8, 1)
                number = emit(records, number, core, 1, place, run, 1, 0, lowering[LW_TICKS])
                if number + SPARE > records.shape[0]:
                    replay(records, number, caches)
                    number = 0
    replay(records, number, caches)


@kernel
def run_dots(rows: Words, first: Words, second: Words, records: Words, caches: Caches) -> None:
    """Multiply every row of one matrix with every row of another, the cores sharing the rows of the second.

    Parameters
    ----------
    rows
        The product; a stretch is one of k here.
    first
        Per piece of a row of the first operand its place in row 0, what to add from row to row, and its elements.
    second
        Place of the second operand, and what to add from row to row.
    records, caches
        As `run_rows` takes them.
    """
    cores = caches.cores.shape[0]
    m, n, stretch = rows[RW_M], rows[RW_N], rows[RW_STRETCH]
    number = 0
    for i in range(m):
        for turn in range(-(-n // cores)):
            done = 0
            for piece in range(first.shape[0]):
                for k in range(0, first[piece, 2], stretch):
                    count = min(stretch, first[piece, 2] - k)
                    ticks = -(-count // rows[RW_LANES]) * rows[RW_TICKS]
                    place = (first[piece, 0] + i * first[piece, 1] + k * rows[RW_FIRST_BITS]) // 8
                    run = max(count * rows[RW_FIRST_BITS] // 8, 1)
                    for core in range(cores):
                        low, high = share_of(n, 1, core, cores)
                        if low + turn >= high:
                            continue
                        weights = (second[0] + (low + turn) * second[1] + (done + k) * rows[RW_SECOND_BITS]) // 8
                        size = max(count * rows[RW_SECOND_BITS] // 8, 1)
                        number = emit(records, number, core, 0, place, run, 1, 0, 0)
                        number = emit(records, number, core, 0, weights, size, 1, 0, ticks)
                        if number + SPARE > records.shape[0]:
                            replay(records, number, caches)
                            number = 0
                done += first[piece, 2]
            for core in range(cores):
                low, high = share_of(n, 1, core, cores)
                if low + turn < high:
                    place = (rows[RW_OUT] + i * rows[RW_OUT_ROW] + (low + turn) * rows[RW_OUT_BITS]) // 8
                    size = max(rows[RW_OUT_BITS] // 8, 1)
                    number = emit(records, number, core, 1, place, size, 1, 0, rows[RW_ROW_TICKS])
                    if number + SPARE > records.shape[0]:
                        replay(records, number, caches)
                        number = 0
    replay(records, number, caches)
