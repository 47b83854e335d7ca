"""Two fidelities: which estimated points are worth a full simulation, and how far estimates are from simulations."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from accelsim.explore.metrics import METRICS
from accelsim.explore.pareto import losses, on_front
from accelsim.explore.trial import COMPLETE, TrialRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.explore.space import Space

FidelityMode = Literal["full", "estimate", "multi"]
_FEWEST_FOR_RANKS = 3


@dataclass(frozen=True)
class FidelityPlan:
    """How closely the points of a study are looked at.

    Parameters
    ----------
    mode
        ``full`` simulates every point, ``estimate`` computes a closed form of each, ``multi`` estimates all of a batch
        and simulates those that promise something.
    keep
        Share of a batch that ``multi`` simulates at least.
    margin
        Points within this relative distance of the estimated front are simulated as well.
    checked
        Points per batch that ``estimate`` simulates too, to measure its error.
    """

    mode: FidelityMode = "full"
    keep: float = 0.25
    margin: float = 0.1
    checked: int = 10

    @property
    def estimates(self) -> bool:
        """Whether points are estimated."""
        return self.mode != "full"

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the results: nothing but the mode where every point is simulated."""
        entries = asdict(self)
        wanted = {"full": (), "estimate": ("checked",), "multi": ("keep", "margin")}[self.mode]
        return {"mode": self.mode} | {key: entries[key] for key in wanted}


def sampled(indices: Sequence[int], count: int) -> set[int]:
    """Take `count` of some trials at equal distances."""
    ordered = sorted(indices)
    places = {round(place) for place in np.linspace(0, len(ordered) - 1, min(count, len(ordered)))} if ordered else ()
    return {ordered[place] for place in places}


def promising(records: Sequence[TrialRecord], space: Space, plan: FidelityPlan) -> set[int]:
    """Choose the estimated trials that are worth a simulation.

    Those are the best share `plan.keep`, front after front as estimated, and all that come within `plan.margin` of a
    point of the first front in every objective. A trial whose estimate breaks a condition by more than that is out,
    unless all are.
    """
    usable = [record for record in records if _within_conditions(record, space, plan.margin)] or list(records)
    if not usable:
        return set()
    points = losses([record.estimate for record in usable], space.objectives)
    chosen: set[int] = set()
    left = np.arange(len(usable))
    wanted = math.ceil(plan.keep * len(records))
    first = points[on_front(points)]
    while len(left) and len(chosen) < wanted:
        flags = on_front(points[left])
        chosen.update(int(place) for place in left[flags])
        left = left[~flags]
    slack = plan.margin * np.abs(points)
    for place in left:
        if ((points[place] - slack[place] <= first).all(axis=1)).any():
            chosen.add(int(place))
    return {usable[place].index for place in chosen}


def _within_conditions(record: TrialRecord, space: Space, margin: float) -> bool:
    for condition in space.conditions:
        if condition.before_run or any(name in METRICS and name not in record.estimate
                                       for name in condition.expression.names):  # fmt: skip
            continue
        values = space.values(record.point) | record.estimate
        sizes = [abs(float(values[name])) for name in condition.expression.names if name in METRICS]
        if condition.expression.violation(values) > margin * max(sizes, default=0.0):
            return False
    return True


@dataclass(frozen=True)
class EstimateError:
    """How far the estimates of one metric are from the simulations of the same points.

    Parameters
    ----------
    metric, points
        Of what, and how many points were compared.
    median_ape, max_ape
        Absolute error relative to the simulation, as a fraction.
    spearman
        Rank correlation; None for too few points, or where one of the two is constant.
    """

    metric: str
    points: int
    median_ape: float
    max_ape: float
    spearman: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def estimate_errors(trials: Sequence[TrialRecord], metrics: Sequence[str]) -> list[EstimateError]:
    """Compare estimates with simulations, metric by metric, over the trials that have both.

    A trial that stands on its estimate alone has the same figures twice and is left out.
    """
    from accelsim.explore.transfer import rank_correlation

    both = [record for record in trials if record.state == COMPLETE and record.estimate]
    both = [record for record in both if record.metrics != record.estimate]
    errors = []
    for metric in metrics:
        pairs = [(record.estimate[metric], record.metrics[metric]) for record in both
                 if metric in record.estimate and record.metrics.get(metric)]  # fmt: skip
        if not pairs or METRICS[metric].from_config:
            continue
        guessed, measured = np.array(pairs).T
        relative = np.abs(guessed - measured) / np.abs(measured)
        spearman = rank_correlation(guessed, measured)[0] if len(pairs) >= _FEWEST_FOR_RANKS else None
        errors.append(EstimateError(metric, len(pairs), float(np.median(relative)), float(relative.max()), spearman))
    return errors
