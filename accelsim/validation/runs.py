"""Runs as claim files state them: a machine, a network, what is known of its values, what is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from accelsim.config.loader import load_hardware
from accelsim.config.model import Record
from accelsim.errors import ConfigError
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.pipeline import simulate
from accelsim.strict_yaml import parse_yaml
from accelsim.validation.figures import run_figures
from accelsim.workload.annotated import StatisticsTable, annotate
from accelsim.workload.loader import load_workload
from accelsim.workload.skip_annotation import SkipRecord
from accelsim.workload.training import TrainingRecord, training_step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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


class Subject(Record):
    """A network on a machine, or what differs from one; names of files count from the folder of the claim file."""

    hardware: str | None = None
    workload: str | None = None
    set: Changes = Field(default_factory=dict)

    def over(self, base: Self) -> Self:
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
        return load_hardware(_beside(_stated(self.hardware, "hardware", where), where), self._overrides)

    def graph(self, where: Path) -> LayerGraph:
        """The network.

        Raises
        ------
        InputError
            When none is named, or it is wrong.
        """
        return named_network(_stated(self.workload, "workload", where), where)

    def check(self, where: Path) -> None:
        """Find mistakes in the names of both and in keys of the machine, without running anything.

        Raises
        ------
        InputError
            When there is one.
        """
        hardware = _stated(self.hardware, "hardware", where)
        if _is_path(hardware):
            self.machine(where)
        else:
            _check_shipped_machine(hardware, self._overrides)
        check_network(_stated(self.workload, "workload", where), where)

    @property
    def _overrides(self) -> tuple[str, ...]:
        return tuple(f"{key}={json.dumps(value)}" for key, value in self.set.items())


class RunRecord(Subject):
    """A run, or what differs from one."""

    batch: _Count | None = None
    statistics: StatisticsTable | None = None
    skip: SkipRecord | None = None
    training: TrainingRecord | None = None
    accuracy: AccuracyRecord | None = None
    seed: Annotated[int, Field(ge=0)] | None = None

    def network(self, where: Path) -> LayerGraph:
        """The network with its annotations.

        Raises
        ------
        InputError
            When none is named, or it is wrong.
        """
        graph = self.graph(where)
        records = {"statistics": self.statistics, "skip": self.skip, "training": self.training}
        document = {key: record.model_dump(exclude_unset=True) for key, record in records.items() if record is not None}
        if self.batch is not None:
            graph = graph.with_batch(self.batch)
        if not document:
            return graph
        head = {"accelsim_workload": 1, "network": graph.name, "name": graph.name}
        return annotate({**head, **document}, where, graph)

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


def named_network(name: str, where: Path) -> LayerGraph:
    """A network that a claim file names.

    Raises
    ------
    WorkloadError
        When there is none, or it is wrong.
    """
    return load_workload(_beside(name, where))


def check_network(name: str, where: Path) -> None:
    """Find out whether a network that a claim file names can be loaded; those that ship are loaded once.

    Raises
    ------
    WorkloadError
        When it cannot.
    """
    if _is_path(name):
        named_network(name, where)
    else:
        _check_shipped_network(name)


@cache
def _check_shipped_network(name: str) -> None:
    load_workload(name)


@cache
def _check_shipped_machine(source: str, overrides: tuple[str, ...]) -> None:
    load_hardware(source, overrides)


def stated_changes(overrides: Iterable[str]) -> Changes:
    """Changes of a machine that are given as for ``--set``."""
    pairs = (text.partition("=") for text in overrides)
    return {key: parse_yaml(value, key, ConfigError) for key, _, value in pairs}


def _stated(name: str | None, key: str, where: Path) -> str:
    if name is None:
        raise ConfigError(f"names no {key}", where=where, key="experiment")
    return name


def _beside(name: str, where: Path) -> str:
    """A name, or, where it is a path, the path as seen from the claim file."""
    return str(where.parent / name) if _is_path(name) else name


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml", ".onnx", ".csv"))
