"""Spaces and workers for the tests of studies."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from accelsim.explore.fidelity import FidelityPlan
from accelsim.explore.preparation import study_record
from accelsim.explore.space_file import load_space
from accelsim.explore.storage import open_study
from accelsim.explore.study import Head, StudyResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accelsim.explore.space import Space


SMALL = """
hardware: edge_16x16
workload: lenet5
parameters:
  pe_array.rows: [4, 8, 16, 32]
  pe_array.cols: [4, 8, 16, 32]
  pe_array.dataflow: [WS, OS, IS]
  sram.scratchpad.capacity_kib: {low: 8, high: 256, log: true}
constraints: ["pe_array.rows * pe_array.cols <= 512"]
objectives: [latency_ns, energy_pj]
sampler: random
trials: 24
generation: 8
"""


def write_space(folder: Path, text: str = SMALL, **changes: Any) -> Path:  # noqa: ANN401 - what YAML holds
    """Write a space file, its plain keys replaced by `changes`."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(text) | changes, sort_keys=False), "utf-8")
    return path


def small_space(folder: Path, text: str = SMALL, **changes: Any) -> Space:  # noqa: ANN401 - as above
    """Load a space file, its plain keys replaced by `changes`."""
    return load_space(write_space(folder, text, **changes))


def priced(task: dict[str, Any]) -> dict[str, Any]:
    """Stand in for a simulation: figures that follow from the config by a formula."""
    if "failed" in task:
        return {"error": task["failed"], "wall_s": 0.0}
    array, sram = task["machine"]["pe_array"], task["machine"]["sram"]["scratchpad"]["capacity_kib"]
    penalty = {"WS": 1.0, "OS": 0.8, "IS": 1.3}[array["dataflow"]]
    elements = array["rows"] * array["cols"]
    latency = 1e6 * penalty / elements + 1e4 / sram
    energy = 3.0 * elements + 40.0 * sram + 500.0 * penalty
    if task["fidelity"] == "estimate":
        latency *= 0.97 + 0.0001 * array["rows"]
    return {"metrics": {"latency_ns": latency, "energy_pj": energy}, "wall_s": random.random()}  # noqa: S311


class ShuffledWorkers:
    """Workers inside the process whose outcomes come back in any order."""

    def __init__(
        self, capacity: int, seed: int = 0, evaluate: Callable[[dict[str, Any]], dict[str, Any]] = priced
    ) -> None:
        self.capacity = capacity
        self.evaluated: list[tuple[int, dict[str, Any]]] = []
        self._waiting: list[tuple[int, dict[str, Any]]] = []
        self._random = random.Random(seed)  # noqa: S311
        self._evaluate = evaluate

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    def submit(self, number: int, task: dict[str, Any]) -> None:
        self._waiting.append((number, task))

    def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, dict[str, Any]]]:
        del timeout_s
        number, task = self._waiting.pop(self._random.randrange(len(self._waiting)))
        self.evaluated.append((number, task))
        return [(number, self._evaluate(task))]


def explore(
    space: Space,
    folder: Path,
    workers: ShuffledWorkers | None = None,
    *,
    plan: FidelityPlan | None = None,
    name: str = "study",
    resume: bool = False,
    trials: int | None = None,
) -> StudyResult:
    """Run a study with workers of this process."""
    if trials is not None:
        space = replace(space, trials=trials)
    plan = plan or FidelityPlan()
    record = study_record(name, space, plan)
    storage = open_study(str(folder / "study.db"), name, record, space.objectives, resume=resume)
    try:
        return Head(space, storage, workers or ShuffledWorkers(2), plan).run()
    finally:
        storage.close()
