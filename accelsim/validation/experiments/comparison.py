"""Two machines, or two variants, on one network or several.

::

    kind: comparison
    baseline: {hardware: diannao_1k}
    candidate: {hardware: smartexchange, set: {dram.channels: 2}}
    others: {scnn: {hardware: scnn_1k}}               # optional: further runs that the expression reads
    all: {batch: 1, workload: resnet50}               # optional: what all runs share
    set: {precision.ifmap_bits: 8}                    # optional: changes of all machines
    cases: [vgg11, {name: b4, claimed: 2.2, all: {workload: vgg16, batch: 4}, candidate: {...}}]
    only: [vgg11]                                     # optional: cases that are run
    layers: {ops: [conv], names: ["conv*"]}           # optional: figures of these layers alone
    value: baseline.latency_ns / candidate.latency_ns
    aggregate: geometric_mean                         # mean, geometric_mean, max, min, sum, range; or, of cases
                                                      # with `claimed`: mean_error, worst_error, mean_difference,
                                                      # worst_difference, mismatches
    then: 1 - value                                   # optional: of what the cases come to

A run has the keys hardware, workload, batch, set, seed, and what an annotated workload may state: statistics, skip,
training; ``accuracy: {images: 500}`` has it measured. A case that is a word is the workload of that name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from accelsim.config.model import Record
from accelsim.errors import ConfigError
from accelsim.validation.aggregates import Aggregate, aggregate, ratio_of
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.expressions import check_expression, check_finish, evaluate, finish
from accelsim.validation.figures import breakdowns
from accelsim.validation.runs import Changes, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench


class LayerChoice(Record):
    """Layers that count, by patterns of their names and by their operators."""

    names: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()


class Case(Record):
    """One network, or whatever else varies."""

    name: Annotated[str, Field(min_length=1)]
    claimed: float | None = None
    """What is published of this case alone."""
    all: RunRecord = RunRecord()
    baseline: RunRecord = RunRecord()
    candidate: RunRecord = RunRecord()
    others: dict[str, RunRecord] = Field(default_factory=dict)


def _case(value: object) -> object:
    return {"name": value, "all": {"workload": value}} if isinstance(value, str) else value


class Comparison(Experiment):
    """Figures of a baseline and a candidate, set against each other."""

    kind: Literal["comparison"]
    baseline: RunRecord
    candidate: RunRecord
    others: dict[str, RunRecord] = Field(default_factory=dict)
    all: RunRecord = RunRecord()
    set: Changes = Field(default_factory=dict)
    cases: tuple[Annotated[Case, BeforeValidator(_case)], ...] = (Case(name="all"),)
    only: tuple[str, ...] | None = None
    layers: LayerChoice = LayerChoice()
    value: str
    aggregate: Aggregate = "geometric_mean"
    then: str | None = None

    @model_validator(mode="after")
    def _names_its_cases(self) -> Self:
        chosen_names(self.only, [case.name for case in self.cases])
        for case in self.cases:
            for side in case.others:
                if side not in self.others:
                    message = f"case {case.name!r} changes {side!r}, which is none of the others"
                    raise ValueError(message)
        return self

    def check(self, where: Path) -> None:
        """Find names that are none, and keys that machines do not have."""
        check_expression(self.value, self.sides, where, "experiment.value")
        check_finish(self.then, where, "experiment.then")
        for case in self.cases:
            for side in self.sides:
                self.run_of(case, side).check(where)

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the runs of a case."""
        return ("baseline", "candidate", *self.others)

    @property
    def group(self) -> str:
        """Machines that run."""
        return f"{self.baseline.hardware or self.all.hardware} {self.candidate.hardware or self.all.hardware}"

    def run_of(self, case: Case, side: str) -> RunRecord:
        """One run: what all share, then the side, then the case."""
        stated = self.others[side] if side in self.others else getattr(self, side)
        own = case.others.get(side, RunRecord()) if side in self.others else getattr(case, side)
        return own.over(case.all.over(stated.over(self.all.over(RunRecord(set=self.set)))))

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate all cases."""
        points, seen = [], {side: [] for side in self.sides}  # type: ignore[var-annotated]
        for case in self.cases:
            if self.only is not None and case.name not in self.only:
                continue
            figures = {}
            for side in self.sides:
                run = bench.figures(self.run_of(case, side))
                figures[side] = run.of_layers(self.layers.names, self.layers.ops)
                if not figures[side]:
                    raise ConfigError("chooses no layer", where=bench.where, key="experiment.layers",
                                      value=case.name)  # fmt: skip
                seen[side].append(figures[side])
            value = evaluate(self.value, figures, bench.where, "experiment.value")
            points.append(Point(case.name, value, case.claimed))
        found = aggregate(points, self.aggregate)
        return Outcome(_finished(found, self.then, bench), tuple(points), breakdowns(seen),
                       ratio_of(points, self.aggregate))  # fmt: skip


def _finished(found: float | tuple[float, float], then: str | None, bench: Bench) -> float | tuple[float, float]:
    if isinstance(found, tuple):
        ends = sorted(finish(then, end, bench.where, "experiment.then") for end in found)
        return ends[0], ends[1]
    return finish(then, found, bench.where, "experiment.then")


def chosen_names(only: tuple[str, ...] | None, known: list[str]) -> None:
    """Refuse choices that there are not, and names that stand twice.

    Raises
    ------
    ValueError
        When there is one.
    """
    twice = [name for name in known if known.count(name) > 1]
    if twice:
        message = f"{twice[0]!r} stands twice"
        raise ValueError(message)
    for name in only or ():
        if name not in known:
            message = f"only: {name!r} is none of {', '.join(known)}"
            raise ValueError(message)
