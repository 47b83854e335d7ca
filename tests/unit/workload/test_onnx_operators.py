from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import FLOAT, ints, node, save, weight

from accelsim.errors import WorkloadError
from accelsim.workload.onnx_import import import_onnx
from accelsim.workload.operators import Conv, Gemm, Pool, Upsample, Window

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph

IMAGE = {"x": (1, 4, 9, 11)}


def load(tmp_path: Path, *arguments: Any, **keywords: Any) -> LayerGraph:  # noqa: ANN401 - those of `save`
    return import_onnx(save(tmp_path / "net.onnx", *arguments, **keywords))


def ops(graph: LayerGraph) -> list[str]:
    return [layer.op for layer in graph.layers]


def test_convolution_keeps_groups_dilation_and_asymmetric_padding(tmp_path: Path) -> None:
    conv = node("Conv", ["x", "w"], ["y"], group=2, dilations=[2, 1], strides=[1, 2], pads=[2, 0, 1, 3])
    graph = load(tmp_path, [conv], IMAGE, [weight("w", 6, 2, 3, 3)])
    (layer,) = graph.layers
    assert isinstance(layer.operator, Conv)
    assert (layer.operator.groups, layer.operator.bias, layer.weight) == (2, False, "w")
    assert layer.operator.window.padding == (2, 0, 1, 3)
    assert graph.outputs[0].shape == (1, 6, 8, 6)
    assert graph.total_macs == 8 * 6 * 6 * 2 * 9


@pytest.mark.parametrize(
    ("mode", "padding"), [("SAME_UPPER", (1, 0, 1, 1)), ("SAME_LOWER", (1, 1, 1, 0)), ("VALID", (0, 0, 0, 0))]
)
def test_automatic_padding_is_written_out(tmp_path: Path, mode: str, padding: tuple[int, ...]) -> None:
    conv = node("Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[2, 3])
    graph = load(tmp_path, [conv], IMAGE, [weight("w", 6, 4, 3, 3)])
    assert isinstance(graph.layers[0].operator, Conv)
    assert graph.layers[0].operator.window.padding == padding


def test_one_dimensional_convolution_is_a_map_of_one_row(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"], pads=[1, 2], strides=[2]),
        node("MaxPool", ["a"], ["y"], kernel_shape=[2], strides=[2]),
    ]
    graph = load(tmp_path, nodes, {"x": (1, 4, 20)}, [weight("w", 8, 4, 5), weight("b", 8)])
    assert ops(graph) == ["view", "conv", "view", "pool", "view"]
    assert graph.outputs[0].shape == (1, 8, 5)
    assert graph.total_macs == 8 * 10 * 4 * 5
    assert graph.total_parameters == 8 * 4 * 5 + 8


@pytest.mark.parametrize("opset", [10, 13])
def test_padding_folds_into_the_window_after_it(tmp_path: Path, opset: int) -> None:
    pads = [0, 0, 1, 0, 0, 0, 2, 3]
    pad = node("Pad", ["x"], ["p"], pads=pads) if opset == 10 else node("Pad", ["x", "pads"], ["p"])
    nodes = [pad, node("Conv", ["p", "w"], ["y"], pads=[0, 1, 0, 1])]
    graph = load(tmp_path, nodes, IMAGE, [weight("w", 6, 4, 3, 3), ints("pads", *pads)], opset=opset)
    assert ops(graph) == ["conv"]
    assert isinstance(graph.layers[0].operator, Conv)
    assert graph.layers[0].operator.window.padding == (1, 1, 2, 4)


def test_channel_padding_of_a_residual_shortcut_is_a_copy(tmp_path: Path) -> None:
    nodes = [
        node("Slice", ["x", "starts", "ends", "axes", "steps"], ["half"]),
        node("Pad", ["half", "pads"], ["wide"]),
        node("Relu", ["wide"], ["y"]),
    ]
    stored = [ints("starts", 0, 0), ints("ends", 99, 99), ints("axes", 2, 3), ints("steps", 2, 2),
              ints("pads", 0, 2, 0, 0, 0, 2, 0, 0)]  # fmt: skip
    graph = load(tmp_path, nodes, IMAGE, stored)
    assert ops(graph) == ["view", "pool", "view", "activation"]
    assert graph.outputs[0].shape == (1, 8, 5, 6)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_reads_its_weight_either_way_round(tmp_path: Path, transposed: int) -> None:
    shape = (7, 20) if transposed else (20, 7)
    gemm = node("Gemm", ["x", "w", "b"], ["y"], transB=transposed)
    graph = load(tmp_path, [gemm], {"x": (2, 20)}, [weight("w", *shape), weight("b", 7)])
    assert graph.layers[0].operator == Gemm(7)
    assert (graph.total_macs, graph.total_parameters) == (2 * 20 * 7, 147)


def test_gemm_of_two_feature_maps_and_an_addend(tmp_path: Path) -> None:
    gemm = node("Gemm", ["a", "b", "c"], ["y"], transA=1, transB=1)
    graph = load(tmp_path, [gemm], {"a": (20, 3), "b": (7, 20), "c": (3, 7)})
    assert ops(graph) == ["view", "view", "matmul", "elementwise"]
    assert (graph.total_macs, graph.outputs[0].shape) == (3 * 20 * 7, (3, 7))


def test_constant_on_the_left_of_a_product_is_fetched_like_a_feature_map(tmp_path: Path) -> None:
    graph = load(tmp_path, [node("MatMul", ["w", "x"], ["y"])], {"x": (2, 16, 5)}, [weight("w", 8, 16)])
    assert (ops(graph), graph.total_macs) == (["matmul"], 2 * 8 * 16 * 5)


@pytest.mark.parametrize("bias", ["vector", "matrix", "other", "output"])
def test_only_a_constant_vector_that_alone_reads_a_product_is_its_bias(tmp_path: Path, bias: str) -> None:
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "x" if bias == "other" else "b"], ["y"])]
    stored = [weight("w", 16, 16), weight("b", *((10, 16) if bias == "matrix" else (16,)))]
    outputs = ["y", "m"] if bias == "output" else ["y"]
    graph = load(tmp_path, nodes, {"x": (1, 10, 16)}, stored, outputs)
    assert ops(graph) == (["gemm"] if bias == "vector" else ["gemm", "elementwise"])


