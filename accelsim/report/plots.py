"""Draws the figures' data as Plotly figures.

A figure is a plain mapping ``{"data": [...], "layout": {...}}``, which ``plotly.graph_objects.Figure`` accepts and the
page embeds as it is: building it through Plotly's classes would cost a run more than everything else about its report.
Colours of text and grid are left to the page, which knows whether the reader likes it light or dark.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from accelsim.report import palette, quantities
from accelsim.report.labels import axis_labels, plain_text, title_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.report.layer_figures import CyclesPerLayer, EnergyActions, EnergyPerLayer, Roofline, RooflinePoint

Figure = dict[str, Any]

MUTED = "#8C929C"
"""Grey of helping lines: visible on white and on black."""
_FEW_LAYERS = 12
_NARROWEST = 0.06
_MANY_DECADES = 2.5


def figure(traces: list[dict[str, Any]], height: int, **layout: Any) -> Figure:  # noqa: ANN401 - Plotly's layout is a tree
    """Join traces and layout with what all figures share."""
    shared: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 44, "t": 32, "b": 40},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "hoverlabel": {"align": "left", "namelength": -1},
    }
    return {"data": traces, "layout": shared | layout}


def compact(value: float) -> float:
    """Round to six significant digits: more than a screen shows, and the page stays light."""
    return float(f"{value:.6g}")


def layer_axis(labels: Sequence[str]) -> dict[str, Any]:
    """Horizontal axis with a place for every label."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(labels),
        "range": [-0.5, len(labels) - 0.5],
        "automargin": True,
        "tickfont": {"size": 11},
        "showgrid": False,
    }


def value_axis(title: str) -> dict[str, Any]:
    """Vertical axis from zero."""
    return {"title": {"text": title, "standoff": 10}, "rangemode": "tozero", "automargin": True}


def _bar_width(layers: int) -> float | None:
    return max(_NARROWEST * layers, 2 * _NARROWEST) if layers < _FEW_LAYERS else None


def _stack(
    labels: Sequence[str], layers: Sequence[str], name: str, values: list[Any], colour: str, text: list[str]
) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "x": list(labels),
        "y": values,
        "width": _bar_width(len(labels)),
        "marker": {"color": colour, "line": {"width": 0}},
        "customdata": [[plain_text(layer), entry] for layer, entry in zip(layers, text, strict=True)],
        "hovertemplate": f"<b>%{{customdata[0]}}</b><br>{name}: %{{customdata[1]}}<extra></extra>",
    }


def draw_cycles(data: CyclesPerLayer) -> Figure:
    """Stacked bars: cycles of each layer spent computing and waiting for each cause."""
    labels = axis_labels(data.layers)
    totals = [sum(parts) for parts in zip(data.compute_cycles, *data.stall_cycles.values(), strict=True)]
    series = [("compute", data.compute_cycles, palette.COMPUTE)]
    series += [
        (f"stall: {plain_text(title_of(cause))}", cycles, palette.colour(cause, palette.STALLS, position))
        for position, (cause, cycles) in enumerate(data.stall_cycles.items())
    ]
    traces = [
        _stack(
            labels, data.layers, name, list(cycles), colour,
            [
                f"{value:,} of {total:,} cycles ({quantities.share(quantities.ratio(value, total))})"
                for value, total in zip(cycles, totals, strict=True)
            ],
        )
        for name, cycles, colour in series
    ]  # fmt: skip
    return figure(
        traces, 420, barmode="stack", bargap=0.15, xaxis=layer_axis(labels),
        yaxis=value_axis("cycles"),
    )  # fmt: skip


def draw_energy_per_layer(data: EnergyPerLayer) -> Figure:
    """Stacked bars: energy of each layer by component."""
    labels = axis_labels(data.layers)
    totals = [math.fsum(parts) for parts in zip(*data.energy_pj.values(), strict=True)]
    exponent = quantities.prefix_exponent(max(totals, default=0.0) * 1e-12)
    scale = 10.0 ** (-12 - exponent)
    traces = [
        _stack(
            labels, data.layers, plain_text(title_of(part)), [compact(value * scale) for value in values],
            palette.colour(part, palette.COMPONENTS, position),
            [
                f"{quantities.energy(value)} of {quantities.energy(total)}"
                for value, total in zip(values, totals, strict=True)
            ],
        )
        for position, (part, values) in enumerate(data.energy_pj.items())
    ]  # fmt: skip
    return figure(
        traces, 420, barmode="stack", bargap=0.15, xaxis=layer_axis(labels),
        yaxis=value_axis(f"energy ({quantities.prefix(exponent)}J)"),
    )  # fmt: skip


