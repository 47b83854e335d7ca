"""Draws what happened over time; the figures share the time axis, and the page keeps them zoomed alike."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from accelsim.report import palette, quantities
from accelsim.report.labels import axis_labels, plain_text
from accelsim.report.plots import MUTED, Figure, compact, figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.report.time_figures import BandwidthOverTime, BufferOccupancy, Segment, Timeline

_LEFT_MARGIN = 104
_ROW = 34
_NAME_LENGTH = 14


def _time_axis(latency_ps: int, **extra: Any) -> tuple[float, dict[str, Any]]:  # noqa: ANN401 - Plotly's layout is a tree
    """Scale from picoseconds to the axis' unit, and the axis."""
    exponent = quantities.prefix_exponent(latency_ps * 1e-12) if latency_ps else -9
    scale = 10.0 ** (-12 - exponent)
    axis = {"title": {"text": f"time ({quantities.prefix(exponent)}s)"}, "range": [0, compact(latency_ps * scale)]}
    return scale, axis | extra


def _margin() -> dict[str, int]:
    return {"l": _LEFT_MARGIN, "r": 44, "t": 32, "b": 40}


def draw_timeline(data: Timeline) -> Figure:
    """Gantt chart: a row with the layers, then one row per component; paler bars were busy only part of the time."""
    scale, axis = _time_axis(data.latency_ps)
    rows = ["layers", *axis_labels(data.components, _NAME_LENGTH)]
    traces = [_layer_row(data, rows[0], scale)]
    for index, label in enumerate(rows[1:]):
        segments = [segment for segment in data.segments if segment.component == index]
        colour = palette.colour(data.components[index], palette.UNITS, index)
        traces.append(_component_row(data, segments, label, colour, scale))
    return figure(
        traces, 84 + _ROW * len(rows), barmode="overlay", bargap=0.2, showlegend=False, margin=_margin(), xaxis=axis,
        yaxis={
            "type": "category", "categoryorder": "array", "categoryarray": rows, "autorange": "reversed",
            "showgrid": False, "fixedrange": True,
        },
    )  # fmt: skip


