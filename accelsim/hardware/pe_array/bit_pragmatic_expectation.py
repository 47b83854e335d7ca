"""What a step of Pragmatic is expected to take for activations of which only statistics are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.bit_pragmatic_kernel import GEOMETRY_DTYPE, all_brick_cycles, table_cycles
from accelsim.hardware.pe_array.bit_pragmatic_terms import Encoding, drawn_masks
from accelsim.hardware.pe_array.expectation import counted, expected_maximum
from accelsim.mapping.footprint import PixelGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.workload.operand_data import OperandStatistics
    from accelsim.workload.operators import Window

SAMPLED_BRICKS = 16_384
"""Bricks that are drawn to find what bricks of stated statistics take: their mean is known to some 0.3 %."""

_STEPS = 2_048
"""Steps after which columns that run ahead of each other have found their pace."""

_MOST_DEPTH = 4
"""Bricks of a pixel in the small feature map that such columns are run on."""


@dataclass(frozen=True)
class DrawnInputs:
    """A feature map of which statistics are known, and how it is worked through.

    Parameters
    ----------
    statistics
        What is known.
    bits
        Bits of an element, sign included.
    encoding
        What its elements are worked through in.
    reach
        Shifts above the lowest one of a cycle that the lanes cover, that itself included.
    window
        Window that the layer takes of it.
    channels
        Channels of a group.
    out_width
        Output pixels of a row.
    """

    statistics: OperandStatistics
    bits: int
    encoding: Encoding
    reach: int
    window: Window
    channels: int
    out_width: int


@lru_cache(maxsize=256)
def _drawn_bricks(
    statistics: OperandStatistics, bits: int, encoding: Encoding, lanes: int, reach: int
) -> NDArray[np.uint8]:
    """Cycles of drawn bricks of `lanes` inputs."""
    masks = drawn_masks(statistics, bits, encoding, SAMPLED_BRICKS * lanes).reshape(SAMPLED_BRICKS, lanes)
    least = int(masks[0, 0]).bit_count() if encoding == "all_bits" else 1
    cycles: NDArray[np.uint8] = all_brick_cycles(masks, lanes, reach, least)[:, 0]  # type: ignore[no-untyped-call]
    return cycles


@lru_cache(maxsize=4096)
def expected_step_cycles(inputs: DrawnInputs, lanes: int, columns: int, registers: int) -> float:
    """Expected cycles of a step in which `columns` columns take a brick of `lanes` inputs each.

    Columns that wait for each other at every step take the expected maximum. Those that run ahead also depend on the
    bricks that they share with their neighbours: they are run on a small feature map of drawn bricks. A column alone
    has none to wait for.
    """
    bricks = _drawn_bricks(inputs.statistics, inputs.bits, inputs.encoding, lanes, inputs.reach)
    if registers == 0 or columns == 1:
        return expected_maximum(counted(bricks), columns)
    window = replace(inputs.window, padding=(0, 0, 0, 0))
    depth = min(max(1, inputs.channels // lanes), _MOST_DEPTH)
    steps = window.kernel[0] * window.kernel[1] * depth
    pixels = -(-_STEPS // steps) * columns
    out_width = min(inputs.out_width, pixels)
    out_height = -(-pixels // out_width)
    height, width = (
        (size - 1) * stride + extent
        for size, stride, extent in zip((out_height, out_width), window.stride, window.extent, strict=True)
    )
    table = bricks[np.arange(height * width * depth) % len(bricks)].reshape(-1, depth)
    geometry = geometry_of(PixelGrid(1, height, width, out_height, out_width, window))
    cycles = table_cycles(table, geometry[()], columns, registers)  # type: ignore[no-untyped-call]
    pace = float(cycles / (-(-out_height * out_width // columns) * steps))
    return max(pace, expected_maximum(counted(bricks), 1))  # it is known to a few percent, the mean brick better


def geometry_of(grid: PixelGrid) -> NDArray[np.void]:
    """A feature map and its window for the kernel."""
    geometry = np.zeros((), GEOMETRY_DTYPE)
    for name in ("height", "width", "out_height", "out_width"):
        geometry[name] = getattr(grid, name)
    window = grid.window
    geometry["kernel"], geometry["stride"] = window.kernel, window.stride
    geometry["padding"], geometry["dilation"] = window.padding[:2], window.dilation
    return geometry
