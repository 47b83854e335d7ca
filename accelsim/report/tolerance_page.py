"""What a network tolerates, as a page: accuracy against bit-error rate, tensors by tolerance, and their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.report import palette, quantities
from accelsim.report.labels import axis_labels, plain_text, title_of
from accelsim.report.page import Cell, Column, build_page, plot, section, table, text
from accelsim.report.plots import MUTED, Figure, compact, figure, layer_axis

if TYPE_CHECKING:
    from accelsim.numerics.tolerance import CoarseTolerance
    from accelsim.tolerance_result import PointResult, ToleranceResult

_COLOURS = (palette.BLUE, palette.VERMILLION, palette.GREEN, palette.PURPLE)
_BAND_OPACITY = 0.16
DATASHEET_WORDS = "datasheet"

_AXES = {"vdd_v": ("VDD (V)", 1.0), "tRCD_ps": ("tRCD (ns)", 1e-3)}
"""Settings with their titles and the factor from the unit they are kept in."""
_POINT_NOTE = (
    "The whole memory at one operating point of the error table, everything else at the datasheet's: accuracy with its"
    " 95 % confidence interval, and the DRAM's energy for one inference. The diamond is the accepted point with the"
    " least energy."
)
_POINT_COLUMNS = (
    Column("Setting", "setting", text=True),
    Column("Bit-error rate", "rate"),
    Column("Accuracy", "accuracy"),
    Column("DRAM energy", "energy"),
    Column("Saved", "saved"),
    Column("Latency", "latency"),
    Column("Accepted", "accepted", text=True),
)
_COARSE_COLUMNS = (
    Column("Error model", "kind", text=True),
    Column("Tolerable rate", "rate"),
    Column("Accuracy there", "accuracy"),
    Column("95 % interval", "interval"),
)
_TENSOR_COLUMNS = (
    Column("Tensor", "name", text=True),
    Column("In DRAM", "size"),
    Column("Tolerable rate", "rate"),
    Column("Against coarse", "ratio"),
    Column("Partition", "partition", text=True),
)
_PARTITION_COLUMNS = (
    Column("Partition", "name", text=True),
    Column("Bit-error rate", "rate"),
    Column("Taken", "used"),
    Column("Room", "room"),
)


def render_tolerance(result: ToleranceResult) -> str:
    """Write the page."""
    figures: dict[str, Figure] = {"curves": draw_curves(result)}
    body = [
        f'<header><h1>{text(result.workload)} <span class="on">on</span> {text(result.hardware)}</h1>',
        f"<p>{_subtitle(result)}</p></header>",
        section("Accuracy against bit-error rate", plot("curves"), _coarse_table(result), note=_curve_note(result)),
    ]
    if result.tensors:
        figures["tensors"] = draw_tensors(result)
        body.append(section("Tensors", plot("tensors"), _tensor_table(result), note=_tensor_note(result)))
    if result.points:
        for axis in _AXES:
            figures[f"points_{axis}"] = draw_setting(result, axis)
        figures["trade"] = draw_trade(result)
        body.append(
            section(
                "Operating points",
                '<div class="pair">', *(plot(f"points_{axis}") for axis in _AXES), "</div>", plot("trade"),
                _point_table(result), note=_POINT_NOTE,
            )
        )  # fmt: skip
    if len(result.partitions) > 1:
        note = (
            "Each tensor lies where the most is saved among the partitions with room whose errors it tolerates; the"
            " most tolerant ones choose first."
        )
        body.append(section("Partitions", _partition_table(result), note=note))
    return build_page(f"{result.workload} tolerates - accelsim", body, figures)


def _subtitle(result: ToleranceResult) -> str:
    return (
        f"tolerable bit-error rates · {result.images:,} images, {quantities.counted(result.modules, 'module')} · "
        f"{100 * result.clean:.2f} % without errors, {100 * result.baseline:.2f} % as the file has it, "
        f"{100 * result.target:.2f} % accepted"
    )


def _curve_note(result: ToleranceResult) -> str:
    note = "One rate for all tensors in DRAM; mean over the modules, with its 95 % confidence interval."
    if any(entry.bounded for entry in result.coarse):
        note += " Where the highest rate that was tried still holds, the true limit lies above it."
    return note


def _tensor_note(result: ToleranceResult) -> str:
    return (
        f"Rates raised tensor by tensor under the {title_of(result.coarse[0].kind)} error model, for as long as the"
        " accuracy holds; feature maps that stay on chip have no errors."
    )


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
    title, factor = _AXES[axis]
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
    for (axis, (title, factor)), colour in zip(_AXES.items(), _COLOURS, strict=False):
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


def _point_table(result: ToleranceResult) -> str:
    base = max(point.dram_energy_pj for point in result.points)
    rows = []
    for point in result.points:
        title, factor = _AXES[point.axis]
        saved = 1 - quantities.ratio(point.dram_energy_pj, base)
        rows.append(
            (
                f"{title} {point.setting * factor:.4g}",
                Cell(f"{point.rate:.2e}" if point.rate else "0", point.rate),
                Cell(f"{100 * point.accuracy:.2f} % ({100 * point.low:.2f} to {100 * point.high:.2f})", point.accuracy),
                Cell(quantities.energy(point.dram_energy_pj), point.dram_energy_pj),
                Cell(quantities.share(saved), saved),
                Cell(quantities.duration(point.latency_ns), point.latency_ns),
                "yes" if point.accepted else "no",
            )
        )
    return table("points", _POINT_COLUMNS, rows)


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


def _coarse_table(result: ToleranceResult) -> str:
    rows = []
    for entry in result.coarse:
        there = next((point for point in entry.points if point.rate == entry.rate), None)
        rows.append(
            (
                title_of(entry.kind),
                Cell(
                    ("at least " if entry.bounded else "") + (f"{entry.rate:.2e}" if entry.rate else "none"), entry.rate
                ),
                "-" if there is None else f"{100 * there.accuracy:.2f} %",
                "-" if there is None else f"{100 * there.low:.2f} to {100 * there.high:.2f} %",
            )
        )
    return table("coarse", _COARSE_COLUMNS, rows)


def _tensor_table(result: ToleranceResult) -> str:
    start = result.coarse[0].rate
    rows = [
        (
            entry.name,
            Cell(quantities.capacity(entry.size_bytes), entry.size_bytes),
            Cell(f"{entry.rate:.2e}", entry.rate),
            Cell(f"{quantities.ratio(entry.rate, start):.1f}x", quantities.ratio(entry.rate, start)),
            entry.partition or DATASHEET_WORDS,
        )
        for entry in result.tensors
    ]
    return table("tensor_table", _TENSOR_COLUMNS, rows)


def _partition_table(result: ToleranceResult) -> str:
    rows = [
        (
            part.name or DATASHEET_WORDS,
            Cell(f"{part.rate:.2e}" if part.rate else "0", part.rate),
            Cell(quantities.capacity(part.used_bytes), part.used_bytes),
            Cell(quantities.capacity(part.capacity_bytes), part.capacity_bytes),
        )
        for part in result.partitions
    ]
    return table("partitions", _PARTITION_COLUMNS, rows)
