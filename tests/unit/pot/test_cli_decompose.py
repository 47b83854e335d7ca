from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelsim.cli import run_command
from accelsim.errors import WorkloadError
from accelsim.workload.onnx_import import import_onnx
from accelsim.workload.pot.files import load_pot_weights
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.sources import read_weights
from accelsim.workload.pot.weights import PotLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    Weights = np.ndarray[Any, Any]


def random_weights(*shape: int, seed: int = 0) -> Weights:
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


ARRAYS = {
    "conv1.weight": random_weights(16, 3, 3, 3),
    "conv1.bias": random_weights(16),
    "stem.weight": random_weights(4, 3, 5, 5),
    "fc.weight": random_weights(10, 64),
    "steps": np.arange(6).reshape(2, 3),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "net.npz", allow_pickle=False, **ARRAYS)
    return tmp_path


def stored(name: str, array: Weights) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def save_onnx(
    path: Path, nodes: Sequence[onnx.NodeProto], tensors: Sequence[onnx.TensorProto], shape: Sequence[int]
) -> Path:
    graph = helper.make_graph(
        list(nodes), "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(tensors),
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def mixed_model(path: Path) -> Path:
    """A convolution, a Gemm either way round, a MatMul through a Transpose, and a weight from a Constant node."""
    nodes = [
        helper.make_node("Conv", ["x", "conv.w"], ["a"]),
        helper.make_node("Flatten", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "one.w"], ["c"], transB=1),
        helper.make_node("Gemm", ["c", "other.w"], ["d"]),
        helper.make_node("Transpose", ["third.w"], ["third.t"], perm=[1, 0]),
        helper.make_node("MatMul", ["d", "third.t"], ["e"]),
        helper.make_node("Constant", [], ["fourth.w"], value=stored("", random_weights(12, 11, seed=4))),
        helper.make_node("MatMul", ["e", "fourth.w"], ["y"]),
    ]
    tensors = [
        stored("conv.w", random_weights(8, 3, 3, 3)),
        stored("one.w", random_weights(9, 32, seed=1)),
        stored("other.w", random_weights(9, 10, seed=2).astype(np.float64)),
        stored("third.w", random_weights(12, 10, seed=3).astype(np.float16)),
    ]
    return save_onnx(path, nodes, tensors, (1, 3, 4, 4))


def test_onnx_weights_come_as_out_by_in_under_the_names_of_the_graph(tmp_path: Path) -> None:
    path = mixed_model(tmp_path / "net.onnx")
    found = read_weights(path)
    assert {name: array.shape for name, array in found.arrays.items()} == {
        "conv.w": (8, 3, 3, 3), "one.w": (9, 32), "other.w": (10, 9), "third.w": (12, 10), "fourth.w": (11, 12)
    }  # fmt: skip
    assert found.left_out == {}
    np.testing.assert_array_equal(found.arrays["one.w"], random_weights(9, 32, seed=1))
    np.testing.assert_array_equal(found.arrays["other.w"], random_weights(9, 10, seed=2).T)
    np.testing.assert_array_equal(found.arrays["third.w"], random_weights(12, 10, seed=3).astype(np.float16))
    np.testing.assert_array_equal(found.arrays["fourth.w"], random_weights(12, 11, seed=4).T)


def test_onnx_weights_fit_the_imported_graph(tmp_path: Path) -> None:
    path = mixed_model(tmp_path / "net.onnx")
    graph = import_onnx(path)
    tensors = [tensor for layer in graph.layers if (tensor := graph.weight_tensor(layer))]
    assert {tensor.name: tensor.shape for tensor in tensors} == {
        name: array.shape for name, array in read_weights(path).arrays.items()
    }
    assert run_command(["decompose", str(path), "-o", str(tmp_path / "net.pot.npz"), "--json"]) == 0
    found = load_pot_weights(tmp_path / "net.pot.npz").for_graph(graph)
    assert len(found) == 5


