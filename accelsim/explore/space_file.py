"""Reads a design space from its file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from accelsim.config.loader import load_hardware, merge
from accelsim.config.model import Record, validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError, InputError
from accelsim.explore.parameter import parse_parameter
from accelsim.explore.space import Space
from accelsim.explore.space_checks import beside, beside_workload, checked
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping

_FEW_TRIALS = 100
_SUFFIXES = (".yaml", ".yml")


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
    chosen = hardware or beside(path, record.hardware, _SUFFIXES)
    try:
        config = _base(chosen, record.changes, path)
    except InputError as error:
        raise error if hardware is not None else error.within(path) from None
    workloads = (record.workload,) if isinstance(record.workload, str) else record.workload
    if not workloads:
        raise ConfigError("is empty", where=path, key="workload", allowed="a workload or more")
    space = Space(
        name=path.stem if hardware is None else f"{path.stem}-{config['name']}",
        where=str(path),
        description=" ".join(record.description.split()),
        base=config,
        workloads=tuple(beside_workload(path, name) for name in workloads),
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
    return checked(space, record, path)


def _base(hardware: str, changes: dict[str, Any], path: Path) -> dict[str, Any]:
    config = load_hardware(hardware).resolved()
    if changes:
        config = validate(HardwareConfig, merge(config, changes), f"{path}: changes", ConfigError).resolved()
    return config
