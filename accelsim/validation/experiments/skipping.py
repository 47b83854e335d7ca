"""What skipping saves on a machine, with the networks of `accelsim study ddi`.

::

    kind: skipping
    hardware: eyeriss
    networks: [resnet74_cifar]        # SkipNet's, with decisions drawn at the published rate, or the project's own
    policy: wait                      # what is fetched before a decision: wait, speculate_weights, speculate
    set: {dram.channels: 2}
    value: 1 - gated.latency_ns / plain.latency_ns    # or `open`: gates decide, but every block runs
    aggregate: mean
    accuracy_margin: 0.01             # optional: only networks whose accuracy is at most so far below the plain one's
    claimed: {resnet74_cifar: 0.4766}
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from accelsim.errors import ConfigError
from accelsim.pipeline import simulate
from accelsim.validation.aggregates import Aggregate, aggregate, ratio_of
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.expressions import check_expression, evaluate
from accelsim.validation.figures import RunFigures, breakdowns, run_figures
from accelsim.validation.gated_networks import NETWORKS, all_open, gated_case
from accelsim.validation.runs import Changes, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench
    from accelsim.validation.gated_networks import GatedCase
    from accelsim.workload.graph import LayerGraph

_SIDES = ("plain", "gated", "open")


class Skipping(Experiment):
    """Gated networks against the same ones without gates."""

    kind: Literal["skipping"]
    hardware: str
    networks: Annotated[tuple[str, ...], Field(min_length=1)]
    policy: Literal["wait", "speculate_weights", "speculate"] = "wait"
    set: Changes = Field(default_factory=dict)
    value: str
    aggregate: Aggregate = "mean"
    accuracy_margin: Annotated[float, Field(ge=0, le=1)] | None = None
    claimed: dict[str, float] = Field(default_factory=dict)

    @property
    def group(self) -> str:
        """The machine."""
        return f"skipping {self.hardware}"

    def check(self, where: Path) -> None:
        """Find mistakes in machine, networks and expression."""
        check_expression(self.value, _SIDES, where, "experiment.value")
        RunRecord(hardware=self.hardware, set=self.set).machine(where)
        for name in (*self.networks, *self.claimed):
            if name not in NETWORKS:
                raise ConfigError("is no network of the study", where=where, key="experiment.networks", value=name,
                                  allowed=", ".join(NETWORKS))  # fmt: skip

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate the networks without gates, with them, and with gates that are always open."""
        points, notes = [], []
        seen: dict[str, list[dict[str, float]]] = {"plain": [], "gated": []}
        for name in self.networks:
            case = gated_case(name)
            if self.accuracy_margin is not None and case.accuracy < case.base_accuracy - self.accuracy_margin:
                notes.append(f"{name} is left out: {case.accuracy:.1%} right, {case.base_accuracy:.1%} without gates.")
                continue
            sides = {
                "plain": self._plain(case, bench) | {"accuracy": case.base_accuracy},
                "gated": self._figures(name, "gated", case.graph, bench) | {"accuracy": case.accuracy},
            }
            if "open." in self.value:
                sides["open"] = self._figures(name, "open", all_open(case.graph), bench)
            for side, entries in seen.items():
                entries.append(sides[side])
            value = evaluate(self.value, sides, bench.where, "experiment.value")
            points.append(Point(name, value, self.claimed.get(name)))
        if not points:  # no gated network is accurate enough: nothing is saved at that accuracy
            same = self._plain(case, bench)
            points.append(Point("none is accurate enough", evaluate(
                self.value, dict.fromkeys(_SIDES, same), bench.where, "experiment.value")))  # fmt: skip
        found = aggregate(points, self.aggregate)
        return Outcome(found, tuple(points), breakdowns(seen), ratio_of(points, self.aggregate), tuple(notes))

    def _plain(self, case: GatedCase, bench: Bench) -> dict[str, float]:
        return bench.figures(RunRecord(hardware=self.hardware, workload=case.base.name, set=self.set)).totals

    def _figures(self, name: str, form: str, graph: LayerGraph, bench: Bench) -> dict[str, float]:
        changes = {**self.set, "control.prefetch": self.policy}
        machine = RunRecord(hardware=self.hardware, set=changes).machine(bench.where)

        def simulated() -> dict[str, Any]:
            result = simulate(machine, graph, accuracy=False, solutions=bench.solutions)
            return run_figures(result).to_dict()

        key = json.dumps([name, form, machine.resolved(), bench.files([name])], sort_keys=True)
        return dict(RunFigures.from_dict(bench.once("skipping", key, simulated)).totals)
