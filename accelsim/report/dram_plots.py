"""Draws the figures of the DRAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.report import palette, quantities
from accelsim.report.labels import plain_text, title_of
from accelsim.report.plots import MUTED, Figure, compact, figure

if TYPE_CHECKING:
    from accelsim.report.dram_figures import BankCounts, BankMap, DramEnergy, Shares

_ROW_BUFFER = {"row_hits": palette.GREEN, "row_misses": palette.SKY, "row_conflicts": palette.VERMILLION}
_POWER_STATES = {
    "active": palette.ORANGE,
    "precharged": palette.BLUE,
    "active_power_down": palette.PURPLE,
    "precharge_power_down": palette.GREY,
}
_GROUP_GAP = 0.3
_TALLEST_CELL, _LOWEST_CELL = 44, 10
_TALLEST_MAP = 620
_MAX_TEXT_COLUMNS = 16
_LOWEST_TEXT = 18
_LONG_COUNT = 10_000


def draw_banks(data: BankMap, shown: tuple[BankCounts, ...]) -> Figure:
    """Draw heat maps of the same banks on top of each other, the first one visible; bank groups stand apart."""
    cell = min(max(_TALLEST_MAP // len(data.ranks), _LOWEST_CELL), _TALLEST_CELL)
    written = cell >= _LOWEST_TEXT and data.banks_per_rank <= _MAX_TEXT_COLUMNS
    per_group = data.banks_per_rank // data.bank_groups
    left = [bank + bank // per_group * _GROUP_GAP for bank in range(data.banks_per_rank)]
    traces = [
        _heat_map(data, counts, left, written=written) | {"visible": index == 0} for index, counts in enumerate(shown)
    ]
    grouped = data.bank_groups > 1
    return figure(
        traces, 84 + cell * len(data.ranks), margin={"l": 64, "r": 44, "t": 26 if grouped else 10, "b": 44},
        annotations=[
            {
                "x": left[group * per_group] + per_group / 2, "y": 1, "xref": "x", "yref": "paper",
                "yanchor": "bottom", "showarrow": False, "font": {"size": 11, "color": MUTED},
                "text": f"bank group {group}",
            }
            for group in range(data.bank_groups if grouped else 0)
        ],
        xaxis={
            "title": {"text": "bank of the rank"}, "showgrid": False, "zeroline": False, "ticks": "",
            "tickvals": [compact(edge + 0.5) for edge in left],
            "ticktext": [str(bank) for bank in range(data.banks_per_rank)],
            "range": [0, compact(left[-1] + 1)],
        },
        yaxis={
            "type": "category", "autorange": "reversed", "automargin": True, "showgrid": False, "ticks": "outside",
            "tickcolor": "rgba(0,0,0,0)",
        },
    )  # fmt: skip


def _heat_map(data: BankMap, counts: BankCounts, left: list[float], *, written: bool) -> dict[str, Any]:
    """Heat map of one count; a narrow empty column separates two bank groups."""
    per_group = data.banks_per_rank // data.bank_groups
    gaps = set(range(per_group, data.banks_per_rank, per_group))

    def spread(values: list[Any], between: str | None = "") -> list[Any]:
        return [part for bank, value in enumerate(values) for part in ([between, value] if bank in gaps else [value])]

    edges = [edge for bank, at in enumerate(left) for edge in ([left[bank - 1] + 1, at] if bank in gaps else [at])]
    name = title_of(counts.name)
    names = [
        f"bank {bank}" + (f" (bank group {bank // per_group})" if gaps else "") for bank in range(data.banks_per_rank)
    ]
    return {
        "type": "heatmap",
        "name": name,
        "x": [compact(edge) for edge in (*edges, left[-1] + 1)],
        "y": list(data.ranks),
        "z": [spread(list(row), None) for row in counts.counts],
        "zmin": 0,
        "zmax": max(*map(max, counts.counts), 1),
        "text": [spread([_short(value) for value in row]) for row in counts.counts] if written else None,
        "texttemplate": "%{text}" if written else "",
        "textfont": {"size": 10.5},
        "customdata": [spread(names)] * len(data.ranks),
        "hovertemplate": f"<b>%{{y}}, %{{customdata}}</b><br>%{{z:,}} {name}<extra></extra>",
        "hoverongaps": False,
        "autocolorscale": True,  # the page has a scale for either theme
        "showscale": not written,
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": "~s"},
        "xgap": 1.5,
        "ygap": 1.5,
    }


def _short(count: int) -> str:
    return quantities.si(count, "", 2).replace(" ", "") if count >= _LONG_COUNT else str(count)


def draw_shares(data: Shares, colours: dict[str, str], amounts: dict[str, str]) -> Figure:
    """One bar of parts that make up a whole; the legend says how much each is.

    Parameters
    ----------
    colours
        By part.
    amounts
        By part, how it reads in its own unit.
    """
    traces = [
        {
            "type": "bar", "orientation": "h", "y": [""], "x": [compact(100 * data.fraction(part))],
            "name": f"{plain_text(title_of(part))} {quantities.share(data.fraction(part))}",
            "marker": {"color": palette.colour(part, colours, index), "line": {"width": 0}},
            "customdata": [f"{amounts[part]} ({quantities.share(data.fraction(part), 2)})"],
            "hovertemplate": f"<b>{plain_text(title_of(part))}</b><br>%{{customdata}}<extra></extra>",
        }
        for index, part in enumerate(data.parts)
    ]  # fmt: skip
    return figure(
        traces, 118, barmode="stack", bargap=0, margin={"l": 16, "r": 44, "t": 44, "b": 28}, showlegend=True,
        xaxis={"range": [0, 100], "ticksuffix": " %", "nticks": 6}, yaxis={"visible": False},
    )  # fmt: skip


def draw_row_buffer(data: Shares) -> Figure:
    """Row hits, misses and conflicts as parts of all requests."""
    return draw_shares(data, _ROW_BUFFER, {part: f"{count:,} requests" for part, count in data.parts.items()})


def draw_power_states(data: Shares) -> Figure:
    """Power states as parts of the time of all ranks."""
    amounts = {part: quantities.duration(time_ps / 1_000) for part, time_ps in data.parts.items()}
    return draw_shares(data, _POWER_STATES, amounts)


def draw_dram_energy(data: DramEnergy) -> Figure:
    """One bar per action of the DRAM."""
    exponent = quantities.prefix_exponent(max(data.energy_pj.values(), default=0.0) * 1e-12)
    scale = 10.0 ** (-12 - exponent)
    shares = [quantities.share(quantities.ratio(value, data.total_pj)) for value in data.energy_pj.values()]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [plain_text(title_of(action)) for action in data.energy_pj],
        "x": [compact(value * scale) for value in data.energy_pj.values()],
        "text": shares,
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": palette.COMPONENTS["dram"], "line": {"width": 0}},
        "customdata": [
            f"{quantities.energy(value)}, {share} of the DRAM"
            for value, share in zip(data.energy_pj.values(), shares, strict=True)
        ],
        "hovertemplate": "<b>%{y}</b><br>%{customdata}<extra></extra>",
    }
    return figure(
        [trace], 70 + 30 * max(len(data.energy_pj), 1), bargap=0.25, margin={"l": 64, "r": 56, "t": 10, "b": 40},
        xaxis={"title": {"text": f"energy ({quantities.prefix(exponent)}J)"}, "rangemode": "tozero"},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
    )  # fmt: skip
