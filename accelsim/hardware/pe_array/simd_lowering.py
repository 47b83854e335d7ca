"""Convolutions whose map is copied into a matrix in memory before a library multiplies it (``im2col``).

The matrix has a row per output pixel, in which the elements of k follow one another as they lie in the map: a map of
its own, of as many channels, from which a 1 x 1 kernel takes what the kernel takes from the map.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache.kernel import replay
from accelsim.hardware.pe_array.simd_loops import SPARE, emit, gather
from accelsim.jit import kernel
from accelsim.mapping.cached_network import PlacedPart
from accelsim.mapping.footprint import pixel_grid
from accelsim.mapping.placement import ALIGNMENT_BYTES
from accelsim.units import bits_to_bytes, ceil_div
from accelsim.workload.operators import Conv, Window

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words
    from accelsim.mapping.cached_network import CachedStage

LOWERED_PIXELS = 32
"""Pixels whose rows of the matrix a core copies in turn."""


def is_lowered(stage: CachedStage) -> bool:
    """Whether a stage is a convolution that needs a matrix: the map of a 1 x 1 kernel is one already."""
    if stage.grid is None or not isinstance(stage.operator, Conv):
        return False
    window = stage.grid.window
    return window.kernel != (1, 1) or window.stride != (1, 1) or any(window.padding)


def matrix_bytes(stage: CachedStage) -> int:
    """Bytes of the matrix, in whole pages."""
    if stage.dims is None or stage.grid is None:
        return 0
    row = bits_to_bytes(stage.dims.groups * stage.dims.k * stage.ifmap_bits)
    return ceil_div(stage.grid.output_pixels * row, ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def lowered(stage: CachedStage) -> CachedStage:
    """The stage that multiplies the matrix, which lies first in the stage's own memory."""
    if stage.dims is None or stage.grid is None or not isinstance(stage.operator, Conv):
        return stage
    grid, channels, size = stage.grid, stage.dims.groups * stage.dims.k, matrix_bytes(stage)
    shape = (grid.images, channels, grid.out_height, grid.out_width)
    operator = Conv(stage.operator.out_channels, Window((1, 1)), stage.operator.groups)
    return replace(
        stage,
        operator=operator,
        input_shapes=(shape,),
        grid=pixel_grid(operator, (shape,)),
        inputs=((PlacedPart(stage.scratch, 0, channels, size),),),
        scratch=stage.scratch + size,
    )


def matrix_words(stage: CachedStage, group: int) -> Words:
    """Where the matrix of a group lies: its address, bytes from pixel to pixel, and bytes of a pixel."""
    dims = stage.products
    row = bits_to_bytes(dims.groups * dims.k * stage.ifmap_bits)
    own = dims.k * stage.ifmap_bits
    return np.array([stage.scratch + group * own // 8, row, max(own // 8, 1)])


@kernel
def run_lowering_by_pixel(
    pixels: int,
    grid: Words,
    segments: Words,
    matrix: Words,
    copy: Words,
    records: Words,
    tally: Words,
    caches: Caches,
) -> None:
    """Copy a map into its matrix, a few pixels per core in turn.

    Parameters
    ----------
    pixels
        Output pixels.
    grid, segments, copy, records, tally, caches
        As `simd_loops.gather` takes them.
    matrix
        As `matrix_words` tells.
    """
    cores = caches.cores.shape[0]
    number = 0
    for piece in range(-(-pixels // LOWERED_PIXELS)):
        begin = piece * LOWERED_PIXELS
        end = min(begin + LOWERED_PIXELS, pixels)
        core = piece % cores
        number = gather(records, number, core, begin, end, grid, segments, copy, tally, caches)
        base = matrix[0] + begin * matrix[1]
        number = emit(records, number, core, 1, base, matrix[2], end - begin, matrix[1], 0)
        if number + SPARE > records.shape[0]:
            replay(records, number, caches)
            number = 0
    replay(records, number, caches)
