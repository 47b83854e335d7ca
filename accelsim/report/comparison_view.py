"""Shows a comparison: in the terminal, and as a page with grouped bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from accelsim.report import palette, quantities
from accelsim.report.labels import axis_labels, plain_text, printable, title_of
from accelsim.report.page import Cell, Column, build_page, plot, section, table, text
from accelsim.report.plots import Figure, compact, figure, layer_axis, value_axis
from accelsim.report.tables import MAX_LAYERS, TOP_LAYERS, fitted_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from accelsim.report.comparison import Comparison, LayerRow, Row

_SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "total_cycles": ("Cycles", lambda value: f"{value:,.0f}"),
    "compute_cycles": ("Compute cycles", lambda value: f"{value:,.0f}"),
    "stall_cycles": ("Stall cycles", lambda value: f"{value:,.0f}"),
    "latency_ns": ("Latency", quantities.duration),
    "frames_per_s": ("Throughput", lambda value: f"{quantities.significant(value)} frames/s"),
    "energy_pj": ("Energy", quantities.energy),
    "average_power_mw": ("Average power", lambda value: quantities.si(value * 1e-3, "W")),
    "dense_macs": ("Dense MACs", lambda value: quantities.si(value, "MAC")),
    "effective_macs": ("Executed MACs", lambda value: quantities.si(value, "MAC")),
    "compute_utilization": ("PE utilisation", quantities.share),
    "dram_bytes": ("DRAM traffic", quantities.traffic),
    "dram_read_bytes": ("DRAM read", quantities.traffic),
    "dram_write_bytes": ("DRAM written", quantities.traffic),
    "dram_energy_pj": ("DRAM energy", quantities.energy),
    "row_hits": ("DRAM row hits", lambda value: f"{value:,.0f}"),
    "row_misses": ("DRAM row misses", lambda value: f"{value:,.0f}"),
    "row_conflicts": ("DRAM row conflicts", lambda value: f"{value:,.0f}"),
    "bits_flipped": ("DRAM bits flipped", lambda value: f"{value:,.0f}"),
}
"""Figures in the order shown: label and how to write them."""
_WHERE_ANY = ("row_hits", "row_misses", "row_conflicts", "bits_flipped")
"""Figures left out where no run has any."""
_ABSENT = "-"
_NARROWEST_NAME = 16


def comparison_summary(comparison: Comparison, width: int) -> RenderableType:
    """Legend, totals, energy by component and layers, with ratios to the first run."""
    legend = [
        f"[{index}] {printable(label)}: {printable(run.run.workload)} on {printable(run.run.hardware)}, "
        f"batch {run.run.batch:,} ({printable(folder)})"
        for index, (label, run, folder) in enumerate(
            zip(comparison.labels, comparison.runs, comparison.folders, strict=True), start=1
        )
    ]
    layers, rest = _top_layers(comparison)
    heading = f"Cycles per layer ({len(layers)} largest of {len(layers) + rest:,})" if rest else "Cycles per layer"
    blocks = [
        ("Totals", [(_SHOWN[row.name][0], row, row.name) for row in _shown_totals(comparison)]),
        ("Energy by component", [(title_of(r.name), r, "energy_pj") for r in comparison.energy_pj if any(r.values)]),
        (heading, [(printable(row.name), row.total_cycles, "total_cycles") for row in layers]),
    ]
    parts: list[RenderableType] = [Text(line, overflow="fold") for line in legend]
    for title, rows in blocks:
        parts += [Text(), _fitting_block(title, rows, len(legend), width)]
    return Group(*parts)


def _fitting_block(title: str, rows: Sequence[tuple[str, Row, str]], runs: int, width: int) -> Table:
    """Table of values with ratios; where the window is too narrow for that, of the first value and ratios alone."""
    headings = [(title, True), *((f"[{index}]", False) for index in range(1, runs + 1))]
    full = [(label, *_values(row, kind)) for label, row, kind in rows]
    needed = _NARROWEST_NAME + sum(
        2 + max((len(line[column]) for line in full), default=0) for column in range(1, runs + 1)
    )
    if needed > width:
        full = [
            (label, *_values(row, kind)[:1], *(_times(ratio).strip("()") for ratio in row.ratios[1:]))
            for label, row, kind in rows
        ]
    return fitted_table(headings, full, width)


def _shown_totals(comparison: Comparison) -> list[Row]:
    by_name = {row.name: row for row in comparison.totals}
    return [by_name[name] for name in _SHOWN if name not in _WHERE_ANY or any(by_name[name].values)]


def _values(row: Row, kind: str = "") -> tuple[str, ...]:
    """Write the values of a row, all but the first with their ratio."""
    write = _SHOWN[kind or row.name][1]
    return tuple(
        _ABSENT if value is None else write(value) + (f" {_times(ratio)}" if index else "")
        for index, (value, ratio) in enumerate(zip(row.values, row.ratios, strict=True))
    )


def _times(ratio: float | None) -> str:
    return f"({_ABSENT})" if ratio is None else f"({ratio:.3f}x)"


def _top_layers(comparison: Comparison) -> tuple[Sequence[LayerRow], int]:
    rows = _timed(comparison)
    if len(rows) <= MAX_LAYERS:
        return rows, 0
    slowest = sorted(rows, key=lambda row: -max(value or 0 for value in row.total_cycles.values))[:TOP_LAYERS]
    return slowest, len(rows) - len(slowest)


def _timed(comparison: Comparison) -> list[LayerRow]:
    """Layers that take time of their own in any run."""
    return [row for row in comparison.layers if any(row.total_cycles.values)]


def render_comparison(comparison: Comparison) -> str:
    """Write the page of a comparison."""
    figures: dict[str, Figure] = {
        "cycles": _cycles(comparison),
        "energy": _components(comparison),
    }
    title = "Comparison of " + ", ".join(comparison.labels)
    runs = "".join(
        f"<dt>{text(label)}</dt><dd>{text(run.run.workload)} on {text(run.run.hardware)}, batch {run.run.batch:,} "
        f"({text(folder)})</dd>"
        for label, run, folder in zip(comparison.labels, comparison.runs, comparison.folders, strict=True)
    )
    body = [
        f"<header><h1>{text(title)}</h1><p>Ratios are to the first run.</p></header>",
        section("Runs", f"<dl>{runs}</dl>"),
        section("Totals", _totals_table(comparison)),
        section("Cycles per layer", plot("cycles"), note="Layers match by name; one that a run lacks has no bar."),
        section("Energy by component", plot("energy")),
        section("Layers", _layers_table(comparison), note="Click a heading to sort."),
    ]
    return build_page(f"{title} - accelsim", body, figures)


def _totals_table(comparison: Comparison) -> str:
    columns = [Column("Figure", "figure", text=True), *(Column(label, label) for label in comparison.labels)]
    rows = [(_SHOWN[row.name][0], *_cells(row)) for row in _shown_totals(comparison)]
    return table("totals_table", columns, rows)


def _cells(row: Row) -> list[str | Cell]:
    """Cells that show value and ratio and sort by the value."""
    return [
        shown if value is None else Cell(shown, value) for shown, value in zip(_values(row), row.values, strict=True)
    ]


def _layers_table(comparison: Comparison) -> str:
    columns = [Column("Layer", "name", text=True), Column("Op", "op", text=True)]
    for figure_name, heading in (("total_cycles", "cycles"), ("energy_pj", "energy"), ("dram_bytes", "DRAM")):
        columns += [Column(f"{label}: {heading}", f"{label}.{figure_name}") for label in comparison.labels]
    rows = [
        (row.name, row.op, *_cells(row.total_cycles), *_cells(row.energy_pj), *_cells(row.dram_bytes))
        for row in comparison.layers
    ]
    return table("layer_table", columns, rows, name="comparison")


def _bars(label: str, index: int, x: list[str], y: list[float | None], text_: list[str]) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": plain_text(label),
        "x": x,
        "y": y,
        "marker": {"color": palette.SERIES[index % len(palette.SERIES)], "line": {"width": 0}},
        "customdata": text_,
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _cycles(comparison: Comparison) -> Figure:
    layers = _timed(comparison)
    names = axis_labels([row.name for row in layers])
    rows = [row.total_cycles for row in layers]
    traces = []
    for index, label in enumerate(comparison.labels):
        hover = [
            f"<b>{plain_text(layer.name)}</b><br>{plain_text(label)}: {_values(row)[index]}"
            for layer, row in zip(layers, rows, strict=True)
        ]
        traces.append(_bars(label, index, names, [row.values[index] for row in rows], hover))
    return figure(traces, 420, barmode="group", bargap=0.2, xaxis=layer_axis(names), yaxis=value_axis("cycles"))


def _components(comparison: Comparison) -> Figure:
    rows = [row for row in comparison.energy_pj if any(row.values)]
    largest = max((value or 0.0 for row in rows for value in row.values), default=0.0)
    exponent = quantities.prefix_exponent(largest * 1e-12)
    scale = 10.0 ** (-12 - exponent)
    names = [plain_text(title_of(row.name)) for row in rows]
    traces = []
    for index, label in enumerate(comparison.labels):
        hover = [
            f"<b>{name}</b><br>{plain_text(label)}: {_values(row, 'energy_pj')[index]}"
            for name, row in zip(names, rows, strict=True)
        ]
        values = [row.values[index] for row in rows]
        traces.append(_bars(label, index, names, [None if v is None else compact(v * scale) for v in values], hover))
    unit = f"energy ({quantities.prefix(exponent)}J)"
    return figure(traces, 380, barmode="group", bargap=0.25, xaxis=layer_axis(names), yaxis=value_axis(unit))
