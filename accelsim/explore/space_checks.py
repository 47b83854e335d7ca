"""Checks a design space against the machine that it varies: paths, values, expressions, metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError
from accelsim.explore.condition import Condition
from accelsim.explore.expression import Expression, parse_expression
from accelsim.explore.metrics import METRICS
from accelsim.explore.parameter import Choice, Scalar
from accelsim.explore.paths import nearest, value_at, with_value
from accelsim.explore.space import RUN_PATHS, Space

if TYPE_CHECKING:
    from accelsim.explore.space_file import SpaceFile


def beside(path: Path, name: str, suffixes: tuple[str, ...]) -> str:
    """A file named in a space file counts from the folder of that file."""
    return str(path.parent / name) if name.lower().endswith(suffixes) else name


def beside_workload(path: Path, name: str) -> str:
    """As `beside`, for a workload, which may be a name; a path is absolute, for workers start elsewhere."""
    found = beside(path, name, (".yaml", ".yml", ".onnx", ".csv"))
    return name if found == name else str(Path(found).absolute())


def checked(space: Space, record: SpaceFile, path: Path) -> Space:
    """Complete a space with what its file derives and demands, everything checked.

    Raises
    ------
    ConfigError
        When a path leads nowhere, or a value, an expression or a metric is not accepted.
    """
    for parameter in space.parameters:
        _check_path(space, parameter.path, parameter.examples[0], path, "parameters")
    workload_choice = next((entry for entry in space.parameters if entry.path == "workload"), None)
    if isinstance(workload_choice, Choice):
        named = tuple(beside_workload(path, str(name)) for name in workload_choice.values)
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
