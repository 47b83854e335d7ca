"""Loops without blocks on SIMD cores: windows that slide over a map, and maps that stream past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache.kernel import replay
from accelsim.hardware.pe_array.simd_loops import SPARE, emit
from accelsim.jit import kernel
from accelsim.mapping.cached_network import row_bytes
from accelsim.mapping.stages import channels_of
from accelsim.units import bits_to_bytes

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words
    from accelsim.mapping.cached_network import CachedStage
    from accelsim.mapping.footprint import PixelGrid


@kernel
def run_windows(
    rows: Words,
    kernel_rows: int,
    row_stride: int,
    dilation: int,
    top: int,
    height: int,
    weights: Words,
    inputs: Words,
    output: Words,
    cost: int,
    records: Words,
    caches: Caches,
) -> None:
    """Slide a window over a map, row by row; the cores share the output rows.

    Parameters
    ----------
    rows
        Output rows of one image, and images.
    kernel_rows, row_stride, dilation, top, height
        The window along the rows, and the input rows of an image.
    weights
        Address and bytes of the filters, which every core reads before its first row; no bytes where there are none.
    inputs
        Per part of the input its address and the bytes of one row.
    output
        Address, and bytes of one row.
    cost
        Ticks per output row.
    records, caches
        As `run_packed` takes them.
    """
    cores = caches.cores.shape[0]
    out_rows, total = rows[0], rows[0] * rows[1]
    number = 0
    for core in range(min(cores, total)):
        number = emit(records, number, core, 0, weights[0], weights[1], 1, 0, 0)
    for turn in range(-(-total // cores)):
        for core in range(cores):
            row = total * core // cores + turn
            if row >= total * (core + 1) // cores:
                continue
            image, out_row = row // out_rows, row % out_rows
            for tap in range(kernel_rows):
                in_row = out_row * row_stride - top + tap * dilation
                if in_row < 0 or in_row >= height:
                    continue
                for part in range(inputs.shape[0]):
                    base = inputs[part, 0] + (image * height + in_row) * inputs[part, 1]
                    number = emit(records, number, core, 0, base, inputs[part, 1], 1, 0, 0)
                    if number + SPARE > records.shape[0]:
                        replay(records, number, caches)
                        number = 0
            number = emit(records, number, core, 1, output[0] + row * output[1], output[1], 1, 0, cost)
    replay(records, number, caches)


@kernel
def run_stream(inputs: Words, output: Words, chunk: int, cost: int, records: Words, caches: Caches) -> None:
    """Read maps from end to end and write one, a chunk at a time; the cores share it.

    Parameters
    ----------
    inputs
        Per map its address and its bytes.
    output
        Address and bytes of what is written.
    chunk
        Bytes of the largest map per turn of a core.
    cost
        Ticks per KiB, read or written.
    records, caches
        As `run_packed` takes them.
    """
    cores = caches.cores.shape[0]
    largest = output[1]
    for part in range(inputs.shape[0]):
        largest = max(largest, inputs[part, 1])
    turns = -(-largest // (chunk * cores))
    pieces = turns * cores
    number = 0
    for turn in range(turns):
        for core in range(cores):
            piece = core * turns + turn
            for part in range(inputs.shape[0]):
                low, high = inputs[part, 1] * piece // pieces, inputs[part, 1] * (piece + 1) // pieces
                ticks = (high - low) * cost // 1_024
                number = emit(records, number, core, 0, inputs[part, 0] + low, high - low, 1, 0, ticks)
                if number + SPARE > records.shape[0]:
                    replay(records, number, caches)
                    number = 0
            low, high = output[1] * piece // pieces, output[1] * (piece + 1) // pieces
            ticks = (high - low) * cost // 1_024
            number = emit(records, number, core, 1, output[0] + low, high - low, 1, 0, ticks)
    replay(records, number, caches)


def window_map(stage: CachedStage, grid: PixelGrid) -> tuple[Words, Words, Words]:
    """Rows of a map whose channels lie side by side, as `run_windows` takes them: rows, inputs, output."""
    inputs = [[part.address, grid.width * bits_to_bytes(part.channels * stage.ifmap_bits)] for part in stage.inputs[0]]
    output = np.array([stage.output, grid.out_width * row_bytes(stage)])
    return np.array([grid.out_height, grid.images]), np.array(inputs, np.int64), output


def window_planes(stage: CachedStage, grid: PixelGrid) -> list[tuple[Words, Words, Words]]:
    """The same of maps that lie channel by channel, for each image of each part of the input."""
    row, out_row = (bits_to_bytes(width * stage.ifmap_bits) for width in (grid.width, grid.out_width))
    channels, maps = channels_of(stage.output_shape), []
    for image in range(grid.images):
        for part in stage.inputs[0]:
            begin = part.address + image * part.channels * grid.height * row
            end = stage.output + (image * channels + part.first_channel) * grid.out_height * out_row
            rows = np.array([grid.out_height, part.channels])
            maps.append((rows, np.array([[begin, row]]), np.array([end, out_row])))
    return maps
