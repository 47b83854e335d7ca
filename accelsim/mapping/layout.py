"""How tiles of feature maps lie in DRAM: from pixels and channels to runs of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.address_pattern import runs_of
from accelsim.mapping.footprint import band_columns
from accelsim.units import bits_to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.footprint import PixelGrid


def byte_range(
    begin: NDArray[np.int64], end: NDArray[np.int64], bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First byte and number of bytes that hold the elements ``[begin, end)`` of `bits` each."""
    first = begin * bits // 8
    return first, np.maximum(-(-end * bits // 8) - first, 0) * (end > begin)


def band_runs(
    address: int,
    grid: PixelGrid,
    bands: NDArray[np.void],
    channels: tuple[NDArray[np.int64], NDArray[np.int64]],
    all_channels: int,
    bits: int,
) -> NDArray[np.void]:
    """Runs that hold some channels of rectangles of pixels.

    Parameters
    ----------
    address
        Where the feature map begins.
    grid
        Its pixels.
    bands
        Rectangles, `BAND_DTYPE`.
    channels
        Per band the first and last-plus-one channel, of the `all_channels` that a pixel has.
    bits
        Bits per element.
    """
    pixel_bytes = bits_to_bytes(all_channels * bits)
    first, run = byte_range(*channels, bits)
    rows = bands["row_end"] - bands["row_begin"]
    cols = band_columns(bands)
    pixel = (bands["image"] * grid.height + bands["row_begin"]) * grid.width + bands["col_begin"]
    side_by_side = (run == pixel_bytes) & (bands["col_step"] == 1)
    whole_rows = (cols == grid.width) & (bands["col_step"] == 1)
    pixels = np.where(whole_rows, rows * cols, cols)
    return runs_of(
        base=address + pixel * pixel_bytes + first,
        run_bytes=np.where(side_by_side, pixels * pixel_bytes, run),
        inner=(np.where(side_by_side, 1, pixels), bands["col_step"] * pixel_bytes),
        outer=(np.where(whole_rows, 1, rows), grid.width * pixel_bytes),
    )


def pixel_runs(
    address: int,
    first_pixel: NDArray[np.int64],
    pixels: NDArray[np.int64],
    channels: tuple[NDArray[np.int64], NDArray[np.int64]],
    all_channels: int,
    bits: int,
) -> NDArray[np.void]:
    """Runs that hold some channels of consecutive pixels; arguments as in `band_runs`."""
    pixel_bytes = bits_to_bytes(all_channels * bits)
    first, run = byte_range(*channels, bits)
    whole = run == pixel_bytes
    return runs_of(
        base=address + first_pixel * pixel_bytes + first,
        run_bytes=np.where(whole, pixels * pixel_bytes, run),
        inner=(np.where(whole, 1, pixels), pixel_bytes),
    )
