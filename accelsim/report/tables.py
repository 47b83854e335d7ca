"""What the terminal shows: headline figures, layers, components and presets, as wide as the reader's window."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from accelsim.report import layer_figures, quantities
from accelsim.report.headline import headline
from accelsim.report.labels import printable, shortened, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from accelsim.result import LayerResult, RunResult

MAX_LAYERS = 40
"""Layers up to which all are shown."""
TOP_LAYERS = 20
"""Layers shown of a longer network: those that take longest."""
_PIPED_WIDTH = 120
_WIDE = 100
_TWO_ABREAST = 130
_NARROWEST_NAME = 10
_ONE_PERCENT = 0.01


def make_console(file: TextIO | None = None) -> Console:
    """Build a console on standard output; into a pipe, which has no width, it writes 120 columns or ``$COLUMNS``."""
    stream = file or sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def run_summary(result: RunResult, width: int, folder: Path | None = None) -> RenderableType:
    """Headline figures, layers, energy by component and where the files are.

    Parameters
    ----------
    result
        The run.
    width
        Columns of the terminal.
    folder
        Where the run was written.
    """
    run = result.run
    title = Text.assemble(
        (printable(run.workload), "bold"), " on ", (printable(run.hardware), "bold"), f", batch {run.batch:,}"
    )
    parts: list[RenderableType] = [
        title,
        _headline_table(result, width),
        layer_table(result, width),
        _energy_line(result),
    ]
    if folder is not None:
        parts.append(Text(f"Run folder: {folder} (open report.html)", overflow="fold"))
    return Group(*parts)


def _headline_table(result: RunResult, width: int) -> Table:
    """Name, value and detail of each figure, two abreast where there is room."""
    abreast = 2 if width >= _TWO_ABREAST else 1
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(abreast):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
    figures = headline(result)
    rows = -(-len(figures) // abreast)
    for index in range(rows):
        chosen = figures[index::rows]
        table.add_row(*(cell for entry in chosen for cell in (entry.name, entry.value, entry.detail)))
    return table


def _columns(headings: Iterable[tuple[str, bool]]) -> Table:
    """Table of named columns; True for text, False for numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for heading, is_text in headings:
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True, overflow="ellipsis")
    return table


def fitted_table(headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Table whose first column, the names, gives way where the window is narrow; no number is ever cut off."""
    lines = [[heading for heading, _ in headings], *rows]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(headings))]
    room = max(width - sum(widths[1:]) - 2 * (len(widths) - 1), _NARROWEST_NAME)
    table = _columns(headings)
    for row in rows:
        table.add_row(shortened(row[0], room), *row[1:])
    return table


def layer_table(result: RunResult, width: int) -> RenderableType:
    """Table of the layers that take time: all of a short network, the slowest of a long one with the rest summed up."""
    rows = layer_figures.timed_layers(result)
    shown = rows if len(rows) <= MAX_LAYERS else sorted(rows, key=lambda row: -row.total_cycles)[:TOP_LAYERS]
    rest = [row for row in rows if row not in shown] if len(shown) < len(rows) else []
    exponent = quantities.prefix_exponent(max((row.energy_pj for row in rows), default=0.0) * 1e-12)
    unit = f"{quantities.prefix(exponent)}J"
    narrow = width < _WIDE
    headings = [
        ("layer", True),
        ("op", True),
        ("cycles", False),
        ("share", False),
        ("stalled", True),
        ("util." if narrow else "utilisation", False),
        ("DRAM MB", False),
        (unit if narrow else f"energy {unit}", False),
    ]
    cells = [_layer_cells(row, result, exponent, narrow=narrow) for row in shown]
    if rest:
        cells.append(_rest_cells(rest, result, exponent))
    title = f"{TOP_LAYERS} slowest of {len(rows):,} layers" if rest else f"{len(rows):,} layers"
    riding = len(result.layer_results) - len(rows)
    if riding:
        title += f" ({riding:,} more ride on these or move no data)"
    return Group(Text(), Text(title, style="bold"), fitted_table(headings, cells, width), Text())


def _layer_cells(row: LayerResult, result: RunResult, exponent: int, *, narrow: bool) -> list[str]:
    cause = layer_figures.main_stall_cause(row)
    fraction = quantities.ratio(row.stall_cycles, row.total_cycles)
    stalled = "<1%" if 0 < fraction < _ONE_PERCENT else quantities.share(fraction, 0)
    words = "" if cause is None else f" {cause.split('_')[0] if narrow else title_of(cause)}"
    return [
        printable(row.name),
        row.op,
        f"{row.total_cycles:,}",
        quantities.share(quantities.ratio(row.total_cycles, result.totals.total_cycles)),
        f"{stalled:>4}{words}",
        quantities.share(layer_figures.utilization(row, result.machine.peak_macs_per_cycle)),
        f"{layer_figures.dram_bytes(row) / 1e6:,.3f}",
        f"{row.energy_pj * 10.0 ** (-12 - exponent):,.2f}",
    ]


def _rest_cells(rest: Sequence[LayerResult], result: RunResult, exponent: int) -> list[str]:
    cycles = sum(row.total_cycles for row in rest)
    stalled = quantities.share(quantities.ratio(sum(row.stall_cycles for row in rest), cycles), 0)
    macs = sum(row.effective_macs for row in rest)
    return [
        f"... {len(rest):,} more",
        "",
        f"{cycles:,}",
        quantities.share(quantities.ratio(cycles, result.totals.total_cycles)),
        f"{stalled:>4}",
        quantities.share(quantities.ratio(macs, result.machine.peak_macs_per_cycle * cycles)),
        f"{sum(layer_figures.dram_bytes(row) for row in rest) / 1e6:,.3f}",
        f"{sum(row.energy_pj for row in rest) * 10.0 ** (-12 - exponent):,.2f}",
    ]


def _energy_line(result: RunResult) -> Text:
    actions = layer_figures.energy_actions(result)
    parts = [
        f"{title_of(part)} {quantities.share(quantities.ratio(sum(entries.values()), actions.total_pj))}"
        for part, entries in actions.energy_pj.items()
    ]
    return Text.assemble(("Energy by component: ", "bold"), ", ".join(parts), overflow="fold")


def listing(headings: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> Table:
    """Plain table; all columns but the names wrap where the window is narrow, and none is cut off."""
    table = _columns(headings)
    lines = list(rows)
    for column in table.columns:
        column.no_wrap, column.overflow = False, "fold"
    table.columns[0].min_width = max((cell_len(line[0]) for line in lines), default=0)
    for row in lines:
        table.add_row(*row)
    return table


def titled_listing(title: str, headings: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> RenderableType:
    """Plain table under a title."""
    return Group(Text(title, style="bold", overflow="fold"), Text(), listing(headings, rows))
