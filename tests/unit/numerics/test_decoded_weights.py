"""Inference runs on the weights that a machine decodes, wherever and however they lie in the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelsim.errors import WorkloadError
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.decoded_weights import decoded_arrays, replace_weights
from accelsim.numerics.session import open_session
from accelsim.workload.loader import load_workload
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.files import save_pot_weights
from accelsim.workload.pot.sources import read_weights

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(0, 0.3, (12, 4, 3, 3)).astype(np.float32)
MATRIX = RANDOM.normal(0, 0.3, (12, 12)).astype(np.float32)
STEPS = np.linspace(0.1, 0.3, 12, dtype=np.float32)


def saved(folder: Path) -> Path:
    """A classifier with weights as they are, transposed, and as integers with one scale per output and with one."""
    integers = RANDOM.integers(-100, 100, (12, 12, 1, 1))
    tensors = {
        "kernel": KERNEL,
        "matrix": MATRIX.T,
        "signed": integers.astype(np.int8),
        "steps": STEPS,
        "unsigned": (integers + 128).astype(np.uint8),
        "step": np.array(0.05, np.float32),
        "zero": np.array(128, np.uint8),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["a"]),
        helper.make_node("DequantizeLinear", ["signed", "steps"], ["w1"], axis=0),
        helper.make_node("Conv", ["a", "w1"], ["b"]),
        helper.make_node("DequantizeLinear", ["unsigned", "step", "zero"], ["w2"]),
        helper.make_node("Conv", ["b", "w2"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "matrix"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 4, 5, 5))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 12))
    stored = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "net", [image], [scores], stored)
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def scores_of(model: onnx.ModelProto) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(1).normal(0, 1, (1, 4, 5, 5)).astype(np.float32)
    found: np.ndarray[Any, Any] = open_session(model).run(["scores"], {"image": values})[0]
    return found


def test_decoded_weights_take_the_place_of_those_in_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    original = read_weights(path).arrays
    assert set(original) == {"kernel", "signed", "unsigned", "matrix"}
    weights = decompose_network(original, network="net")
    save_pot_weights(weights, tmp_path / "pot.npz")
    (tmp_path / "pot.yaml").write_text("accelsim_workload: 1\nnetwork: net.onnx\npot_weights: pot.npz\n", "utf-8")
    graph = load_workload(tmp_path / "pot.yaml")
    decoded = decoded_arrays(graph)
    np.testing.assert_array_equal(decoded["matrix"], weights.layers[-1].decode())
    model = load_classifier(path, graph).model
    model_path = tmp_path / "decoded.onnx"
    onnx.save(model, model_path)
    now = read_weights(model_path).arrays
    for name in ("kernel", "matrix"):
        np.testing.assert_array_equal(now[name], decoded[name])
    for name in ("signed", "unsigned"):
        largest = np.abs(decoded[name]).max(axis=None if name == "unsigned" else (1, 2, 3), keepdims=True)
        assert (np.abs(now[name] - decoded[name]) <= largest / 127 * 0.501).all()
    assert not np.array_equal(scores_of(model), scores_of(onnx.load(path)))
    plain = load_classifier(path, graph, decoded=False).model
    np.testing.assert_array_equal(scores_of(plain), scores_of(load_classifier(path).model))


def test_weights_without_a_place_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(WorkloadError, match=r"net.onnx: tensor 'other': its decoded weights have no place"):
        replace_weights(onnx.load(path), path, {"other": KERNEL})
