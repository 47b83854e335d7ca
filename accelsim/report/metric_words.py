"""Metrics of a study as a person reads them: titles, units, figures and the axes that they stand on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from accelsim.explore.metrics import METRICS
from accelsim.report import quantities
from accelsim.report.labels import title_of
from accelsim.report.plots import compact

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCALES = {"ns": ("s", 1e-9), "pJ": ("J", 1e-12), "mW": ("W", 1e-3), "byte": ("B", 1.0), "pJ ns": ("J s", 1e-21)}
"""Unit of a metric, the unit it is shown in, and their ratio."""
_IN_NAMES = ("ns", "pJ", "mW", "pJ ns", "mm2", "KiB")
"""Units that end a name and are left out of its title."""
_COUNTED = ("cycles", "bits")
_MANY_DECADES = 2.0


def written(name: str, value: float) -> str:
    """Write a metric with its unit."""
    unit = METRICS[name].unit
    if unit in _SCALES:
        shown, ratio = _SCALES[unit]
        return quantities.si(value * ratio, shown)
    if unit in _COUNTED or name == "pe_count":
        return f"{value:,.0f}"
    if not unit:
        return quantities.share(value, 2)
    return f"{quantities.significant(value)} {shown_unit(name)}"


def metric_title(name: str) -> str:
    """Name of a metric as a heading, without its unit."""
    unit = METRICS[name].unit
    tail = "_" + "_".join(unit.lower().split())
    words = title_of(name.removesuffix(tail) if unit in _IN_NAMES else name).replace("edp", "EDP")
    return words[:1].upper() + words[1:]


def shown_metric(name: str, value: float) -> float:
    """A metric in the unit that it is shown in, for a figure."""
    return compact(value * _SCALES.get(METRICS[name].unit, ("", 1.0))[1])


def shown_unit(name: str) -> str:
    """Unit that a metric is shown in."""
    unit = METRICS[name].unit
    return _SCALES.get(unit, (unit, 1.0))[0].replace("mm2", "mm²")


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Last part of each path, or its last two where another path ends alike."""
    tails = [path.rsplit(".", 1)[-1] for path in paths]
    return {path: tail if tails.count(tail) == 1 else ".".join(path.split(".")[-2:])
            for path, tail in zip(paths, tails, strict=True)}  # fmt: skip


def axis_title(name: str) -> str:
    """Metric with the unit of its axis."""
    unit = shown_unit(name)
    return f"{metric_title(name)} ({unit})" if unit else metric_title(name)


def metric_axis(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Axis of a metric, logarithmic where the values span more than a factor of three."""
    unit = shown_unit(name)
    axis: dict[str, Any] = {"title": {"text": axis_title(name)}}
    if unit in ("s", "J", "J s", "W", "B"):
        axis |= {"tickformat": "~s"}
    positive = [value for value in values if value > 0]
    if positive and len(positive) == len(values) and max(positive) > 3 * min(positive):
        decades = math.log10(max(positive) / min(positive))
        axis |= {"type": "log", "dtick": 1 if decades > _MANY_DECADES else "D2"}
    return axis
