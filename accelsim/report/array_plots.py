"""Draws the figures of the array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.report import palette
from accelsim.report.labels import axis_labels, plain_text
from accelsim.report.plots import Figure, compact, figure, layer_axis, value_axis

if TYPE_CHECKING:
    from accelsim.report.array_figures import ArrayMap, ArrayUse

_TALLEST_MAP, _LOWEST_MAP, _LARGEST_CELL = 460, 120, 26
_FAINTEST = 0.1
"""Top of the colour scale, in percent, of a map on which nothing is busier."""
_MOST_TICKS = 8
_LONGEST_SIDE = 4
"""Sides of the array up to this ratio are drawn to scale."""


def draw_array(data: ArrayUse) -> Figure:
    """Draw heat maps of the array on top of each other, the first one visible; cells are square where there is room."""
    high, wide = len(data.maps[0].shares), len(data.maps[0].shares[0])
    height = min(max(high * _LARGEST_CELL, _LOWEST_MAP), _TALLEST_MAP)
    rows, cols = data.block
    square = {"scaleanchor": "x", "scaleratio": cols / rows, "constrain": "domain"}
    shape = square if 1 / _LONGEST_SIDE <= high / wide <= _LONGEST_SIDE else {}
    traces = [_heat_map(entry, data) | {"visible": index == 0} for index, entry in enumerate(data.maps)]
    return figure(
        traces, height + 60, margin={"l": 56, "r": 124, "t": 10, "b": 44},
        xaxis=_side(data.sides[1], data.cols, cols) | {"constrain": "domain"},
        yaxis=_side(data.sides[0], data.rows, rows) | {"autorange": "reversed"} | shape,
    )  # fmt: skip


def _side(name: str, parts: int, block: int) -> dict[str, Any]:
    """Axis along a side of the array: parts are counted, so there is nothing between two of them."""
    steps = (digit * 10**power for power in range(6) for digit in (1, 2, 5))
    return {
        "title": {"text": name if block == 1 else f"{name} (cells of {block})"},
        "tick0": 0,
        "dtick": next(step for step in steps if step * _MOST_TICKS >= parts),
        "showticklabels": parts > 1,
        "showgrid": False,
        "zeroline": False,
    }


def _heat_map(entry: ArrayMap, data: ArrayUse) -> dict[str, Any]:
    rows, cols = data.block
    return {
        "type": "heatmap",
        "name": plain_text(entry.name) or "whole run",
        "z": [[compact(100 * share) for share in row] for row in entry.shares],
        "x0": (cols - 1) / 2, "dx": cols, "y0": (rows - 1) / 2, "dy": rows,  # a cell lies around its middle
        "zmin": 0, "zmax": compact(max(100 * max(map(max, entry.shares)), _FAINTEST)),
        "hovertemplate": f"{_place(data)}<br><b>%{{z:.1f}} %</b> of the time<extra></extra>",
        "autocolorscale": True,  # the page has a scale for either theme
        "colorbar": {"thickness": 12, "outlinewidth": 0, "ticksuffix": " %", "title": {"text": "busy"}},
        "xgap": 1 if len(entry.shares[0]) <= 32 else 0,
        "ygap": 1 if len(entry.shares) <= 32 else 0,
    }  # fmt: skip


def _place(data: ArrayUse) -> str:
    """Template that tells where a cell lies."""
    sides = zip(data.sides, data.block, ("y", "x"), strict=True)
    named = [f"{'around ' * (block > 1)}{side} %{{{axis}}}" for side, block, axis in sides if side]
    return ", ".join(named)


def draw_balance(data: ArrayUse) -> Figure:
    """Draw, layer by layer, the mean share of the time that the parts work, and how far they lie apart."""
    labels = axis_labels([layer.name for layer in data.layers])
    means = [100 * layer.mean for layer in data.layers]
    return figure(
        [
            {
                "type": "bar",
                "name": "mean",
                "x": labels,
                "y": [compact(mean) for mean in means],
                "marker": {"color": palette.BLUE},
                "error_y": {
                    "type": "data", "symmetric": False, "thickness": 1.2, "width": 2, "color": palette.GREY,
                    "array": [compact(100 * layer.most - mean) for layer, mean in zip(data.layers, means, strict=True)],
                    "arrayminus": [
                        compact(mean - 100 * layer.least) for layer, mean in zip(data.layers, means, strict=True)
                    ],
                },
                "customdata": [
                    [plain_text(layer.name), compact(100 * layer.least), compact(100 * layer.most)]
                    for layer in data.layers
                ],
                "hovertemplate": (
                    "<b>%{customdata[0]}</b><br>mean %{y:.1f} %<br>idlest %{customdata[1]:.1f} %"
                    "<br>busiest %{customdata[2]:.1f} %<extra></extra>"
                ),
            }
        ],
        300,
        showlegend=False,
        xaxis=layer_axis(labels),
        yaxis=value_axis("busy, % of the layer's cycles") | {"range": [0, 103]},
    )  # fmt: skip
