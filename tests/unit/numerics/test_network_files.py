from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from random_networks import random_images, random_network

from accelsim.errors import WorkloadError
from accelsim.numerics.quantise import quantise_network
from accelsim.workload.decision_trace import DecisionTrace, GatedBlock, load_trace, save_trace
from accelsim.workload.network_file import QuantisedNetwork, load_network, save_network

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = (GatedBlock("a", 0.25), GatedBlock("b", 0.5, 3))


@pytest.fixture(scope="module")
def quantised() -> QuantisedNetwork:
    return quantise_network(random_network(), random_images())


def test_a_network_comes_back_as_it_was_written(tmp_path: Path, quantised: QuantisedNetwork) -> None:
    save_network(tmp_path / "net.npz", quantised)
    back = load_network(tmp_path / "net.npz")
    assert back.structure == quantised.structure
    assert back.activation_scales == quantised.activation_scales
    for name, weights in quantised.weights.items():
        assert np.array_equal(back.weights[name], weights)
        assert back.weights[name].dtype == np.int8
        assert np.array_equal(back.weight_scales[name], quantised.weight_scales[name])
        assert np.array_equal(back.biases[name], quantised.biases[name])


def test_the_same_network_gives_the_same_bytes(tmp_path: Path, quantised: QuantisedNetwork) -> None:
    for name in ("one.npz", "two.npz"):
        save_network(tmp_path / name, quantised)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]


def rewrite(path: Path, key: str, change: object) -> None:
    """Change one entry of the JSON in a file."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["network"]))
    header[key] = change
    arrays["network"] = np.array(json.dumps(header))
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("format", "other", "is no network of accelsim"),
        ("version", 2, "version = 2: is of another version; allowed: 1"),
        ("nodes", [{"name": "a"}], "lacks a part"),
        ("output", "nothing", "an output or a scale has no tensor"),
        ("nodes", [{"name": "a", "op": "fft", "inputs": [], "attributes": {}, "weights": None}], "is no operation"),
        (
            "nodes",
            [{"name": "a", "op": "relu", "inputs": ["b"], "attributes": {}, "weights": None}],
            "reads what is not computed yet",
        ),
    ],
)
def test_files_that_are_not_as_they_should_be_are_refused(
    tmp_path: Path, quantised: QuantisedNetwork, key: str, change: object, message: str
) -> None:
    save_network(tmp_path / "net.npz", quantised)
    rewrite(tmp_path / "net.npz", key, change)
    with pytest.raises(WorkloadError, match=message):
        load_network(tmp_path / "net.npz")


def test_weights_that_do_not_fit_their_scales_are_refused(tmp_path: Path, quantised: QuantisedNetwork) -> None:
    scales = {**quantised.weight_scales, "answer": np.ones(3, np.float32)}
    save_network(tmp_path / "net.npz", replace(quantised, weight_scales=scales))
    with pytest.raises(WorkloadError, match="answer: weights, scales and bias do not fit together"):
        load_network(tmp_path / "net.npz")


@pytest.mark.parametrize("load", [load_network, load_trace])
def test_missing_and_damaged_files_are_named(tmp_path: Path, load: object) -> None:
    with pytest.raises(WorkloadError, match="no such file"):
        load(tmp_path / "none.npz")  # type: ignore[operator]
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:40])
    for name in ("other.npz", "cut.npz"):
        with pytest.raises(WorkloadError, match=f"{name}: is no .*, or is damaged"):
            load(tmp_path / name)  # type: ignore[operator]


def test_a_trace_comes_back_and_tells_what_was_executed(tmp_path: Path) -> None:
    decisions = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 0, 1, 1, 1]], np.bool_)
    right = np.array([1, 0, 1], np.bool_)
    save_trace(tmp_path / "trace.npz", DecisionTrace("net", BLOCKS, decisions, right))
    trace = load_trace(tmp_path / "trace.npz")
    assert (trace.network, trace.blocks) == ("net", BLOCKS)
    assert np.array_equal(trace.decisions, decisions)
    assert np.array_equal(trace.right, right)
    assert trace.executed_shares() == pytest.approx([1.0, 0.25 + 0.5 / 3, 0.5])
    assert trace.execution_rates() == pytest.approx([2 / 3, 2 / 3])


def test_a_trace_whose_columns_are_not_its_blocks_is_refused(tmp_path: Path) -> None:
    bits = np.zeros((3, 17), np.bool_)
    save_trace(tmp_path / "trace.npz", DecisionTrace("net", BLOCKS, bits, bits[:, 0]))
    with pytest.raises(WorkloadError, match="do not fit together"):
        load_trace(tmp_path / "trace.npz")
