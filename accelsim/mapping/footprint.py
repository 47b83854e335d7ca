"""Which part of an input feature map a range of output pixels needs.

Output pixels are numbered image by image and row by row (``m = (image * P + row) * Q + column``). Feature maps lie in
memory pixel by pixel with the channels innermost (NHWC), so what a block of output pixels needs of one image is a band
of input rows; a block inside a single output row needs part of the columns only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.units import ceil_div
from accelsim.workload.operators import Conv, Gemm, MatMul, MatrixOperator, Pool, Shape, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAND_DTYPE = np.dtype(
    [
        ("block", "i8"),
        ("image", "i8"),
        ("row_begin", "i8"),
        ("row_end", "i8"),
        ("col_begin", "i8"),
        ("col_end", "i8"),
        ("col_step", "i8"),
    ]
)
"""Input pixels of one image, every `col_step`-th of a rectangle's columns, and the block of outputs that needs them."""


@dataclass(frozen=True)
class PixelGrid:
    """The pixel geometry of a layer: images, input size, output size and the window between them.

    Parameters
    ----------
    images
        Number of feature maps, batch included.
    height, width
        Input pixels of one image.
    out_height, out_width
        Output pixels of one image.
    window
        Window that takes input to output pixels.
    """

    images: int
    height: int
    width: int
    out_height: int
    out_width: int
    window: Window

    @property
    def output_pixels(self) -> int:
        """Output pixels of all images: the m dimension."""
        return self.images * self.out_height * self.out_width

    @property
    def input_pixels(self) -> int:
        """Input pixels of all images."""
        return self.images * self.height * self.width

    @property
    def skips_rows(self) -> bool:
        """Whether the stride steps over input rows that no output needs."""
        return self.window.stride[0] > self.window.extent[0]

    @property
    def skips_columns(self) -> bool:
        """Whether the stride steps over single input columns that no output needs."""
        return self.window.stride[1] > 1 == self.window.kernel[1] and self.window.padding[1] == 0

    def bands(self, block: int) -> NDArray[np.void]:
        """Input rectangles (`BAND_DTYPE`) that each block of `block` output pixels needs, in order."""
        per_image = self.out_height * self.out_width
        pixels = self.output_pixels
        whole = self.out_width if block < self.out_width else per_image  # a short block may end in one row and go on
        starts = np.union1d(np.arange(0, pixels, block), np.arange(0, pixels, whole)).astype(np.int64)
        ends = np.append(starts[1:], pixels)
        image = starts // per_image
        low, high = starts - image * per_image, ends - 1 - image * per_image
        first_row, last_row = low // self.out_width, high // self.out_width
        bands = np.empty(len(starts), BAND_DTYPE)
        bands["block"], bands["image"] = starts // block, image
        bands["row_begin"], bands["row_end"] = self._input_range(0, first_row, last_row)
        narrow = (first_row == last_row) & (high - low + 1 < self.out_width)
        col_begin, col_end = self._input_range(1, low % self.out_width, high % self.out_width)
        bands["col_begin"] = np.where(narrow, col_begin, 0)
        bands["col_end"] = np.where(narrow, col_end, self.width)
        bands["col_step"] = self.window.stride[1] if self.skips_columns else 1
        return self._split_rows(bands, first_row, last_row) if self.skips_rows else bands

    def _input_range(self, axis: int, first: Any, last: Any) -> tuple[Any, Any]:  # noqa: ANN401 - integers or arrays
        """Input rows (axis 0) or columns (axis 1) under the output rows `first` to `last`, padding cut off."""
        size = (self.height, self.width)[axis]
        begin = first * self.window.stride[axis] - self.window.padding[axis]
        end = last * self.window.stride[axis] - self.window.padding[axis] + self.window.extent[axis]
        return np.clip(begin, 0, size), np.clip(end, 0, size)

    def _split_rows(
        self, bands: NDArray[np.void], first_row: NDArray[np.int64], last_row: NDArray[np.int64]
    ) -> NDArray[np.void]:
        """Replace each band by one per output row, so that the rows in between are left out."""
        counts = last_row - first_row + 1
        split = np.repeat(bands, counts)
        within = np.arange(len(split)) - np.repeat(np.cumsum(counts) - counts, counts)
        row = np.repeat(first_row, counts) + within
        split["row_begin"], split["row_end"] = self._input_range(0, row, row)
        return split

    def slides(self, block: int) -> bool:
        """Whether consecutive blocks share whole input rows that can stay in the buffer."""
        return self.out_width <= block < self.output_pixels and not self.skips_rows

    def fresh_bands(self, block: int) -> NDArray[np.void]:
        """Return `bands` less the rows that the block before left in the buffer."""
        bands = self.bands(block)
        if not self.slides(block):
            return bands
        same_image = bands["image"][1:] == bands["image"][:-1]
        whole = (bands["col_begin"] == 0) & (bands["col_end"] == self.width)
        held = np.minimum(bands["row_end"][:-1], bands["row_end"][1:])
        begins = bands["row_begin"][1:]
        shared = same_image & whole[:-1] & whole[1:]  # a band that covers a part of its rows leaves no whole row
        bands["row_begin"][1:] = np.where(shared, np.maximum(begins, held), begins)
        return bands


