"""A tiling walked block by block in plain loops: what each block needs, in bytes, without any cleverness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tiling_cases import folding_of

from accelsim.units import bits_to_bytes, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accelsim.mapping.address_pattern import AddressPattern
    from accelsim.mapping.tiling import Tiling, TilingProblem

Bytes = NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """Ranges of groups, output pixels, filters and weights of one block."""

    groups: range
    m: range
    n: range
    k: range


def walk_blocks(problem: TilingProblem, tiling: Tiling) -> Iterator[Block]:
    """All blocks, the loop over groups outside the three others."""
    dims = problem.dims
    extent, size = {"m": dims.m, "n": dims.n, "k": dims.k}, {"m": tiling.m, "n": tiling.n, "k": tiling.k}

    def ranges(dim: str) -> list[range]:
        return [range(i, min(i + size[dim], extent[dim])) for i in range(0, extent[dim], size[dim])]

    for first in range(0, dims.groups, tiling.groups):
        groups = range(first, min(first + tiling.groups, dims.groups))
        for outer in ranges(tiling.order[0]):
            for middle in ranges(tiling.order[1]):
                for inner in ranges(tiling.order[2]):
                    now = dict(zip(tiling.order, (outer, middle, inner), strict=True))
                    yield Block(groups, now["m"], now["n"], now["k"])


def naive_cycles(problem: TilingProblem, tiling: Tiling) -> int:
    """Cycles of all blocks, fold by fold; a stream that goes on in the next block is filled and drained once.

    Streams go on where a whole block is one fold; a cut block at the end is scheduled as the whole ones are.
    """
    folding = folding_of(problem)
    flow, rows, cols = folding.dataflow, folding.rows, folding.cols
    size = {"m": tiling.m, "n": tiling.n, "k": tiling.k}
    one_fold = size[flow.row_dim] <= rows and size[flow.col_dim] <= cols and tiling.groups == 1
    total, previous = 0, None
    for block in walk_blocks(problem, tiling):
        extent = {"m": len(block.m), "n": len(block.n), "k": len(block.k)}
        for group in block.groups:
            for row in range(0, extent[flow.row_dim], rows):
                for col in range(0, extent[flow.col_dim], cols):
                    span = {"m": block.m, "n": block.n, "k": block.k}
                    fold = group, span[flow.row_dim][row], span[flow.col_dim][col]
                    total += extent[flow.stream_dim]
                    if fold != previous or not one_fold:
                        total += rows + cols - 2 + (rows if flow.loads_stationary else 0)
                    previous = fold
    return total


def input_bytes(problem: TilingProblem, block: Block, first: int, channels: int, region: int) -> Bytes:
    """Bytes that a block of a convolution needs of one part of its input: channels `first` on, NHWC on their own."""
    grid, window, bits = problem.grid, problem.grid.window, problem.ifmap_bits
    needed = np.zeros(region, bool)
    pixel_bytes = bits_to_bytes(channels * bits)
    for m in block.m:
        image, place = divmod(m, grid.out_height * grid.out_width)
        out_row, out_col = divmod(place, grid.out_width)
        for k in block.k:
            channel, tap = divmod(k, problem.taps)
            tap_row, tap_col = divmod(tap, window.kernel[1])
            row = out_row * window.stride[0] - window.padding[0] + tap_row * window.dilation[0]
            col = out_col * window.stride[1] - window.padding[1] + tap_col * window.dilation[1]
            if not (0 <= row < grid.height and 0 <= col < grid.width):
                continue
            pixel = (image * grid.height + row) * grid.width + col
            for group in block.groups:
                place = group * problem.channels + channel - first
                if 0 <= place < channels:
                    begin = pixel * pixel_bytes + place * bits // 8
                    needed[begin : pixel * pixel_bytes + ceil_div((place + 1) * bits, 8)] = True
    return needed


def matrix_bytes(
    rows: range, cols: range, matrices: list[int], shape: tuple[int, int], bits: int, region: int
) -> Bytes:
    """Bytes of a stretch of some matrices that lie one after the other, row by row."""
    needed = np.zeros(region, bool)
    row_bytes = bits_to_bytes(shape[1] * bits)
    for matrix in matrices:
        for row in rows:
            begin = (matrix * shape[0] + row) * row_bytes
            needed[begin + cols.start * bits // 8 : begin + ceil_div(cols.stop * bits, 8)] = True
    return needed


def covered(pattern: AddressPattern, tile: int, address: int, region: int) -> NDArray[np.int64]:
    """How often a tile covers each byte of a region that begins at `address`; bytes outside are left out."""
    times = np.zeros(region, np.int64)
    for run in pattern.runs[pattern.offsets[tile] : pattern.offsets[tile + 1]]:
        for outer in range(run["outer_count"]):
            for inner in range(run["inner_count"]):
                begin = run["base"] + outer * run["outer_stride"] + inner * run["inner_stride"] - address
                begin, end = max(begin, 0), min(begin + run["run_bytes"], region)
                if begin < end:
                    times[begin:end] += 1
    return times
