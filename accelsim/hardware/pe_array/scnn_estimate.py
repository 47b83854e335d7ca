"""What the search for tilings goes by: expected cycles of SCNN's blocks, and the extents worth trying."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.expectation import binomial, whole_cycles
from accelsim.hardware.pe_array.scnn_planes import Plane, rectangles, taps_per_phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.scnn import ScnnConfig
    from accelsim.hardware.pe_array.scnn_operands import LayerOperands
    from accelsim.mapping.dataflow import Dim

    Extents = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def useful_block_sizes(config: ScnnConfig, operands: LayerOperands, dim: Dim) -> Sequence[int] | None:
    """Block sizes of whole rows or parts of one, of whole channels, and of what the accumulators hold."""
    layer, window = operands.layer, operands.window
    if dim == "k":
        return _doublings(layer.dims.k, window.kernel[0] * window.kernel[1])
    if not operands.is_plane:
        return _doublings(layer.dims.m if dim == "m" else layer.dims.n, 1, *((config.pes,) if dim == "n" else ()))
    images, _, height, width = layer.ofmap_shape
    if dim == "m":
        rows = (
            _doublings(height, 1) if images == 1 else [count for count in range(1, height + 1) if height % count == 0]
        )
        parts = _doublings(width, 1) + [width * count for count in rows]  # no block may end within an image and go on
        return [*parts, *_doublings(layer.dims.m, height * width)]
    return _doublings(
        layer.dims.n, 1, *{_room(config, plane) for _, plane in _planes(config, operands, height * width)}
    )


def _doublings(extent: int, *units: int) -> list[int]:
    """Powers of two times each unit below `extent`, and `extent`."""
    sizes = {extent}
    for size in units:
        while size < extent:
            sizes.add(size)
            size *= 2  # noqa: PLW2901 - the loop doubles it
    return sorted(sizes)


def _planes(config: ScnnConfig, operands: LayerOperands, pixels: int) -> list[tuple[int, Plane]]:
    """Planes of a block in the middle of the feature map, each with how often it occurs."""
    shape, (_, _, height, width) = operands.layer.ifmap_shape, operands.layer.ofmap_shape
    images, rest = divmod(pixels, height * width)
    parts = [(images, (0, height), (0, width))] if images else []
    if rest:
        start = (height // 2 * width) if rest <= (height - height // 2) * width else 0
        parts += [(1, part.rows, part.cols) for part in rectangles(start, start + rest, height, width)]
    grid = (config.pe_rows, config.pe_cols)
    return [
        (count, plane)
        for count, rows, cols in parts
        for plane in Plane(rows, cols, operands.window, (shape[2], shape[3]), grid).fitted(config.accumulators)
    ]


def _room(config: ScnnConfig, plane: Plane) -> int:
    return max(config.accumulators // (plane.sums[0] * plane.sums[1]), 1)


@lru_cache(maxsize=65_536)
def _expected_vectors(trials: int, density: float, lanes: int) -> float:
    """Expected vectors of a list of nonzeros among so many elements."""
    if density >= 1:
        return float(-(-trials // lanes))
    counts = binomial(trials, density)
    return float(counts.probabilities @ -(-counts.numbers // lanes))


def _vectors_of(trials: NDArray[np.int64], density: float, lanes: int) -> NDArray[np.float64]:
    sizes, place = np.unique(trials, return_inverse=True)
    expected = np.array([_expected_vectors(int(size), density, lanes) for size in sizes])
    found: NDArray[np.float64] = expected[place.reshape(trials.shape)]
    return found


def estimated_cycles(config: ScnnConfig, operands: LayerOperands, extents: Extents) -> NDArray[np.int64]:
    """Expected cycles of blocks of so many groups, output pixels, filters and weights per filter, which broadcast.

    Every list has its expected number of vectors; elements wait for the one that expects the most.
    """
    groups, m, n, k = extents
    taps = operands.window.kernel[0] * operands.window.kernel[1]
    channels = -(-k // taps)
    total = np.zeros(np.broadcast_shapes(groups.shape, m.shape, n.shape, k.shape))
    per_size = _plane_cycles if operands.is_plane else _product_cycles
    sizes, place = np.unique(m, return_inverse=True)
    shape = np.broadcast_shapes(groups.shape, n.shape, k.shape)
    whole = np.empty((len(sizes), *shape))
    for row, size in enumerate(sizes):
        whole[row] = per_size(config, operands, int(size), groups, n, channels)
    index = np.broadcast_to(place.reshape(m.shape), total.shape)
    chosen = np.take_along_axis(
        np.broadcast_to(whole.reshape(len(sizes), *shape), (len(sizes), *total.shape)), index[None], axis=0
    )[0]
    return whole_cycles(chosen)


def _plane_cycles(
    config: ScnnConfig,
    operands: LayerOperands,
    pixels: int,
    groups: NDArray[np.int64],
    n: NDArray[np.int64],
    channels: NDArray[np.int64],
) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(groups.shape, n.shape, channels.shape)
    taps = taps_per_phase(operands.window)
    total = np.zeros(shape)
    for count, plane in _planes(config, operands, pixels):
        room = _room(config, plane)
        parts = -(-n // room)
        filters = -(-n // parts)
        maps = _vectors_of(plane.activations, operands.density("ifmap"), config.map_lanes)
        sizes, place = np.unique(filters, return_inverse=True)
        weights = _vectors_of(sizes[:, None] * taps, operands.density("weight"), config.weight_lanes)
        slowest = (maps @ weights.T).max(axis=0)[place.reshape(filters.shape)]
        drain = -(-filters * plane.sums[0] * plane.sums[1] // config.drain_lanes)
        total += count * (groups * parts * np.maximum(channels * slowest, drain)) + drain
    return total


def _product_cycles(
    config: ScnnConfig,
    operands: LayerOperands,
    positions: int,
    groups: NDArray[np.int64],
    n: NDArray[np.int64],
    channels: NDArray[np.int64],
) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(groups.shape, n.shape, channels.shape)
    step = min(positions, config.accumulators)
    room = max(config.accumulators // step, 1)
    own = -(-n // config.pes)
    parts = -(-own // room)
    filters = -(-own // parts)
    total = np.zeros(shape)
    for size in {step, positions % step} - {0}:
        maps = _expected_vectors(size, operands.density("ifmap"), config.map_lanes)
        weights = _vectors_of(filters, operands.density("weight"), config.weight_lanes)
        count = positions // step if size == step else 1
        drain = -(-filters * size // config.drain_lanes)
        total += count * groups * parts * np.maximum(channels * maps * weights, drain) + drain
    return total
