from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.explore.fidelity import FidelityPlan, promising, sampled
from accelsim.explore.metrics import METRICS
from accelsim.explore.pareto import losses, on_front
from accelsim.explore.transfer import compare_studies, rank_correlation
from accelsim.explore.trial import COMPLETE, FAILED, TrialRecord

if TYPE_CHECKING:
    from collections.abc import Callable


def study(count: int, latency: Callable[[int, int, str], float], *, start: int = 0) -> list[TrialRecord]:
    """Trials over rows, columns and a dataflow, whose latency is a formula."""
    records = []
    for index in range(count):
        place = index + start
        rows, cols, flow = 2 ** (place % 5 + 2), 2 ** (place // 5 % 5 + 2), "WO"[place // 25 % 2] + "S"
        point = {"pe_array.rows": rows, "pe_array.cols": cols, "pe_array.dataflow": flow}
        records.append(TrialRecord(index, dict(point), COMPLETE, {"latency_ns": latency(rows, cols, flow)}))
    return records


def slow(rows: int, cols: int, flow: str) -> float:
    size: float = (rows * cols) ** 0.8
    shape: float = (rows / cols) ** 0.5
    return 1e7 / size * (1.5 if flow == "WS" else 1.0) + 1e4 * shape


def test_a_device_that_is_a_constant_faster_is_predicted_from_few_points() -> None:
    found = compare_studies(study(50, slow), study(50, lambda *point: slow(*point) / 7), names=("slow", "fast"))
    assert (found.matched, found.source_points, found.target_points) == (50, 50, 50)
    assert found.spearman == pytest.approx(1.0)
    assert found.kendall == pytest.approx(1.0)
    assert [entry.points for entry in found.adapted] == [5, 10, 20]
    for entry in found.adapted:
        assert entry.transferred_ape < 0.1
        assert entry.transferred_ape < entry.alone_ape
    assert found.to_dict()["adapted"][0]["points"] == 5


def test_unlike_devices_are_told_apart() -> None:
    found = compare_studies(study(12, slow), study(12, lambda *point: 1 / slow(*point)))
    assert found.spearman == pytest.approx(-1.0)
    assert found.kendall == pytest.approx(-1.0)


def test_studies_need_not_share_designs() -> None:
    found = compare_studies(study(25, slow), study(25, slow, start=25))
    assert found.matched == 0
    assert found.spearman is None
    assert found.adapted


def test_studies_that_cannot_be_compared_are_told() -> None:
    other = [TrialRecord(0, {"batch": 1}, COMPLETE, {"latency_ns": 1.0})]
    with pytest.raises(InputError, match="varies other parameters"):
        compare_studies(other, study(5, slow))
    with pytest.raises(InputError, match="has no complete trial with latency_ns"):
        compare_studies([TrialRecord(0, {"batch": 1}, FAILED)], study(5, slow))


def test_rank_correlations_are_those_of_their_definition() -> None:
    first, second = np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40])
    assert rank_correlation(first, second) == pytest.approx((0.8, 4 / 6))
    assert rank_correlation(first, np.ones(4)) == (None, None)
    assert rank_correlation(first[:2], second[:2]) == (None, None)


# -- fronts ----------------------------------------------------------------------------------------------------------


def test_the_front_is_what_nothing_beats() -> None:
    points = np.array([[1.0, 5], [2, 4], [2, 5], [3, 1], [3, 1], [4, 4]])
    assert on_front(points).tolist() == [True, True, False, True, True, False]
    assert on_front(np.empty((0, 2))).tolist() == []


def test_the_front_is_that_of_a_check_of_all_pairs() -> None:
    points = np.random.default_rng(0).integers(0, 12, (200, 3)).astype(float)
    beaten = [any((other <= point).all() and (other < point).any() for other in points) for point in points]
    assert on_front(points).tolist() == [not flag for flag in beaten]


def test_metrics_that_are_better_when_larger_are_turned_around() -> None:
    assert METRICS["compute_utilization"].maximised
    rows = [{"latency_ns": 2.0, "compute_utilization": 0.5}]
    assert losses(rows, ["latency_ns", "compute_utilization"]).tolist() == [[2.0, -0.5]]


def test_points_to_check_are_spread() -> None:
    assert sampled(range(100), 5) == {0, 25, 50, 74, 99}
    assert sampled([3, 4], 5) == {3, 4}
    assert sampled([], 5) == set()


def test_promising_points_are_the_share_and_those_near_the_front() -> None:
    class Space:
        conditions = ()
        objectives = ("latency_ns",)

    records = [TrialRecord(i, {}, "running", estimate={"latency_ns": 100.0 + i}) for i in range(50)]
    space: object = Space()
    assert promising(records, space, FidelityPlan("multi", keep=0.1, margin=0.0)) == set(range(5))  # type: ignore[arg-type]
    assert promising(records, space, FidelityPlan("multi", keep=0.1, margin=0.1)) == set(range(12))  # type: ignore[arg-type]
    assert promising([], space, FidelityPlan("multi")) == set()  # type: ignore[arg-type]
