"""Draws a study: Pareto front, parallel coordinates, importances, progress, estimates against simulations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accelsim.explore.metrics import METRICS
from accelsim.explore.trial import COMPLETE, PRUNED
from accelsim.report import palette
from accelsim.report.labels import plain_text, shortened
from accelsim.report.metric_words import (
    axis_title,
    metric_axis,
    metric_title,
    shown_metric,
    shown_unit,
    written,
)
from accelsim.report.plots import MUTED, Figure, compact, figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelsim.explore.study import StudyResult
    from accelsim.explore.transfer import Transfer
    from accelsim.explore.trial import TrialRecord

_LONGEST_LABEL = 24
_LONGEST_TICK = 13
_COLOURS = [[0, "#0072B2"], [0.5, "#56B4E9"], [1, "#E69F00"]]


def configuration_text(record: TrialRecord, front: bool = False) -> str:  # noqa: FBT001, FBT002 - one flag, one word
    """All that is known of a trial, for the hover."""
    lines = [f"<b>trial {record.index}</b>{' (on the front)' if front else ''}"]
    lines += [f"{plain_text(path)} = {plain_text(_plain(value))}" for path, value in record.point.items()]
    lines += [f"<i>{plain_text(metric_title(name))}</i>: {written(name, value)}"
              for name, value in record.metrics.items()]  # fmt: skip
    lines += [f"breaks {plain_text(text)}" for text, violation in record.violations.items() if violation]
    return "<br>".join(lines)


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def draw_front(result: StudyResult, front: Sequence[TrialRecord], across: str, up: str) -> Figure:
    """Points over two objectives: those that meet the conditions, those that do not, and the front."""
    complete = [record for record in result.trials if record.state == COMPLETE]
    chosen = {record.index for record in front}
    groups = (
        ("breaks a condition", [entry for entry in complete if not entry.feasible], MUTED, "x", 6, 0.6),
        ("point", [entry for entry in complete if entry.feasible and entry.index not in chosen], palette.SKY,
         "circle", 7, 0.6),
    )  # fmt: skip
    traces = [_cloud(name, rows, across, up, colour, symbol, size, opacity)
              for name, rows, colour, symbol, size, opacity in groups if rows]  # fmt: skip
    guessed = [replace(entry, metrics=entry.estimate) for entry in result.trials if entry.state == PRUNED]
    if guessed:
        traces.insert(0, _cloud("estimated only", guessed, across, up, MUTED, "circle-open", 6, 0.5))
    shown = [*complete, *guessed]
    ordered = sorted(front, key=lambda entry: (entry.metrics[across], entry.metrics[up]))
    if ordered:
        trace = _cloud("Pareto front", ordered, across, up, palette.VERMILLION, "diamond", 9, 1.0)
        if len(result.space.objectives) == 2:
            trace |= {"mode": "lines+markers", "line": {"shape": _staircase(across, up), "width": 1.5,
                                                        "color": palette.VERMILLION}}  # fmt: skip
        traces.append(trace)
    return figure(
        traces, 520, xaxis=metric_axis(across, [entry.metrics[across] for entry in shown]),
        yaxis=metric_axis(up, [entry.metrics[up] for entry in shown]) | {"automargin": True}, hovermode="closest",
    )  # fmt: skip


def _staircase(across: str, up: str) -> str:
    """Line along which no point of the front is beaten."""
    return "linear" if METRICS[across].maximised or METRICS[up].maximised else "hv"


def _cloud(
    name: str, rows: Sequence[TrialRecord], across: str, up: str, colour: str, symbol: str, size: int, opacity: float
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [shown_metric(across, entry.metrics[across]) for entry in rows],
        "y": [shown_metric(up, entry.metrics[up]) for entry in rows],
        "marker": {"color": colour, "symbol": symbol, "size": size, "opacity": opacity},
        "customdata": [configuration_text(entry, front=name == "Pareto front") for entry in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def draw_parallel(result: StudyResult, front: Sequence[TrialRecord]) -> Figure:
    """Parallel coordinates: every parameter and objective an axis, every complete trial a line."""
    rows = [record for record in result.trials if record.feasible] or [
        record for record in result.trials if record.state == COMPLETE
    ]
    first = result.space.objectives[0]
    dimensions = [_parameter_axis(entry.path, [record.point[entry.path] for record in rows])
                  for entry in result.space.parameters]  # fmt: skip
    dimensions += [_objective_axis(name, [record.metrics[name] for record in rows]) for name in result.space.objectives]
    chosen = {record.index for record in front}
    values = [record.metrics[first] for record in rows]
    logged = min(values, default=0) > 0
    trace = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": {
            "color": [compact(math.log10(value)) if logged else compact(value) for value in values],
            "colorscale": _COLOURS,
            "reversescale": METRICS[first].maximised,
        },
        "labelfont": {"size": 11.5},
        "tickfont": {"size": 10.5},
        "rangefont": {"size": 9},
        "labelangle": -14 if len(dimensions) > 5 else 0,
        "customdata": [int(record.index in chosen) for record in rows],
    }
    return figure([trace], 480, margin={"l": 110, "r": 80, "t": 100, "b": 30})


def _parameter_axis(path: str, values: Sequence[object]) -> dict[str, Any]:
    label = path if len(path) <= _LONGEST_LABEL else "…" + path[-_LONGEST_LABEL:]
    plain = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    distinct = sorted(set(plain)) if len(plain) == len(values) else sorted({str(value) for value in values})
    many = 16
    if len(plain) == len(values) and len(distinct) > many:
        return {"label": plain_text(label), "values": [compact(float(value)) for value in plain]}
    places = {value: place for place, value in enumerate(distinct)}
    found = plain if len(plain) == len(values) else [str(value) for value in values]
    return {
        "label": plain_text(label),
        "values": [places[value] for value in found],
        "tickvals": list(places.values()),
        "ticktext": [plain_text(shortened(_plain(value), _LONGEST_TICK)) for value in places],
        "range": [-0.2, max(len(places) - 0.8, 0.2)],
    }


def _objective_axis(name: str, values: Sequence[float]) -> dict[str, Any]:
    positive = [value for value in values if value > 0]
    if len(positive) < len(values) or not positive or max(positive) <= 3 * min(positive):
        return {
            "label": axis_title(name),
            "values": [shown_metric(name, value) for value in values],
            "tickformat": "~s",
        }
    logs = [math.log10(value) for value in values]
    low, high = min(logs), max(logs)
    marks = [low + (high - low) * place / 5 for place in range(6)]
    return {
        "label": metric_title(name),
        "values": [compact(entry) for entry in logs],
        "range": [compact(low), compact(high)],
        "tickvals": [compact(mark) for mark in marks],
        "ticktext": [written(name, float(f"{10.0**mark:.3g}")) for mark in marks],
    }


def draw_importances(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars of the share of each objective's variance that each parameter explains."""
    paths = list(dict.fromkeys(path for shares in found.values() for path in shares))
    paths.sort(key=lambda path: -max(shares.get(path, 0.0) for shares in found.values()))
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": metric_title(metric),
            "y": [plain_text(path) for path in paths],
            "x": [compact(shares.get(path, 0.0)) for path in paths],
            "marker": {"color": palette.SERIES[index % len(palette.SERIES)], "line": {"width": 0}},
            "hovertemplate": f"%{{y}}: %{{x:.1%}} of {plain_text(metric_title(metric).lower())}<extra></extra>",
        }
        for index, (metric, shares) in enumerate(found.items())
    ]
    return figure(
        traces, 90 + (14 + 16 * len(found)) * max(len(paths), 1), barmode="group", bargap=0.25,
        xaxis={"title": {"text": "share of variance"}, "tickformat": ".0%", "rangemode": "tozero"},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
    )  # fmt: skip


