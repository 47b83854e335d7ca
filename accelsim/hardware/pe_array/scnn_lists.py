"""Operands of SCNN as lists of stored elements, each with the accumulator bank that it leads to.

Output pixel p of a tile and filter k of a group are summed up in bank ``(k + pitch * p) mod banks``. Both terms are
linear in the coordinates of activation and weight, so that the bank of a product is the sum of a number that belongs to
its activation and one that belongs to its weight; a vector of weights is a set of banks that an activation turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.hardware.pe_array.scnn_kernels import PLACEHOLDER, group_cycles
from accelsim.jit import kernel
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.scnn import ScnnConfig
    from accelsim.hardware.pe_array.scnn_operands import Flags
    from accelsim.hardware.pe_array.scnn_planes import Plane, Span
    from accelsim.workload.operators import Window

WEIGHT_PLANES = 4
"""Bits of the numbers of weights in a vector that lead to the same bank."""

_ONE, _NONE = np.uint64(1), np.uint64(0)


@dataclass(frozen=True)
class Listed:
    """Lists as the kernels take them: banks of entries or of vectors, and where each list starts."""

    banks: NDArray[Any]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """Lists of stored elements: (lists, channels, phases).

    Parameters
    ----------
    vectors
        Vectors of each list.
    entries, nonzeros
        Stored elements, and those that are no placeholders.
    listed
        What the kernels take, where the values are known.
    """

    vectors: NDArray[np.int64]
    entries: int
    nonzeros: NDArray[np.int64]
    listed: Listed | None = None


@kernel
def compress_map(
    values: Flags,
    region: tuple[int, int, int, int],
    tile: tuple[int, int],
    grid: tuple[int, int],
    padding: tuple[int, int],
    stride: tuple[int, int],
    keep_zeros: bool,  # noqa: FBT001 - Numba passes by position
    longest_run: int,
    pitch: int,
    acc_cols: int,
    banks: int,
    entries: NDArray[np.uint8],
    starts: NDArray[np.int64],
) -> int:
    """List the activations of each element's tile, by channel and phase of the stride.

    Parameters
    ----------
    values
        ``(channels, rows, columns)``.
    region
        First and last-plus-one row, first and last-plus-one column that take part.
    tile
        Rows and columns per element.
    grid
        Elements.
    padding
        Rows above and columns to the left.
    stride
        Of the window.
    keep_zeros
        Whether zeros are listed like other values.
    longest_run
        Zeros that an index bridges.
    pitch, acc_cols, banks
        Bank of output pixel (y, x): ``pitch * (x + acc_cols * y)`` modulo `banks`.
    entries
        Filled with a bank for each entry, or `PLACEHOLDER`.
    starts
        Filled with the first entry of each (element, channel, phase).
    """
    count, place = 0, 0
    first_row, end_row, first_col, end_col = region
    for pe in range(grid[0] * grid[1]):
        row0 = min(first_row + pe // grid[1] * tile[0], end_row)
        row1 = min(row0 + tile[0], end_row)
        col0 = min(first_col + pe % grid[1] * tile[1], end_col)
        col1 = min(col0 + tile[1], end_col)
        for channel in range(values.shape[0]):
            for phase in range(stride[0] * stride[1]):
                starts[place] = count
                place += 1
                first_y = row0 + (phase // stride[1] - row0 - padding[0]) % stride[0]
                first_x = col0 + (phase % stride[1] - col0 - padding[1]) % stride[1]
                run = 0
                for y in range(first_y, row1, stride[0]):
                    base = (y + padding[0]) // stride[0] * acc_cols
                    for x in range(first_x, col1, stride[1]):
                        if values[channel, y, x] == 0 and not keep_zeros:
                            run += 1
                            continue
                        while run > longest_run:
                            entries[count] = PLACEHOLDER
                            count += 1
                            run -= longest_run + 1
                        run = 0
                        entries[count] = pitch * ((x + padding[1]) // stride[1] + base) % banks
                        count += 1
    starts[place] = count
    return count


@kernel
def compress_weights(  # noqa: C901 - a kernel in one piece
    values: Flags,
    groups: tuple[int, int],
    filters: NDArray[np.int64],
    reduction: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    keep_zeros: bool,  # noqa: FBT001 - Numba passes by position
    longest_run: int,
    lanes: int,
    pitch: int,
    acc_cols: int,
    banks: int,
    vectors: NDArray[np.uint64],
    starts: NDArray[np.int64],
    weights: NDArray[np.int64],
) -> tuple[int, int]:
    """List the weights of output-channel groups as vectors, by channel and phase; the filters are the fastest index.

    Parameters
    ----------
    values
        ``(groups, filters, channels, rows, columns)``.
    groups
        First and last-plus-one group.
    filters
        Per list the first and last-plus-one filter of each group.
    reduction
        First and last-plus-one element of a filter, of all that are there by channel, row and column.
    stride, dilation
        Of the window.
    keep_zeros, longest_run, pitch, acc_cols, banks
        As for activations.
    lanes
        Weights per vector.
    vectors
        Filled with the banks of each vector: how many of its weights lead to each, bit by bit.
    starts
        Filled with the first vector of each (list, channel, phase), the channels of all groups one after the other.
    weights
        Filled with the weights that are no placeholders, for each (list, channel, phase).

    Returns
    -------
    tuple of int
        Vectors, and entries with placeholders.
    """
    taps = values.shape[3] * values.shape[4]
    first_channel, end_channel = reduction[0] // taps, -(-reduction[1] // taps)
    count, place, entries = 0, 0, 0
    for chosen in range(filters.shape[0]):
        width = filters[chosen, 1] - filters[chosen, 0]
        for group in range(groups[0], groups[1]):
            for channel in range(first_channel, end_channel):
                for phase in range(stride[0] * stride[1]):
                    starts[place] = count
                    weights[place] = 0
                    run, lane = 0, 0
                    for tap in range(taps):
                        row = tap // values.shape[4] * dilation[0]
                        col = tap % values.shape[4] * dilation[1]
                        element = channel * taps + tap
                        if row % stride[0] * stride[1] + col % stride[1] != phase:
                            continue
                        if element < reduction[0] or element >= reduction[1]:
                            continue
                        shift = pitch * (col // stride[1] + row // stride[0] * acc_cols)
                        for k in range(width):
                            value = values[
                                group, filters[chosen, 0] + k, channel, tap // values.shape[4], tap % values.shape[4]
                            ]
                            if value == 0 and not keep_zeros:
                                run += 1
                                continue
                            while run > longest_run:
                                run -= longest_run + 1
                                entries += 1
                                if lane == 0:
                                    vectors[count] = _NONE
                                lane += 1
                                if lane == lanes:
                                    count, lane = count + 1, 0
                            run = 0
                            entries += 1
                            weights[place] += 1
                            if lane == 0:
                                vectors[count] = _NONE
                            carry = _ONE << np.uint64(((group - groups[0]) * width + k - shift) % banks)
                            for plane in range(WEIGHT_PLANES):
                                before = vectors[count, plane]
                                vectors[count, plane] = before ^ carry
                                carry &= before
                            lane += 1
                            if lane == lanes:
                                count, lane = count + 1, 0
                    if lane:
                        count += 1
                    place += 1
    starts[place] = count
    return count, entries


def list_map(config: ScnnConfig, flags: Flags, plane: Plane, acc_cols: int, grid: tuple[int, int]) -> Lists:
    """Activations (channels, rows, columns) of a plane as lists."""
    window, keep = plane.window, "ifmap" not in config.sparse
    phases = window.stride[0] * window.stride[1]
    shape = (grid[0] * grid[1], len(flags), phases)
    top, bottom, left, right = plane.region
    banks = np.empty(max((bottom - top) * (right - left), 1) * len(flags), np.uint8)
    starts = np.empty(int(np.prod(shape)) + 1, np.int64)
    count = compress_map(
        flags, plane.region, plane.tile, grid, (window.padding[0], window.padding[1]), window.stride, keep,
        config.longest_run, config.weight_lanes, acc_cols, config.accumulator_banks, banks, starts,
    )  # fmt: skip
    entries = np.diff(starts).reshape(shape)
    stored = np.append(0, np.cumsum(banks[:count] != PLACEHOLDER))
    nonzeros = np.diff(stored[starts]).reshape(shape)
    return Lists(-(-entries // config.map_lanes), count, nonzeros, Listed(banks[:count], starts))


def list_weights(
    config: ScnnConfig,
    flags: Flags,
    groups: Span,
    filters: NDArray[np.int64],
    reduction: Span,
    window: Window,
    acc_cols: int,
) -> Lists:
    """Weights of output-channel groups, one for each row of `filters`, as lists of vectors."""
    phases, taps = window.stride[0] * window.stride[1], window.kernel[0] * window.kernel[1]
    channels = (ceil_div(reduction[1], taps) - reduction[0] // taps) * (groups[1] - groups[0])
    shape = (len(filters), channels, phases)
    widest = int((filters[:, 1] - filters[:, 0]).max())
    most = len(filters) * channels * (widest * taps // config.weight_lanes + phases)
    vectors = np.zeros((max(most, 1), WEIGHT_PLANES), np.uint64)
    starts, weights = np.empty(int(np.prod(shape)) + 1, np.int64), np.empty(int(np.prod(shape)), np.int64)
    count, entries = compress_weights(
        flags, groups, filters, reduction, window.stride, window.dilation, "weight" not in config.sparse,
        config.longest_run, config.weight_lanes, config.weight_lanes, acc_cols, config.accumulator_banks,
        vectors, starts, weights,
    )  # fmt: skip
    return Lists(np.diff(starts).reshape(shape), entries, weights.reshape(shape), Listed(vectors[:count], starts))


def listed_cycles(config: ScnnConfig, maps: Lists, weights: Lists, fifo: int) -> float:
    """Cycles of an output-channel group whose operands are known.

    Parameters
    ----------
    config
        The array.
    maps, weights
        Its operands.
    fifo
        Weight vectors that an element holds of those that are broadcast; 0 where elements do not wait for each other.
    """
    if maps.listed is None or weights.listed is None:
        message = "these operands are known by their numbers only"
        raise TypeError(message)
    return float(
        group_cycles(
            maps.listed.banks,
            maps.listed.starts,
            weights.listed.banks,
            weights.listed.starts,
            maps.vectors.shape[2],
            len(maps.vectors),
            len(weights.vectors),
            config.map_lanes,
            config.accumulator_banks,
            config.bank_queue,
            fifo,
        )
    )
