"""SmartExchange's comparison of five machines, with the workloads of `accelsim study smartdeal`.

::

    kind: smartexchange
    networks: [vgg11, resnet50]        # optional: all seven where left out
    of: SmartExchange                  # DianNao, SCNN, Cambricon-X, Bit-pragmatic, SmartExchange, PoT only,
    over: [DianNao, SCNN]              # bit-serial only
    value: over.energy_pj / of.energy_pj
    aggregate: max
    ifmap: {density: 0.5, booth_digits: 1.36}   # optional: what is stated of feature maps
    sparsity: {vgg11: 0.86}            # optional: share of zero coefficients, instead of the study's
    set: {dram.channels: 2}            # optional: changes of all machines
    claimed: {vgg11 over DianNao: 19.2}         # optional

A case is a network and a machine it is compared over; `of` alone may be read, too, with ``over: [DianNao]``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from accelsim.errors import ConfigError
from accelsim.validation import smartdeal_study as study
from accelsim.validation.aggregates import Aggregate, aggregate, ratio_of
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.expressions import check_expression, evaluate
from accelsim.validation.figures import breakdowns
from accelsim.validation.runs import Changes, RunRecord
from accelsim.workload.annotated import StatisticsRecord, StatisticsTable

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench

Machine = Literal[
    "DianNao", "SCNN", "Cambricon-X", "Bit-pragmatic", "SmartExchange", "PoT only", "bit-serial only"
]  # fmt: skip
_MACHINES = {machine.name: machine for machine in (*study.MACHINES, *study.ABLATIONS)}


class SmartExchange(Experiment):
    """Ratios between the machines of the comparison."""

    kind: Literal["smartexchange"]
    networks: tuple[str, ...] | None = None
    of: Machine = "SmartExchange"
    over: Annotated[tuple[Machine, ...], Field(min_length=1)] = ("DianNao",)
    value: str
    aggregate: Aggregate
    ifmap: StatisticsRecord = StatisticsRecord.model_validate(study.STATED_IFMAP)
    sparsity: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(default_factory=dict)
    set: Changes = Field(default_factory=dict)
    claimed: dict[str, float] = Field(default_factory=dict)

    def check(self, where: Path) -> None:
        """Find networks that the study does not have, and wrong expressions."""
        check_expression(self.value, ("of", "over"), where, "experiment.value")
        known = [network.name for network in study.NETWORKS]
        for key, names in (("networks", self.networks or ()), ("sparsity", tuple(self.sparsity))):
            for name in names:
                if name not in known:
                    raise ConfigError("is no network of the study", where=where, key=f"experiment.{key}", value=name,
                                      allowed=", ".join(known))  # fmt: skip
        for machine in (self.of, *self.over):
            RunRecord(hardware=_MACHINES[machine].hardware, set=self.set).machine(where)

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate all machines on all networks."""
        points = []
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in (self.of, *self.over)}
        for network in study.NETWORKS:
            if self.networks is not None and network.name not in self.networks:
                continue
            stated = replace(network, sparsity=self.sparsity.get(network.name, network.sparsity))
            figures = {name: bench.figures(self._run(name, stated)).totals for name in seen}
            for name, found in figures.items():
                seen[name].append(found)
            for other in self.over:
                sides = {"of": figures[self.of], "over": figures[other]}
                case = f"{network.name} over {other}"
                value = evaluate(self.value, sides, bench.where, "experiment.value")
                points.append(Point(case, value, self.claimed.get(case)))
        came = aggregate(points, self.aggregate)
        return Outcome(came, tuple(points), breakdowns(seen), ratio_of(points, self.aggregate))

    def _run(self, name: str, network: study.StudyNetwork) -> RunRecord:
        machine = _MACHINES[name]
        ifmap = self.ifmap.model_dump(exclude_unset=True)
        statistics = {"default": {"weight": study.stated_weights(network, machine.weights), "ifmap": ifmap}}
        return RunRecord(
            hardware=machine.hardware, workload=network.name, set=self.set,
            statistics=StatisticsTable.model_validate(statistics),
        )  # fmt: skip
