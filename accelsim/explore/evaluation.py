"""Evaluates one design point: plain data in, plain data out, the same on every machine.

This is all that a worker does. It reads no storage and keeps nothing but what is costly to make again: workloads that
it has loaded and mappings that it has found.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim import __version__
from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import AccelsimError, ConfigError, InputError
from accelsim.explore.accuracy_store import AccuracyStore
from accelsim.explore.cache import StageCache
from accelsim.explore.metrics import run_metrics
from accelsim.explore.tiling_store import TilingStore
from accelsim.pipeline import simulate
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.result import RunResult
    from accelsim.workload.graph import LayerGraph

Task = dict[str, Any]
"""A point on its way to a worker: its machine as data, its workloads by name, and what is to be done."""
Outcome = dict[str, Any]
"""What comes back: ``metrics`` or ``error``, and ``wall_s``."""


def evaluate(task: Mapping[str, Any]) -> Outcome:
    """Run a point on all its workloads.

    Parameters
    ----------
    task
        A `Task`.

    Returns
    -------
    dict
        ``metrics`` by name, or the ``error`` that the point met; ``wall_s``, the only figure that differs between two
        evaluations of one task.
    """
    begin = time.perf_counter()
    if "failed" in task:
        return {"error": task["failed"], "wall_s": 0.0}
    if task["version"] != __version__:
        return {"error": f"the worker has accelsim {__version__}, the head {task['version']}", "wall_s": 0.0}
    try:
        results = run_point(task)
        config = validate(HardwareConfig, task["machine"], "the point", ConfigError)
        outcome: Outcome = {"metrics": run_metrics(config, results)}
    except AccelsimError as error:
        outcome = {"error": str(error)}
    except Exception as error:
        outcome = {"error": f"defect: {type(error).__name__}: {' '.join(str(error).split())}"}
    return outcome | {"wall_s": round(time.perf_counter() - begin, 6)}


def run_point(task: Mapping[str, Any]) -> list[RunResult]:
    """Simulate, or estimate, a point; one result per workload.

    Raises
    ------
    InputError, RunError
        When the config is wrong, a workload does not fit on the machine, or the simulation cannot end.
    """
    config = validate(HardwareConfig, task["machine"], "the point", ConfigError)
    cache = task.get("cache")
    place = (cache["folder"], cache["limit_bytes"]) if cache else (None, 0)
    return [
        simulate(
            config,
            _workload(name, _stamp(name)),
            batch=task["batch"],
            seed=task["seed"],
            accuracy=task["accuracy"],
            fidelity=task["fidelity"],
            solutions=_tilings(*place),
            clean_accuracies=_accuracies(*place),
        )
        for name in task["workloads"]
    ]


@lru_cache(maxsize=4)
def _tilings(folder: str | None, limit_bytes: int) -> TilingStore:
    return TilingStore(None if folder is None else StageCache(Path(folder), limit_bytes))


def _stamp(name: str) -> tuple[int, int] | None:
    """What tells one state of a workload file from the next."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _accuracies(folder: str | None, limit_bytes: int) -> AccuracyStore:
    return AccuracyStore(None if folder is None else StageCache(Path(folder), limit_bytes))


@lru_cache(maxsize=32)
def _workload(name: str, stamp: tuple[int, int] | None) -> LayerGraph:  # noqa: ARG001 - part of the cache's key
    try:
        return load_workload(name)
    except InputError as error:
        raise error.seen_from("workload") from None
