"""Builds ONNX models of trained networks, in float32, or quantised with the integers inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelsim.workload.datasets import NORMALISATIONS
from accelsim.workload.network_file import Network, QuantisedNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.workload.network_file import Node

_OPSET = 17
_IR_VERSION = 8
_SAME = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "add": "Add", "mul": "Mul", "flatten": "Flatten"}


def build_onnx(
    network: Network | QuantisedNetwork, *, quantise_activations: bool = False, outputs: Sequence[str] = ()
) -> onnx.ModelProto:
    """Build the model; its input ``image`` is (batch, c, h, w), normalised, its output ``logits`` (batch, classes).

    Gated networks have an output ``decisions`` as well, (batch, gates), ones and zeros.

    Parameters
    ----------
    network
        With float32 weights, or with int8 weights: these are kept and turned into float32 when the model runs.
    quantise_activations
        Round the feature maps of a quantised network to int8, too.
    outputs
        Further tensors to give out.
    """
    builder = _Builder(network, quantise_activations=quantise_activations)
    structure = network.structure
    for node in structure.nodes:
        builder.add(node)
    builder.emit("Identity", [builder.tensor(structure.output)], "logits")
    results = ["logits"]
    if structure.decisions:
        builder.emit("Concat", list(structure.decisions), "decisions", axis=1)
        results.append("decisions")
    graph = helper.make_graph(
        builder.nodes,
        structure.name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *structure.input_shape])],
        [helper.make_empty_tensor_value_info(name) for name in (*results, *outputs)],
        builder.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="accelsim")
    model.ir_version = _IR_VERSION
    normalisation = NORMALISATIONS[structure.dataset]
    helper.set_model_props(
        model,
        {"dataset": structure.dataset, "mean": str(list(normalisation.mean)), "std": str(list(normalisation.std))},
    )
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model)
    return model


class _Builder:
    """Nodes and constants of a model under construction."""

    def __init__(self, network: Network | QuantisedNetwork, *, quantise_activations: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._network = network
        self._renamed: dict[str, str] = {}
        self._done: set[str] = set()
        self._scales = network.activation_scales if isinstance(network, QuantisedNetwork) else {}
        self._scales = self._scales if quantise_activations else {}
        self._round_activation("image")

    def tensor(self, name: str) -> str:
        """What stands for a tensor: itself, or its rounded copy."""
        return self._renamed.get(name, name)

    def emit(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of ONNX's `op`, with its attributes, and return its output."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def add(self, node: Node) -> None:
        """Add what computes a node of the network."""
        inputs = [self.tensor(name) for name in node.inputs]
        given = node.attributes
        if node.op in _SAME:
            self.emit(_SAME[node.op], inputs, node.name)
        elif node.weights is not None:
            self._add_product(node, inputs)
        elif node.op in {"max_pool", "average_pool"}:
            op = "MaxPool" if node.op == "max_pool" else "AveragePool"
            self.emit(op, inputs, node.name, kernel_shape=[given["size"]] * 2, strides=[given["size"]] * 2)
        elif node.op == "global_average":
            self.emit("Flatten", [self.emit("GlobalAveragePool", inputs, f"{node.name}.mean")], node.name)
        elif node.op == "concat":
            self.emit("Concat", inputs, node.name, axis=1)
        else:
            self._add_gating(node, inputs)
        self._round_activation(node.name)

    def _add_product(self, node: Node, inputs: list[str]) -> None:
        name = str(node.weights)
        operands = [*inputs, self._weight(name), self._constant(f"{name}.bias", self._network.biases[name])]
        if node.op == "linear":
            self.emit("Gemm", operands, node.name, transB=1)
            return
        given = node.attributes
        self.emit("Conv", operands, node.name, kernel_shape=[given["kernel"]] * 2, strides=[given["stride"]] * 2,
                  pads=[given["padding"]] * 4)  # fmt: skip

    def _add_gating(self, node: Node, inputs: list[str]) -> None:
        given, name = node.attributes, node.name
        if node.op == "slice":
            self._slice(inputs[0], name, [given["start"]], [given["stop"]], [1], [1])
        elif node.op == "shortcut":
            part = self._slice(inputs[0], f"{name}.part", [0, 0], [2**31 - 1] * 2, [2, 3], [2, 2])
            margin = given["margin"]
            pads = self._constant(f"{name}.pads", np.array([0, margin, 0, 0, 0, margin, 0, 0], np.int64))
            self.emit("Pad", [part, pads], name)
        elif node.op == "decide":
            half = self._constant("one_half", np.array(0.5, np.float32))
            self.emit("Cast", [self.emit("Greater", [inputs[0], half], f"{name}.open")], name, to=TensorProto.FLOAT)
        else:
            axes = self._constant("pixel_axes", np.array([2, 3], np.int64))
            self.emit("Mul", [inputs[0], self.emit("Unsqueeze", [inputs[1], axes], f"{name}.factor")], name)

    def _slice(
        self, source: str, output: str, starts: list[int], stops: list[int], axes: list[int], steps: list[int]
    ) -> str:
        parts = zip(("starts", "stops", "axes", "steps"), (starts, stops, axes, steps), strict=True)
        constants = [self._constant(f"{output}.{key}", np.array(value, np.int64)) for key, value in parts]
        return self.emit("Slice", [source, *constants], output)

    def _weight(self, name: str) -> str:
        weights = self._network.weights[name]
        stored = self._constant(f"{name}.weight", weights)
        if not isinstance(self._network, QuantisedNetwork):
            return stored
        scale = self._constant(f"{name}.weight_scale", self._network.weight_scales[name])
        made = f"{name}.weight_value"
        if made not in self._done:
            self._done.add(made)
            zero = self._constant(f"{name}.weight_zero", np.zeros(len(weights), np.int8))
            self.emit("DequantizeLinear", [stored, scale, zero], made, axis=0)
        return made

    def _round_activation(self, name: str) -> None:
        if name in self._scales:
            scale = self._constant(f"{name}.scale", np.array(self._scales[name], np.float32))
            zero = self._constant("zero_point", np.array(0, np.int8))
            stored = self.emit("QuantizeLinear", [name, scale, zero], f"{name}.int8")
            self._renamed[name] = self.emit("DequantizeLinear", [stored, scale, zero], f"{name}.rounded")

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        if name not in self._done:
            self._done.add(name)
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
