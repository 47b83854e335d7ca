"""A systolic array, register by register: slow, obvious, and the judge of the closed forms.

Every element reads what its neighbours' registers held at the end of the cycle before, and writes its own. A fold lasts
from the first cycle in which anything enters the array until the cycle at whose end the last result stands in the
registers it leaves from. Nothing here knows a formula for that: the cycles are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """What a run of the array took and made.

    Parameters
    ----------
    cycles
        Cycles from the first that moves anything to the last that does.
    product
        The result.
    entered
        Per streamed vector the cycle (from 0) in which its first element entered the array.
    left
        Per streamed vector the cycle at whose end its last result had left.
    """

    cycles: int
    product: Matrix
    entered: list[int]
    left: list[int]


def run_stationary_fold(stationary: Matrix, streamed: Matrix, rows: int, cols: int) -> Run:
    """One fold of an array that holds `stationary` (k, width) while `streamed` (length, k) passes from left to right.

    Sums travel down the columns and leave below. Weight stationary: the weights stay and the input streams; input
    stationary: the other way round.
    """
    depth, width = stationary.shape
    length = len(streamed)
    to_load = np.zeros((rows, cols), np.int64)
    to_load[:depth, :width] = stationary
    held = np.zeros((rows, cols), np.int64)
    cycle = 0
    for step in range(rows):  # the last row enters first and is pushed down by the others
        held[1:] = held[:-1].copy()
        held[0] = to_load[rows - 1 - step]
        cycle += 1
    begin = cycle
    passing, passing_valid = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), bool)
    sums, sums_valid = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), bool)
    product = np.zeros((length, cols), np.int64)
    out = [0] * cols
    entered, left = [-1] * length, [-1] * length
    while min(out) < length:
        new_passing, new_valid = np.zeros_like(passing), np.zeros_like(passing_valid)
        new_sums, new_sums_valid = np.zeros_like(sums), np.zeros_like(sums_valid)
        for row in range(rows):
            vector = cycle - begin - row  # row r is fed r cycles late
            for col in range(cols):
                if col:
                    operand, valid = passing[row, col - 1], passing_valid[row, col - 1]
                else:
                    valid = np.bool_(0 <= vector < length)
                    operand = np.int64(streamed[vector, row] if valid and row < depth else 0)
                    if valid and row == 0:
                        entered[vector] = cycle
                above, above_valid = (sums[row - 1, col], sums_valid[row - 1, col]) if row else (0, valid)
                assert valid == above_valid, "operand and sum have to meet"
                new_passing[row, col], new_valid[row, col] = operand, valid
                new_sums[row, col], new_sums_valid[row, col] = above + operand * held[row, col], valid
        passing, passing_valid, sums, sums_valid = new_passing, new_valid, new_sums, new_sums_valid
        for col in range(cols):
            if sums_valid[rows - 1, col]:
                product[out[col], col] = sums[rows - 1, col]
                left[out[col]] = max(left[out[col]], cycle)
                out[col] += 1
        cycle += 1
    return Run(cycle, product[:, :width], entered, left)


def run_output_fold(left_matrix: Matrix, top_matrix: Matrix, rows: int, cols: int) -> Run:
    """One fold of an output-stationary array: (height, k) enters from the left, (k, width) from above.

    The fold is over when the last sum is complete; sums leave by wires of their own while the next fold streams, as in
    SCALE-Sim's closed form.
    """
    height, length = left_matrix.shape
    width = top_matrix.shape[1]
    right, right_valid = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), bool)
    down = np.zeros((rows, cols), np.int64)
    sums, added = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
    entered = [-1] * length
    last = [-1] * length
    cycle = 0
    while added.min() < length:
        new_right, new_right_valid, new_down = np.zeros_like(right), np.zeros_like(right_valid), np.zeros_like(down)
        for row in range(rows):
            for col in range(cols):
                from_left, from_top = cycle - row, cycle - col  # row r and column c are fed r and c cycles late
                if col:
                    operand, valid = right[row, col - 1], right_valid[row, col - 1]
                else:
                    valid = np.bool_(0 <= from_left < length)
                    operand = np.int64(left_matrix[row, from_left] if valid and row < height else 0)
                    if valid and row == 0:
                        entered[from_left] = cycle
                if row:
                    other = down[row - 1, col]
                else:
                    other = np.int64(top_matrix[from_top, col] if 0 <= from_top < length and col < width else 0)
                if valid:
                    sums[row, col] += operand * other
                    last[added[row, col]] = cycle
                    added[row, col] += 1
                new_right[row, col], new_right_valid[row, col], new_down[row, col] = operand, valid, other
        right, right_valid, down = new_right, new_right_valid, new_down
        cycle += 1
    return Run(cycle, sums[:height, :width], entered, last)


def run_product(dataflow: str, left: Matrix, right: Matrix, rows: int, cols: int) -> tuple[int, Matrix]:
    """The product ``left (m, k) @ right (k, n)`` fold after fold: all cycles, and the matrix."""
    m, k = left.shape
    n = right.shape[1]
    product = np.zeros((m, n), np.int64)
    cycles = 0
    if dataflow == "OS":
        for i in range(0, m, rows):
            for j in range(0, n, cols):
                run = run_output_fold(left[i : i + rows], right[:, j : j + cols], rows, cols)
                cycles += run.cycles
                product[i : i + rows, j : j + cols] = run.product
        return cycles, product
    for depth in range(0, k, rows):
        ifmap, weight = left[:, depth : depth + rows], right[depth : depth + rows]
        if dataflow == "WS":
            for j in range(0, n, cols):
                run = run_stationary_fold(weight[:, j : j + cols], ifmap, rows, cols)
                cycles += run.cycles
                product[:, j : j + cols] += run.product
        else:
            for i in range(0, m, cols):
                run = run_stationary_fold(ifmap[i : i + cols].T, weight.T, rows, cols)
                cycles += run.cycles
                product[i : i + cols] += run.product.T
    return cycles, product


@dataclass(frozen=True)
class Fold:
    """One tile of the stationary operand (k, width), what streams past it (length, k), and when the tile is there."""

    stationary: Matrix
    streamed: Matrix
    available: int = 0


@dataclass(frozen=True)
class FoldTimes:
    """Cycle (from 0) in which a fold's tile begins to shift in, in which its first datum enters, and the one after."""

    shift: int
    begin: int
    end: int


