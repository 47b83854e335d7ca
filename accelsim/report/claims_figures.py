"""Figures of the page of claims: claimed beside simulated, and how much assumptions matter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from accelsim.report import palette
from accelsim.report.judged_claims import shown_claimed, shown_ratio, shown_value
from accelsim.report.labels import plain_text
from accelsim.report.plots import MUTED, Figure, compact, figure
from accelsim.validation.verdict import VERDICTS, accepted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.report.judged_claims import Judged
    from accelsim.validation.claim_result import Sweep

COLOURS = {
    "reproduced": palette.GREEN, "partly": palette.ORANGE, "not reproduced": palette.VERMILLION,
    "not testable": palette.GREY,
}  # fmt: skip
FARTHEST = 20.0
"""Ratio beyond which a point stands at the edge of a figure."""
_ROW = 22
_ABOVE = 96


def clipped(ratio: float) -> float:
    """A ratio moved to the edge of the figure where it is farther out."""
    return min(max(ratio, 1 / FARTHEST), FARTHEST)


def band(entry: Judged) -> tuple[float, float] | None:
    """Ratios that count as reproduced; None where nothing that is claimed tells them."""
    claim = entry.claim
    limits, target = accepted(claim), claim.target
    if limits is None or target is None:
        return None
    low, high = (
        limit / claimed if limit is not None and claimed else None
        for limit, claimed in zip(limits, target, strict=True)
    )
    outcome = entry.result.outcome
    if target[0] is None and target[1] is not None and outcome is not None and outcome.ratio is not None:
        return 1 - target[1], 1 + target[1]  # an error of a table, whose ratio is the mean over its rows
    return (1 / FARTHEST if low is None or low <= 0 else low), (FARTHEST if high is None else high)


def draw_ratios(judged: Sequence[Judged]) -> Figure:
    """Simulated over claimed on a logarithmic axis, a row for each claim, with what counts as reproduced."""
    told = [(entry, entry.ratio) for entry in judged]
    shown = [(entry, ratio) for entry, ratio in told if ratio is not None and ratio > 0]
    names = [plain_text(entry.claim.id) for entry, _ in shown]
    bands_x: list[float | None] = []
    bands_y: list[str | None] = []
    for entry, _ in shown:
        limits = band(entry)
        if limits is not None:
            bands_x += [compact(clipped(limits[0])), compact(clipped(limits[1])), None]
            bands_y += [plain_text(entry.claim.id)] * 2 + [None]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": "counts as reproduced", "x": bands_x, "y": bands_y,
            "line": {"color": palette.faded(palette.GREEN, 0.3), "width": 12}, "hoverinfo": "skip",
        }
    ]  # fmt: skip
    traces += [_verdict_trace(verdict, shown) for verdict in VERDICTS]
    axis = {
        "type": "log", "range": [-math.log10(FARTHEST) - 0.08, math.log10(FARTHEST) + 0.08],
        "tickvals": [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20], "title": {"text": "simulated over claimed"},
    }  # fmt: skip
    return figure(
        [trace for trace in traces if trace["x"]], _ABOVE + _ROW * len(names),
        xaxis=axis, yaxis=_rows(names), shapes=[_line_at_one()], margin={"l": 64, "r": 44, "t": 40, "b": 44},
    )  # fmt: skip


def _verdict_trace(verdict: str, shown: Sequence[tuple[Judged, float]]) -> dict[str, Any]:
    chosen = [(entry, ratio) for entry, ratio in shown if entry.verdict == verdict]
    return {
        "type": "scatter", "mode": "markers", "name": verdict,
        "x": [compact(clipped(ratio)) for _, ratio in chosen],
        "y": [plain_text(entry.claim.id) for entry, _ in chosen],
        "marker": {
            "color": COLOURS[verdict], "size": 10, "line": {"width": 0},
            "symbol": [
                "circle" if clipped(ratio) == ratio else "triangle-right" if ratio > 1 else "triangle-left"
                for _, ratio in chosen
            ],
        },
        "customdata": [
            [
                plain_text(entry.claim.metric.name), shown_claimed(entry.claim),
                entry.simulated, shown_ratio(ratio),
            ]
            for entry, ratio in chosen
        ],
        "hovertemplate": "<b>%{y}</b><br>%{customdata[0]}<br>claimed %{customdata[1]}, simulated %{customdata[2]}"
        "<br>ratio %{customdata[3]}<extra>" + verdict + "</extra>",
    }  # fmt: skip


def _rows(names: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "category", "categoryorder": "array", "categoryarray": list(names), "automargin": True,
        "range": [len(names) - 0.4, -0.6], "tickfont": {"size": 11}, "ticks": "",
    }  # fmt: skip


def _line_at_one() -> dict[str, Any]:
    return {
        "type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
        "line": {"color": MUTED, "width": 1.5},
    }  # fmt: skip


def swept(judged: Sequence[Judged]) -> list[tuple[Judged, Sweep]]:
    """Assumptions whose other values move a result by a hundredth at least, those that move it most first."""
    found = [
        (entry, sweep) for entry in judged for sweep in entry.result.sweeps
        if sweep.reference > 0 and sweep.spread[0] > 0 and sweep.spread[1] / sweep.spread[0] >= 1.01
    ]  # fmt: skip
    return sorted(found, key=lambda pair: -pair[1].spread[1] / pair[1].spread[0])


def draw_sensitivity(pairs: Sequence[tuple[Judged, Sweep]]) -> Figure:
    """Result under other assumptions over the result as stated: a bar from the least to the most for each."""
    names = [f"{plain_text(entry.claim.id)}: {plain_text(sweep.parameter)}" for entry, sweep in pairs]
    traces: list[dict[str, Any]] = []
    bars_x: list[float | None] = []
    bars_y: list[str | None] = []
    dots: list[tuple[str, float, str]] = []
    for name, (entry, sweep) in zip(names, pairs, strict=True):
        bars_x += [compact(clipped(end / sweep.reference)) for end in sweep.spread] + [None]
        bars_y += [name, name, None]
        for value, came in sweep.points:
            if came is not None and came > 0:
                words = f"{plain_text(value)}: {shown_value(came, entry.claim.metric.unit)}"
                dots.append((name, clipped(came / sweep.reference), words))
    traces.append(
        {
            "type": "scatter", "mode": "lines", "x": bars_x, "y": bars_y, "hoverinfo": "skip", "showlegend": False,
            "line": {"color": palette.faded(palette.BLUE, 0.45), "width": 10},
        }
    )  # fmt: skip
    traces.append(
        {
            "type": "scatter", "mode": "markers", "x": [compact(ratio) for _, ratio, _ in dots],
            "y": [name for name, _, _ in dots], "customdata": [words for _, _, words in dots], "showlegend": False,
            "marker": {"color": palette.BLUE, "size": 8},
            "hovertemplate": "<b>%{y}</b><br>%{customdata}<extra></extra>",
        }
    )  # fmt: skip
    axis = {
        "type": "log", "title": {"text": "result with another value over the result as stated"},
        "tickvals": [0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20],
    }  # fmt: skip
    return figure(
        traces, _ABOVE + _ROW * len(names), xaxis=axis, yaxis=_rows(names), shapes=[_line_at_one()],
        margin={"l": 64, "r": 44, "t": 20, "b": 44},
    )  # fmt: skip