def test_padding_of_named_axes_is_written_out(tmp_path: Path) -> None:
    nodes = [node("Pad", ["x", "pads", "", "axes"], ["p"]), node("AveragePool", ["p"], ["y"], kernel_shape=[2, 2])]
    graph = load(tmp_path, nodes, IMAGE, [ints("pads", 1, 2), ints("axes", -1)], opset=18)
    (layer,) = graph.layers
    assert isinstance(layer.operator, Pool)
    assert layer.operator.window == Window((2, 2), padding=(0, 1, 0, 2))


def test_linear_layer_on_positions_takes_in_its_bias(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])]
    graph = load(tmp_path, nodes, {"x": (1, 10, 16)}, [weight("w", 16, 32), weight("b", 32)])
    (layer,) = graph.layers
    assert layer.operator == Gemm(32, bias=True, per_position=True)
    assert (graph.total_macs, graph.total_parameters) == (10 * 16 * 32, 16 * 32 + 32)


def test_flattening_before_a_linear_layer_vanishes(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Flatten", ["a"], ["f"]),
        node("Dropout", ["f"], ["d"]),
        node("Gemm", ["d", "w"], ["y"]),
    ]
    graph = load(tmp_path, nodes, IMAGE, [weight("w", 4 * 9 * 11, 5)])
    assert ops(graph) == ["activation", "gemm"]
    assert graph.outputs[0].shape == (1, 5)


def test_attention_multiplies_two_feature_maps(tmp_path: Path) -> None:
    """The pattern that PyTorch exports: shapes computed from the shape of the input."""
    nodes = [
        node("MatMul", ["x", "wq"], ["q"]),
        node("MatMul", ["x", "wk"], ["k"]),
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"], axis=0),
        node("Gather", ["shape", "one"], ["length"], axis=0),
        node("Div", ["width", "heads"], ["head_width"]),
        node("Concat", ["n", "length", "heads", "head_width"], ["split"], axis=0),
        node("Reshape", ["q", "split"], ["q4"]),
        node("Reshape", ["k", "split"], ["k4"]),
        node("Transpose", ["q4"], ["qh"], perm=[0, 2, 1, 3]),
        node("Transpose", ["k4"], ["kh"], perm=[0, 2, 3, 1]),
        node("MatMul", ["qh", "kh"], ["scores"]),
        node("Mul", ["scores", "scale"], ["scaled"]),
        node("Where", ["mask", "scaled", "lowest"], ["masked"]),
        node("Softmax", ["masked"], ["y"], axis=-1),
    ]
    mask = numpy_helper.from_array(np.tril(np.ones((1, 1, 6, 6), bool)), "mask")
    stored = [weight("wq", 16, 16), weight("wk", 16, 16), ints("zero", 0), ints("one", 1), ints("width", 16),
              ints("heads", 4), weight("scale", 1), weight("lowest", 1), mask]  # fmt: skip
    graph = load(tmp_path, nodes, {"x": ("batch", 6, 16)}, stored)
    assert ops(graph).count("view") == 2
    assert graph.outputs[0].shape == (1, 4, 6, 6)
    assert graph.total_macs == 2 * 6 * 16 * 16 + 4 * 6 * 6 * 4
    assert graph.with_batch(4).total_macs == 4 * graph.total_macs


