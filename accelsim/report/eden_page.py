"""EDEN's evaluation, published and simulated, as a page and in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from accelsim.report import palette, quantities
from accelsim.report.labels import plain_text
from accelsim.report.page import Cell, Column, build_page, plot, section, table
from accelsim.report.plots import Figure, compact, figure, value_axis
from accelsim.report.tables import fitted_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from accelsim.validation.eden_study import PlatformResult

_VARIANTS = {"vdd": "voltage alone", "trcd": "tRCD alone", "both": "both"}
_COLOURS = {"vdd": palette.BLUE, "trcd": palette.ORANGE, "both": palette.GREEN}
_NOTE = (
    "Reductions of voltage and tRCD are those of table 3 of the paper, taken from the device's own nominal values;"
    " energy follows the datasheet's currents times the voltage. What the paper prints are means over its networks."
)


def render_eden(results: Sequence[PlatformResult]) -> str:
    """Write the page."""
    figures: dict[str, Figure] = {
        "energy": draw_means(results, "energy_saving"),
        "speedup": draw_means(results, "speedup"),
    }
    body = [
        "<header><h1>EDEN: DRAM energy and speedup</h1><p>Koppula et al., 2019: published and simulated</p></header>",
        section("DRAM energy saved", plot("energy"), note=_NOTE),
        section(
            "Speedup",
            plot("speedup"),
            note="Latency at the datasheet's operating point over latency at the lowered one.",
        ),
        section("Networks", _table(results)),
    ]
    return build_page("EDEN - accelsim", body, figures)


def draw_means(results: Sequence[PlatformResult], quantity: str) -> Figure:
    """Draw the mean of a quantity on each platform for the three variants, beside the published one."""
    names = [plain_text(result.platform) for result in results]
    traces: list[dict[str, Any]] = [
        {
            "type": "bar", "name": words, "x": names, "marker": {"color": _COLOURS[variant]},
            "y": [compact(100 * getattr(result.mean[variant], quantity)) for result in results],
            "hovertemplate": f"<b>%{{x}}</b><br>{words}: %{{y:.2f}} %<extra></extra>",
        }
        for variant, words in _VARIANTS.items()
    ]  # fmt: skip
    published = [getattr(result, f"published_{quantity}") for result in results]
    traces.append(
        {
            "type": "scatter", "mode": "markers", "name": "published", "x": names,
            "y": [None if value is None else compact(100 * value) for value in published],
            "marker": {"symbol": "diamond", "size": 11, "color": palette.VERMILLION},
            "hovertemplate": "<b>%{x}</b><br>published: %{y:.2f} %<extra></extra>",
        }
    )  # fmt: skip
    return figure(traces, 340, barmode="group", xaxis={"type": "category", "automargin": True}, yaxis=value_axis("%"))


def _table(results: Sequence[PlatformResult]) -> str:
    columns = (
        Column("Platform", "platform", text=True),
        Column("Network", "network", text=True),
        Column("Precision", "precision", text=True),
        Column("dVDD", "vdd"),
        Column("dtRCD", "trcd"),
        Column("DRAM energy", "energy"),
        Column("Saved", "saved"),
        Column("Speedup", "speedup"),
    )
    rows = [
        (
            case.platform,
            case.network,
            case.precision,
            Cell(f"{case.vdd_reduction_v:.2f} V", case.vdd_reduction_v),
            Cell(f"{case.trcd_reduction_ps / 1_000:.1f} ns", case.trcd_reduction_ps),
            Cell(quantities.energy(case.dram_energy_pj), case.dram_energy_pj),
            Cell(quantities.share(case.gains["both"].energy_saving), case.gains["both"].energy_saving),
            Cell(quantities.share(case.gains["both"].speedup, 2), case.gains["both"].speedup),
        )
        for result in results
        for case in result.cases
    ]
    return table("cases", columns, rows)


def eden_summary(results: Sequence[PlatformResult], width: int, folder: str) -> RenderableType:
    """What the terminal shows: the means of each platform, published and simulated."""
    rows = [
        (
            result.platform,
            _percent(result.published_energy_saving),
            *(_percent(result.mean[variant].energy_saving) for variant in _VARIANTS),
            _percent(result.published_speedup),
            _percent(result.mean["both"].speedup),
        )
        for result in results
    ]
    headings = [("platform", True), ("saved, published", False), ("VDD", False), ("tRCD", False), ("both", False),
                ("speedup, published", False), ("both", False)]  # fmt: skip
    return Group(fitted_table(headings, rows, width), Text(f"Folder: {folder} (open report.html)", overflow="fold"))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
