"""Bit-error rates that networks tolerate, searched as `accelsim tolerate` does.

::

    kind: tolerance
    all: {hardware: edge_16x16, images: 500}           # what all searches share
    runs:
      plain: {workload: fashion_cnn}
      boosted: {workload: fashion_cnn_boosted}
    value: boosted.rate / plain.rate

A search has the keys hardware, workload, set, images, fine_images, modules, error_model, drop, correction, fine.
Figures: ``rate`` (highest tolerable one), ``baseline``, ``clean``, ``target`` (accuracies); with ``fine: true``
``highest`` is the rate of the tensor that tolerates most, tensors are mapped to the partitions of the machine, and
``mapped_loss``, ``mapped_accuracy`` and ``mapped_saving`` say
what accuracy that costs and what share of the DRAM's energy it saves over memory at the datasheet's operating point.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from accelsim.errors import ConfigError
from accelsim.explore.expression import parse_expression
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.pipeline import simulate
from accelsim.tolerate import ToleranceRequest, tolerate
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.expressions import evaluate
from accelsim.validation.runs import Changes, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench

_FIGURES = ("rate", "baseline", "clean", "target", "mapped_loss", "mapped_accuracy", "mapped_saving", "highest")
_Count = Annotated[int, Field(ge=1)]


class SearchRecord(Subject):
    """A search, or what differs from one."""

    images: _Count | None = None
    fine_images: _Count | None = None
    modules: _Count | None = None
    error_model: Literal["uniform", "bitline", "wordline", "data_dependent"] | None = None
    drop: Annotated[float, Field(gt=0, lt=1)] | None = None
    correction: Literal["zero", "saturate", "none"] | None = None
    fine: bool | None = None

    @property
    def request(self) -> ToleranceRequest:
        """What `accelsim.tolerate` takes."""
        names = ("images", "fine_images", "modules", "drop", "correction")
        stated = {name: value for name in names if (value := getattr(self, name)) is not None}
        return ToleranceRequest(kinds=(self.error_model or "uniform",), fine=bool(self.fine), **stated)


class Tolerance(Experiment):
    """An expression over what searches find."""

    noise: ClassVar[float] = 0.3
    """A search ends at another rate when one image more is right, which depends on how a processor rounds."""

    kind: Literal["tolerance"]
    all: SearchRecord = SearchRecord()
    runs: Annotated[dict[str, SearchRecord], Field(min_length=1)]
    set: Changes = Field(default_factory=dict)
    value: str

    @property
    def group(self) -> str:
        """The machine."""
        return f"tolerance {self.all.hardware}"

    def check(self, where: Path) -> None:
        """Find mistakes in machines, networks and expression."""
        for name in parse_expression(self.value, where, "experiment.value").names:
            side, _, figure = name.partition(".")
            if side not in self.runs or figure not in _FIGURES:
                allowed = f"a run ({', '.join(self.runs)}), a dot and one of {', '.join(_FIGURES)}"
                raise ConfigError("is no figure of a search", where=where, key="experiment.value", value=name,
                                  allowed=allowed)  # fmt: skip
        for name in self.runs:
            self._search(name).check(where)

    def conduct(self, bench: Bench) -> Outcome:
        """Search all."""
        figures = {name: self._figures(self._search(name), bench) for name in self.runs}
        value = evaluate(self.value, figures, bench.where, "experiment.value")
        points = tuple(Point(name, found["rate"]) for name, found in figures.items())
        notes = [
            f"{name}: {found['rate']:.3g} of the bits may be wrong; {found['baseline']:.1%} right in float32, "
            f"{found['clean']:.1%} as stored, {found['target']:.1%} asked for."
            for name, found in figures.items()
        ]
        notes += [
            f"{name}, mapped: {found['mapped_accuracy']:.1%} right, {found['mapped_saving']:.1%} of the DRAM's energy "
            "saved." for name, found in figures.items() if "mapped_accuracy" in found
        ]  # fmt: skip
        return Outcome(value, points, (), None, tuple(notes), "")

    def _search(self, name: str) -> SearchRecord:
        return self.runs[name].over(self.all.over(SearchRecord(set=self.set)))

    def _figures(self, search: SearchRecord, bench: Bench) -> dict[str, float]:
        document = search.model_dump(mode="json", exclude_unset=True)
        key = json.dumps([document, search.machine(bench.where).resolved(), bench.files(document)], sort_keys=True)

        def searched() -> dict[str, Any]:
            return self._searched(search, bench)

        return bench.once("tolerance", key, searched)

    def _searched(self, search: SearchRecord, bench: Bench) -> dict[str, float]:
        machine, network = search.machine(bench.where), search.graph(bench.where)
        found = tolerate(machine, network, search.request)
        figures = {
            "rate": found.coarse[0].rate, "baseline": found.baseline, "clean": found.clean, "target": found.target,
        }  # fmt: skip
        if not search.fine:
            return figures
        figures["highest"] = max((tensor.rate for tensor in found.tensors), default=0.0)
        overrides = [f"mapping.partitions={json.dumps(found.overlay()['mapping']['partitions'])}"]
        request = AccuracyRequest(
            wanted=True, samples=search.request.images, seeds=search.request.modules,
            correction=search.request.correction,
        )  # fmt: skip
        mapped = simulate(machine, network, overrides=overrides, accuracy=request)
        plain = simulate(machine, network, overrides=["dram.partitions=[]", "mapping.partitions={}",
                                                      "dram.bit_errors=null"], accuracy=False)  # fmt: skip
        if mapped.accuracy is not None:
            figures |= {
                "mapped_accuracy": mapped.accuracy.value,
                "mapped_loss": mapped.accuracy.baseline - mapped.accuracy.value,
                "mapped_saving": 1 - mapped.totals.dram_energy_pj / plain.totals.dram_energy_pj,
            }
        return figures
