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
        traces, height + 60, margin={"l": 56, "r": 92, "t": 10, "b": 44},
        xaxis={
            "title": {"text": _axis_title("column", cols)}, "showgrid": False, "zeroline": False, "constrain": "domain",
        },
        yaxis={
            "title": {"text": _axis_title("row", rows)}, "autorange": "reversed", "showgrid": False, "zeroline": False,
            **shape,
        },
    )  # fmt: skip


def _axis_title(side: str, block: int) -> str:
    return side if block == 1 else f"{side} (cells of {block})"


def _heat_map(entry: ArrayMap, data: ArrayUse) -> dict[str, Any]:
    rows, cols = data.block
    return {
        "type": "heatmap",
        "name": plain_text(entry.name) or "whole run",
        "z": [[compact(100 * share) for share in row] for row in entry.shares],
        "x0": 0, "dx": cols, "y0": 0, "dy": rows,
        "zmin": 0, "zmax": compact(max(100 * max(map(max, entry.shares)), _FAINTEST)),
        "hovertemplate": "row %{y}, column %{x}<br><b>%{z:.1f} %</b> of the time<extra></extra>",
        "autocolorscale": True,  # the page has a scale for either theme
        "colorbar": {"thickness": 12, "outlinewidth": 0, "ticksuffix": " %"},
        "xgap": 1 if len(entry.shares[0]) <= 32 else 0,
        "ygap": 1 if len(entry.shares) <= 32 else 0,
    }  # fmt: skip


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
