"""How a layer lies on a bit-serial array: rows of weights for lines, pixels for lanes, filters for slices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import MappingError
from accelsim.units import ceil_div
from accelsim.workload.operators import Conv, MatMul, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.workload.pot.operand import PotOperand

    Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class PixelTiles:
    """Output pixels that the lanes of a line work on at one time.

    Parameters
    ----------
    first, count
        First output pixel and number of pixels of each tile.
    block
        Block of output pixels that the tile belongs to; never decreases.
    """

    first: NDArray[np.int64]
    count: NDArray[np.int64]
    block: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class Geometry:
    """A layer as convolutions of `groups` groups.

    Parameters
    ----------
    images, channels, height, width
        Its input; channels of all groups.
    out_height, out_width
        Output pixels of an image.
    window
        From input to output pixels.
    groups, filters
        Groups, and filters of each.
    row_length
        Weights of a row, which one line multiplies one after the other: a row of a kernel, or adjacent input channels.
    """

    images: int
    channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    window: Window
    groups: int
    filters: int
    row_length: int

    @property
    def group_channels(self) -> int:
        """Input channels of a group."""
        return self.channels // self.groups

    @property
    def weights_per_filter(self) -> int:
        """Weights of a filter."""
        return self.group_channels * self.window.kernel[0] * self.window.kernel[1]

    @property
    def rows(self) -> int:
        """Rows of a filter."""
        return ceil_div(self.weights_per_filter, self.row_length)

    @property
    def spans_channels(self) -> bool:
        """Whether a row is made of input channels, not of a row of the kernel."""
        return self.window.kernel == (1, 1)

    @property
    def pixels(self) -> int:
        """Output pixels of all images."""
        return self.images * self.out_height * self.out_width

    @property
    def is_flat(self) -> bool:
        """Whether lanes take neighbouring pixels across the ends of rows, as they can where no window slides."""
        return self.spans_channels and not any(self.window.padding)

    @property
    def pixel_row(self) -> int:
        """Neighbouring pixels that lanes can share."""
        return self.pixels if self.is_flat else self.out_width

    @cached_property
    def elements(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of each weight of each row, (rows, row length): input channel in its group (-1 behind the last), and tap."""
        place = np.arange(self.rows * self.row_length)
        taps = self.window.kernel[0] * self.window.kernel[1]
        channel = np.where(place < self.weights_per_filter, place // taps, -1)
        tap = place % taps
        shape = (self.rows, self.row_length)
        row, col = tap // self.window.kernel[1], tap % self.window.kernel[1]
        return channel.reshape(shape), row.reshape(shape), col.reshape(shape)

    @cached_property
    def row_elements(self) -> NDArray[np.int64]:
        """Weights of each row, the padding behind the last left out."""
        held: NDArray[np.int64] = (self.elements[0] >= 0).sum(axis=1)
        return held

    @cached_property
    def row_channels(self) -> NDArray[np.int64]:
        """Input channels that each row reads."""
        return self.row_elements if self.spans_channels else np.ones(self.rows, np.int64)

    def row_range(self, k_begin: int, k_end: int) -> tuple[int, int]:
        """Rows that weights `k_begin` to `k_end` of a filter belong to."""
        return k_begin // self.row_length, ceil_div(k_end, self.row_length)

    def lines_of(self, first: int, end: int, lines: int) -> NDArray[np.int64]:
        """Line of each of a block's rows: by input channel where there are as many as lines, else row by row."""
        channel = self.elements[0][first:end, 0]
        by_channel: NDArray[np.int64] = channel - channel[0]
        if self.spans_channels or by_channel[-1] + 1 < lines:
            return np.arange(end - first) % lines
        return by_channel % lines

    def tiles(self, block: int, lanes: int) -> PixelTiles:
        """Cut blocks of `block` output pixels into what the lanes take at one time."""
        bounds = np.union1d(np.arange(0, self.pixels, block), np.arange(0, self.pixels, self.pixel_row))
        lengths = np.diff(np.append(bounds, self.pixels))
        parts = -(-lengths // lanes)
        within = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        begin, length = np.repeat(bounds, parts), np.repeat(lengths, parts)
        first = begin + within * lanes
        return PixelTiles(first, np.minimum(lanes, length - within * lanes), begin // block)

    def corners(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Image, input row and input column of the first tap of each output pixel; outside of the input in padding."""
        pixel = np.arange(self.pixels)
        image, place = np.divmod(pixel, self.out_height * self.out_width)
        row, col = np.divmod(place, self.out_width)
        top, left = self.window.padding[:2]
        return image, row * self.window.stride[0] - top, col * self.window.stride[1] - left

    def columns(self, tiles: PixelTiles) -> NDArray[np.int64]:
        """Input pixels of one row of one channel that each tile reads, each once."""
        taps = np.arange(self.window.kernel[1]) * self.window.dilation[1]
        lanes = np.arange(int(tiles.count.max()))
        _, _, corner = self.corners()
        pixel = np.minimum(tiles.first[:, None] + lanes, self.pixels - 1)
        held = lanes < tiles.count[:, None]
        if self.is_flat:
            return tiles.count.copy()
        place = corner[pixel][:, :, None] + taps
        inside = held[:, :, None] & (place >= 0) & (place < self.width)
        place = np.sort(np.where(inside, place, -1).reshape(len(tiles), -1), axis=1)
        new: NDArray[np.int64] = (np.diff(place, axis=1, prepend=-1) != 0).sum(axis=1)
        return new


def occurrences(numbers: NDArray[np.integer]) -> dict[int, int]:
    """How often each number occurs; none is negative, and all are small, so that counting is quicker than sorting."""
    counts = np.bincount(numbers)
    found = np.flatnonzero(counts)
    return dict(zip(found.tolist(), counts[found].tolist(), strict=True))


def geometry_of(layer: ArrayLayer) -> Geometry:
    """Geometry of a layer.

    Raises
    ------
    MappingError
        When decomposed weights do not have the shape of the layer's.
    """
    operator, dims = layer.operator, layer.dims
    pot = layer.weight.pot
    if isinstance(operator, Conv):
        images, channels, height, width = layer.ifmap_shape
        _, _, out_height, out_width = layer.ofmap_shape
        window = operator.window
    else:
        images, channels, height, width = 1, dims.groups * dims.k, dims.m, 1
        out_height, out_width, window = dims.m, 1, Window((1, 1))
    row_length = window.kernel[1]
    if pot is not None:
        _check(pot, layer)
        row_length = pot.layout.basis
    return Geometry(images, channels, height, width, out_height, out_width, window, dims.groups, dims.n, row_length)


def _check(pot: PotOperand, layer: ArrayLayer) -> None:
    dims = layer.dims
    if isinstance(layer.operator, MatMul) or (pot.layout.filters, pot.layout.filter_weights) != (
        dims.groups * dims.n,
        dims.k,
    ):
        wanted = f"{dims.groups * dims.n} filters of {dims.k} weights"
        raise MappingError(
            f"its decomposed weights have shape {pot.layout.weight_shape}, the layer has {wanted}", key=layer.name
        )


def activations(layer: ArrayLayer, geometry: Geometry) -> Integers | None:
    """Input feature map (images, channels, height, width) of the geometry; None where its values are not known."""
    values = layer.ifmap.values
    if values is None:
        return None
    if values.shape != layer.ifmap_shape:
        values = np.resize(values, layer.ifmap_shape)  # as many samples as the batch has, in turn
    if isinstance(layer.operator, Conv):
        return values
    dims = layer.dims
    matrices: Integers = values.reshape(-1, dims.m, dims.k)
    if len(matrices) != dims.groups:  # the same matrices for every second operand
        leading = layer.ofmap_shape[:-2]
        matrices = np.broadcast_to(values, (*leading, dims.m, dims.k)).reshape(-1, dims.m, dims.k)
    return np.ascontiguousarray(matrices.transpose(0, 2, 1)).reshape(1, geometry.channels, dims.m, 1)
