"""Figures of what a network tolerates: accuracy against error rate and operating point, energy, and the tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.report import palette
from accelsim.report.labels import axis_labels, plain_text, title_of
from accelsim.report.plots import MUTED, Figure, compact, figure, layer_axis

if TYPE_CHECKING:
    from accelsim.numerics.tolerance import CoarseTolerance
    from accelsim.tolerance_result import PointResult, ToleranceResult

_COLOURS = (palette.BLUE, palette.VERMILLION, palette.GREEN, palette.PURPLE)
_BAND_OPACITY = 0.16
DATASHEET_WORDS = "datasheet"

AXES = {"vdd_v": ("VDD (V)", 1.0), "tRCD_ps": ("tRCD (ns)", 1e-3)}
"""Settings with their titles and the factor from the unit they are kept in."""


def draw_curves(result: ToleranceResult) -> Figure:
    """Draw accuracy against rate for each error model, with its band and the tolerable rate."""
    traces: list[dict[str, Any]] = []
    for entry, colour in zip(result.coarse, _COLOURS, strict=False):
        traces += _curve(entry, colour)
    rates = [point.rate for entry in result.coarse for point in entry.points]
    accepted = compact(100 * result.target)
    return figure(
        traces, 420, margin={"l": 64, "r": 44, "t": 32, "b": 64},
        xaxis={"type": "log", "title": {"text": "bit-error rate"}, "exponentformat": "power", "automargin": True},
        yaxis={"title": {"text": "accuracy, %", "standoff": 10}, "rangemode": "tozero", "automargin": True},
        shapes=[
            {
                "type": "line", "x0": min(rates), "x1": max(rates), "y0": accepted, "y1": accepted,
                "line": {"width": 1.2, "dash": "dot", "color": MUTED},
            }
        ],
        annotations=[
            {
                "x": 0, "xref": "paper", "xanchor": "left", "y": accepted, "yanchor": "top", "showarrow": False,
                "text": f"{accepted:.1f} % accepted", "font": {"size": 11, "color": MUTED},
            }
        ],
    )  # fmt: skip


def _curve(entry: CoarseTolerance, colour: str) -> list[dict[str, Any]]:
    name, points = title_of(entry.kind), entry.points
    found = [point for point in points if point.rate == entry.rate]
    band = [*points, *points[::-1]]
    edges = [point.high for point in points] + [point.low for point in points[::-1]]
    curve = {
        "type": "scatter", "mode": "lines+markers", "name": plain_text(name), "legendgroup": entry.kind,
        "x": [point.rate for point in points], "y": [compact(100 * point.accuracy) for point in points],
        "line": {"color": colour, "width": 2}, "marker": {"size": 5},
        "customdata": [[compact(100 * point.low), compact(100 * point.high)] for point in points],
        "hovertemplate": (
            f"<b>{plain_text(name)}</b><br>rate %{{x:.3g}}<br>%{{y:.2f}} % "
            "(%{customdata[0]:.2f} to %{customdata[1]:.2f})<extra></extra>"
        ),
    }  # fmt: skip
    shade = {
        "type": "scatter", "mode": "lines", "fill": "toself", "hoverinfo": "skip", "showlegend": False,
        "legendgroup": entry.kind, "x": [point.rate for point in band], "y": [compact(100 * edge) for edge in edges],
        "line": {"width": 0, "color": colour}, "fillcolor": colour, "opacity": _BAND_OPACITY,
    }  # fmt: skip
    reached = {
        "type": "scatter", "mode": "markers", "showlegend": False, "legendgroup": entry.kind,
        "x": [point.rate for point in found], "y": [compact(100 * point.accuracy) for point in found],
        "marker": {"symbol": "diamond", "size": 11, "color": colour, "line": {"width": 1, "color": "white"}},
        "hovertemplate": f"<b>{plain_text(name)}</b><br>tolerates %{{x:.3g}}<extra></extra>",
    }  # fmt: skip
    return [shade, curve, reached]


def draw_setting(result: ToleranceResult, axis: str) -> Figure:
    """Draw accuracy against voltage or tRCD, with its confidence band."""
    title, factor = AXES[axis]
    points = sorted((point for point in result.points if point.axis == axis), key=lambda point: point.setting)
    band = [*points, *points[::-1]]
    edges = [point.high for point in points] + [point.low for point in points[::-1]]
    settings = [compact(point.setting * factor) for point in points]
    return figure(
        [
            {
                "type": "scatter", "mode": "lines", "fill": "toself", "hoverinfo": "skip",
                "x": [compact(point.setting * factor) for point in band], "y": [compact(100 * edge) for edge in edges],
                "line": {"width": 0, "color": palette.BLUE}, "fillcolor": palette.BLUE, "opacity": _BAND_OPACITY,
            },
            {
                "type": "scatter", "mode": "lines+markers", "x": settings,
                "y": [compact(100 * point.accuracy) for point in points],
                "line": {"color": palette.BLUE, "width": 2}, "marker": {"size": 6},
                "customdata": [f"{point.rate:.2e}" for point in points],
                "hovertemplate": f"{title} %{{x:.4g}}<br>%{{y:.2f}} %<br>bit-error rate %{{customdata}}<extra></extra>",
            },
        ],
        300, showlegend=False, margin={"l": 64, "r": 44, "t": 12, "b": 48},
        xaxis={"title": {"text": title}, "automargin": True},
        yaxis={"title": {"text": "accuracy, %", "standoff": 10}, "rangemode": "tozero", "automargin": True},
    )  # fmt: skip


def draw_trade(result: ToleranceResult) -> Figure:
    """Draw energy against accuracy for all operating points, and the accepted one with the least energy."""
    traces: list[dict[str, Any]] = []
    for (axis, (title, factor)), colour in zip(AXES.items(), _COLOURS, strict=False):
        points = [point for point in result.points if point.axis == axis]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": title,
                "x": [compact(100 * point.accuracy) for point in points],
                "y": [compact(point.dram_energy_pj / 1e6) for point in points],
                "marker": {"color": colour, "size": 8},
                "customdata": [compact(point.setting * factor) for point in points],
                "hovertemplate": f"{title} %{{customdata}}<br>%{{x:.2f}} %<br>%{{y:.4g}} uJ<extra></extra>",
            }
        )  # fmt: skip
    chosen = _chosen(result)
    if chosen is not None:
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": "chosen", "x": [compact(100 * chosen.accuracy)],
                "y": [compact(chosen.dram_energy_pj / 1e6)],
                "marker": {"symbol": "diamond-open", "size": 16, "color": palette.GREEN, "line": {"width": 2}},
                "hovertemplate": "least energy that is accepted<extra></extra>",
            }
        )  # fmt: skip
    accepted = compact(100 * result.target)
    return figure(
        traces, 340, margin={"l": 64, "r": 44, "t": 32, "b": 56},
        xaxis={"title": {"text": "accuracy, %"}, "automargin": True},
        yaxis={"title": {"text": "DRAM energy, uJ", "standoff": 10}, "rangemode": "tozero", "automargin": True},
        shapes=[
            {
                "type": "line", "x0": accepted, "x1": accepted, "y0": 0, "y1": 1, "yref": "paper",
                "line": {"width": 1.2, "dash": "dot", "color": MUTED},
            }
        ],
    )  # fmt: skip


def _chosen(result: ToleranceResult) -> PointResult | None:
    """The accepted operating point with the least energy."""
    return min(
        (point for point in result.points if point.accepted), key=lambda point: point.dram_energy_pj, default=None
    )


def draw_tensors(result: ToleranceResult) -> Figure:
    """Draw the rate that each tensor tolerates, coloured by the partition that it lies in."""
    labels = axis_labels([entry.name for entry in result.tensors])
    names = list(dict.fromkeys(entry.partition for entry in result.tensors))
    others = iter(_COLOURS * len(names))
    colours = {name: next(others) if name else palette.GREY for name in names}
    traces = []
    for name in names:
        mine = [(label, entry) for label, entry in zip(labels, result.tensors, strict=True) if entry.partition == name]
        traces.append(
            {
                "type": "bar", "name": plain_text(name or DATASHEET_WORDS), "x": [label for label, _ in mine],
                "y": [entry.rate for _, entry in mine], "marker": {"color": colours[name]},
                "customdata": [plain_text(entry.name) for _, entry in mine],
                "hovertemplate": "<b>%{customdata}</b><br>tolerates %{y:.3g}<extra></extra>",
            }
        )  # fmt: skip
    return figure(
        traces, 320, barmode="stack", xaxis=layer_axis(labels),
        yaxis={
            "type": "log", "title": {"text": "tolerable rate", "standoff": 10}, "exponentformat": "power",
            "automargin": True, "dtick": 1,
        },
    )  # fmt: skip
