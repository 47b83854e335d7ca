"""What a point of a study costs: ResNet-18 in full and estimated, the head beside it, and two workers over one."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from accelsim.explore.evaluation import evaluate
from accelsim.explore.fidelity import FidelityPlan
from accelsim.explore.preparation import study_record, task_of
from accelsim.explore.run import StudyOptions, run_study
from accelsim.explore.sampling import fixed_points
from accelsim.explore.space_file import load_space
from accelsim.explore.storage import open_study
from accelsim.explore.study import Head

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

SPACE = "resnet18_server"
POINTS = 100


@pytest.mark.parametrize("fidelity", ["full", "estimate"])
def test_point(benchmark: BenchmarkFixture, fidelity: str) -> None:
    """One point in a warm process, its mapping not known from before; divide 2 by it for points/s on two cores."""
    space = load_space(SPACE)
    proposals = fixed_points(space, POINTS if benchmark.enabled else 2)
    evaluate(task_of(space, proposals[0].point, fidelity))  # compile
    tasks = cycle([task_of(space, entry.point, fidelity) for entry in proposals[1:]])
    outcome = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: evaluate(next(tasks)), rounds=len(proposals) - 1
    )
    assert "metrics" in outcome


class Instant:
    """Workers that cost nothing."""

    capacity = 2

    def __init__(self) -> None:
        self._waiting: list[int] = []

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    def submit(self, number: int, task: dict[str, Any]) -> None:
        del task
        self._waiting.append(number)

    def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, dict[str, Any]]]:
        del timeout_s
        metrics = {"latency_ns": 1.0, "energy_pj": 2.0, "area_proxy_mm2": 3.0}
        return [(self._waiting.pop(), {"metrics": metrics, "wall_s": 0.0})]


def test_head(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """All that the head does for `POINTS` points, storage included: it shares the cores with the workers."""
    space = replace(load_space(SPACE), trials=POINTS if benchmark.enabled else 3)
    plan = FidelityPlan()
    names = iter(range(1_000))

    def run() -> int:
        name = str(next(names))
        storage = open_study(str(tmp_path / "study.db"), name, study_record(name, space, plan), space.objectives,
                             resume=False)  # fmt: skip
        try:
            return len(Head(space, storage, Instant(), plan).run().trials)
        finally:
            storage.close()

    assert benchmark(run) == space.trials
    benchmark.extra_info["points"] = space.trials


@pytest.mark.slow
def test_two_workers_over_one(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Seconds of a study with two workers; the efficiency over one stands beside it. Needs two idle cores."""
    space = replace(load_space(SPACE), trials=60 if benchmark.enabled else 4)

    def run(workers: int) -> float:
        begin = time.perf_counter()
        storage = str(tmp_path / f"{workers}-{begin}.db")
        result = run_study(space, StudyOptions(storage=storage, workers=workers, use_cache=False))
        assert len(result.trials) == space.trials
        return time.perf_counter() - begin

    alone = run(1)
    together = benchmark.pedantic(run, args=(2,), rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["efficiency"] = round(alone / together, 3)
