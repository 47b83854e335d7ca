"""The head of a study: asks a sampler for points, hands them to workers, stores and tells what comes back.

One process decides everything and writes the storage. Workers get plain data and give plain data, so how many there
are, and where, changes how long a study takes and nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from accelsim.errors import ConfigError, RunError
from accelsim.explore.fidelity import FidelityPlan, promising, sampled
from accelsim.explore.learning import LearningSampler
from accelsim.explore.preparation import task_of
from accelsim.explore.sampling import LEARNING, Proposal, fixed_points
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED, RUNNING, TrialRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from accelsim.explore.evaluation import Outcome, Task
    from accelsim.explore.space import Space
    from accelsim.explore.storage import StudyStorage

_AHEAD = 2
"""Tasks handed out per worker: one that runs, one that waits, so that no worker waits for the head."""


class Workers(Protocol):
    """Whatever evaluates tasks: processes of this machine, or of a cluster."""

    capacity: int

    @property
    def outstanding(self) -> int:
        """Tasks whose outcome has not been told."""
        ...

    def submit(self, number: int, task: Task) -> None:
        """Queue a task."""
        ...

    def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, Outcome]]:
        """Wait for outcomes, each with the number of its task."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a study has come.

    Parameters
    ----------
    finished, wanted
        Trials.
    failed
        Trials among the finished that failed.
    evaluations
        Evaluations since this run of the study began, estimates included.
    elapsed_s
        Seconds since then.
    """

    finished: int
    wanted: int
    failed: int
    evaluations: int
    elapsed_s: float


@dataclass(frozen=True)
class StudyResult:
    """A study as it stands.

    Parameters
    ----------
    name, space
        What was explored.
    plan
        Estimates, full simulations, or both.
    trials
        In the order of proposal.
    evaluations, elapsed_s
        Evaluations of this run of the study, and the seconds that they took.
    exhausted
        Whether it ended because the sampler found no further point.
    """

    name: str
    space: Space
    plan: FidelityPlan
    trials: tuple[TrialRecord, ...]
    evaluations: int
    elapsed_s: float
    exhausted: bool


@dataclass
class Head:
    """Runs a study.

    Parameters
    ----------
    space, storage, workers
        What is explored, where it is stored, and who does the work.
    plan
        Estimates, full simulations, or both.
    cache
        Folder and size of the cache that workers share; None for no cache.
    seed
        Seed of everything that a simulation draws.
    report
        Called after every outcome.
    """

    space: Space
    storage: StudyStorage
    workers: Workers
    plan: FidelityPlan
    cache: dict[str, Any] | None = None
    seed: int = 0
    report: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        self._records: dict[int, TrialRecord] = {}
        self._wanted = 0
        self._finished = 0
        self._failed = 0
        self._evaluations = 0
        self._begin = 0.0

    def run(self) -> StudyResult:
        """Run the study to its end, or on from where it stands.

        Raises
        ------
        InputError, RunError
            When the space holds no point, or the storage or the workers fail. What has finished is stored.
        """
        self._begin = time.monotonic()
        self._records = {record.index: record for record in self.storage.trials()}
        self._finished = sum(record.state != RUNNING for record in self._records.values())
        self._failed = sum(record.state == FAILED for record in self._records.values())
        exhausted = self._learn() if self.space.sampler in LEARNING else self._go_through()
        trials = tuple(self._records[index] for index in sorted(self._records))
        return StudyResult(
            name=self.storage.name, space=self.space, plan=self.plan, trials=trials, evaluations=self._evaluations,
            elapsed_s=time.monotonic() - self._begin, exhausted=exhausted,
        )  # fmt: skip

    def _go_through(self) -> bool:
        """Run the points of a sampler that does not learn; returns whether there were fewer than wanted."""
        proposals = fixed_points(self.space, self.space.trials)
        self._wanted = len(proposals)
        self._evaluate(proposals)
        return self.space.trials is not None and len(proposals) < self.space.trials

    def _learn(self) -> bool:
        """Run generation after generation; returns whether a generation came out empty."""
        sampler = LearningSampler(self.space)
        wanted = self._wanted = self.space.trials or 0
        while sampler.proposed < wanted:
            proposals = sampler.propose()
            if not proposals:
                return True
            self._evaluate([entry for entry in proposals if entry.index < wanted])
            if sampler.proposed <= wanted:
                sampler.tell([self._records[entry.index] for entry in proposals])
        return False

    # -- a batch of points ----------------------------------------------------------------------------------------

    def _evaluate(self, proposals: Sequence[Proposal]) -> None:
        """Bring points to their final state: the estimate first where the plan asks for it, then the simulation."""
        for entry in proposals:
            known = self._records.get(entry.index)
            if known is not None and known.point != entry.point:
                message = (
                    f"trial {entry.index} of study {self.storage.name!r} has another point than the sampler proposes; "
                    "the study was made with another version of Optuna"
                )
                raise RunError(message)
        if self.plan.estimates:
            todo = [entry for entry in proposals if not self._estimated(entry)]
            self._run(todo, "estimate", self._keep_estimate)
        chosen = self._chosen([self._records[entry.index] for entry in proposals]) if self.plan.estimates else None
        todo = []
        for entry in proposals:
            known = self._records.get(entry.index)
            if known is not None and known.state != RUNNING:
                continue
            if known is not None and chosen is not None and entry.index not in chosen:
                self._set_aside(known)
            else:
                todo.append(entry)
        self._run(todo, "full", self._finish)

    def _estimated(self, entry: Proposal) -> bool:
        known = self._records.get(entry.index)
        return known is not None and (known.state != RUNNING or bool(known.estimate))

    def _chosen(self, records: Sequence[TrialRecord]) -> set[int]:
        """Points to simulate in full."""
        usable = [record for record in records if record.estimate]
        if self.plan.mode == "estimate":
            return sampled([record.index for record in usable], self.plan.checked)
        return promising(usable, self.space, self.plan)

    def _run(self, entries: Iterable[Proposal], fidelity: str, done: Callable[[int, Outcome], None]) -> None:
        waiting = iter(entries)
        exhausted = False
        while True:
            while not exhausted and self.workers.outstanding < _AHEAD * self.workers.capacity:
                entry = next(waiting, None)
                if entry is None:
                    exhausted = True
                    break
                self._start(entry)
                self.workers.submit(entry.index, self._task(entry, fidelity))
            if exhausted and not self.workers.outstanding:
                return
            for index, outcome in self.workers.next_outcomes():
                self._evaluations += 1
                done(index, outcome)
                self._tell_progress()

    def _start(self, entry: Proposal) -> None:
        if entry.index not in self._records:
            record = TrialRecord(entry.index, entry.point, RUNNING)
            self.storage.start(record, self.space)
            self._records[entry.index] = record

    def _task(self, entry: Proposal, fidelity: str) -> Task:
        return task_of(self.space, entry.point, fidelity, seed=self.seed, cache=self.cache)

    # -- what came back -------------------------------------------------------------------------------------------

    def _keep_estimate(self, index: int, outcome: Outcome) -> None:
        record = self._records[index]
        if "error" in outcome:
            self._store(replace(record, state=FAILED, error=outcome["error"], wall_s=outcome["wall_s"]))
            return
        record = replace(record, estimate=outcome["metrics"])
        self.storage.estimated(record)
        self._records[index] = record

    def _finish(self, index: int, outcome: Outcome) -> None:
        record = self._records[index]
        if "error" in outcome:
            self._store(replace(record, state=FAILED, error=outcome["error"], wall_s=outcome["wall_s"]))
        else:
            self._store(self._complete(replace(record, wall_s=outcome["wall_s"]), outcome["metrics"]))

    def _set_aside(self, record: TrialRecord) -> None:
        """End a trial that is not simulated: on its estimate alone, or as not promising."""
        if self.plan.mode == "estimate":
            self._store(self._complete(record, record.estimate))
        else:
            self._store(replace(record, state=PRUNED))

    def _complete(self, record: TrialRecord, metrics: dict[str, float]) -> TrialRecord:
        missing = [name for name in self.space.objectives if name not in metrics]
        if missing:
            return replace(record, state=FAILED, error=f"the run has no {missing[0]}")
        try:
            violations = self.space.result_violations(record.point, metrics)
        except KeyError as problem:
            return replace(record, state=FAILED, error=f"the run has no {problem.args[0]}")
        except ConfigError as problem:
            return replace(record, state=FAILED, error=str(problem))
        return replace(record, state=COMPLETE, metrics=metrics, violations=violations)

    def _store(self, record: TrialRecord) -> None:
        self.storage.finish(record, self.space.objectives)
        self._records[record.index] = record
        self._finished += 1
        self._failed += record.state == FAILED

    def _tell_progress(self) -> None:
        if self.report is None:
            return
        self.report(
            Progress(
                finished=self._finished,
                wanted=self._wanted,
                failed=self._failed,
                evaluations=self._evaluations,
                elapsed_s=time.monotonic() - self._begin,
            )
        )
