"""How much bank conflicts slow SCNN down where an operand is known by its density alone."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.scnn_lists import list_map, list_weights, listed_cycles
from accelsim.hardware.pe_array.scnn_planes import Plane
from accelsim.workload.drawn_values import draw_integers
from accelsim.workload.operators import Window

if TYPE_CHECKING:
    from accelsim.hardware.pe_array.scnn import ScnnConfig

_SAMPLED_PAIRS = 3000
"""Pairs of vectors that a drawn tile has about."""


@lru_cache(maxsize=4096)
def conflict_slowdown(
    config: ScnnConfig,
    tile: tuple[int, int],
    acc_cols: int,
    window: Window,
    filters: int,
    map_density: float,
    weight_density: float,
) -> float:
    """Cycles per pair of vectors on one element whose operands are drawn with these densities."""
    if map_density == 0 or weight_density == 0:
        return 1.0
    phases = window.stride[0] * window.stride[1]
    per_channel = max(tile[0] * tile[1] * map_density / phases / config.map_lanes, 0.5)
    per_channel *= max(filters * window.kernel[0] * window.kernel[1] * weight_density / config.weight_lanes, 0.5)
    channels = int(np.clip(_SAMPLED_PAIRS / per_channel, 1, 512))
    maps = (draw_integers((channels, *tile), map_density, 1) != 0).view(np.uint8)
    weights = (draw_integers((1, filters, channels, *window.kernel), weight_density, 2) != 0).view(np.uint8)
    plain = Window(window.kernel, window.stride, (0, 0, 0, 0), window.dilation)
    plane = _Sample((0, tile[0]), (0, tile[1]), plain, tile, (1, 1))
    listed = list_map(config, maps, plane, acc_cols, (1, 1))
    taps = window.kernel[0] * window.kernel[1]
    vectors = list_weights(config, weights, (0, 1), np.array([[0, filters]]), (0, channels * taps), plain, acc_cols)
    pairs = int((listed.vectors * vectors.vectors).sum())
    return max(listed_cycles(config, listed, vectors, 0) / max(pairs, 1), 1.0)


class _Sample(Plane):
    """A tile of inputs by itself, whatever outputs they belong to."""

    @property
    def region(self) -> tuple[int, int, int, int]:
        return 0, self.size[0], 0, self.size[1]

    @property
    def tile(self) -> tuple[int, int]:
        return self.size