def test_embedding_rows_and_class_tokens_come_in_as_inputs(tmp_path: Path) -> None:
    nodes = [
        node("Gather", ["table", "ids"], ["words"]),
        node("Concat", ["token", "words"], ["joined"], axis=1),
        node("Add", ["joined", "positions"], ["placed"]),
        node("LayerNormalization", ["placed", "scale", "shift"], ["normed"]),
        node("Gather", ["normed", "first"], ["y"], axis=1),
    ]
    stored = [weight("table", 100, 8), weight("token", 1, 1, 8), weight("positions", 1, 6, 8), weight("scale", 8),
              weight("shift", 8), numpy_helper.from_array(np.array(0, np.int64), "first")]  # fmt: skip
    graph = load(tmp_path, nodes, {"ids": (1, 5)}, stored, types={"ids": TensorProto.INT64})
    assert {tensor.name: tensor.shape for tensor in graph.inputs} == {"words": (1, 5, 8), "token": (1, 1, 8)}
    assert ops(graph) == ["concat", "elementwise", "normalisation", "view"]
    assert graph.outputs[0].shape == (1, 8)
    assert graph.total_parameters == 16


@pytest.mark.parametrize(
    ("axes", "keepdims", "shape", "expected"),
    [
        ([2, 3], 1, (1, 4, 1, 1), ["pool"]),
        ([-1, -2], 0, (1, 4), ["pool", "view"]),
        ([1], 1, (1, 1, 9, 11), ["view", "pool", "view"]),
        ([3], 0, (1, 4, 9), ["view", "pool", "view"]),
    ],
)
def test_reductions_are_pools(
    tmp_path: Path, axes: list[int], keepdims: int, shape: tuple[int, ...], expected: list[str]
) -> None:
    graph = load(tmp_path, [node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=keepdims)], IMAGE)
    assert (ops(graph), graph.outputs[0].shape) == (expected, shape)
    assert sum(graph.vector_operations(layer) for layer in graph.layers) == 4 * 9 * 11


def test_pools_keep_their_rounding(tmp_path: Path) -> None:
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    graph = load(tmp_path, [pool], IMAGE)
    assert isinstance(graph.layers[0].operator, Pool)
    assert graph.outputs[0].shape == (1, 4, 5, 6)


def test_constant_operands_do_not_become_inputs(tmp_path: Path) -> None:
    nodes = [
        node("Add", ["x", "three"], ["a"]),
        node("Clip", ["a", "low", "high"], ["c"]),
        node("Mul", ["x", "c"], ["m"]),
        node("Div", ["m", "six"], ["y"]),
    ]
    stored = [weight("three", 1), weight("six", 4, 1, 1), weight("low"), weight("high")]
    graph = load(tmp_path, nodes, IMAGE, stored)
    assert [(layer.op, layer.inputs) for layer in graph.layers] == [
        ("elementwise", ("x",)),
        ("activation", ("a",)),
        ("elementwise", ("x", "c")),
        ("elementwise", ("m",)),
    ]


def test_constant_that_widens_a_feature_map_is_fetched_like_one(tmp_path: Path) -> None:
    graph = load(tmp_path, [node("Mul", ["x", "grid"], ["y"])], {"x": (1, 4, 1, 1)}, [weight("grid", 1, 1, 5, 5)])
    assert [tensor.name for tensor in graph.inputs] == ["x", "grid"]
    assert graph.outputs[0].shape == (1, 4, 5, 5)


