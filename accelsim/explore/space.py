"""The design space: dimensions, conditions and objectives, and the machine that a point stands for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError
from accelsim.explore.metrics import ACCURACY_METRICS, METRICS, config_metrics
from accelsim.explore.paths import flatten, with_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.explore.condition import Condition
    from accelsim.explore.expression import Expression
    from accelsim.explore.parameter import Parameter, Point

RUN_PATHS = ("workload", "batch")
"""Parameters that are no key of the machine: what runs on it."""


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
            "workloads": [_content(name) for name in self.workloads],
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


def _content(workload: str) -> str:
    """What a workload is: the content of a file, wherever it lies, else a name."""
    try:
        return hashlib.sha256(Path(workload).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return workload
