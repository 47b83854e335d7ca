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
