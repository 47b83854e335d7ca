"""Figures of the array itself, data first: which of its parts work for how much of the time, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.config.pe_array import PeArrayConfig
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.result import LayerResult, Profile, RunResult

MOST_CELLS = 64
"""Cells along either side of the heat map; a larger array is shown as means over blocks of its elements."""

MOST_MAPS = 12
"""Layers with a heat map of their own: those that take the most cycles."""


@dataclass(frozen=True)
class ArrayMap:
    """Share of the time in which each part of the array did useful work.

    Parameters
    ----------
    name
        Layer; the whole run where it is empty.
    shares
        Rows of cells, each a mean over `block` elements.
    mean, least, most
        Over the parts of the array, not the cells.
    """

    name: str
    shares: tuple[tuple[float, ...], ...]
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class ArrayUse:
    """How the array was used.

    Parameters
    ----------
    rows, cols
        Parts of the array.
    sides
        What a row and what a column is called.
    block
        Parts per cell along rows and columns.
    maps
        The whole run, then the layers with the most cycles.
    layers
        Every layer that the array ran.
    """

    rows: int
    cols: int
    sides: tuple[str, str]
    block: tuple[int, int]
    maps: tuple[ArrayMap, ...]
    layers: tuple[ArrayMap, ...]


def array_use(result: RunResult, profile: Profile) -> ArrayUse | None:
    """Read off how the array was used; None where no layer says so."""
    timed = [layer for layer in result.layer_results if layer.name in profile.array_busy_cycles and layer.total_cycles]
    if not timed:
        return None
    busy = {layer.name: profile.array_busy_cycles[layer.name] for layer in timed}
    rows, cols = next(iter(busy.values())).shape
    block = ceil_div(rows, MOST_CELLS), ceil_div(cols, MOST_CELLS)
    whole = np.sum(list(busy.values()), axis=0) / result.totals.total_cycles
    slowest = sorted(timed, key=lambda layer: layer.total_cycles, reverse=True)[:MOST_MAPS]

    def map_of(layer: LayerResult) -> ArrayMap:
        return _array_map(layer.name, busy[layer.name] / layer.total_cycles, block)

    return ArrayUse(
        rows=rows,
        cols=cols,
        sides=_sides(result),
        block=block,
        maps=(_array_map("", whole, block), *(map_of(layer) for layer in slowest)),
        layers=tuple(map_of(layer) for layer in timed),
    )


def _sides(result: RunResult) -> tuple[str, str]:
    """What a row and what a column of the run's array is called."""
    record = PeArrayConfig.kind_of(result.resolved_config.get("pe_array", {}))
    return record.sides if issubclass(record, PeArrayConfig) else PeArrayConfig.sides


def _array_map(name: str, shares: NDArray[np.float64], block: tuple[int, int]) -> ArrayMap:
    return ArrayMap(
        name=name,
        shares=tuple(tuple(float(cell) for cell in row) for row in _cells(shares, block)),
        mean=float(shares.mean()),
        least=float(shares.min()),
        most=float(shares.max()),
    )


def _cells(shares: NDArray[np.float64], block: tuple[int, int]) -> NDArray[np.float64]:
    """Means over blocks of parts; the last block along a side may be cut."""
    rows, cols = (np.arange(0, side, step) for side, step in zip(shares.shape, block, strict=True))
    sums = np.add.reduceat(np.add.reduceat(shares, rows, axis=0), cols, axis=1)
    counts = np.outer(np.diff(np.append(rows, shares.shape[0])), np.diff(np.append(cols, shares.shape[1])))
    cells: NDArray[np.float64] = sums / counts
    return cells
