"""EDEN's evaluation: DRAM energy and time with voltage and tRCD as far down as its networks bear.

::

    kind: operating_points
    platform: CPU                     # of `accelsim study eden`; or a machine:
    hardware: eden_eyeriss            # instead of a platform
    networks: [yolov3, vgg16]         # optional: those of the platform where left out
    precisions: [int8]                # optional: fp32, int8
    set: {dram.voltage_exponents.activate: 2}
    variant: both                     # vdd, trcd, both: what is lowered
    reductions: table_3               # or {vdd_v: 0.3, trcd_ps: 5500}; ideal: a tRCD of one cycle
    exponent: 1.0                     # optional: of all components, how energy follows the voltage
    quantity: energy_saving           # energy_saving, speedup (less 1); system_energy_saving: of all energy
    layers: {ops: [conv]}             # optional
    aggregate: geometric_mean         # of what is left, or of the speedups; max, min, range, or an error
    claimed: {yolov3_tiny int8: 0.417}   # optional: what is published of single cases
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.dram import OperatingPoint, VoltageExponents, whole_memory_at
from accelsim.config.model import Record
from accelsim.errors import ConfigError
from accelsim.hardware.dram.controller import Dram
from accelsim.validation.aggregates import Aggregate, aggregate, ratio_of
from accelsim.validation.eden_study import PLATFORMS, TABLE_3, Platform, Reductions, reduced_point
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.experiments.comparison import LayerChoice
from accelsim.validation.figures import breakdowns
from accelsim.validation.runs import Changes, RunRecord, stated_changes

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench

Precision = Literal["fp32", "int8"]


class ReductionsRecord(Record):
    """How far voltage and activation time are lowered."""

    vdd_v: Annotated[float, Field(ge=0, le=2)] = 0.0
    trcd_ps: Annotated[int, Field(ge=0)] = 0


class OperatingPoints(Experiment):
    """Gains of lower voltage and shorter tRCD."""

    kind: Literal["operating_points"]
    platform: Literal["CPU", "GPU", "Eyeriss, DDR4", "TPU, DDR4", "Eyeriss, LPDDR3", "TPU, LPDDR3"] | None = None
    hardware: str | None = None
    networks: tuple[str, ...] | None = None
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    batch: Annotated[int, Field(ge=1)] | None = None
    set: Changes = Field(default_factory=dict)
    variant: Literal["vdd", "trcd", "both"] = "both"
    reductions: ReductionsRecord | Literal["table_3", "ideal"] = "table_3"
    exponent: Annotated[float, Field(ge=0, le=4)] | None = None
    quantity: Literal["energy_saving", "speedup", "system_energy_saving"]
    layers: LayerChoice = LayerChoice()
    aggregate: Aggregate = "geometric_mean"
    claimed: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_cases(self) -> Self:
        if (self.platform is None) == (self.hardware is None):
            raise ValueError("needs platform or hardware, one of the two")
        if self.hardware is not None and self.networks is None:
            raise ValueError("hardware needs networks")
        cases = [name for name, *_ in self.cases]
        if not cases:
            raise ValueError("networks and precisions leave no case of the platform")
        for name in self.claimed:
            if name not in cases:
                message = f"claimed: {name!r} is none of {', '.join(cases)}"
                raise ValueError(message)
        return self

    @property
    def cases(self) -> list[tuple[str, str, Precision]]:
        """Name, network and precision of each case."""
        stated = self._platform
        known = [(network, "int8") for network in self.networks or ()] if stated is None else list(stated.workloads)
        return [
            (f"{network} {precision}", network, precision)
            for network, precision in known
            if precision in self.precisions and (self.networks is None or network in self.networks)
        ]

    @property
    def _platform(self) -> Platform | None:
        return next((entry for entry in PLATFORMS if entry.name == self.platform), None)

    @property
    def group(self) -> str:
        """The machine."""
        return self.hardware or (self._platform.hardware if self._platform else "")

    def check(self, where: Path) -> None:
        """Find networks without reductions, and machines that are none."""
        for _, network, precision in self.cases:
            if self.reductions == "table_3" and network not in TABLE_3[precision]:
                raise ConfigError(
                    f"table 3 has no reductions for it in {precision}", where=where, key="experiment.networks",
                    value=network, allowed=", ".join(TABLE_3[precision]),
                )  # fmt: skip
        _, network, precision = self.cases[0]
        self._base(network, precision).check(where)

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate each case at the datasheet's operating point and at the lowered one."""
        points, seen = [], {"datasheet": [], "lowered": []}  # type: ignore[var-annotated]
        left = []
        for name, network, precision in self.cases:
            base = self._base(network, precision)
            lowered = RunRecord(set=self._lowered(base, network, precision, bench)).over(base)
            found = [bench.figures(run).of_layers(self.layers.names, self.layers.ops) for run in (base, lowered)]
            if not all(found):
                raise ConfigError("chooses no layer", where=bench.where, key="experiment.layers", value=name)
            for side, figures in zip(seen, found, strict=True):
                seen[side].append(figures)
            figure = {"energy_saving": "dram_energy_pj", "speedup": "latency_ns", "system_energy_saving": "energy_pj"}
            share = found[1][figure[self.quantity]] / found[0][figure[self.quantity]]
            left.append(Point(name, share))
            points.append(Point(name, self._gain(share), self.claimed.get(name)))
        if self.aggregate == "geometric_mean":
            mean = aggregate(left, "geometric_mean")
            value: float | tuple[float, float] = self._gain(mean if isinstance(mean, float) else mean[0])
        else:
            value = aggregate(points, self.aggregate)
        return Outcome(value, tuple(points), breakdowns(seen), ratio_of(points, self.aggregate), (), "%")

    def _gain(self, left: float) -> float:
        return 1 / left - 1 if self.quantity == "speedup" else 1 - left

    def _base(self, network: str, precision: str) -> RunRecord:
        platform = self._platform
        changes: dict[str, Any] = {}
        hardware = self.hardware
        if platform is not None:
            hardware = platform.hardware if precision == "int8" else f"{platform.hardware}_{precision}"
            changes = stated_changes(platform.overrides_for(network))
        if self.exponent is not None:
            names = VoltageExponents.model_fields
            changes |= {f"dram.voltage_exponents.{name}": self.exponent for name in names}
        return RunRecord(hardware=hardware, workload=network, batch=self.batch, set={**changes, **self.set})

    def _lowered(self, base: RunRecord, network: str, precision: str, bench: Bench) -> dict[str, Any]:
        """Changes that lower the operating point of the whole memory."""
        if self.reductions == "ideal":
            point = OperatingPoint(tRCD_ps=1)  # rounded up to a cycle of the memory's clock
        else:
            stated = self.reductions
            by_how_much = (
                TABLE_3[precision][network] if isinstance(stated, str) else Reductions(stated.vdd_v, stated.trcd_ps)
            )
            both = reduced_point(Dram(base.machine(bench.where).dram), by_how_much)
            point = {
                "vdd": OperatingPoint(vdd_v=both.vdd_v), "trcd": OperatingPoint(tRCD_ps=both.tRCD_ps), "both": both,
            }[self.variant]  # fmt: skip
        return stated_changes([whole_memory_at(point)])
