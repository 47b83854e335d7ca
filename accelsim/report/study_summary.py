"""Shows a study in the terminal, and how far it has come while it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.text import Text

from accelsim.explore.fidelity import estimate_errors
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED
from accelsim.report import quantities
from accelsim.report.labels import printable
from accelsim.report.metric_words import metric_title, short_names, written
from accelsim.report.study_page import study_metrics
from accelsim.report.tables import listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType
    from rich.progress import Progress as Bar

    from accelsim.explore.study import Progress, StudyResult
    from accelsim.explore.transfer import Transfer
    from accelsim.explore.trial import TrialRecord

_MOST_SHOWN = 10


class StudyProgress:
    """A bar on standard error with the rate of evaluations; nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show how far the study has come."""
        if not self._watched:
            return
        if self._bar is None:
            self._bar = _started_bar()
        rate = progress.evaluations / progress.elapsed_s if progress.elapsed_s else 0.0
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        self._bar.update(
            self._bar.task_ids[0], total=progress.wanted, completed=progress.finished,
            rate=f"{progress.finished:,} of {progress.wanted:,}{failed}, {rate:.1f} points/s",
        )  # fmt: skip


def _started_bar() -> Bar:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("exploring"), BarColumn(), TextColumn("{task.fields[rate]}", markup=False),
               TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("", total=None, rate="")
    bar.start()
    return bar


def study_summary(
    result: StudyResult,
    front: Sequence[TrialRecord],
    folder: Path,
    runs: Sequence[Path] = (),
    transfer: Transfer | None = None,
) -> RenderableType:
    """Counts, the front as a table, the error of estimates, and where the files are."""
    states = [record.state for record in result.trials]
    counts = [f"{states.count(COMPLETE):,} complete", f"{states.count(FAILED):,} failed"]
    if states.count(PRUNED):
        counts.append(f"{states.count(PRUNED):,} not worth simulating")
    rate = result.evaluations / result.elapsed_s if result.elapsed_s else 0.0
    parts: list[RenderableType] = [
        Text.assemble((printable(result.name), "bold"), f": {quantities.counted(len(states), 'point')}, ",
                      ", ".join(counts), overflow="fold"),
        Text(f"{quantities.counted(result.evaluations, 'evaluation')} in {result.elapsed_s:.1f} s, {rate:.1f}/s"),
    ]  # fmt: skip
    if result.exhausted:
        parts.append(Text("The space holds no further point that meets the conditions."))
    failures = [record for record in result.trials if record.state == FAILED]
    if failures:
        shown = printable(failures[0].error or "")
        parts.append(Text(f"First failure, trial {failures[0].index}: {shown}", style="yellow", overflow="fold"))
    parts += [Text(), _front_table(result, front)]
    errors = estimate_errors(result.trials, study_metrics(result)) if result.plan.estimates else []
    for entry in errors:
        ranks = "" if entry.spearman is None else f", rank correlation {entry.spearman:.3f}"
        parts.append(
            Text(f"Estimated {metric_title(entry.metric).lower()}: median error {quantities.share(entry.median_ape)}, "
                 f"largest {quantities.share(entry.max_ape)}{ranks} over {entry.points:,} points", overflow="fold")
        )  # fmt: skip
    if transfer is not None:
        parts += _transfer_lines(transfer)
    parts.append(Text(f"Study folder: {folder} (open report.html)", overflow="fold"))
    if runs:
        parts.append(Text(f"Compare: accelsim compare {' '.join(str(run) for run in runs)}", overflow="fold"))
    return Group(*parts)


def _front_table(result: StudyResult, front: Sequence[TrialRecord]) -> RenderableType:
    if not front:
        return Text("No point meets the conditions.", style="yellow")
    shown = front[:_MOST_SHOWN]
    objectives = result.space.objectives
    varied = [path for path in shown[0].point if len({str(record.point[path]) for record in shown}) > 1]
    names = short_names(list(shown[0].point))
    headings = [("trial", False), *((metric_title(name), False) for name in objectives), ("design", True)]
    rows = [
        (
            str(record.index),
            *(written(name, record.metrics[name]) for name in objectives),
            ", ".join(f"{names[path]} {_plain(record.point[path])}" for path in varied or record.point),
        )
        for record in shown
    ]
    same = [f"{path} {_plain(shown[0].point[path])}" for path in shown[0].point if varied and path not in varied]
    parts: list[RenderableType] = [Text("Pareto front", style="bold"), listing(headings, rows)]
    if same:
        parts.append(Text(f"All of these: {', '.join(same)}", overflow="fold"))
    if len(front) > len(shown):
        parts.append(Text(f"... {len(front) - len(shown):,} more on the front"))
    return Group(*parts, Text())


def _plain(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _transfer_lines(transfer: Transfer) -> list[RenderableType]:
    ranks = (
        "too few designs in common for ranks"
        if transfer.spearman is None or transfer.kendall is None
        else f"Spearman {transfer.spearman:.3f}, Kendall {transfer.kendall:.3f}"
    )
    lines: list[RenderableType] = [
        Text(f"{metric_title(transfer.metric)} against {printable(transfer.source)}: {transfer.matched:,} designs in "
             f"common, {ranks}", overflow="fold")
    ]  # fmt: skip
    lines += [
        Text(f"Predictor of {printable(transfer.source)}, adapted on {entry.points} points: median error "
             f"{quantities.share(entry.transferred_ape)}; those points alone: {quantities.share(entry.alone_ape)}",
             overflow="fold")
        for entry in transfer.adapted
    ]  # fmt: skip
    return lines