def test_a_one_dimensional_convolution_has_one_row(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = save_onnx(tmp_path / "net.onnx", [node], [stored("w", random_weights(4, 8, 1))], (1, 8, 10))
    assert read_weights(path).arrays["w"].shape == (4, 8, 1, 1)


def test_integer_weights_are_read_with_their_scales(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("DequantizeLinear", ["p", "t"], ["v"]),
        helper.make_node("Conv", ["a", "v"], ["y"]),
    ]
    per_channel = np.arange(1, 9, dtype=np.float32)
    tensors = [
        stored("q", np.full((8, 8, 1, 1), 5, np.int8)),
        stored("s", per_channel),
        stored("z", np.full(8, 2, np.int8)),
        stored("p", np.full((8, 8, 1, 1), 4, np.int8)),
        stored("t", np.array(0.5, np.float32)),
    ]
    found = read_weights(save_onnx(tmp_path / "net.onnx", nodes, tensors, (1, 8, 4, 4)))
    assert list(found.arrays) == ["q", "p"], "by the names that the import gives them"
    assert (found.arrays["q"] == 3 * per_channel[:, None, None, None]).all()
    assert (found.arrays["p"] == 2.0).all()


def test_computed_weights_are_left_out(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "d"], ["a"]),
        helper.make_node("MatMul", ["a", "a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["y"]),
    ]
    tensors = [
        stored("q", np.ones((8, 8, 1, 1), np.int8)),
        stored("s", np.ones((8, 2, 1, 1), np.float32)),
        stored("v", random_weights(8, 8, 1, 1)),
    ]
    found = read_weights(save_onnx(tmp_path / "net.onnx", nodes, tensors, (1, 8, 4, 4)))
    assert list(found.arrays) == ["v"]
    assert found.left_out == {"q": "holds no floating-point numbers"}, "scales of blocks"


def test_integers_in_an_archive_are_read_with_their_scales(tmp_path: Path) -> None:
    integers = np.arange(-18, 18, dtype=np.int8).reshape(2, 2, 3, 3)
    scales = np.array([0.5, 0.25], np.float32)
    np.savez(tmp_path / "net.npz", a=integers, a_scale=scales, b=integers, b_scale=np.float32(2), c=integers,
             c_scale=np.ones(3, np.float32), d=integers, d_scale=np.ones(2, np.int32))  # fmt: skip
    found = read_weights(tmp_path / "net.npz")
    np.testing.assert_array_equal(found.arrays["a"], integers * scales.reshape(2, 1, 1, 1))
    np.testing.assert_array_equal(found.arrays["b"], 2.0 * integers)
    assert found.left_out == {
        name: f"holds int8, not floating-point numbers, and has no {name}_scale to fit it" for name in ("c", "d")
    }


def test_weights_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    weights = random_weights(8, 3, 3, 3)
    (tmp_path / "weights.bin").write_bytes(weights.tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=weights.shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    path = save_onnx(tmp_path / "net.onnx", [helper.make_node("Conv", ["x", "w"], ["y"])], [tensor], (1, 3, 4, 4))
    np.testing.assert_array_equal(read_weights(path).arrays["w"], weights)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(WorkloadError, match=r"net.onnx: tensor 'w': its external file 'weights.bin' is missing"):
        read_weights(path)


def test_weights_that_a_model_only_invents_are_told() -> None:
    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"
    with pytest.raises(WorkloadError, match="has no Conv, Gemm or MatMul node with floating-point weights"):
        read_weights(light)


@pytest.mark.usefixtures("folder")
def test_the_table_shows_error_sparsity_and_storage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run_command(["decompose", "net.npz"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "net, index per element"
    row = next(line.split() for line in lines if line.startswith("conv1.weight"))
    assert row[1] == "16x3x3x3"
    assert all(cell.endswith("%") for cell in row[2:5])
    assert row[-3:-1] == ["144", "B"]
    assert "Not decomposed: stem.weight: its kernel of 5 x 5 is neither 1 x 1 nor 3 x 3" in captured.out
    assert "Left out: steps: holds int64, not floating-point numbers" in captured.out
    assert "times less than 32-bit floating point" in captured.out


@pytest.mark.usefixtures("folder")
def test_a_narrow_window_keeps_names_and_storage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command(["decompose", "net.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    row = next(line.split() for line in lines if line.startswith("conv1.weight"))
    assert row[1].endswith("%")
    assert row[-3:-1] == ["144", "B"]


def test_json_is_one_document_that_adds_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["decompose", "net.npz", "--json", "-o", "made/net.pot.npz", "--index", "vector"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [layer["name"] for layer in record["layers"]] == ["conv1.weight", "stem.weight", "fc.weight"]
    for key in ("coefficient_bits", "index_bits", "basis_bits", "plain_bits", "total_bits"):
        assert record["totals"][key] == sum(layer[key] for layer in record["layers"])
    first = record["layers"][0]
    assert 0 < first["error"] < 0.3
    assert first["basis_bits"] == 16 * 9 * 8
    assert first["index_bits"] == 16 * 9
    assert record["totals"]["weights"] == 16 * 27 + 4 * 75 + 640
    assert record["layers"][1]["plain_bits"] == 32 * 300
    written = load_pot_weights(folder / "made" / "net.pot.npz")
    assert written.storage().total_bits == record["totals"]["total_bits"]
    assert written.sparsity == record["totals"]["sparsity"]
    assert written.parameters == PotParameters(index="vector")


@pytest.mark.usefixtures("folder")
def test_options_reach_the_solver(folder: Path) -> None:
    options = ["--theta", "0.05", "--sparsity", "0.5", "--sparsity", "fc.weight=0.25", "--scale-columns"]
    assert run_command(["decompose", "net.npz", "-o", "out.npz", *options]) == 0
    made = load_pot_weights(folder / "out.npz")
    assert made.parameters == PotParameters(theta=0.05, scale_columns=True)
    conv, _, linear = made.layers
    assert isinstance(conv, PotLayer)
    assert isinstance(linear, PotLayer)
    assert conv.vector_sparsity >= 4 / 9
    assert linear.vector_sparsity >= 5 / 22


def test_the_theta_of_the_command_line_is_that_of_the_parameters(folder: Path) -> None:
    assert run_command(["decompose", "net.npz", "-o", "out.npz"]) == 0
    assert load_pot_weights(folder / "out.npz").parameters == PotParameters()


def nan_model(path: Path) -> None:
    weights = random_weights(8, 3, 3, 3)
    weights[1, 2, 0, 0] = np.nan
    save_onnx(path, [helper.make_node("Conv", ["x", "w"], ["y"])], [stored("w", weights)], (1, 3, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.npz"], "absent.npz: no such file"),
        (["absent.onnx"], "absent.onnx: no such file"),
        (["net.txt"], "net.txt: '.txt': is no format of weights by its suffix; allowed: .onnx, .npz"),
        (["nan.onnx"], "nan.onnx: w = nan: 1 of its weights are not finite, the first at (1, 2, 0, 0)"),
        (["infinite.npz"], "infinite.npz: w = inf: 1 of its weights are not finite"),
        (["integers.npz"], "integers.npz: has no floating-point array (or integers and their scales) of shape"),
        (["small.npz"], "small.npz: w: no weight array can be decomposed: its filters of 4 weights are smaller than"),
        (["pot.npz"], "pot.npz: holds power-of-two weights already"),
        (["broken.onnx"], "broken.onnx: is no ONNX model, or a truncated one"),
        (["broken.npz"], "broken.npz: is no npz archive of plain arrays, or a damaged one"),
        (["relu.onnx"], "relu.onnx: has no Conv, Gemm or MatMul node with floating-point weights"),
        (["short.onnx"], "short.onnx: tensor 'w': its data cannot be read: "),
        (["."], ".: '': is no format of weights by its suffix"),
        (["net.npz", "--theta", "-1"], "decomposition: theta = -1.0: not accepted; allowed: a number of at least 0"),
        (["net.npz", "--theta", "nan"], "decomposition: theta = nan: not accepted"),
        (["net.npz", "--sparsity", "2"], "--sparsity: '2': not accepted; allowed: a fraction from 0 to 1, or NAME="),
        (["net.npz", "--sparsity", "a=b"], "--sparsity: 'a=b': not accepted"),
        (["net.npz", "--sparsity", "moon=0.5"], "net.npz: moon: sparsity names a weight array that does not exist"),
        (["net.npz", "-o", "."], "--out: '.': is a folder, not a file"),
        (["net.npz", "--index", "row"], "Invalid value for '--index'"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nan_model(folder / "nan.onnx")
    np.savez(folder / "infinite.npz", w=np.where(np.arange(72).reshape(1, 8, 3, 3) == 5, np.inf, 0.1))
    np.savez(folder / "integers.npz", w=np.ones((4, 4), np.int8))
    np.savez(folder / "small.npz", w=np.ones((4, 4)))
    np.savez(folder / "pot.npz", header=np.zeros(3), basis_0=np.zeros(3))
    (folder / "broken.onnx").write_bytes(b"\xff" * 40)
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    save_onnx(folder / "relu.onnx", [helper.make_node("Relu", ["x"], ["y"])], [], (1, 3))
    short = stored("w", random_weights(8, 3, 3, 3))
    short.raw_data = short.raw_data[:-8]
    save_onnx(folder / "short.onnx", [helper.make_node("Conv", ["x", "w"], ["y"])], [short], (1, 3, 4, 4))
    assert run_command(["decompose", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"accelsim: error: {message}")
    assert captured.err.count("\n") == 1


def test_channels_are_zeroed_beforehand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--channels", "conv1.weight=1", "--channels", "conv1.weight=2", "-o", "pruned.npz"]
    assert run_command(["decompose", "net.npz", *options, "--json"]) == 0
    capsys.readouterr()
    (layer,) = (layer for layer in load_pot_weights(folder / "pruned.npz").layers if layer.name == "conv1.weight")
    decoded = layer.decode()
    assert not decoded[:, 1:].any()
    assert decoded[:, 0].any()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("conv1.weight=", "--channels: 'conv1.weight=': not accepted; allowed: NAME= and channels from 0 on"),
        ("1,2", "--channels: '1,2': not accepted"),
        ("conv1.weight=-1", "--channels: 'conv1.weight=-1': not accepted"),
        ("conv1.weight=3", "net.npz: conv1.weight: cannot prune channels"),
        ("absent=0", "net.npz: absent: pruned_channels names a weight array that does not exist"),
    ],
)
def test_channels_that_do_not_exist_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    assert folder.exists()
    assert run_command(["decompose", "net.npz", "--channels", option]) == 2
    assert message in capsys.readouterr().err
