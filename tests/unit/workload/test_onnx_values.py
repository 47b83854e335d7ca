"""Weights of ONNX files come as the integers that a machine stores, shaped (outputs, inputs, ...)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import node, save

from accelsim.errors import WorkloadError
from accelsim.workload.loader import load_workload
from accelsim.workload.onnx_import import import_onnx
from accelsim.workload.onnx_values import OnnxWeights

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)


def values_of(path: Path, index: int = 0) -> np.ndarray[Any, Any]:
    graph = import_onnx(path)
    name = [graph.weight_tensor(layer) for layer in graph.layers if graph.weight_tensor(layer)][index]
    assert name is not None
    values = graph.annotations.of_tensor(name.name).values
    assert values is not None
    assert values.shape == name.shape
    return values


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.normal(size=shape).astype(np.float32)


def rounded(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    steps: np.ndarray[Any, Any] = np.rint(weights / (np.abs(weights).max() / np.float32(127)))
    return steps.astype(np.int8)


def tensor(values: Any, name: str) -> TensorProto:  # noqa: ANN401 - an array or a number
    return numpy_helper.from_array(np.asarray(values), name)


def test_convolution_weights_are_rounded_with_one_scale(tmp_path: Path) -> None:
    weights = floats(80, 4, 5, 5)  # more elements than the import looks at
    weights[0] = 0
    path = save(tmp_path / "a.onnx", [node("Conv", ["x", "w"], ["y"])], {"x": (1, 4, 9, 9)}, [tensor(weights, "w")])
    values = values_of(path)
    assert values.dtype == np.int8
    assert np.abs(values).max() == 127
    assert (values == rounded(weights)).all()
    assert import_onnx(path).annotations.model == path


@pytest.mark.parametrize("outputs_first", [False, True])
def test_matrices_come_with_the_outputs_first(tmp_path: Path, outputs_first: bool) -> None:  # noqa: FBT001 - a parameter
    weights = floats(6, 90)
    stored = weights if outputs_first else weights.T.copy()
    nodes = [node("Gemm", ["x", "w"], ["y"], transB=int(outputs_first))]
    path = save(tmp_path / "a.onnx", nodes, {"x": (2, 90)}, [tensor(stored, "w")])
    assert (values_of(path) == rounded(weights)).all()


def test_product_with_a_lone_matrix_is_transposed(tmp_path: Path) -> None:
    weights = floats(1, 17, 5)
    path = save(tmp_path / "a.onnx", [node("MatMul", ["x", "w"], ["y"])], {"x": (1, 3, 17)}, [tensor(weights, "w")])
    assert (values_of(path) == rounded(weights[0].T)).all()


def test_views_of_a_constant_are_followed(tmp_path: Path) -> None:
    weights = floats(5, 4, 12)
    nodes = [
        node("Reshape", ["w", "shape"], ["flat"]),
        node("Transpose", ["flat"], ["turned"], perm=[1, 0]),
        node("Gemm", ["x", "turned"], ["y"]),
    ]
    stored = [tensor(weights, "w"), tensor(np.array([20, -1], np.int64), "shape")]
    path = save(tmp_path / "a.onnx", nodes, {"x": (1, 12)}, stored)
    assert (values_of(path) == rounded(weights.reshape(20, 12))).all()


def test_stored_integers_stay_what_they_are(tmp_path: Path) -> None:
    weights = RANDOM.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8)
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["wf"], axis=0), node("Conv", ["x", "wf"], ["y"])]
    stored = [tensor(weights, "w"), tensor(np.ones(3, np.float32), "s"), tensor(np.zeros(3, np.int8), "z")]
    path = save(tmp_path / "a.onnx", nodes, {"x": (1, 2, 5, 5)}, stored)
    values = values_of(path)
    assert values.dtype == np.int8
    assert (values == weights).all()


def test_zero_points_are_taken_off(tmp_path: Path) -> None:
    weights = RANDOM.integers(0, 256, (3, 2, 3, 3)).astype(np.uint8)
    zero = np.array([128, 3, 0], np.uint8)
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["wf"], axis=0), node("Conv", ["x", "wf"], ["y"])]
    stored = [tensor(weights, "w"), tensor(np.ones(3, np.float32), "s"), tensor(zero, "z")]
    path = save(tmp_path / "a.onnx", nodes, {"x": (1, 2, 5, 5)}, stored)
    assert (values_of(path) == weights.astype(int) - zero.astype(int)[:, None, None, None]).all()


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_zero_points_of_integer_operators_are_taken_off(tmp_path: Path, op: str) -> None:
    shape, given = ((4, 2, 3, 3), (1, 2, 5, 5)) if op == "ConvInteger" else ((7, 4), (3, 7))
    weights = RANDOM.integers(0, 256, shape).astype(np.uint8)
    stored = [tensor(weights, "w"), tensor(np.uint8(0), "a"), tensor(np.uint8(128), "b")]
    types = {"x": TensorProto.UINT8, "y": TensorProto.INT32}
    path = save(tmp_path / "a.onnx", [node(op, ["x", "w", "a", "b"], ["y"])], {"x": given}, stored, types=types)
    expected = weights.astype(int) - 128
    values = values_of(path)
    assert values.dtype == np.int8
    assert (values == (expected if op == "ConvInteger" else expected.T)).all()


def test_weights_that_the_graph_quantises_are_quantised(tmp_path: Path) -> None:
    weights = floats(3, 2, 3, 3)
    scale = np.float32(np.abs(weights).max() / 127)
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["wq"]),
        node("DequantizeLinear", ["wq", "s", "z"], ["wf"]),
        node("Conv", ["x", "wf"], ["y"]),
    ]
    stored = [tensor(weights, "w"), tensor(scale, "s"), tensor(np.int8(0), "z")]
    path = save(tmp_path / "a.onnx", nodes, {"x": (1, 2, 5, 5)}, stored)
    assert (values_of(path) == rounded(weights)).all()


def test_constant_nodes_are_read(tmp_path: Path) -> None:
    weights = floats(3, 2, 1, 1)
    constant = helper.make_node("Constant", [], ["w"], "w", value=tensor(weights, "value"))
    path = save(tmp_path / "a.onnx", [constant, node("Conv", ["x", "w"], ["y"])], {"x": (1, 2, 5, 5)})
    assert (values_of(path) == rounded(weights)).all()


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    weights = floats(80, 4, 5, 5)
    path = save(tmp_path / "a.onnx", [node("Conv", ["x", "w"], ["y"])], {"x": (1, 4, 9, 9)}, [tensor(weights, "w")])
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="a.bin", size_threshold=1)
    assert (values_of(path) == rounded(weights)).all()


def test_weights_used_in_two_shapes_stay_unknown(tmp_path: Path) -> None:
    weights = floats(4, 9)
    nodes = [node("Gemm", ["x", "w"], ["h"], transB=1), node("Gemm", ["h", "w"], ["y"])]
    path = save(tmp_path / "a.onnx", nodes, {"x": (1, 9)}, [tensor(weights, "w")])
    assert import_onnx(path).annotations.of_tensor("w").known == "nothing"


def test_computed_weights_stay_unknown(tmp_path: Path) -> None:
    nodes = [node("Mul", ["w", "w"], ["ww"]), node("Conv", ["x", "ww"], ["y"])]
    path = save(tmp_path / "a.onnx", nodes, {"x": (1, 2, 5, 5)}, [tensor(floats(3, 2, 3, 3), "w")])
    assert import_onnx(path).annotations.of_tensor("ww").known == "nothing"


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(
        tmp_path / "a.onnx", [node("Conv", ["x", "w"], ["y"])], {"x": (1, 2, 5, 5)}, [tensor(floats(3, 2, 3, 3), "w")]
    )
    asked: list[str] = []
    monkeypatch.setattr(OnnxWeights, "integers", lambda _self, use, _shape: asked.append(use.tensor))
    data = import_onnx(path).annotations.of_tensor("w")
    assert not asked
    assert data.known == "tensor"
    assert data.values is None
    assert asked == ["w"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    weights = floats(3, 2, 3, 3)
    weights[1, 1, 1, 1] = bad
    path = save(tmp_path / "a.onnx", [node("Conv", ["x", "w"], ["y"])], {"x": (1, 2, 5, 5)}, [tensor(weights, "w")])
    with pytest.raises(WorkloadError, match=r"a\.onnx: tensor 'w'.*not finite"):
        values_of(path)


def test_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    def write(shape: tuple[int, ...], name: str) -> Path:
        conv = [node("Conv", ["x", name], ["y"])]
        return save(tmp_path / "a.onnx", conv, {"x": (1, 2, 5, 5)}, [tensor(floats(*shape), name)])

    for shape, name in (((300, 2, 3, 3), "v"), ((400, 2, 3, 3), "w")):
        graph = import_onnx(write((300, 2, 3, 3), "w"))
        write(shape, name)
        with pytest.raises(WorkloadError, match="not what it was"):
            _ = graph.annotations.of_tensor("w").values


def test_shipped_network_knows_its_weights() -> None:
    graph = load_workload("workloads/models/resnet20_cifar.onnx")
    known = [graph.annotations.of_tensor(layer.weight) for layer in graph.layers if graph.weight_tensor(layer)]
    assert {data.known for data in known} == {"tensor"}
    assert all(0.5 < data.density <= 1 for data in known)