@pytest.mark.parametrize(
    ("op", "argument", "shape"),
    [
        ("Tile", "repeats", (1, 4, 18, 33)),
        ("Expand", "shape", (1, 4, 18, 33)),
    ],
)
def test_copies_are_one_write_for_each_element(tmp_path: Path, op: str, argument: str, shape: tuple[int, ...]) -> None:
    values = {"repeats": (1, 1, 2, 3), "shape": shape}[argument]
    start = {"x": (1, 4, 1, 1)} if op == "Expand" else IMAGE
    nodes = [node(op, ["x", argument], ["big"]), node("MaxPool", ["big"], ["y"], kernel_shape=[1, 1])]
    graph = load(tmp_path, nodes, start, [ints(argument, *values)])
    assert ops(graph) == ["view", "elementwise", "view", "pool"]
    assert graph.outputs[0].shape == shape
    assert graph.vector_operations(graph.layers[1]) == 4 * 18 * 33
    assert graph.inputs[1].elements <= 18 * 33
    assert graph.with_batch(3).outputs[0].shape == (3, *shape[1:])


def test_expansion_before_arithmetic_is_left_to_broadcasting(tmp_path: Path) -> None:
    nodes = [
        node("GlobalAveragePool", ["x"], ["g"]),
        node("Expand", ["g", "shape"], ["e"]),
        node("Mul", ["x", "e"], ["y"]),
    ]
    assert ops(load(tmp_path, nodes, IMAGE, [ints("shape", 1, 4, 9, 11)])) == ["pool", "elementwise"]


@pytest.mark.parametrize(
    ("opset", "op", "inputs", "given"),
    [
        (7, "Upsample", [], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
        (9, "Upsample", ["scales"], {"mode": "nearest"}),
        (10, "Resize", ["scales"], {}),
        (17, "Resize", ["", "scales"], {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        (17, "Resize", ["", "", "sizes"], {}),
    ],
)
def test_nearest_neighbour_by_whole_factors_repeats_pixels(
    tmp_path: Path, opset: int, op: str, inputs: list[str], given: dict[str, Any]
) -> None:
    nodes = [node(op, ["x", *inputs], ["big"], **given), node("Relu", ["big"], ["y"])]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 3], np.float32), "scales")
    graph = load(tmp_path, nodes, IMAGE, [scales, ints("sizes", 1, 4, 18, 33)], opset=opset)
    assert ops(graph) == ["upsample", "activation"]
    assert graph.layers[0].operator == Upsample((2, 3))
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert graph.outputs[0].shape == (1, 4, 18, 33)
    assert graph.with_batch(3).outputs[0].shape == (3, 4, 18, 33)


def test_sizes_that_an_exporter_computes_from_the_shape_repeat_pixels(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Slice", ["shape", "zero", "two"], ["kept"]),
        node("Slice", ["shape", "two", "four"], ["old"]),
        node("Mul", ["old", "two"], ["new"]),
        node("Concat", ["kept", "new"], ["sizes"], axis=0),
        node("Resize", ["x", "", "", "sizes"], ["y"]),
    ]
    graph = load(tmp_path, nodes, IMAGE, [ints("zero", 0), ints("two", 2), ints("four", 4)])
    assert [layer.operator for layer in graph.layers] == [Upsample((2, 2))]


