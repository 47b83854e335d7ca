"""Accuracy as a condition of a study, and kept between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from spaces import small_space

from accelsim.explore import evaluation
from accelsim.explore.accuracy_store import AccuracyStore
from accelsim.explore.cache import StageCache
from accelsim.explore.evaluation import evaluate
from accelsim.explore.fidelity import FidelityPlan
from accelsim.explore.preparation import check_space, task_of
from accelsim.numerics.accuracy import Accuracy, measure_accuracy
from accelsim.result import AccuracyResult

if TYPE_CHECKING:
    from pathlib import Path

POINT: dict[str, Any] = {"precision.weight_bits": 8}
SPACE: dict[str, Any] = {
    "workload": "fashion_cnn",
    "parameters": {"precision.weight_bits": [8, 4]},
    "constraints": ["accuracy_loss <= 0.01", "accuracy >= 0.5"],
}


def test_the_clean_accuracy_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = small_space(tmp_path, **SPACE)
    check_space(space, FidelityPlan())
    cache = {"folder": str(tmp_path / "cache"), "limit_bytes": 10_000_000}
    measured = []

    def measure(*arguments: Any, **options: Any) -> Accuracy:  # noqa: ANN401 - passed on
        measured.append(options)
        return measure_accuracy(*arguments, **options)

    monkeypatch.setattr("accelsim.numerics.run_accuracy.measure_accuracy", measure)
    evaluation._accuracies.cache_clear()
    first = evaluate(task_of(space, POINT, "full", cache=cache))
    assert len(measured) == 1
    evaluation._accuracies.cache_clear()  # as in another process
    again = evaluate(task_of(space, POINT, "full", cache=cache))
    assert len(measured) == 1
    assert first["metrics"] == again["metrics"]
    assert 0.8 < first["metrics"]["accuracy"] <= 1.0
    assert abs(first["metrics"]["accuracy_loss"]) < 0.05
    other = evaluate(task_of(space, {"precision.weight_bits": 4}, "full", cache=cache))
    assert len(measured) == 2, "another number format is another network"
    assert other["metrics"]["accuracy"] != first["metrics"]["accuracy"]


def test_an_estimate_measures_no_accuracy(tmp_path: Path) -> None:
    outcome = evaluate(task_of(small_space(tmp_path, **SPACE), POINT, "estimate"))
    assert "accuracy" not in outcome["metrics"]


def test_accuracies_are_kept_by_key(tmp_path: Path) -> None:
    result = AccuracyResult("top1", 0.9, 0.8, 100, 0.7, 0.85, clean=0.8, top5=0.99, flips_per_pass={"a": {"b": 1.5}})
    AccuracyStore(StageCache(tmp_path))["key"] = result
    store = AccuracyStore(StageCache(tmp_path))
    assert store.get("key") == result
    assert store["key"] == result
    assert store.get("other") is None
    with pytest.raises(KeyError):
        store["other"]
    assert AccuracyStore(None).get("key") is None
