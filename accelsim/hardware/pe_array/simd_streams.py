"""Loops without blocks on SIMD cores: windows that slide over a map, and maps that stream past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache.kernel import replay
from accelsim.hardware.pe_array.simd_loops import SPARE, emit
from accelsim.jit import kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Words


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
    caches: tuple[Words, ...],
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
    cores = caches[4].shape[0]
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
def run_stream(inputs: Words, output: Words, chunk: int, cost: int, records: Words, caches: tuple[Words, ...]) -> None:
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
    cores = caches[4].shape[0]
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