class DoubleBufferedArray:
    """An array whose elements hold two weights: one in use, one on its way down a chain.

    The chain is shifted like any shift register, column c being c cycles late; but an element first lets its weight go
    when the datum that takes it over is there. Row r therefore begins to shift r cycles after row 0, and all stop
    together, when the last weight has entered.
    """

    def __init__(self, folds: list[Fold], rows: int, cols: int) -> None:
        self.folds, self.rows, self.cols = folds, rows, cols
        self.chain, self.held = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
        self.passing, self.passing_fold = np.zeros((rows, cols), np.int64), np.full((rows, cols), -1)
        self.passing_first = np.zeros((rows, cols), bool)
        self.sums, self.sums_fold = np.zeros((rows, cols), np.int64), np.full((rows, cols), -1)
        self.products = [np.zeros((len(fold.streamed), cols), np.int64) for fold in folds]
        self.out = [[0] * cols for _ in folds]
        self.shift: list[int] = []
        self.begin: list[int] = []
        self.cycle = 0

    @property
    def is_done(self) -> bool:
        """Whether all results have left."""
        return all(min(done) == len(fold.streamed) for done, fold in zip(self.out, self.folds, strict=True))

    def start_what_can(self) -> None:
        """Let the next fold begin when its tile is in the chain, and the next tile when the fold before has begun."""
        number = len(self.begin)
        is_loaded = len(self.shift) > number and self.cycle >= self.shift[number] + self.rows
        if is_loaded and (not number or self.cycle >= self.begin[-1] + len(self.folds[number - 1].streamed)):
            self.begin.append(self.cycle)
        number = len(self.shift)
        if number == len(self.begin) < len(self.folds) and self.cycle >= self.folds[number].available:
            self.shift.append(self.cycle)

    def entering(self, row: int) -> tuple[int, bool, int]:
        """Fold, whether it is its first, and value of the datum that enters a row from the left; row r is r late."""
        for number, start in enumerate(self.begin):
            vector = self.cycle - start - row
            if 0 <= vector < len(self.folds[number].streamed):
                data = self.folds[number].streamed[vector]
                return number, vector == 0, int(data[row]) if row < len(data) else 0
        return -1, False, 0

    def shifted(self, row: int, col: int) -> int:
        """What the chain of an element holds next; column c is c cycles late."""
        for number, start in enumerate(self.shift):
            step, tile = self.cycle - start - col, self.folds[number].stationary
            if row <= step < self.rows:
                entering = self.rows - 1 - step
                inside = entering < tile.shape[0] and col < tile.shape[1]
                from_top = int(tile[entering, col]) if inside else 0
                return int(self.chain[row - 1, col]) if row else from_top
        return int(self.chain[row, col])

    def step(self) -> None:
        """One cycle: every register takes what its neighbours' held."""
        self.start_what_can()
        chain, passing, sums = np.zeros_like(self.chain), np.zeros_like(self.passing), np.zeros_like(self.sums)
        passing_fold, sums_fold = np.full_like(self.passing_fold, -1), np.full_like(self.sums_fold, -1)
        passing_first = np.zeros_like(self.passing_first)
        for row in range(self.rows):
            for col in range(self.cols):
                fold, first, operand = self.entering(row) if not col else (
                    self.passing_fold[row, col - 1], self.passing_first[row, col - 1], self.passing[row, col - 1]
                )  # fmt: skip
                if first:
                    self.held[row, col] = self.chain[row, col]  # as it was when the cycle before ended
                above, above_fold = (self.sums[row - 1, col], self.sums_fold[row - 1, col]) if row else (0, fold)
                assert fold == above_fold, "operand and sum have to meet"
                chain[row, col] = self.shifted(row, col)
                passing[row, col], passing_fold[row, col], passing_first[row, col] = operand, fold, first
                sums[row, col], sums_fold[row, col] = above + operand * self.held[row, col], fold
        self.chain, self.passing, self.passing_fold, self.passing_first = chain, passing, passing_fold, passing_first
        self.sums, self.sums_fold = sums, sums_fold
        for col in range(self.cols):
            fold = sums_fold[self.rows - 1, col]
            if fold >= 0:
                self.products[fold][self.out[fold][col], col] = sums[self.rows - 1, col]
                self.out[fold][col] += 1
        self.cycle += 1


