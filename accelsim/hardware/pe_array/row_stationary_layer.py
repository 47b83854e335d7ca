"""A layer in rows, as a row-stationary array sees it, and how often its inputs are multiplied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.row_stationary_kernel import BLOCK_DTYPE
from accelsim.units import ceil_div
from accelsim.workload.operators import Conv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.workload.operators import Window

WELL_USED = 0.9
"""Strips of rows are worth trying where they use at least this share of the most elements that any strip can use."""


MOST_SHARES = 64
"""Shares of the filters that are tried, and sizes of a share, at most."""


@dataclass(frozen=True)
class RowGeometry:
    """Rows and columns of a layer; the rows of a matrix product count as output rows of one pixel.

    Parameters
    ----------
    array
        Rows and columns of elements.
    images, out_height, out_width
        Output rows and pixels of a row, for so many images.
    height, taps
        Rows of a filter, and weights of a row.
    stride, dilation
        Rows before columns.
    """

    array: tuple[int, int]
    images: int
    out_height: int
    out_width: int
    height: int = 1
    taps: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def of_layer(cls, layer: ArrayLayer, array: tuple[int, int]) -> RowGeometry:
        """Rows and columns of a layer."""
        if not isinstance(layer.operator, Conv):
            return cls(array, 1, layer.dims.m, 1)
        batch, _, rows, cols = layer.ofmap_shape
        window = layer.operator.window
        return cls(array, batch, rows, cols, *window.kernel, window.stride, window.dilation)

    @property
    def window(self) -> int:
        """Weights of a filter for one channel."""
        return self.height * self.taps

    @property
    def folded_height(self) -> int:
        """Rows of a PE set: those of a filter, or an even share of them where they exceed the array's."""
        return ceil_div(self.height, ceil_div(self.height, self.array[0]))

    def folded_taps(self, ifmap_spad: int) -> int:
        """Weights of a filter row that an element takes at a time."""
        return ceil_div(self.taps, ceil_div(self.taps, ifmap_spad))

    @property
    def widest(self) -> int:
        """Columns of the widest PE set that fits, cut and stacked."""
        return self.array[0] // self.folded_height * self.array[1]

    def sets(self, e: int) -> int:
        """PE sets of `e` columns that fit."""
        stacked = self.array[0] // self.folded_height
        return stacked * (self.array[1] // e) if e <= self.array[1] else stacked // ceil_div(e, self.array[1])

    def strips(self, pixels: int) -> list[int]:
        """Sizes of blocks along m: strips of an image that use the array well, whole images, and small ones to fit."""
        most = min(self.out_height, self.widest)
        even = {ceil_div(self.out_height, count) for count in range(ceil_div(self.out_height, most), 65)}
        used = {e: e * self.sets(e) for e in range(1, most + 1)}
        enough = WELL_USED * max(used.values())
        rows = {e for e in even if used[e] >= enough} | {1, most}
        sizes = {e * self.out_width for e in rows}
        if self.out_height <= self.widest:
            image = self.out_height * self.out_width
            sizes |= {image * count for count in range(1, self.images + 1) if _is_handy(count, self.images)}
        within_a_row = [size for size in range(1, self.out_width) if self.out_width % size == 0]
        sizes |= {1, *within_a_row[-2:]}
        return sorted(size for size in sizes if size <= pixels)

    def rows_before_next_image(self, first_pixel: NDArray[np.int64]) -> NDArray[np.int64]:
        """Output rows from a pixel on to the end of its image."""
        left: NDArray[np.int64] = self.out_height - first_pixel // self.out_width % self.out_height
        return left

    def blocks(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.void]:
        """Blocks of the mapper in rows and channels; what is cut within a row or a window counts as whole.

        All rows are taken to lie in one image where they fit into one.
        """
        blocks = np.zeros(len(m), BLOCK_DTYPE)
        rows = -(-m // self.out_width)
        blocks["groups"], blocks["filters"], blocks["pixels"] = groups, n, m
        blocks["width"] = np.minimum(m, self.out_width)
        blocks["images"] = -(-rows // self.out_height)
        blocks["rows"] = blocks["first_rows"] = np.minimum(rows, self.out_height)
        blocks["channels"] = -(-k // self.window)
        blocks["height"] = np.minimum(-(-k // self.taps), self.height)
        blocks["taps"] = np.minimum(k, self.taps)
        return blocks


def _is_handy(count: int, images: int) -> bool:
    """Whether so many images make a block worth trying: a power of two or an even share."""
    return count & (count - 1) == 0 or images % count == 0


def even_shares(total: int) -> list[int]:
    """Sizes into which filters are shared out: without a remainder, as the paper does; with one where few fit."""
    shares = {size for size in range(1, min(total, MOST_SHARES) + 1) if total % size == 0}
    shares |= {total // size for size in shares}
    if len(shares) < 4:
        shares |= {ceil_div(total, parts) for parts in (2, 3, 4, 6, 8, 16, 32)}
    return sorted(shares)


def nonzero_macs(layer: ArrayLayer) -> int:
    """Multiply-accumulates whose input is neither zero nor padding: counted, or expected from the density."""
    dims, operator, values = layer.dims, layer.operator, layer.ifmap.values
    uses = _uses(layer.ifmap_shape, operator.window) if isinstance(operator, Conv) else None
    if uses is None:
        elements = math.prod(layer.ifmap_shape)
        nonzero = layer.ifmap.density * elements if values is None else float(np.count_nonzero(values))
        return round(nonzero * dims.macs / elements)
    rows, cols = uses
    if values is not None:
        used = int(np.einsum("nchw,h,w->", values != 0, rows, cols, dtype=np.int64, casting="unsafe"))
        return used * dims.n
    batch, channels, _, _ = layer.ifmap_shape
    return round(layer.ifmap.density * batch * channels * int(rows.sum()) * int(cols.sum()) * dims.n)


@lru_cache(maxsize=256)
def _uses(shape: tuple[int, ...], window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each input row, and each input column, is under a row, or a column, of the window."""
    uses = []
    outputs = window.output_size(shape[2], shape[3])
    for axis, size in enumerate(shape[2:]):
        places = np.arange(outputs[axis])[:, None] * window.stride[axis] - window.padding[axis]
        places = places + np.arange(window.kernel[axis]) * window.dilation[axis]
        uses.append(np.bincount(places[(places >= 0) & (places < size)], minlength=size).astype(np.int64))
    return uses[0], uses[1]
