"""Which parameters a metric depends on: functional ANOVA over the finished trials, through Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from accelsim.explore.storage import distribution
from accelsim.explore.trial import COMPLETE, TrialRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.explore.space import Space

FEWEST_TRIALS = 10
"""Trials below which no importance is told."""
_TREES = 32


def importances(trials: Sequence[TrialRecord], space: Space, metric: str) -> dict[str, float]:
    """Share of a metric's variance that each parameter explains.

    Parameters
    ----------
    trials
        All trials; those that are complete count.
    space
        Their space.
    metric
        Name of the metric.

    Returns
    -------
    dict
        By parameter, largest first; empty for fewer than `FEWEST_TRIALS` trials or a metric that never varies.
    """
    rows = [record for record in trials if record.state == COMPLETE and metric in record.metrics]
    varied = [entry for entry in space.parameters if len({str(record.point[entry.path]) for record in rows}) > 1]
    if len(rows) < FEWEST_TRIALS or len({record.metrics[metric] for record in rows}) < 2 or not varied:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    distributions = {entry.path: distribution(entry) for entry in varied}
    study.add_trials(
        [
            create_trial(
                value=record.metrics[metric],
                params={path: record.point[path] for path in distributions},
                distributions=distributions,
            )
            for record in rows
        ]
    )
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=_TREES, seed=0))
    return {path: float(found[path]) for path in sorted(found, key=lambda path: (-found[path], path))}