def band_pixels(bands: NDArray[np.void]) -> NDArray[np.int64]:
    """Pixels of each band."""
    pixels: NDArray[np.int64] = (bands["row_end"] - bands["row_begin"]) * band_columns(bands)
    return pixels


def band_stretches(bands: NDArray[np.void], width: int) -> NDArray[np.int64]:
    """Stretches of neighbouring pixels that each band of a feature map `width` pixels wide consists of."""
    rows, columns = bands["row_end"] - bands["row_begin"], band_columns(bands)
    by_row = np.where(columns == width, np.minimum(rows, 1), rows)
    stretches: NDArray[np.int64] = np.where(bands["col_step"] > 1, rows * columns, by_row)
    return stretches


def band_columns(bands: NDArray[np.void]) -> NDArray[np.int64]:
    """Columns of each band that are needed."""
    columns: NDArray[np.int64] = -(-(bands["col_end"] - bands["col_begin"]) // bands["col_step"])
    return columns


def block_pixels(bands: NDArray[np.void], blocks: int) -> NDArray[np.int64]:
    """Pixels of all bands of each block."""
    return np.bincount(bands["block"], weights=band_pixels(bands), minlength=blocks).astype(np.int64)


def pixel_grid(operator: MatrixOperator | Pool, inputs: tuple[Shape, ...]) -> PixelGrid:
    """Pixel geometry of a layer; the rows of a matrix product count as pixels of one column."""
    if isinstance(operator, Gemm | MatMul):
        rows = operator.gemm_dims(inputs).m
        return PixelGrid(1, rows, 1, rows, 1, Window((1, 1)))
    batch, _, height, width = inputs[0]
    _, _, out_height, out_width = operator.output_shape(inputs)
    window = operator.window if isinstance(operator, Conv | Pool) and operator.window else Window((height, width))
    return PixelGrid(batch, height, width, out_height, out_width, window)


def block_sizes(grid: PixelGrid, fold: int) -> list[int]:
    """Candidate block sizes along m: multiples of the array's side, of output rows and of images, and small ones."""
    pixels, per_image = grid.output_pixels, grid.out_height * grid.out_width
    sizes = {pixels}
    for unit in (1, fold, grid.out_width, fold * grid.out_width, per_image):
        size = unit
        while size < pixels:
            sizes.add(size)
            size *= 2
    sizes.update(ceil_div(ceil_div(pixels, parts), fold) * fold for parts in (2, 3, 4, 6, 8, 12, 16))
    return sorted(size for size in sizes if size <= pixels)
