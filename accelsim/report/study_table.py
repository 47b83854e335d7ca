"""A study as a table: one row per trial, for CSV and parquet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from accelsim.explore.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from accelsim.explore.study import StudyResult
    from accelsim.explore.trial import TrialRecord


def trial_rows(result: StudyResult, front: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """One row per trial: its state, parameters, metrics, estimates, violations and error.

    Parameters
    ----------
    result
        The study.
    front
        Trials on its Pareto front.
    """
    chosen = {record.index for record in front}
    metrics = [name for name in METRICS if any(name in record.metrics for record in result.trials)]
    estimates = [name for name in METRICS if any(name in record.estimate for record in result.trials)]
    estimates = estimates if result.plan.estimates else []
    conditions = list(dict.fromkeys(text for record in result.trials for text in record.violations))
    return [
        {"trial": record.index, "state": record.state, "feasible": record.feasible, "front": record.index in chosen}
        | {entry.path: record.point[entry.path] for entry in result.space.parameters}
        | {name: record.metrics.get(name) for name in metrics}
        | {f"estimate.{name}": record.estimate.get(name) for name in estimates}
        | {f"violation: {text}": record.violations.get(text) for text in conditions}
        | {"error": record.error, "wall_s": record.wall_s}
        for record in result.trials
    ]


def trials_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as CSV; what a trial lacks is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["trial"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows as parquet; a parameter whose values are of several types becomes text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1:
            values = [value if value is None else float(value) if kinds == {int, float} else str(value)
                      for value in values]  # fmt: skip
        columns[name] = pa.array(values)
    pq.write_table(pa.table(columns), path)