def run_double_buffered(folds: list[Fold], rows: int, cols: int) -> tuple[int, list[Matrix], list[FoldTimes]]:
    """Folds one behind the other on a double-buffered array: all cycles, the product of each fold and its times."""
    array = DoubleBufferedArray(folds, rows, cols)
    while not array.is_done:
        array.step()
    products = [made[:, : fold.stationary.shape[1]] for made, fold in zip(array.products, folds, strict=True)]
    times = [
        FoldTimes(shift, begin, begin + len(fold.streamed))
        for shift, begin, fold in zip(array.shift, array.begin, folds, strict=True)
    ]
    return array.cycle, products, times


def parts_of(values: Matrix, bits: int, parts: int) -> list[Matrix]:
    """Cut integers into parts of `bits` bits, the lowest first; the last one carries the sign."""
    low = [(values >> (bits * part)) & (2**bits - 1) for part in range(parts - 1)]
    return [*low, values >> (bits * (parts - 1))]


def double_buffered_folds(
    dataflow: str, left: Matrix, right: Matrix, rows: int, cols: int, bits: int, parts: tuple[int, int]
) -> tuple[list[Fold], list[tuple[slice, slice, int]]]:
    """Folds of ``left (m, k) @ right (k, n)``, and where in the product each adds what, shifted left by how much.

    `parts` are those of the stationary and of the streaming operand, of `bits` bits each.
    """
    (m, k), n = left.shape, right.shape[1]
    folds, places = [], []
    for depth in range(0, k, rows):
        inputs, weights = left[:, depth : depth + rows], right[depth : depth + rows]
        stationary, streaming = (weights, inputs) if dataflow == "WS" else (inputs.T, weights.T)
        for side in range(0, n if dataflow == "WS" else m, cols):
            tile = stationary[:, side : side + cols]
            for index, part in enumerate(parts_of(tile, bits, parts[0])):
                pieces = parts_of(streaming, bits, parts[1])
                interleaved = np.stack(pieces, axis=1).reshape(-1, streaming.shape[1])
                folds.append(Fold(part, interleaved))
                across, along = slice(0, len(streaming)), slice(side, side + tile.shape[1])
                places.append((across, along, bits * index))
    return folds, places


def run_double_buffered_product(
    dataflow: str, left: Matrix, right: Matrix, rows: int, cols: int, bits: int = 64, parts: tuple[int, int] = (1, 1)
) -> tuple[int, Matrix]:
    """The product ``left (m, k) @ right (k, n)``: all cycles, and the matrix as the accumulators add it up."""
    folds, places = double_buffered_folds(dataflow, left, right, rows, cols, bits, parts)
    cycles, products, _ = run_double_buffered(folds, rows, cols)
    shape = (len(left), right.shape[1]) if dataflow == "WS" else (right.shape[1], len(left))
    total = np.zeros(shape, np.int64)
    for (across, along, shift), partial in zip(places, products, strict=True):
        for index in range(parts[1]):
            total[across, along] += partial[index :: parts[1]] << (shift + bits * index)
    return cycles, total if dataflow == "WS" else total.T
