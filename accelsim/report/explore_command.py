"""``accelsim explore`` from its options to its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accelsim.errors import InputError, RunError
from accelsim.explore.run import STUDIES_FOLDER, StudyOptions, check_installed, run_study
from accelsim.explore.space_file import load_space
from accelsim.report.run_folder import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from accelsim.explore.study import StudyResult
    from accelsim.explore.transfer import Transfer
    from accelsim.explore.trial import TrialRecord


@dataclass(frozen=True)
class ExploreOptions:
    """Options of the command line, by their names."""

    hardware: str | None
    workers: int | None
    dask: str | None
    trials: int | None
    name: str | None
    storage: str | None
    resume: bool
    fidelity: Literal["full", "estimate", "multi"]
    keep: float
    margin: float
    check: int
    transfer_from: str | None
    cache: Path | None
    use_cache: bool
    runs: str | None
    out: Path | None


@dataclass(frozen=True)
class Explored:
    """A finished study and what was written."""

    result: StudyResult
    front: list[TrialRecord]
    folder: Path
    runs: list[Path]
    transfer: Transfer | None

    @property
    def document(self) -> dict[str, Any]:
        """The study as JSON."""
        from accelsim.report.study_folder import study_document

        return study_document(self.result, self.front, self.transfer) | {"folder": str(self.folder)}

    @property
    def summary(self) -> RenderableType:
        """The study as the terminal shows it."""
        from accelsim.report.study_summary import study_summary

        return study_summary(self.result, self.front, self.folder, self.runs, self.transfer)


def explore_space(source: str, options: ExploreOptions, command: Sequence[str]) -> Explored:
    """Run a study and write its folder.

    Raises
    ------
    InputError
        When an option, the space or the storage is wrong.
    RunError
        When the study cannot be carried to its end, or every trial failed.
    """
    if options.dask is not None and options.workers is not None:
        raise InputError("are processes of this machine, --dask those of a cluster", where="--workers",
                         value=options.workers, allowed="one of the two")  # fmt: skip
    space = load_space(source, options.hardware)
    name = options.name or space.name
    folder = options.out or STUDIES_FOLDER / name
    check_writable(folder)
    check_installed()
    from accelsim.explore.fidelity import FidelityPlan
    from accelsim.report.study_folder import pareto_front, write_runs, write_study
    from accelsim.report.study_summary import StudyProgress

    known = _other_study(options.transfer_from)
    with StudyProgress() as progress:
        result = run_study(
            space,
            StudyOptions(
                name=name, trials=options.trials, storage=options.storage or str(folder / "study.db"),
                resume=options.resume, workers=options.workers, dask=options.dask,
                plan=FidelityPlan(options.fidelity, options.keep, options.margin, options.check),
                cache=options.cache, use_cache=options.use_cache,
            ),
            report=progress.update,
        )  # fmt: skip
    front = pareto_front(result)
    transfer = None if known is None else _transfer(known, result)
    write_study(result, folder, front, transfer)
    chosen = _chosen(options.runs, front)
    runs = write_runs(result, folder / "runs", chosen, command) if chosen else []
    failures = [record for record in result.trials if record.error is not None]
    if len(failures) == len(result.trials):
        message = f"all {len(failures)} trials failed, the first one with: {failures[0].error}"
        raise RunError(message)
    return Explored(result, front, folder, runs, transfer)


def _chosen(runs: str | None, front: Sequence[TrialRecord]) -> list[int]:
    if runs is None:
        return []
    if runs == "front":
        return [record.index for record in front]
    try:
        return [int(part) for part in runs.split(",")]
    except ValueError:
        raise InputError("not accepted", where="--runs", value=runs,
                         allowed="front, or numbers of trials such as 3,17") from None  # fmt: skip


def _other_study(source: str | None) -> tuple[str, list[TrialRecord]] | None:
    """Read the study to compare with, before anything is run."""
    if source is None:
        return None
    from accelsim.explore.storage import read_study

    storage, _, name = source.partition("#")
    path = Path(storage) / "study.db" if Path(storage).is_dir() else storage
    record, trials = read_study(str(path), name or None)
    return str(record.get("name", name or source)), trials


def _transfer(known: tuple[str, list[TrialRecord]], result: StudyResult) -> Transfer:
    from accelsim.explore.transfer import compare_studies

    name, trials = known
    return compare_studies(trials, result.trials, names=(name, result.name))