def draw_best_so_far(result: StudyResult, objective: str) -> Figure:
    """One objective of every trial in the order of proposal, and the best of those that met the conditions so far."""
    rows = [record for record in result.trials if record.state == COMPLETE]
    sign = -1 if METRICS[objective].maximised else 1
    best_at: list[TrialRecord] = []
    best: TrialRecord | None = None
    for record in rows:
        if record.feasible and (best is None or sign * record.metrics[objective] < sign * best.metrics[objective]):
            best = record
            best_at.append(record)
    steps = [*best_at, rows[-1]] if best_at else []
    points = _cloud("point", rows, objective, objective, palette.SKY, "circle", 5, 0.45)
    points["x"] = [record.index for record in rows]
    traces = [points]
    if best_at:
        values = [shown_metric(objective, record.metrics[objective]) for record in best_at]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "best so far",
                "x": [record.index for record in steps],
                "y": [*values, values[-1]],
                "line": {"shape": "hv", "color": palette.VERMILLION, "width": 2},
                "hovertemplate": f"trial %{{x}}: %{{y:.4~s}}{shown_unit(objective)}<extra></extra>",
            }
        )
    return figure(
        traces, 340, xaxis={"title": {"text": "trial"}},
        yaxis=metric_axis(objective, [record.metrics[objective] for record in rows]) | {"automargin": True},
        hovermode="closest",
    )  # fmt: skip


