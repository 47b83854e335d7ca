"""The folder of a study: page, tables, and the run folders of chosen points."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accelsim.atomic_file import written_whole
from accelsim.errors import InputError
from accelsim.explore.evaluation import run_point
from accelsim.explore.fidelity import estimate_errors
from accelsim.explore.pareto import losses, on_front
from accelsim.explore.preparation import task_of
from accelsim.explore.trial import COMPLETE
from accelsim.report.provenance import manifest
from accelsim.report.run_folder import write_run, write_text
from accelsim.report.study_page import render_study, study_metrics
from accelsim.report.study_table import trial_rows, trials_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from accelsim.explore.study import StudyResult
    from accelsim.explore.transfer import Transfer
    from accelsim.explore.trial import TrialRecord


def pareto_front(result: StudyResult) -> list[TrialRecord]:
    """Trials that meet all conditions and that no other one beats, best in the first objective first."""
    feasible = [record for record in result.trials if record.feasible]
    points = losses([record.metrics for record in feasible], result.space.objectives)
    flags = on_front(points)
    chosen = [(tuple(point), record) for point, record, flag in zip(points, feasible, flags, strict=True) if flag]
    return [record for _, record in sorted(chosen, key=lambda entry: (entry[0], entry[1].index))]


def study_document(
    result: StudyResult, front: Sequence[TrialRecord], transfer: Transfer | None = None
) -> dict[str, Any]:
    """Return a study as JSON: what was explored, its front, and how many trials ended how."""
    states = [record.state for record in result.trials]
    errors = estimate_errors(result.trials, study_metrics(result)) if result.plan.estimates else []
    return {
        "study": result.name,
        "space": result.space.where,
        "hardware": result.space.base["name"],
        "workloads": list(result.space.workloads),
        "objectives": list(result.space.objectives),
        "sampler": result.space.sampler,
        "seed": result.space.seed,
        "fidelity": result.plan.to_dict(),
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "exhausted": result.exhausted,
        "front": [record.to_dict() for record in front],
        "estimate_errors": [entry.to_dict() for entry in errors],
        "transfer": None if transfer is None else transfer.to_dict(),
    }


def write_study(
    result: StudyResult, folder: Path, front: Sequence[TrialRecord], transfer: Transfer | None = None
) -> None:
    """Write page, tables and JSON of a study; each file is there whole or not at all.

    Raises
    ------
    InputError, RunError
        When they cannot be written.
    """
    rows = trial_rows(result, front)
    write_text(folder / "trials.csv", trials_csv(rows))
    with written_whole(folder / "trials.parquet", "--out") as part:
        write_parquet(rows, part)
    document = study_document(result, front, transfer)
    write_text(folder / "study.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    write_text(folder / "report.html", render_study(result, front, transfer))


def write_runs(result: StudyResult, folder: Path, indices: Sequence[int], command: Sequence[str]) -> list[Path]:
    """Simulate trials again and write their run folders, which ``accelsim compare`` takes.

    Parameters
    ----------
    result
        The study.
    folder
        Where ``trial-N`` is put; with several workloads one folder per workload.
    indices
        Trials.
    command
        The command line, for the manifest.

    Returns
    -------
    list
        The folders, in order.

    Raises
    ------
    InputError
        When a trial does not exist or is not complete.
    """
    by_index = {record.index: record for record in result.trials}
    written = []
    for index in indices:
        record = by_index.get(index)
        if record is None or record.state != COMPLETE:
            raise InputError("is no complete trial of the study", where="--runs", value=index)
        task = task_of(result.space, record.point, "full", seed=result.space.seed)
        for run, workload in zip(run_point(task), task["workloads"], strict=True):
            name = f"trial-{index:04}" + (f"-{run.run.workload}" if len(task["workloads"]) > 1 else "")
            write_run(run, folder / name, manifest(run, command, record.wall_s, workload))
            written.append(folder / name)
    return written
