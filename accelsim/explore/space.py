"""The design space: what a space file says, checked against the machine that it varies."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from accelsim.config.loader import load_hardware, merge
from accelsim.config.model import Record, validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError
from accelsim.explore.condition import Condition
from accelsim.explore.expression import Expression, parse_expression
from accelsim.explore.metrics import ACCURACY_METRICS, METRICS, config_metrics
from accelsim.explore.parameter import Choice, Parameter, Point, Scalar, parse_parameter
from accelsim.explore.paths import flatten, nearest, value_at, with_value
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLERS = ("grid", "random", "qmc", "tpe", "nsga2")
RUN_PATHS = ("workload", "batch")
"""Parameters that are no key of the machine: what runs on it."""
_FEW_TRIALS = 100
_SUFFIXES = (".yaml", ".yml")
_WORKLOAD_SUFFIXES = (*_SUFFIXES, ".onnx", ".csv")


class SpaceFile(Record):
    """A space file as it is written."""

    description: str = ""
    hardware: str = "systolic_32x32"
    """Machine that is varied: preset, or path from this file."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Keys of the machine that differ from it in all points."""
    workload: str | tuple[str, ...] = "resnet18"
    """What runs: name, path from this file, or several; times and energies are summed over them."""
    batch: int | None = Field(default=None, ge=1)
    """Samples per run; the workload's own where left out."""
    parameters: dict[str, Any] = Field(min_length=1)
    """By dotted path a list of values or a range."""
    derived: dict[str, Any] = Field(default_factory=dict)
    """Keys that follow from others: dotted path to expression."""
    constraints: tuple[str, ...] = ()
    """Conditions over dotted paths and metrics."""
    objectives: tuple[str, ...] = Field(default=("latency_ns", "energy_pj"), min_length=1)
    """Metrics to optimise, each in its natural direction."""
    sampler: Literal["grid", "random", "qmc", "tpe", "nsga2"] = "tpe"
    trials: int | None = Field(default=None, ge=1)
    """Points to evaluate; all of a grid, 100 of anything else where left out."""
    seed: int = Field(default=0, ge=0)
    generation: int = Field(default=32, ge=1, le=10_000)
    """Points that tpe and nsga2 propose at a time, whatever the number of workers."""