def _bars(label: str, bounds: Sequence[tuple[int, int]], scale: float, colours: Any, text: list[str]) -> dict[str, Any]:  # noqa: ANN401 - one colour or many
    return {
        "type": "bar",
        "orientation": "h",
        "name": label,
        "y": [label] * len(bounds),
        "base": [compact(start * scale) for start, _ in bounds],
        "x": [compact((end - start) * scale) for start, end in bounds],
        "marker": {"color": colours, "line": {"width": 0}},
        "customdata": text,
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _layer_row(data: Timeline, label: str, scale: float) -> dict[str, Any]:
    rows = [(name, times) for name, times in zip(data.layers, data.layer_times_ps, strict=True) if times[1] > times[0]]
    shades = [palette.faded(MUTED, 0.8 if index % 2 else 0.45) for index in range(len(rows))]
    text = [f"<b>{plain_text(name)}</b><br>{_span(start, end)}" for name, (start, end) in rows]
    return _bars(label, [times for _, times in rows], scale, shades, text)


def _component_row(data: Timeline, segments: list[Segment], label: str, colour: str, scale: float) -> dict[str, Any]:
    colours = [palette.faded(colour, 0.35 + 0.65 * segment.busy) for segment in segments]
    text = [_segment_text(segment, label, data) for segment in segments]
    return _bars(label, [(segment.start_ps, segment.end_ps) for segment in segments], scale, colours, text)


def _segment_text(segment: Segment, label: str, data: Timeline) -> str:
    single = segment.first_step == segment.last_step
    steps = f"step {segment.first_step}" if single else f"steps {segment.first_step} to {segment.last_step}"
    lines = [
        f"<b>{label}</b>: {plain_text(data.layers[segment.layer])}, {steps}",
        _span(segment.start_ps, segment.end_ps),
    ]
    if segment.size_bytes:
        lines.append(quantities.traffic(segment.size_bytes))
    if segment.busy < 1:
        lines.append(f"busy {quantities.share(segment.busy, 0)} of that time")
    return "<br>".join(lines)


def _span(start_ps: int, end_ps: int) -> str:
    start, end, length = (quantities.duration(time / 1_000) for time in (start_ps, end_ps, end_ps - start_ps))
    return f"{start} to {end} ({length})"


def draw_bandwidth(data: BandwidthOverTime) -> Figure:
    """Stacked areas of read and written GB/s, with the peak of the device as a line."""
    scale, axis = _time_axis(data.time_ps[-1])
    times = [compact(time * scale) for time in data.time_ps]
    traces = [
        {
            "type": "scatter", "mode": "lines", "name": name, "stackgroup": "traffic",
            "x": times, "y": [compact(rate) for rate in (*rates, *rates[-1:])],
            "line": {"shape": "hv", "width": 0.5, "color": colour}, "fillcolor": palette.faded(colour, 0.75),
            "hovertemplate": f"{name} %{{y:.3~f}} GB/s<extra></extra>",
        }
        for name, rates, colour in (
            ("read", data.read_gb_per_s, palette.BLUE), ("write", data.write_gb_per_s, palette.ORANGE)
        )
    ]  # fmt: skip
    if math.isfinite(data.peak_gb_per_s):
        traces.append(_level(f"peak {quantities.significant(data.peak_gb_per_s)} GB/s", data.peak_gb_per_s, times))
    return figure(
        traces, 280, margin=_margin(), hovermode="x unified", xaxis=axis,
        yaxis={"title": {"text": "GB/s"}, "rangemode": "tozero"},
    )  # fmt: skip


def _level(name: str, height: float, times: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": [times[0], times[-1]], "y": [compact(height)] * 2,
        "line": {"dash": "dash", "width": 1.5, "color": MUTED}, "hoverinfo": "skip",
    }  # fmt: skip


def draw_occupancy(data: Sequence[BufferOccupancy], latency_ps: int) -> Figure:
    """Draw one strip per buffer: bytes held over time under its capacity."""
    scale, axis = _time_axis(latency_ps)
    unit, divisor = _binary_unit(max((entry.capacity_bytes for entry in data), default=0))
    count = max(len(data), 1)
    layout: dict[str, Any] = {"xaxis": axis | {"anchor": f"y{count}" if count > 1 else "y"}}
    traces, notes = [], []
    for index, entry in enumerate(data):
        suffix = "" if index == 0 else str(index + 1)
        colour = palette.SERIES[index % len(palette.SERIES)]
        top, bottom = 1 - index / count, 1 - (index + 1) / count
        layout[f"yaxis{suffix}"] = {
            "domain": [round(bottom + 0.03, 4), round(top - 0.13 / (1 + (count > 2)), 4)],
            "rangemode": "tozero", "nticks": 4, "title": {"text": unit, "standoff": 4},
        }  # fmt: skip
        times = [compact(time * scale) for time in entry.time_ps]
        traces.append(
            {
                "type": "scatter", "mode": "lines", "name": plain_text(entry.buffer), "yaxis": f"y{suffix}",
                "x": times, "y": [compact(size / divisor) for size in entry.size_bytes],
                "line": {"shape": "hv", "width": 1, "color": colour},
                "fill": "tozeroy", "fillcolor": palette.faded(colour, 0.35),
                "hovertemplate": f"{plain_text(entry.buffer)}: %{{y:.4~g}} {unit}<extra></extra>",
            }
        )  # fmt: skip
        limit = _level(f"{plain_text(entry.buffer)} capacity", entry.capacity_bytes / divisor, (0, axis["range"][1]))
        traces.append(limit | {"yaxis": f"y{suffix}"})
        notes.append(
            {
                "xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "y": round(top, 4), "yanchor": "top",
                "showarrow": False, "font": {"size": 12},
                "text": f"<b>{plain_text(entry.buffer)}</b>, capacity {quantities.capacity(entry.capacity_bytes)}",
            }
        )  # fmt: skip
    return figure(
        traces, 84 + 140 * count, margin=_margin(), showlegend=False, hovermode="x unified", annotations=notes, **layout
    )


def _binary_unit(size_bytes: int) -> tuple[str, int]:
    steps = [("B", 1), ("KiB", 1024), ("MiB", 1024**2), ("GiB", 1024**3)]
    larger = itertools.takewhile(lambda step: step[1] * 4 <= max(size_bytes, 4), steps)
    return list(larger)[-1]
