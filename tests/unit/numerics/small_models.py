"""Small ONNX classifiers for tests, in the forms in which exporters write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CHANNELS, CLASSES = 6, 3, 4


def weights(seed: int, *shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    values: np.ndarray[Any, np.dtype[np.float32]] = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return values / np.float32(np.sqrt(np.prod(shape[1:])))


def model(nodes: list[onnx.NodeProto], constants: dict[str, Any], batch: str | int = "n", opset: int = 17,
          output: str = "scores", size: tuple[int, ...] = (CHANNELS, SIDE, SIDE)) -> onnx.ModelProto:  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *size])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def plain(**options: Any) -> onnx.ModelProto:  # noqa: ANN401
    """Two convolutions, a shortcut and a linear layer."""
    nodes = [
        node("Conv", ["image", "w1", "b1"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2", "b2"], "c2", pads=[1, 1, 1, 1]),
        node("Add", ["c2", "r1"], "sum"),
        node("Relu", ["sum"], "r2"),
        node("Flatten", ["r2"], "flat"),
        node("Gemm", ["flat", "w3", "b3"], "scores", transB=1),
    ]
    constants = {"w1": weights(1, 8, CHANNELS, 3, 3), "b1": weights(2, 8), "w2": weights(3, 8, 8, 3, 3),
                 "b2": weights(4, 8), "w3": weights(5, CLASSES, 8 * SIDE * SIDE),
                 "b3": np.zeros(CLASSES, np.float32)}  # fmt: skip
    return model(nodes, constants, **options)


def matmul() -> onnx.ModelProto:
    """A linear layer written as product and sum, its weights as (inputs, outputs), after a reduction."""
    nodes = [
        node("Conv", ["image", "w1"], "c1"),
        node("Relu", ["c1"], "r1"),
        node("ReduceMean", ["r1"], "mean", axes=[2, 3], keepdims=0),
        node("MatMul", ["mean", "w2"], "product"),
        node("Add", ["product", "b2"], "scores"),
    ]
    return model(nodes, {"w1": weights(1, 8, CHANNELS, 3, 3), "w2": weights(2, 8, CLASSES), "b2": weights(3, CLASSES)})


def flattened() -> onnx.ModelProto:
    """A linear layer on a whole map, Gemm without transposition, and shared weights before it."""
    nodes = [
        node("Conv", ["image", "w"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w"], "c2", pads=[1, 1, 1, 1]),
        node("Relu", ["c2"], "r2"),
        node("Flatten", ["r2"], "flat"),
        node("Gemm", ["flat", "v", "b"], "scores"),
    ]
    constants = {"w": weights(1, CHANNELS, CHANNELS, 3, 3), "v": weights(2, CHANNELS * SIDE * SIDE, CLASSES),
                 "b": weights(3, CLASSES)}  # fmt: skip
    return model(nodes, constants)


def stored_as_integers() -> onnx.ModelProto:
    """Weights are dequantised inside of the model, and the answer has another name than what makes it."""
    integers = np.random.default_rng(1).integers(-127, 128, (8, CHANNELS, 3, 3)).astype(np.int8)
    nodes = [
        node("DequantizeLinear", ["w1q", "w1s", "w1z"], "w1", axis=0),
        node("Conv", ["image", "w1"], "c1"),
        node("Relu", ["c1"], "r1"),
        node("GlobalAveragePool", ["r1"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("Gemm", ["flat", "w2"], "last", transB=1),
        node("Identity", ["last"], "scores"),
    ]
    constants = {"w1q": integers, "w1s": np.full(8, 0.01, np.float32), "w1z": np.zeros(8, np.int8),
                 "w2": weights(2, CLASSES, 8)}  # fmt: skip
    return model(nodes, constants)


def joined() -> onnx.ModelProto:
    """A concatenation, a pool with padding, a batch normalisation that is not folded, and a depthwise convolution."""
    nodes = [
        node("Conv", ["image", "w1"], "c1", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "g", "h", "m", "v"], "n1"),
        node("Relu", ["n1"], "r1"),
        node("MaxPool", ["image"], "p1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Concat", ["r1", "p1"], "joined", axis=1),
        node("Conv", ["joined", "w2"], "c2", group=8),
        node("Sigmoid", ["c2"], "s2"),
        node("GlobalAveragePool", ["s2"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("Gemm", ["flat", "w3"], "scores", transB=1),
    ]
    constants = {"w1": weights(1, 5, CHANNELS, 3, 3), "g": weights(2, 5), "h": weights(3, 5), "m": weights(4, 5),
                 "v": np.ones(5, np.float32), "w2": weights(5, 8, 1, 3, 3), "w3": weights(6, CLASSES, 8)}  # fmt: skip
    return model(nodes, constants)


def upsampled() -> onnx.ModelProto:
    """A narrow map, repeated and joined with a larger one, as in a detector."""
    nodes = [
        node("Conv", ["image", "w1"], "c1", pads=[1, 1, 1, 1]),
        node("LeakyRelu", ["c1"], "r1", alpha=0.1),
        node("MaxPool", ["r1"], "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2"], "c2"),
        node("LeakyRelu", ["c2"], "r2", alpha=0.1),
        node("Resize", ["r2", "", "scales"], "large", coordinate_transformation_mode="asymmetric"),
        node("Concat", ["large", "r1"], "joined", axis=1),
        node("Conv", ["joined", "w3"], "c3"),
        node("Relu", ["c3"], "r3"),
        node("GlobalAveragePool", ["r3"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("Gemm", ["flat", "w4"], "scores", transB=1),
    ]
    constants = {"w1": weights(1, 6, CHANNELS, 3, 3), "w2": weights(2, 4, 6, 1, 1), "w3": weights(3, 8, 10, 3, 3),
                 "w4": weights(4, CLASSES, 8), "scales": np.array([1, 1, 2, 2], np.float32)}  # fmt: skip
    return model(nodes, constants)


def gated() -> onnx.ModelProto:
    """A decision in between that is no float, an exporter's constants as nodes, and a second output."""
    nodes = [
        node("Conv", ["image", "w1"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("GlobalAveragePool", ["r1"], "pooled"),
        node("Constant", [], "half", value=numpy_helper.from_array(np.array(0.45, np.float32))),
        node("Greater", ["pooled", "half"], "open"),
        node("Cast", ["open"], "gate", to=TensorProto.FLOAT),
        node("Mul", ["r1", "gate"], "kept"),
        node("Constant", [], "shape", value=numpy_helper.from_array(np.array([-1, 5 * SIDE * SIDE]))),
        node("Reshape", ["kept", "shape"], "flat"),
        node("Gemm", ["flat", "w2"], "scores", transB=1),
    ]
    made = model(nodes, {"w1": weights(1, 5, CHANNELS, 3, 3), "w2": weights(2, CLASSES, 5 * SIDE * SIDE)})
    made.graph.output.append(helper.make_tensor_value_info("gate", TensorProto.FLOAT, ["n", 5, 1, 1]))
    return made


def wide() -> onnx.ModelProto:
    """Linear layers of 650,000 weights, which fill eighty rows of a DRAM with eight bits each."""
    nodes = [
        node("Flatten", ["image"], "flat"),
        node("Gemm", ["flat", "w1"], "g1", transB=1),
        node("Relu", ["g1"], "r1"),
        node("Gemm", ["r1", "w2"], "g2", transB=1),
        node("Relu", ["g2"], "r2"),
        node("Gemm", ["r2", "w3"], "scores", transB=1),
    ]
    constants = {"w1": weights(1, 2048, CHANNELS * SIDE * SIDE), "w2": weights(2, 208, 2048),
                 "w3": weights(3, CLASSES, 208)}  # fmt: skip
    return model(nodes, constants)


MODELS = {"plain": plain, "matmul": matmul, "flattened": flattened, "stored_as_integers": stored_as_integers,
          "joined": joined, "upsampled": upsampled, "gated": gated}  # fmt: skip


def images(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((count, CHANNELS, SIDE, SIDE)).astype(np.float32)
