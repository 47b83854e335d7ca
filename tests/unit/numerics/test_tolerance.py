"""The search for tolerable error rates: on a network whose accuracy is a known function, and its log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from accelsim.mapping.partition import OfferedPartition, TolerantTensor, assign_partitions
from accelsim.numerics.tolerance import HIGHEST_RATE, LOWEST_RATE, PARTS, RESOLUTION, ToleranceSearch
from accelsim.numerics.trial_log import TrialLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TENSORS = ("a.weight", "b.weight", "x")


class KnownSearch(ToleranceSearch):
    """A search whose trials are a function of the rates."""

    tensors = TENSORS

    def _measured(self, kind: str, rates: Mapping[str, float], images: int) -> list[float]:
        self.made.append((kind, dict(rates), images))  # type: ignore[attr-defined]
        return [self.accuracy(rates)]  # type: ignore[attr-defined]


def search_of(accuracy: Callable[[Mapping[str, float]], float], drop: float = 0.01) -> KnownSearch:
    search = KnownSearch(None, [0] * 1000, drop, (0,), "zero", TrialLog(None, ""))  # type: ignore[arg-type]
    object.__setattr__(search, "accuracy", accuracy)
    object.__setattr__(search, "made", [])
    return search


@pytest.mark.parametrize("limit", [3e-6, 1.7e-4, 0.02, 0.11])
def test_the_coarse_search_ends_below_the_limit_and_within_its_resolution(limit: float) -> None:
    search = search_of(lambda rates: 0.9 if max(rates.values(), default=0) <= limit else 0.5)
    found = search.coarse("uniform", curve=(1e-5, 1e-3))
    assert found.rate <= limit < found.rate * 10**RESOLUTION * 1.0001
    assert not found.bounded
    rates = [point.rate for point in found.points]
    assert rates == sorted(set(rates))
    assert {1e-5, 1e-3, LOWEST_RATE, HIGHEST_RATE, found.rate} <= set(rates)
    assert len(search.made) < 15  # type: ignore[attr-defined]


def test_a_network_that_tolerates_everything_or_nothing_is_told_as_such() -> None:
    everything = search_of(lambda _: 0.9).coarse("uniform")
    assert (everything.rate, everything.bounded) == (HIGHEST_RATE, True)
    nothing = search_of(lambda rates: 0.1 if any(rates.values()) else 0.9).coarse("uniform")
    assert (nothing.rate, nothing.bounded) == (0.0, False)


def test_the_fine_sweep_raises_each_tensor_to_its_own_limit() -> None:
    limits = {"a.weight": 0.021, "b.weight": 0.004, "x": 0.0449}
    search = search_of(lambda rates: 0.9 if all(rates[name] <= limits[name] for name in rates) else 0.5)
    found = search.fine("uniform", 0.004, 100, step=0.005)
    assert found == pytest.approx({"a.weight": 0.019, "b.weight": 0.004, "x": 0.044})
    assert [images for _, _, images in search.made].count(1000) == 2, "clean, and what was found"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kept", [0, 1, 7, 15, 16])
def test_raises_that_only_the_few_images_bear_are_shortened(kept: int) -> None:
    """A sample that loses nothing below 0.091 raises every tensor by 0.08; the whole set bears so many 16ths of it."""
    limits = {"few": 0.091, "all": 0.0101 + 0.08 * kept / PARTS}

    def accuracy(rates: Mapping[str, float]) -> float:
        images = search.made[-1][2]  # type: ignore[attr-defined]
        return 0.9 if max(rates.values(), default=0) < limits["few" if images == 100 else "all"] else 0.5

    search = search_of(accuracy)
    found = search.fine("uniform", 0.01, 100, step=0.01)
    assert found == pytest.approx(dict.fromkeys(TENSORS, 0.01 + 0.08 * kept / PARTS))
    assert [images for _, _, images in search.made].count(1000) <= 7  # type: ignore[attr-defined]


def test_tensors_share_what_accuracy_there_is_to_lose() -> None:
    search = search_of(lambda rates: 0.9 - sum(rates.values()) / 10, drop=0.01)
    found = search.fine("uniform", 0.01, 1000, step=0.01)
    assert sum(found.values()) == pytest.approx(0.1)
    assert max(found.values()) - min(found.values()) <= 0.0101


def test_trials_survive_a_process_that_is_killed_while_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "log" / "trials.jsonl"
    log = TrialLog(path, "network 1")
    log.add({"rate": 0.1, "seed": 0}, 0.75)
    log.add({"rate": 0.2, "seed": 0}, 0.5)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    again = TrialLog(path, "network 1")
    assert again.find({"seed": 0, "rate": 0.1}) == 0.75
    assert again.find({"seed": 0, "rate": 0.2}) is None
    again.add({"rate": 0.3, "seed": 0}, 0.25)
    final = TrialLog(path, "network 1")
    assert (final.find({"rate": 0.1, "seed": 0}), final.find({"rate": 0.3, "seed": 0})) == (0.75, 0.25)
    assert TrialLog(path, "network 2").find({"rate": 0.1, "seed": 0}) is None
    assert json.loads(path.read_text("utf-8").splitlines()[0])["rate"] == 0.1


PARTITIONS = (
    OfferedPartition("", 1000, 0.0, 0.0),
    OfferedPartition("mild", 100, 0.001, 0.1),
    OfferedPartition("bold", 50, 0.01, 0.3),
)


def test_the_most_tolerant_tensors_take_the_boldest_partition_while_it_has_room() -> None:
    tensors = [
        TolerantTensor("frail", 10, 1e-5),
        TolerantTensor("middle", 90, 0.005),
        TolerantTensor("tough", 40, 0.02),
        TolerantTensor("tougher", 30, 0.03),
        TolerantTensor("huge", 2000, 0.5),
    ]
    chosen, left = assign_partitions(tensors, PARTITIONS)
    assert chosen == {"tougher": "bold", "tough": "mild", "frail": "", "middle": ""}
    assert left == ("huge",)


def test_no_tensor_lies_where_more_bits_flip_than_it_tolerates() -> None:
    for rate in (0.0, 0.0009, 0.001, 0.009, 0.01, 0.2):
        chosen, _ = assign_partitions([TolerantTensor("t", 1, rate)], PARTITIONS)
        partition = next(entry for entry in PARTITIONS if entry.name == chosen["t"])
        assert partition.rate <= rate
        assert partition.saving == max(entry.saving for entry in PARTITIONS if entry.rate <= rate)