def draw_energy_actions(data: EnergyActions) -> Figure:
    """Draw one bar per component, cut into its actions."""
    largest = max((math.fsum(actions.values()) for actions in data.energy_pj.values()), default=0.0)
    exponent = quantities.prefix_exponent(largest * 1e-12)
    scale = 10.0 ** (-12 - exponent)
    parts = list(data.energy_pj)
    traces = []
    for rank in range(max((len(actions) for actions in data.energy_pj.values()), default=0)):
        rows = [(part, *list(acts.items())[rank]) for part, acts in data.energy_pj.items() if len(acts) > rank]
        fade = max(1 - 0.22 * rank, 0.25)
        colours = [palette.colour(part, palette.COMPONENTS, parts.index(part)) for part, _, _ in rows]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "y": [plain_text(title_of(part)) for part, _, _ in rows],
                "x": [compact(value * scale) for _, _, value in rows],
                "text": [plain_text(title_of(action)) for _, action, _ in rows],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "marker": {"color": [palette.tinted(colour, fade) for colour in colours], "line": {"width": 0}},
                "customdata": [
                    f"{quantities.energy(value)}, {quantities.share(quantities.ratio(value, data.total_pj))} of the run"
                    for _, _, value in rows
                ],
                "hovertemplate": "<b>%{y}: %{text}</b><br>%{customdata}<extra></extra>",
                "showlegend": False,
            }
        )
    return figure(
        traces, 80 + 36 * max(len(parts), 1), barmode="stack", bargap=0.25,
        uniformtext={"minsize": 10, "mode": "hide"},
        xaxis={"title": {"text": f"energy ({quantities.prefix(exponent)}J)"}, "rangemode": "tozero"},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
    )  # fmt: skip


def draw_roofline(data: Roofline) -> Figure:
    """Layers as points under the roofs, both axes logarithmic; layers off the DRAM stand at the right edge."""
    finite = [point.macs_per_byte for point in data.points if math.isfinite(point.macs_per_byte)]
    ridge = data.peak_macs_per_cycle / data.dram_bytes_per_cycle if data.dram_bytes_per_cycle else math.inf
    anchors = [value for value in (*finite, ridge) if 0 < value < math.inf] or [1.0]
    low, high = min(anchors) / 3, max(anchors) * 5
    roof_x = [low, ridge, high] if 0 < ridge < math.inf else [low, high]
    roof = {
        "type": "scatter", "mode": "lines", "name": "roof", "showlegend": False,
        "x": [compact(value) for value in roof_x], "y": [compact(data.bound(value)) for value in roof_x],
        "line": {"color": MUTED, "width": 2}, "hoverinfo": "skip",
    }  # fmt: skip
    ops = list(dict.fromkeys(point.op for point in data.points))
    traces = [roof] + [
        _points([point for point in data.points if point.op == op], op, palette.SERIES[index % 8], high / 1.5, data)
        for index, op in enumerate(ops)
    ]
    slowest = min((p.macs_per_cycle for p in data.points if p.macs_per_cycle), default=1.0)
    floor = min(slowest, data.bound(low)) / 2
    return figure(
        traces, 420, showlegend=len(ops) > 1, annotations=_roof_labels(data, ridge, low, high),
        xaxis=_log_axis("operational intensity (MAC per byte of DRAM traffic)", low, high),
        yaxis=_log_axis("MAC/cycle", floor, data.peak_macs_per_cycle * 2) | {"automargin": True},
    )  # fmt: skip


def _log_axis(title: str, low: float, high: float) -> dict[str, Any]:
    bounds = [compact(math.log10(low)), compact(math.log10(high))]
    ticks: int | str = 1 if bounds[1] - bounds[0] > _MANY_DECADES else "D2"  # D2 adds ticks at 2 and 5
    return {"type": "log", "range": bounds, "dtick": ticks, "tickformat": "~r", "title": {"text": title}}


def _points(points: list[RooflinePoint], op: str, colour: str, edge: float, data: Roofline) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain_text(op),
        "x": [compact(min(point.macs_per_byte, edge)) for point in points],
        "y": [compact(point.macs_per_cycle) for point in points],
        "marker": {
            "color": colour,
            "opacity": 0.75,
            "size": [round(7 + 24 * math.sqrt(point.share_of_cycles), 1) for point in points],
            "symbol": ["circle" if math.isfinite(point.macs_per_byte) else "triangle-right" for point in points],
            "line": {"width": 0.5, "color": MUTED},
        },
        "customdata": [_point_text(point, data) for point in points],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _point_text(point: RooflinePoint, data: Roofline) -> str:
    intensity = (
        f"{quantities.significant(point.macs_per_byte)} MAC/byte"
        if math.isfinite(point.macs_per_byte)
        else "no DRAM traffic"
    )
    reached = quantities.share(quantities.ratio(point.macs_per_cycle, data.bound(point.macs_per_byte)))
    return (
        f"<b>{plain_text(point.layer)}</b> ({plain_text(point.op)})<br>{intensity}<br>"
        f"{quantities.significant(point.macs_per_cycle)} MAC/cycle, {reached} of the roof<br>"
        f"{quantities.share(point.share_of_cycles)} of all cycles"
    )


def _roof_labels(data: Roofline, ridge: float, low: float, high: float) -> list[dict[str, Any]]:
    style = {"showarrow": False, "font": {"size": 11, "color": MUTED}}
    peak = style | {
        "x": math.log10(high), "y": math.log10(data.peak_macs_per_cycle), "xanchor": "right", "yanchor": "bottom",
        "text": f"peak {data.peak_macs_per_cycle:,} MAC/cycle",
    }  # fmt: skip
    if not 0 < ridge < math.inf:
        return [peak]
    x = low**0.75 * ridge**0.25
    memory = style | {
        "x": math.log10(x), "y": math.log10(data.bound(x)), "xanchor": "left", "yanchor": "top", "xshift": 6,
        "text": f"DRAM {quantities.significant(data.dram_bytes_per_cycle, 3)} byte/cycle",
    }  # fmt: skip
    return [peak, memory]
