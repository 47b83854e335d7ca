"""Storage of narrow weights as an experiment, and the claims about related work that rest on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accelsim.config.model import validate
from accelsim.errors import ConfigError, WorkloadError
from accelsim.validation.bench import Bench
from accelsim.validation.claim_file import CATALOG, load_claim
from accelsim.validation.experiments.weight_storage import WeightStorage
from accelsim.validation.verdict import judge
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.experiment import Outcome


def experiment(**keys: object) -> WeightStorage:
    return validate(WeightStorage, {"kind": "weight_storage", **keys}, "test", ConfigError)


def outcome(tmp_path: Path, **keys: object) -> Outcome:
    return experiment(**keys).conduct(Bench().seen_from(tmp_path / "claim.yaml"))


def test_ratio_is_that_of_the_bits(tmp_path: Path) -> None:
    found = outcome(tmp_path, networks=[{"network": "binarynet_bitwise", "against": "binarynet", "claimed": 32}])
    assert (found.points[0].value, found.points[0].claimed) == (32, 32)
    found = outcome(tmp_path, networks=[{"network": "binarynet_bitwise", "against": "binarynet"}], plain_bits=8)
    assert found.points[0].value == 8


def test_layers_may_be_left_out(tmp_path: Path) -> None:
    pair = {"network": "alexnet_ternary", "against": "alexnet"}
    assert outcome(tmp_path, networks=[{**pair, "without": ["conv1", "fc8"]}]).points[0].value == 16
    graph = load_workload("alexnet")
    tensors = {layer.name: tensor for layer in graph.layers if (tensor := graph.weight_tensor(layer)) is not None}
    weights, kept = (sum(tensors[name].elements for name in names) for names in (tensors, ("conv1", "fc8")))
    assert outcome(tmp_path, networks=[pair]).value == pytest.approx(weights / (kept + (weights - kept) / 16))


def test_unknown_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="no workload has this name"):
        experiment(networks=[{"network": "binarynet_bitwise", "against": "binarynett"}]).check(tmp_path)


@pytest.mark.parametrize(
    ("name", "verdict"), [("related-xnor-storage", "reproduced"), ("related-ternary-storage", "partly")]
)
def test_claims_of_storage_have_their_verdicts(name: str, verdict: str) -> None:
    file = load_claim(CATALOG / f"{name}.yaml")
    found = file.experiment().conduct(Bench().seen_from(file.path))
    assert judge(file.claim, found.value) == verdict


@pytest.mark.parametrize(
    "topic",
    [
        "ranet", "int8", "integer-only", "xnor", "ternary", "binarynet", "bitwise-ensemble", "lookup",
        "approximate-activations", "sparse-dnn", "shredder", "photonic",
    ],
)  # fmt: skip
def test_each_related_work_has_a_claim_with_its_source(topic: str) -> None:
    paths = sorted(CATALOG.glob(f"related-{topic}*.yaml"))
    assert paths
    for path in paths:
        claim = load_claim(path).claim
        assert any(letter.isdigit() for letter in claim.source.paper) or "PaddlePaddle" in claim.source.paper
        assert claim.claimed is not None or claim.not_testable