@dataclass(frozen=True)
class Space:
    """A checked design space.

    Parameters
    ----------
    name, where
        Name of the study, and the file for messages.
    base
        The resolved config that all points share, as plain data.
    workloads, batch
        What runs, and with how many samples.
    parameters, derived, conditions
        Dimensions, keys that follow from others, and what a point has to meet.
    objectives
        Names of metrics.
    sampler, trials, seed, generation
        How points are proposed and how many; `trials` is None for a whole grid.
    """

    name: str
    where: str
    description: str
    base: dict[str, Any]
    workloads: tuple[str, ...]
    batch: int | None
    parameters: tuple[Parameter, ...]
    derived: dict[str, Expression]
    conditions: tuple[Condition, ...]
    objectives: tuple[str, ...]
    sampler: str
    trials: int | None
    seed: int
    generation: int

    @cached_property
    def base_values(self) -> dict[str, Any]:
        """Every key of the base by its dotted path."""
        return flatten(self.base)

    @property
    def uses_accuracy(self) -> bool:
        """Whether an objective or a condition reads the accuracy."""
        read = {name for condition in self.conditions for name in condition.expression.names}
        return bool({*self.objectives, *read} & set(ACCURACY_METRICS))

    @property
    def content_hash(self) -> str:
        """Hash of all that decides which points there are and what they mean; not of how many are wanted."""
        content = {
            "base": {key: value for key, value in self.base.items() if key not in ("description", "sources")},
            "workloads": self.workloads,
            "batch": self.batch,
            "parameters": [(type(entry).__name__, *vars(entry).items()) for entry in self.parameters],
            "derived": {path: expression.text for path, expression in self.derived.items()},
            "constraints": [condition.expression.text for condition in self.conditions],
            "objectives": self.objectives,
            "sampler": (self.sampler, self.seed, self.generation),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def machine(self, point: Point) -> dict[str, Any]:
        """Config of a point, as plain data; not yet checked."""
        data = self.base
        values = self.values(point)
        for path in (*(entry.path for entry in self.parameters), *self.derived):
            if path not in RUN_PATHS:
                data = with_value(data, path, values[path])
        return data

    def values(self, point: Point) -> dict[str, Any]:
        """Every key of a point by its dotted path, derived ones computed."""
        values = self.base_values | point
        for path, expression in self.derived.items():
            values[path] = expression.value(values)
        return values

    def violations(self, point: Point) -> dict[str, float]:
        """How far the conditions that need no run are from being met, by their text.

        Raises
        ------
        ConfigError
            When a condition cannot be computed, or the point is no valid config and a condition needs one.
        """
        checked = [condition for condition in self.conditions if condition.before_run]
        if not checked:
            return {}
        values = self.values(point)
        if any(name in METRICS for condition in checked for name in condition.expression.names):
            values |= config_metrics(validate(HardwareConfig, self.machine(point), self.where, ConfigError))
        return {entry.expression.text: entry.expression.violation(values) for entry in checked}

    def result_violations(self, point: Point, metrics: Mapping[str, float]) -> dict[str, float]:
        """How far all conditions are from being met once the point has been run, by their text."""
        values = self.values(point) | dict(metrics)
        return {entry.expression.text: entry.expression.violation(values) for entry in self.conditions}

    def point_workloads(self, point: Point) -> tuple[str, ...]:
        """What runs at a point."""
        return (str(point["workload"]),) if "workload" in point else self.workloads

    def point_batch(self, point: Point) -> int | None:
        """Samples per run at a point."""
        batch = point.get("batch", self.batch)
        return batch if isinstance(batch, int) else None


def find_space(source: str | Path) -> Path:
    """Find a space file by the name of one that ships with accelsim, or by its path.

    Raises
    ------
    ConfigError
        When there is neither.
    """
    text = str(source)
    if isinstance(source, Path) or "/" in text or text.endswith(_SUFFIXES) or Path(text).exists():
        return Path(source)
    known = {path.stem: path for path in sorted((resource_folder("hw_configs") / "spaces").glob("*.yaml"))}
    if text in known:
        return known[text]
    near = difflib.get_close_matches(text.lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"is no space file{hint}", where="SPACE", value=text, allowed=f"a path, {', '.join(known)}")


def load_space(source: str | Path, hardware: str | None = None) -> Space:
    """Load a space file and check it against its machine.

    Parameters
    ----------
    source
        Path, or name of a space that ships with accelsim.
    hardware
        Machine to vary instead of the one in the file: preset, or path.

    Raises
    ------
    ConfigError
        When a key is unknown, a path leads nowhere, a range is empty, a value or an expression is not accepted.
    """
    path = find_space(source)
    record = validate(SpaceFile, load_mapping(path, ConfigError), path, ConfigError)
    chosen = hardware or _beside(path, record.hardware, _SUFFIXES)
    config = _base(chosen, record.changes, path)
    workloads = (record.workload,) if isinstance(record.workload, str) else record.workload
    if not workloads:
        raise ConfigError("is empty", where=path, key="workload", allowed="a workload or more")
    space = Space(
        name=path.stem if hardware is None else f"{path.stem}-{config['name']}",
        where=str(path),
        description=" ".join(record.description.split()),
        base=config,
        workloads=tuple(_beside(path, name, _WORKLOAD_SUFFIXES) for name in workloads),
        batch=record.batch,
        parameters=tuple(parse_parameter(key, entry, path) for key, entry in record.parameters.items()),
        derived={},
        conditions=(),
        objectives=record.objectives,
        sampler=record.sampler,
        trials=record.trials if record.trials is not None or record.sampler == "grid" else _FEW_TRIALS,
        seed=record.seed,
        generation=record.generation,
    )
    return _checked(space, record, path)


def _beside(path: Path, name: str, suffixes: tuple[str, ...]) -> str:
    """A file named in a space file counts from the folder of that file."""
    return str(path.parent / name) if name.lower().endswith(suffixes) else name


def _base(hardware: str, changes: dict[str, Any], path: Path) -> dict[str, Any]:
    config = load_hardware(hardware).resolved()
    if changes:
        config = validate(HardwareConfig, merge(config, changes), f"{path}: changes", ConfigError).resolved()
    return config


def _checked(space: Space, record: SpaceFile, path: Path) -> Space:
    for parameter in space.parameters:
        _check_path(space, parameter.path, parameter.examples[0], path, "parameters")
    workload_choice = next((entry for entry in space.parameters if entry.path == "workload"), None)
    if isinstance(workload_choice, Choice):
        named = tuple(_beside(path, str(name), _WORKLOAD_SUFFIXES) for name in workload_choice.values)
        chosen = tuple(replace(workload_choice, values=named) if entry is workload_choice else entry
                       for entry in space.parameters)  # fmt: skip
        space = replace(space, parameters=chosen)
    space = replace(space, derived=_derived(space, record, path))
    for objective in space.objectives:
        if objective not in METRICS:
            raise _no_metric(objective, path, "objectives")
    if len(set(space.objectives)) < len(space.objectives):
        raise ConfigError("holds a metric twice", where=path, key="objectives", value=list(space.objectives))
    space = replace(space, conditions=tuple(_condition(space, text, path) for text in record.constraints))
    _check_values(space, path)
    _check_sampler(space, path)
    return space


def _check_path(space: Space, path: str, value: Scalar, where: Path, section: str) -> None:
    """Refuse a path that leads to no key, and name the nearest one that is a key."""
    if path in RUN_PATHS or path in space.base_values:
        return
    key = f"{section}.{path}"
    if value_at(space.base, path) is not None:
        raise ConfigError("is a group of keys, not one key", where=where, key=key)
    try:
        validate(HardwareConfig, with_value(space.base, path, value), where, ConfigError)
    except ConfigError as error:
        if error.problem == "unknown key" or error.key is None or not path.startswith(error.key):
            near = nearest(path, (*space.base_values, *RUN_PATHS))
            hint = f"; did you mean {near}?" if near else ""
            problem = f"leads to no key of {space.base['name']}{hint}"
            raise ConfigError(problem, where=where, key=key) from None
    except (KeyError, TypeError, IndexError):
        problem = f"leads to no key of {space.base['name']}"
        raise ConfigError(problem, where=where, key=key, allowed="an index that the list has") from None


def _derived(space: Space, record: SpaceFile, path: Path) -> dict[str, Expression]:
    taken = {entry.path for entry in space.parameters}
    derived: dict[str, Expression] = {}
    for key, text in record.derived.items():
        expression = parse_expression(text, path, f"derived.{key}")
        if key in taken or key in RUN_PATHS:
            raise ConfigError("is a parameter or what runs, so it cannot be derived", where=path, key=f"derived.{key}")
        known = (*space.base_values, *taken, *derived)
        for name in expression.names:
            if name not in known:
                raise _no_name(name, known, path, f"derived.{key}")
        derived[key] = expression
        _check_path(space, key, None, path, "derived")
    return derived


def _condition(space: Space, text: str, path: Path) -> Condition:
    expression = parse_expression(text, path, "constraints")
    taken = {entry.path for entry in space.parameters}
    known = (*space.base_values, *taken, *space.derived, *METRICS)
    for name in expression.names:
        if name not in known:
            raise _no_name(name, known, path, "constraints")
    if not expression.names:
        raise ConfigError("names no key and no metric", where=path, key="constraints", value=text)
    return Condition(expression, all(name not in METRICS or METRICS[name].from_config for name in expression.names))


def _no_name(name: str, known: tuple[str, ...], path: Path, key: str) -> ConfigError:
    near = nearest(name, known)
    hint = f"; did you mean {near}?" if near else ""
    return ConfigError(f"is no key of the machine and no metric{hint}", where=path, key=key, value=name)


def _no_metric(name: str, path: Path, key: str) -> ConfigError:
    near = nearest(name, tuple(METRICS))
    hint = f"; did you mean {near}?" if near else ""
    return ConfigError(f"is no metric{hint}", where=path, key=key, value=name, allowed=", ".join(METRICS))


def _check_values(space: Space, where: Path) -> None:
    """Refuse values that no config can have under their key; what depends on other keys is left to the points."""
    for parameter in space.parameters:
        if parameter.path == "batch":
            bad = [value for value in parameter.examples if not isinstance(value, int) or value < 1]
            if bad:
                raise ConfigError("not accepted", where=where, key="parameters.batch", value=bad[0],
                                  allowed="whole numbers of at least 1")  # fmt: skip
        if parameter.path in RUN_PATHS:
            continue
        for value in parameter.examples:
            try:
                validate(HardwareConfig, with_value(space.base, parameter.path, value), where, ConfigError)
            except ConfigError as error:
                if error.key == parameter.path:
                    raise ConfigError(error.problem, where=where, key=f"parameters.{parameter.path}",
                                      value=value, allowed=error.allowed) from None  # fmt: skip


def _check_sampler(space: Space, where: Path) -> None:
    if space.sampler != "grid":
        return
    for parameter in space.parameters:
        if parameter.values is None:
            raise ConfigError("has no values to enumerate", where=where, key=f"parameters.{parameter.path}",
                              allowed="a list of values or a range with a step, where sampler is grid")  # fmt: skip
