"""Broken workload files: each has to be refused with one line that names what and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import LIGHT, ints, node, save, weight

from accelsim.errors import WorkloadError
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = "accelsim_workload: 1\nname: net\ninputs: {image: [1, 3, 8, 8]}\nlayers:\n"
CONV = "  - {name: c, op: conv, out_channels: 4, kernel: 3}\n"


def message_of(source: str | Path) -> str:
    with pytest.raises(WorkloadError) as caught:
        load_workload(source)
    text = str(caught.value)
    assert "\n" not in text
    return text


YAML_FILES = [
    ("", "is empty; allowed: a mapping of keys to values"),
    ("[1, 2]", "holds a list, not a mapping of keys to values"),
    ("name: [a\n", "line 2, column 1: not valid YAML: did not find expected ',' or ']'"),
    ("name: net\n", "accelsim_workload: is missing; every native workload file begins with it"),
    (HEAD.replace("load: 1", "load: 2") + CONV, "accelsim_workload = 2: not accepted; allowed: 1"),
    (
        "accelsim_workload: 1\nnetwrk: lenet5\n",
        "layers: is missing; allowed: layers and inputs, or the key network with the name of one",
    ),
    (
        "accelsim_workload: 1\nnetwork: msdnet_cifar\nmembers: 2\n",
        "members = 2: msdnet_cifar has 5 outputs; allowed: a network with one output",
    ),
    (
        "accelsim_workload: 1\nnetwork: alexnet_pruned\npart: {until: conv1}\n",
        "part: alexnet_pruned has annotations of its own; allowed: a network without any",
    ),
    (
        HEAD.replace("name: net", "nmae: net") + CONV,
        "nmae: unknown key; allowed: one of accelsim_workload, description,",
    ),
    (HEAD.replace("name: net\n", "") + CONV, "name: is missing"),
    (HEAD + "  []\n", "layers: has no layers"),
    (HEAD.replace("layers:\n", "layers: 7\n"), "layers = 7: not accepted; allowed: a list"),
    (
        HEAD.replace("[1, 3, 8, 8]", "[1, 0, 8, 8]") + CONV,
        "inputs.image.shape.1 = 0: not accepted; allowed: greater than",
    ),
    (HEAD.replace("[1, 3, 8, 8]", "[1, -3, 8, 8]") + CONV, "inputs.image.shape.1 = -3: not accepted; allowed: greater"),
    (HEAD.replace("[1, 3, 8, 8]", "[1, 3, 8, .nan]") + CONV, "inputs.image.shape.3"),
    (HEAD.replace("[1, 3, 8, 8]", "[1, 3, 8, 8.5]") + CONV, "inputs.image.shape.3 = 8.5"),
    (HEAD.replace("{image: [1, 3, 8, 8]}", "{}") + CONV, "layers[0] (c).inputs: is missing"),
    (
        HEAD.replace("[1, 3, 8, 8]", "[1, 3, 1048576, 1048576]") + CONV,
        "image: shape (1, 3, 1048576, 1048576) has more than",
    ),
    (HEAD + CONV + CONV, "c: this layer name is used more than once"),
    (HEAD + "  - {name: c, name: d, op: softmax}\n", "line 5, column 15: not valid YAML: duplicate key 'name'"),
    (HEAD + "  - {name: c}\n", "layers[0] (c).op: is missing; allowed: conv, gemm, matmul, pool, elementwise, concat,"),
    (
        HEAD + "  - {name: c, op: lstm}\n",
        "layers[0] (c).op = 'lstm': unknown operator; allowed: conv, gemm, matmul, pool,",
    ),
    (HEAD + "  - {name: c, op: conv, kernel: 3}\n", "layers[0] (c): out_channels: is missing"),
    (
        HEAD + "  - {name: c, op: conv, out_chanels: 4, kernel: 3}\n",
        "layers[0] (c): out_chanels: unknown key; allowed: one of",
    ),
    (
        HEAD + "  - {name: c, op: conv, out_channels: four, kernel: 3}\n",
        "layers[0] (c): out_channels = 'four': not accepted",
    ),
    (HEAD + "  - {name: c, op: conv, out_channels: 0, kernel: 3}\n", "layers[0] (c): out_channels = 0: not accepted"),
    (
        HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: 9}\n",
        "c: window of 9 is larger than the padded input of 8",
    ),
    (
        HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: 3, groups: 3}\n",
        "groups 3 do not divide out_channels 4",
    ),
    (
        HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: 3, groups: 2}\n",
        "groups 2 do not divide the 3 input channels",
    ),
    (HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: 3, weight_bits: 0}\n", "layers[0] (c): weight_bits = 0"),
    (
        HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: [3, 3, 3]}\n",
        "kernel = [3, 3, 3]: takes whole numbers of at",
    ),
    (
        HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: 3, padding: -1}\n",
        "padding = -1: takes whole numbers of",
    ),
    (
        HEAD + "  - {name: c, op: conv, out_channels: 4, kernel: true}\n",
        "kernel = True: takes whole numbers of at least 1",
    ),
    (
        HEAD + "  - {name: c, op: pool, function: median}\n",
        "layers[0] (c): function = 'median': not accepted; allowed: 'max' or",
    ),
    (
        HEAD + "  - {name: c, op: softmax, inputs: [img]}\n",
        "c: input 'img' is made by no layer and is no input of the graph",
    ),
    (HEAD + "  - {name: c, op: softmax, inputs: []}\n", "c: has no inputs"),
    (
        HEAD + "  - {name: c, op: view, shape: [1, 9, 8, 8]}\n",
        "c: a view of shape (1, 9, 8, 8) needs 576 elements, the input",
    ),
    (
        HEAD + "  - {name: a, op: softmax, inputs: [b]}\n  - {name: b, op: softmax, inputs: [a]}\n",
        "layers: these layers form a cycle: a -> b",
    ),
    (
        HEAD + CONV + "  - {name: s, op: elementwise, inputs: [c, image]}\n",
        "s: shapes (1, 4, 6, 6) and (1, 3, 8, 8) do not broadcast",
    ),
    (HEAD + CONV + "  - &a {name: s, op: softmax}\n  - *a\n", "not valid YAML: aliases (*name) are not accepted"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), YAML_FILES)
def test_broken_yaml_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(text)
    message = message_of(path)
    assert message.startswith(f"{path}: ")
    assert expected in message


def test_messages_read_as_sentences(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(HEAD + CONV.replace("kernel: 3", "kernel: 3, stride: 0"))
    expected = f"{path}: layers[0] (c): stride = 0: takes whole numbers of at least 1: one, or [rows, columns]"
    assert message_of(path) == expected
    path.write_text(HEAD + CONV + "  - {name: fc, op: gemm, outfeatures: 10}\n")
    assert message_of(path) == (
        f"{path}: layers[1] (fc): outfeatures: unknown key; allowed: one of bias, inputs, name, op, out_features, "
        "output, output_bits, per_position, weight, weight_bits"
    )


def relu(path: Path, *shape: int | str | None) -> Path:
    return save(path, [node("Relu", ["x"], ["y"])], {"x": shape})


def truncated(path: Path) -> Path:
    path.write_bytes((LIGHT / "light_resnet50.onnx").read_bytes()[:40_001])
    return path


def text(path: Path) -> Path:
    path.write_text("this is no protobuf, whatever its name says\n")
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def other_domain(path: Path) -> Path:
    return save(path, [helper.make_node("Rotate", ["x"], ["y"], name="turn", domain="org.example")], {"x": (1, 3)})


def future_opset(path: Path) -> Path:
    return save(path, [node("Relu", ["x"], ["y"])], {"x": (1, 3)}, opset=9999)


def unsupported(path: Path) -> Path:
    return save(path, [node("LSTM", ["x", "w", "r"], ["y"], name="cell", hidden_size=4)], {"x": (5, 1, 3)},
                [weight("w", 1, 16, 3), weight("r", 1, 16, 4)])  # fmt: skip


def mismatched_weight(path: Path) -> Path:
    return save(path, [node("Conv", ["x", "w"], ["y"], name="c1")], {"x": (1, 3, 8, 8)}, [weight("w", 4, 5, 3, 3)])


def mismatched_matrix(path: Path) -> Path:
    return save(path, [node("Gemm", ["x", "w"], ["y"], name="fc")], {"x": (1, 9)}, [weight("w", 8, 4)])


def three_dimensions(path: Path) -> Path:
    conv = node("Conv", ["x", "w"], ["y"], name="c3d")
    return save(path, [conv], {"x": (1, 3, 8, 8, 8)}, [weight("w", 4, 3, 3, 3, 3)])


def dynamic_weight(path: Path) -> Path:
    return save(path, [node("Conv", ["x", "w"], ["y"], name="hyper")], {"x": (1, 3, 8, 8), "w": (4, 3, 3, 3)})


def used_indices(path: Path) -> Path:
    pool = node("MaxPool", ["x"], ["m", "i"], name="p", kernel_shape=[2, 2])
    kinds = {"y": TensorProto.INT64}
    return save(path, [pool, node("Neg", ["i"], ["y"])], {"x": (1, 3, 8, 8)}, types=kinds)


def counting(path: Path) -> Path:
    return save(path, [node("NonZero", ["x"], ["n"]), node("Relu", ["n"], ["y"])], {"x": (3, 4)})


def dangling(path: Path) -> Path:
    return save(path, [node("Add", ["x", "ghost"], ["y"], name="sum")], {"x": (1, 3)})


def cycle(path: Path) -> Path:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    return save(path, nodes, {"x": (1, 3)})


def missing_external(path: Path) -> Path:
    stored = weight("w", 4, 3, 3, 3)
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="net.weights")
    return save(path, [node("Conv", ["x", "w"], ["y"])], {"x": (1, 3, 8, 8)}, [stored])


def truncated_external(path: Path) -> Path:
    missing_external(path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data.add(key="length", value="432")
    path.write_bytes(model.SerializeToString())
    (path.parent / "net.weights").write_bytes(bytes(100))
    return path


def outside_external(path: Path) -> Path:
    missing_external(path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../../etc/passwd"
    path.write_bytes(model.SerializeToString())
    return path


def weights_only(path: Path) -> Path:
    return save(path, [node("Relu", ["w"], ["y"])], {}, [weight("w", 3)])


def computed_reshape(path: Path) -> Path:
    nodes = [node("Reshape", ["x", "s"], ["y"], name="dynamic")]
    return save(path, nodes, {"x": (1, 12), "s": (2,)}, types={"s": TensorProto.INT64})


def interpolated(path: Path) -> Path:
    resize = node("Resize", ["x", "", "", "sizes"], ["y"], name="up", mode="linear")
    return save(path, [resize], {"x": (1, 3, 4, 4)}, [ints("sizes", 1, 3, 8, 8)])


ONNX_FILES: list[tuple[Callable[[Path], Path], str]] = [
    (empty, "is empty; allowed: an ONNX model"),
    (truncated, "is no ONNX model, or a truncated one (its protobuf does not parse)"),
    (text, "is no ONNX model, or a truncated one (its protobuf does not parse)"),
    (lambda path: save(path, [], {"x": (1, 3)}, outputs=["x"]), "holds no ONNX graph with nodes"),
    (lambda path: save(path, [node("Relu", ["x"], ["y"])], {"x": (1, 3)}, outputs=[]), "its graph has no outputs"),
    (lambda path: relu(path, "N", 3, "H", 8), "input 'x': dimension 2 is 'H'; give it a number, e.g. with onnx.tools."),
    (lambda path: relu(path, 1, None), "input 'x': dimension 1 is no value; give it a number"),
    (lambda path: relu(path, 1, 0), "input 'x': dimension 1 is 0; allowed: at least 1"),
    (lambda path: relu(path, -2, 3), "input 'x': dimension 0 is -2; allowed: at least 1"),
    (lambda path: relu(path, 1, 2**41), "x: shape (1, 2199023255552) has more than 2^40 elements"),
    (
        lambda path: save(path, [node("Add", ["x", "p"], ["y"])], {"x": ("N", "length"), "p": ("length",)}),
        "input 'x': dimension 1 is 'length'; give it a number",
    ),
    (other_domain, "node 'turn' (Rotate): operator domain 'org.example' is not supported; allowed: operators of ONNX"),
    (future_opset, "opset = 9999: not known; allowed: 1 to"),
    (unsupported, "node 'cell' (LSTM): operator LSTM is not supported"),
    (interpolated, "node 'up' (Resize): interpolation 'linear' is not supported, only 'nearest' is"),
    (
        mismatched_weight,
        "node 'c1' (Conv): weight 'w' of shape (4, 5, 3, 3) with 1 groups does not fit 3 input channels",
    ),
    (mismatched_matrix, "node 'fc' (Gemm): weight 'w' takes 8 features, the input has 9"),
    (
        three_dimensions,
        "node 'c3d' (Conv): input of shape (1, 3, 8, 8, 8): only 1 and 2 spatial dimensions are supported",
    ),
    (dynamic_weight, "node 'hyper' (Conv): its weight 'w' is computed at run time, which is not supported"),
    (used_indices, "node 'p' (MaxPool): its output 'i' is used, which is not supported"),
    (counting, "node 'NonZero_n' (NonZero): operator NonZero is not supported"),
    (dangling, "node 'sum' (Add): its input 'ghost' is made by no node"),
    (computed_reshape, "node 'dynamic' (Reshape): the shape of tensor 'y' cannot be inferred; fix the dimensions of"),
    (cycle, "node 'Add_a' (Add): its input 'b' is made later: the graph has a cycle"),
    (missing_external, "tensor 'w': its external file 'net.weights' is missing"),
    (truncated_external, "tensor 'w': its external file 'net.weights' is truncated"),
    (outside_external, "tensor 'w': its external file '../../etc/passwd' is not beside the model"),
    (weights_only, "has no layers"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), ONNX_FILES)
def test_broken_onnx_is_refused(tmp_path: Path, make: Callable[[Path], Path], expected: str) -> None:
    path = make(tmp_path / "net.onnx")
    message = message_of(path)
    assert message.startswith(f"{path}: ")
    assert expected in message


@pytest.mark.parametrize("suffix", [".onnx", ".csv", ".yaml", ".yml"])
def test_missing_files_and_directories_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    assert message_of(str(path)) == f"{path}: no such file"
    path.mkdir()
    assert message_of(path) == f"{path}: is a directory, not a file"


@pytest.mark.parametrize("suffix", [".yaml", ".csv"])
def test_binary_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(bytes(range(256)))
    assert message_of(path) == f"{path}: is not a text file in UTF-8"


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"x")
    expected = f"{path}: '.pt': is no workload format by its suffix; allowed: .onnx, .csv, .yaml, .yml"
    assert message_of(str(path)) == expected
    assert message_of(path) == expected


def test_unknown_names_get_near_ones() -> None:
    message = message_of("resnet5O")
    assert message.startswith("workload: 'resnet5O': no workload has this name; did you mean resnet50")
    assert "`accelsim list workloads`" in message
    assert "did you mean" not in message_of("qqqqqq")
