"""Feature maps are recorded as integers by the names of the layer graph, and annotated workloads read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelsim.cli import run_command
from accelsim.errors import InputError, WorkloadError
from accelsim.numerics.record import record_feature_maps, write_tensors
from accelsim.resources import resource_folder
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, np.dtype[Any]]

RANDOM = np.random.default_rng(3)
WORKLOADS = resource_folder("workloads")


def save_model(path: Path, *, quantised: bool = False, batch: int | str = "batch", weight: float | None = None) -> Path:
    weights = RANDOM.normal(size=(4, 2, 3, 3)).astype(np.float32) if weight is None else np.full((4, 2, 3, 3), weight)
    stored: dict[str, Any] = {"w": weights.astype(np.float32), "v": RANDOM.normal(size=(3, 4 * 16)).astype(np.float32)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "c"), helper.make_node("Relu", ["c"], ["r"], "r")]
    last = "r"
    if quantised:
        stored |= {"s": np.float32(0.03), "z": np.uint8(7)}
        nodes += [
            helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"], "q"),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "d"),
        ]
        last = "d"
    nodes += [
        helper.make_node("Flatten", [last], ["f"], "f"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "g", transB=1),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, (batch, 2, 6, 6))],
        [helper.make_tensor_value_info("y", kind, (batch, 3))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def save_images(path: Path, array: Array, key: str = "images") -> Path:
    np.savez(path, **{key: array})  # type: ignore[arg-type]
    return path


def samples(count: int = 5) -> Array:
    return RANDOM.normal(size=(count, 2, 6, 6)).astype(np.float32)


def plain_convolution(images: Array, weights: Array) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
    made: Array = np.einsum("nchwrs,ocrs->nohw", windows, weights)
    return made


def test_what_layers_read_and_keep_is_recorded(tmp_path: Path) -> None:
    path, images = save_model(tmp_path / "a.onnx"), samples()
    recorded = record_feature_maps(load_workload(path), save_images(tmp_path / "i.npz", images), 3)
    assert {name: array.shape for name, array in recorded.items()} == {"x": (3, 2, 6, 6), "r": (3, 4, 4, 4)}
    assert {array.dtype for array in recorded.values()} == {np.dtype(np.int8)}
    weights = numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    made = np.maximum(plain_convolution(images[:3], weights), 0)
    assert np.abs(recorded["r"] - made / made.max() * 127).max() <= 0.5 + 1e-3
    assert (recorded["x"] == np.rint(images[:3] / (np.abs(images[:3]).max() / np.float32(127)))).all()


def test_quantised_feature_maps_are_those_of_the_network(tmp_path: Path) -> None:
    path, images = save_model(tmp_path / "a.onnx", quantised=True), samples()
    recorded = record_feature_maps(load_workload(path), save_images(tmp_path / "i.npz", images, "x"), 5)
    weights = numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    made = np.maximum(plain_convolution(images, weights), 0)
    expected = np.clip(np.rint(made / 0.03), 0, 248)
    assert np.abs(recorded["r"] - expected).max() <= 1
    assert ((recorded["r"] == 0) == (expected == 0)).mean() > 0.99


def test_fixed_batches_are_filled(tmp_path: Path) -> None:
    path, images = save_model(tmp_path / "a.onnx", batch=2), save_images(tmp_path / "i.npz", samples(5))
    assert len(record_feature_maps(load_workload(path), images, 5)["r"]) == 4
    with pytest.raises(InputError, match="at least 2"):
        record_feature_maps(load_workload(path), images, 1)


def test_annotated_workloads_read_what_was_written(tmp_path: Path) -> None:
    path, images = save_model(tmp_path / "a.onnx"), save_images(tmp_path / "i.npz", samples())
    out = tmp_path / "t.npz"
    assert (
        run_command(["record-activations", str(path), "--images", str(images), "--samples", "2", "-o", str(out)]) == 0
    )
    file = tmp_path / "w.yaml"
    file.write_text("accelsim_workload: 1\nnetwork: a.onnx\ntensors: t.npz\n")
    graph = load_workload(file).with_batch(3)
    with np.load(out) as stored:
        for name in stored.files:
            values = graph.annotations.of_tensor(name).values
            assert values is not None
            assert values.shape == graph.tensors[name].shape
            assert (values == np.concatenate([stored[name], stored[name]])[:3]).all(), "two samples, the first again"
    assert graph.annotations.of_tensor("w").known == "tensor"


def test_shipped_network_runs_on_shipped_images() -> None:
    graph = load_workload(WORKLOADS / "models" / "fashion_cnn.onnx")
    recorded = record_feature_maps(graph, WORKLOADS / "images" / "fashion_mnist_2000.npz", 2)
    for layer in graph.layers:
        if graph.weight_tensor(layer):
            assert recorded[layer.inputs[0]].shape == (2, *graph.tensors[layer.inputs[0]].shape[1:])
    zeros = [np.mean(array == 0) for name, array in recorded.items() if name.endswith("relu")]
    assert 0.2 < np.mean(zeros) < 0.9


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 2, 5, 6), np.float32), "no input of this network"),
        (np.zeros((3, 2, 6, 6), np.float64), "no input of this network"),
        (np.zeros((0, 2, 6, 6), np.float32), "no input of this network"),
        (np.zeros(3, np.float32), "no input of this network"),
        (np.full((3, 2, 6, 6), np.nan, np.float32), "not finite"),
        (np.zeros((3, 28, 28, 1), np.uint8), "no input of this network"),
    ],
)
def test_images_of_another_network_are_refused(tmp_path: Path, array: Array, words: str) -> None:
    path = save_model(tmp_path / "a.onnx")
    with pytest.raises(InputError, match=words):
        record_feature_maps(load_workload(path), save_images(tmp_path / "i.npz", array), 1)


def test_what_cannot_be_recorded_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, images = save_model(tmp_path / "a.onnx"), save_images(tmp_path / "i.npz", samples())
    with pytest.raises(WorkloadError, match="no values to compute with"):
        record_feature_maps(load_workload("resnet18"), images, 1)
    with pytest.raises(InputError, match=r"--images.*is needed"):
        record_feature_maps(load_workload(path), None, 1)
    with pytest.raises(InputError, match="no such file"):
        record_feature_maps(load_workload(path), tmp_path / "no.npz", 1)
    (tmp_path / "bad.npz").write_text("nothing")
    with pytest.raises(InputError, match="is no npz file"):
        record_feature_maps(load_workload(path), tmp_path / "bad.npz", 1)
    with pytest.raises(InputError, match="no array for this input"):
        record_feature_maps(load_workload(path), save_images(tmp_path / "other.npz", samples(), "y"), 1)
    endless = save_model(tmp_path / "b.onnx", weight=3e38)
    with pytest.raises(WorkloadError, match="infinite or no number"):
        record_feature_maps(load_workload(endless), images, 1)
    assert run_command(["record-activations", str(path), "--images", str(images), "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"r": np.zeros((1, 4, 4, 5), np.int8)}, r"r = .*another shape"),
        ({"r": np.zeros((0, 4, 4, 4), np.int8)}, "another shape"),
        ({"r": np.full((1, 4, 4, 4), np.nan)}, "holds no integers"),
        ({"conv_9": np.zeros((1, 4, 4, 4), np.int8)}, "is no tensor of the network"),
        ({"r": np.array([{}], object)}, "npz|no integers"),
    ],
)
def test_tensors_of_another_network_are_refused_at_once(tmp_path: Path, arrays: dict[str, Array], words: str) -> None:
    save_model(tmp_path / "a.onnx")
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    file = tmp_path / "w.yaml"
    file.write_text("accelsim_workload: 1\nnetwork: a.onnx\ntensors: t.npz\n")
    with pytest.raises(WorkloadError, match=words):
        load_workload(file)


def test_damaged_tensors_are_refused(tmp_path: Path) -> None:
    write_tensors({"r": RANDOM.integers(-9, 9, (1, 4, 4, 4)).astype(np.int8)}, tmp_path / "t.npz")
    save_model(tmp_path / "a.onnx")
    file = tmp_path / "w.yaml"
    file.write_text(json.dumps({"accelsim_workload": 1, "network": "a.onnx", "tensors": "t.npz"}))
    data = (tmp_path / "t.npz").read_bytes()
    graph = load_workload(file)
    for broken in (b"nothing", data[: len(data) // 2], b""):
        (tmp_path / "t.npz").write_bytes(broken)
        with pytest.raises(WorkloadError, match=r"t\.npz.*cannot be read"):
            load_workload(file)
    with pytest.raises(WorkloadError, match=r"t\.npz: r.*cannot be read"):
        _ = graph.annotations.of_tensor("r").values
    (tmp_path / "t.npz").unlink()
    with pytest.raises(WorkloadError, match="no such file"):
        load_workload(file)