def draw_estimates(rows: Sequence[TrialRecord], metric: str) -> Figure:
    """Estimates over simulations of the same points; on the line they agree."""
    pairs = [(record, record.metrics[metric], record.estimate[metric]) for record in rows]
    low = min(min(measured, guessed) for _, measured, guessed in pairs)
    high = max(max(measured, guessed) for _, measured, guessed in pairs)
    ends = [shown_metric(metric, low), shown_metric(metric, high)]
    line = {"type": "scatter", "mode": "lines", "name": "equal", "x": ends, "y": ends, "hoverinfo": "skip",
            "line": {"color": MUTED, "dash": "dot", "width": 1.5}}  # fmt: skip
    points = {
        "type": "scatter", "mode": "markers", "name": "trial",
        "x": [shown_metric(metric, measured) for _, measured, _ in pairs],
        "y": [shown_metric(metric, guessed) for _, _, guessed in pairs],
        "marker": {"color": palette.BLUE, "size": 7, "opacity": 0.65},
        "customdata": [f"<b>trial {record.index}</b><br>simulated {written(metric, measured)}"
                       f"<br>estimated {written(metric, guessed)}" for record, measured, guessed in pairs],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    across, up = metric_axis(metric, [low, high]), metric_axis(metric, [low, high]) | {"automargin": True}
    name = axis_title(metric)
    name = name[:1].lower() + name[1:]
    across, up = across | {"title": {"text": f"simulated {name}"}}, up | {"title": {"text": f"estimated {name}"}}
    return figure([line, points], 380, xaxis=across, yaxis=up, hovermode="closest")


def draw_transfer(transfer: Transfer) -> Figure:
    """Error of the adapted predictor by the points that it saw of this study, beside one fitted on them alone."""
    sizes = [str(entry.points) for entry in transfer.adapted]
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": sizes,
            "y": [compact(value) for value in values],
            "marker": {"color": colour, "line": {"width": 0}},
            "hovertemplate": f"{name}, %{{x}} points: %{{y:.1%}}<extra></extra>",
        }
        for name, colour, values in (
            (f"with the predictor of {plain_text(transfer.source)}", palette.BLUE,
             [entry.transferred_ape for entry in transfer.adapted]),
            ("on those points alone", palette.GREY, [entry.alone_ape for entry in transfer.adapted]),
        )
    ]  # fmt: skip
    return figure(
        traces, 320, barmode="group", bargap=0.35,
        xaxis={"title": {"text": "points of this study that the predictor saw"}, "type": "category"},
        yaxis={"title": {"text": "median relative error"}, "tickformat": ".0%", "rangemode": "tozero"},
    )  # fmt: skip