def test_quantised_map_is_repeated_as_it_is_stored(tmp_path: Path) -> None:
    """As quantisers of ONNX Runtime write it: the wider map is stored in eight bits, too."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("Resize", ["xd", "", "", "sizes"], ["big"]),
        node("QuantizeLinear", ["big", "s", "z"], ["bq"]),
        node("DequantizeLinear", ["bq", "s", "z"], ["bd"]),
        node("Relu", ["bd"], ["y"]),
    ]
    stored = [weight("s"), numpy_helper.from_array(np.zeros((), np.int8), "z"), ints("sizes", 1, 4, 18, 22)]
    graph = load(tmp_path, nodes, IMAGE, stored)
    assert ops(graph) == ["upsample", "activation"]
    assert (graph.inputs[0].bits, graph.layers[0].output_bits) == (8, 8)


def test_longer_sequences_are_one_write_for_each_element(tmp_path: Path) -> None:
    """Without rows and columns there are no pixels to repeat."""
    resize = node("Resize", ["x", "", "", "sizes"], ["y"])
    graph = load(tmp_path, [resize], {"x": (1, 4, 11)}, [ints("sizes", 1, 4, 22)])
    assert ops(graph) == ["view", "elementwise", "view"]
    assert graph.outputs[0].shape == (1, 4, 22)


def test_nearest_neighbour_by_other_factors_is_refused(tmp_path: Path) -> None:
    resize = node("Resize", ["x", "", "", "sizes"], ["y"], name="up")
    with pytest.raises(WorkloadError, match=r"does not go into .* a whole number of times"):
        load(tmp_path, [resize], IMAGE, [ints("sizes", 1, 4, 12, 22)])


def test_shrinking_to_the_nearest_neighbour_is_a_view(tmp_path: Path) -> None:
    resize = node("Resize", ["x", "", "", "sizes"], ["y"])
    assert ops(load(tmp_path, [resize], {"x": (1, 3, 8, 8)}, [ints("sizes", 1, 3, 4, 4)])) == ["view"]


def test_shared_and_rearranged_weights_keep_the_stored_name(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["w"], ["wt"]),
        node("MatMul", ["x", "wt"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("Gemm", ["r", "w"], ["y"], transB=1),
    ]
    graph = load(tmp_path, nodes, {"x": (1, 8)}, [weight("w", 8, 8)])
    assert [layer.weight for layer in graph.layers if layer.op == "gemm"] == ["w", "w"]
    assert graph.total_parameters == 64


def test_split_makes_a_view_for_each_part_that_is_read(tmp_path: Path) -> None:
    nodes = [node("Split", ["x"], ["a", "b"], axis=1), node("Mul", ["a", "b"], ["y"])]
    graph = load(tmp_path, nodes, IMAGE)
    assert ops(graph) == ["view", "view", "elementwise"]
    assert graph.outputs[0].shape == (1, 2, 9, 11)


def test_nodes_nobody_needs_are_left_out(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("NonMaxSuppression", ["x", "x"], ["z"]), node("Shape", ["x"], ["s"])]
    assert ops(load(tmp_path, nodes, IMAGE)) == ["activation"]


@pytest.mark.parametrize("batch", ["N", None])
def test_unknown_batch_becomes_one_everywhere(tmp_path: Path, batch: str | None) -> None:
    graph = load(tmp_path, [node("Relu", ["x"], ["y"])], {"x": (batch, 4, 9, 11)})
    assert graph.batch == 1


def quantised(name: str, kind: Any, *shape: int) -> list[TensorProto]:  # noqa: ANN401 - a NumPy type
    zero = numpy_helper.from_array(np.zeros((), kind), f"{name}.zero")
    return [weight(f"{name}.scale"), zero, *([weight(name, *shape, dtype=kind)] if shape else [])]


def test_quantisers_become_the_stored_bits_of_their_producers(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "x.scale", "x.zero"], ["xq"]),
        node("DequantizeLinear", ["xq", "x.scale", "x.zero"], ["xd"]),
        node("DequantizeLinear", ["w", "w.scale", "w.zero"], ["wd"]),
        node("Conv", ["xd", "wd"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("QuantizeLinear", ["r", "r.scale", "r.zero"], ["rq"]),
        node("DequantizeLinear", ["rq", "r.scale", "r.zero"], ["rd"]),
        node("GlobalAveragePool", ["rd"], ["y"]),
    ]
    stored = [*quantised("x", np.uint8), *quantised("w", np.int8, 6, 4, 3, 3), *quantised("r", np.uint8)]
    graph = load(tmp_path, nodes, IMAGE, stored)
    assert ops(graph) == ["conv", "activation", "pool"]
    assert [tensor.bits for tensor in graph.inputs] == [8]
    assert [(layer.weight, layer.weight_bits, layer.output_bits) for layer in graph.layers] == [
        ("w", 8, None),
        ("Relu_r.weight", None, 8),
        ("GlobalAveragePool_y.weight", None, None),
    ]


def test_quantiser_beside_another_reader_stays_a_layer(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("QuantizeLinear", ["r", "r.scale", "r.zero"], ["rq"]),
        node("DequantizeLinear", ["rq", "r.scale", "r.zero"], ["rd"]),
        node("Add", ["rd", "r"], ["y"]),
    ]
    graph = load(tmp_path, nodes, IMAGE, quantised("r", np.uint8))
    assert [(layer.op, layer.output_bits) for layer in graph.layers] == [
        ("activation", None),
        ("activation", 8),
        ("elementwise", None),
    ]


def test_quantised_operators_take_the_bits_of_their_types(tmp_path: Path) -> None:
    names = [f"{tensor}{part}" for tensor in ("x", "w", "y") for part in ("", ".scale", ".zero")]
    x, x_scale, x_zero, w, w_scale, w_zero, _, y_scale, y_zero = names
    conv = node("QLinearConv", [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, "b"], ["c"])
    rows = node("ConvInteger", ["c", "w2"], ["y"])
    stored = [*quantised("x", np.uint8), *quantised("w", np.int8, 6, 4, 3, 3), *quantised("y", np.uint8),
              weight("b", 6, dtype=np.int32), weight("w2", 2, 6, 1, 1, dtype=np.uint8)]  # fmt: skip
    types = {"x": TensorProto.UINT8, "y": TensorProto.INT32}
    graph = load(tmp_path, [conv, rows], IMAGE, stored, types=types)
    assert graph.inputs[0].bits == 8
    assert [(layer.weight_bits, layer.output_bits) for layer in graph.layers] == [(8, 8), (8, 32)]
    assert graph.total_parameters == 6 * 4 * 9 + 6 + 12


def test_dynamic_quantisation_leaves_its_scales_out(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("DynamicQuantizeLinear", ["r"], ["q", "q.scale", "q.zero"]),
        node("MatMulInteger", ["q", "w", "q.zero"], ["product"]),
        node("Cast", ["product"], ["float"], to=FLOAT),
        node("Mul", ["q.scale", "w.scale"], ["scale"]),
        node("Mul", ["float", "scale"], ["y"]),
    ]
    graph = load(tmp_path, nodes, {"x": (1, 16)}, quantised("w", np.int8, 16, 4))
    assert [(layer.op, layer.weight_bits, layer.output_bits) for layer in graph.layers] == [
        ("activation", None, 8),
        ("gemm", 8, 32),
        ("elementwise", None, None),
    ]


def test_contributed_quantised_operators_are_read_as_their_plain_ones(tmp_path: Path) -> None:
    zeros = ["x", "x.scale", "x.zero"]
    add = helper.make_node(
        "QLinearAdd", [*zeros, *zeros, "x.scale", "x.zero"], ["a"], name="sum", domain="com.microsoft"
    )
    pool = helper.make_node(
        "QLinearGlobalAveragePool", ["a", "x.scale", "x.zero", "x.scale", "x.zero"], ["y"], domain="com.microsoft"
    )
    types = {"x": TensorProto.UINT8, "y": TensorProto.UINT8}
    graph = load(tmp_path, [add, pool], IMAGE, quantised("x", np.uint8), types=types)
    assert [(layer.op, layer.output_bits) for layer in graph.layers] == [("elementwise", 8), ("pool", 8)]


@pytest.mark.parametrize(
    "op",
    ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu", "Selu", "Erf", "Exp", "Sqrt", "Mish",
     "Softplus", "Neg", "Abs", "Softsign"],
)  # fmt: skip
def test_activations_are_one_operation_an_element(tmp_path: Path, op: str) -> None:
    graph = load(tmp_path, [node(op, ["x"], ["y"])], IMAGE, opset=18)
    assert ops(graph) == ["activation"]
    assert graph.vector_operations(graph.layers[0]) == 4 * 9 * 11


def test_normalisations_count_their_parameters(tmp_path: Path) -> None:
    nodes = [
        node("BatchNormalization", ["x", "s", "s", "s", "s"], ["a"]),
        node("InstanceNormalization", ["a", "s", "s"], ["b"]),
        node("GroupNormalization", ["b", "s", "s"], ["c"], num_groups=2),
        node("LRN", ["c"], ["y"], size=5),
    ]
    graph = load(tmp_path, nodes, IMAGE, [weight("s", 4)], opset=21)
    functions = [getattr(layer.operator, "function", "") for layer in graph.layers]
    assert functions == ["batch", "instance", "group", "local_response"]
    assert graph.total_parameters == 3 * 8


def test_functions_of_the_model_are_unfolded(tmp_path: Path) -> None:
    body = helper.make_function(
        "local", "Twice", ["a"], ["b"],
        [helper.make_node("Relu", ["a"], ["c"]), helper.make_node("Sigmoid", ["c"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="local")],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, (1, 3))],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    path = tmp_path / "functions.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, functions=[body], ir_version=8).SerializeToString())
    assert ops(import_onnx(path)) == ["activation", "activation"]
