"""Runs as claim files state them: a machine, a network, what is known of its values, what is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from accelsim.config.loader import load_hardware
from accelsim.config.model import Record
from accelsim.errors import ConfigError
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.pipeline import simulate
from accelsim.validation.figures import run_figures
from accelsim.workload.annotated import StatisticsTable, annotate
from accelsim.workload.loader import load_workload
from accelsim.workload.skip_annotation import SkipRecord
from accelsim.workload.training import TrainingRecord, training_step

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.layer_tiler import TilingSolutions
    from accelsim.validation.figures import RunFigures
    from accelsim.workload.graph import LayerGraph

Changes = dict[str, Any]
"""Keys of a machine that differ, by their dotted names."""

_Count = Annotated[int, Field(ge=1)]


class AccuracyRecord(Record):
    """How accuracy is measured."""

    images: _Count = 1_000
    modules: _Count = 1
    correction: Literal["zero", "saturate", "none"] = "zero"
    arithmetic: Literal["float", "integer"] = "float"

    def request(self) -> AccuracyRequest:
        """What the pipeline takes."""
        return AccuracyRequest(
            wanted=True, samples=self.images, seeds=self.modules, correction=self.correction,
            arithmetic=self.arithmetic,
        )  # fmt: skip


class RunRecord(Record):
    """A run, or what differs from one; names of files count from the folder of the claim file."""

    hardware: str | None = None
    workload: str | None = None
    batch: _Count | None = None
    set: Changes = Field(default_factory=dict)
    statistics: StatisticsTable | None = None
    skip: SkipRecord | None = None
    training: TrainingRecord | None = None
    accuracy: AccuracyRecord | None = None
    seed: Annotated[int, Field(ge=0)] | None = None

    def over(self, base: RunRecord) -> RunRecord:
        """Lay this record over another one: its keys win, changes of the machine are joined."""
        stated = {name: value for name, value in self if value is not None and name != "set"}
        return base.model_copy(update={**stated, "set": {**base.set, **self.set}})

    def machine(self, where: Path) -> HardwareConfig:
        """The machine.

        Raises
        ------
        ConfigError
            When none is named, or it is wrong.
        """
        if self.hardware is None:
            raise ConfigError("names no hardware", where=where, key="experiment")
        overrides = [f"{key}={json.dumps(value)}" for key, value in self.set.items()]
        return load_hardware(beside(self.hardware, where), overrides)

    def network(self, where: Path) -> LayerGraph:
        """The network with its annotations.

        Raises
        ------
        InputError
            When none is named, or it is wrong.
        """
        if self.workload is None:
            raise ConfigError("names no workload", where=where, key="experiment")
        graph = load_workload(beside(self.workload, where))
        document: dict[str, Any] = {"accelsim_workload": 1, "network": graph.name, "name": graph.name}
        for name in ("statistics", "skip", "training"):
            record = getattr(self, name)
            if record is not None:
                document[name] = record.model_dump(exclude_unset=True)
        if self.batch is not None:
            graph = graph.with_batch(self.batch)
        return annotate(document, where, graph) if len(document) > 3 else graph

    def check(self, where: Path) -> None:
        """Find mistakes in names of presets and keys of the machine, without running anything.

        Raises
        ------
        InputError
            When there is one.
        """
        self.machine(where)
        if self.workload is None:
            raise ConfigError("names no workload", where=where, key="experiment")
        if self.workload_is_file:
            path = Path(beside(self.workload, where))
            if not path.exists():
                raise ConfigError("no such file", where=where, key="workload", value=self.workload)
        else:
            load_workload(self.workload)

    @property
    def workload_is_file(self) -> bool:
        """Whether the workload is named by a path."""
        return self.workload is not None and _is_path(self.workload)

    def simulated(self, where: Path, solutions: TilingSolutions) -> RunFigures:
        """Run it.

        Raises
        ------
        MissingDataError
            When accuracy is to be measured on images that are not there.
        InputError, RunError
            As `accelsim.pipeline.simulate`.
        """
        graph = self.network(where)
        more: dict[str, float] = {}
        request: AccuracyRequest | bool = False
        if self.accuracy is not None:
            request = self.accuracy.request()
        if graph.annotations.training is not None:
            step = training_step(graph)
            more |= {
                "state_bits": float(step.state_bits),
                "kept_bits": float(sum(tensor.elements * (tensor.bits or 8)
                                       for tensor in map(step.graph.tensors.__getitem__, step.kept))),
                "executed_batches": float(step.executed_batches),
            }  # fmt: skip
            graph = step.graph
        result = simulate(self.machine(where), graph, accuracy=request, seed=self.seed or 0, solutions=solutions)
        return run_figures(replace(result, profile=None), more)


def beside(name: str, where: Path) -> str:
    """A name, or, where it is a path, the path as seen from the claim file."""
    return str(where.parent / name) if _is_path(name) else name


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml", ".onnx", ".csv"))
