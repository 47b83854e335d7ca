"""Values of the weights in an ONNX file, as the integers that a machine stores; read when something asks for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelsim.errors import WorkloadError
from accelsim.workload.onnx_model import SAME_DATA
from accelsim.workload.operand_data import OperandData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operand_data import Integers
    from accelsim.workload.operators import Shape

    Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = 127  # -128 is left out, so that a value and its negative are both there


@dataclass(frozen=True)
class WeightUse:
    """How a node takes its weights.

    Parameters
    ----------
    tensor
        ONNX tensor that it reads.
    inputs_first
        Whether that lies as (inputs, outputs), not as (outputs, inputs, ...).
    zero_point
        ONNX tensor that is taken off its integers; none where empty.
    """

    tensor: str
    inputs_first: bool = False
    zero_point: str = ""


@dataclass(frozen=True, eq=False)
class OnnxWeights:
    """The stored constants of an ONNX file, parsed again when the first value is asked for.

    Parameters
    ----------
    path
        The file.
    makers
        Node that makes each tensor, constants included.
    shapes
        Shape of each tensor.
    computed
        Small constants as the import saw them; some it computed, and the file does not hold them.
    """

    path: Path
    makers: Mapping[str, onnx.NodeProto]
    shapes: Mapping[str, Shape]
    computed: Mapping[str, TensorProto]

    @cached_property
    def _stored(self) -> dict[str, TensorProto]:
        from accelsim.workload.onnx_reader import parse_file

        proto = parse_file(self.path)
        if proto.functions:
            from onnx import inliner  # models with functions are rare

            proto = inliner.inline_local_functions(proto)
        return {tensor.name: tensor for tensor in proto.graph.initializer}

    def integers(self, use: WeightUse, shape: Shape) -> Integers:
        """Weights shaped `shape`, (outputs, inputs, ...), less their zero point, so that 0 stands for 0.

        Stored integers stay what they are. Floating-point weights become int8 with one scale for the tensor, its
        greatest magnitude being 127.

        Raises
        ------
        WorkloadError
            When they are not finite, or the file has changed since it was imported.
        """
        try:
            values = self._values(use.tensor)
            if use.zero_point:
                zero = self._values(use.zero_point)
                per_channel = (1, -1) if use.inputs_first else (-1, *(1,) * (values.ndim - 1))
                values = _less_zero_point(values, zero.reshape(per_channel) if zero.size > 1 else zero)
        except (ValueError, IndexError, TypeError):  # a scale or a permutation that does not fit
            key = f"tensor {use.tensor!r}"
            raise WorkloadError("its values cannot be worked out", where=self.path, key=key) from None
        if values.size != math.prod(shape):
            raise self._changed(use.tensor)
        if not np.issubdtype(values.dtype, np.integer):
            values = self._rounded(values.astype(np.float32), use.tensor)
        if use.inputs_first:
            values = values.reshape(shape[::-1]).T
        return np.ascontiguousarray(values.reshape(shape))

    def _rounded(self, values: Array, name: str) -> Array:
        if not np.isfinite(values).all():
            raise WorkloadError("holds weights that are not finite", where=self.path, key=f"tensor {name!r}")
        peak = float(np.abs(values).max(initial=0.0))
        steps = values / np.float32(peak / LARGEST) if peak > 0 else values
        return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8)

    def _values(self, name: str) -> Array:
        """Values of a constant, through the nodes that only rename, reshape or scale it."""
        chain: list[onnx.NodeProto] = []
        while name in self.makers and name not in self._stored and name not in self.computed:
            node = self.makers[name]
            if node.op_type == "Constant":
                break
            chain.append(node)
            name = node.input[0]
        values = self._constant(name)
        for node in reversed(chain):
            values = self._passed(node, values)
        return values

    def _constant(self, name: str) -> Array:
        stored = self._stored.get(name) or self.computed.get(name)
        if stored is None and name in self.makers:
            stored = next((entry.t for entry in self.makers[name].attribute if entry.name == "value"), None)
        if stored is None:
            raise self._changed(name)
        try:
            return numpy_helper.to_array(stored, base_dir=str(self.path.parent))
        except (ValueError, TypeError, OSError, onnx.checker.ValidationError) as problem:
            reason = str(problem).splitlines()[0]
            key = f"tensor {name!r}"
            raise WorkloadError(f"its data cannot be read: {reason}", where=self.path, key=key) from None

    def _passed(self, node: onnx.NodeProto, values: Array) -> Array:
        """What a node of `SAME_DATA`, or a quantiser, makes of the values of its first input."""
        if node.op_type == "Transpose":
            given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            return values.transpose(given.get("perm"))
        if node.op_type in {"DequantizeLinear", "QuantizeLinear"}:
            return self._scaled(node, values)
        shape = self.shapes.get(node.output[0])
        return values if shape is None or values.size != math.prod(shape) else values.reshape(shape)

    def _scaled(self, node: onnx.NodeProto, values: Array) -> Array:
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)

        def beside(name: str) -> Array:
            value = self._values(name)
            return value.reshape([-1 if place == axis % values.ndim else 1 for place in range(values.ndim)])

        zero = beside(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if node.op_type == "DequantizeLinear":
            return (
                values
                if zero is None or not np.issubdtype(values.dtype, np.integer)
                else _less_zero_point(values, zero)
            )
        steps = np.rint(values / beside(node.input[1]))
        limits = np.iinfo(np.uint8 if zero is None else zero.dtype)
        offset = 0 if zero is None else zero.astype(np.int32)
        return np.clip(steps + offset, limits.min, limits.max).astype(limits.dtype)

    def _changed(self, name: str) -> WorkloadError:
        return WorkloadError("is not what it was when the file was imported", where=self.path, key=f"tensor {name!r}")


def _less_zero_point(values: Array, zero: Array | None) -> Array:
    """Integers less their zero point, no wider than they were where they fit."""
    if zero is None or not zero.any():
        return values
    moved = values.astype(np.int32) - zero.astype(np.int32)
    narrow = np.int8 if moved.min(initial=0) >= -128 and moved.max(initial=0) <= 127 else np.int16
    return moved.astype(narrow) if np.abs(moved).max(initial=0) < 1 << 15 else moved


def is_known(name: str, makers: Mapping[str, onnx.NodeProto], stored: Mapping[str, TensorProto]) -> bool:
    """Whether a constant is a stored one, seen through nodes that only rename, reshape or scale it."""
    while name not in stored:
        node = makers.get(name)
        if node is None or node.op_type not in SAME_DATA | {"QuantizeLinear"}:
            return node is not None and node.op_type == "Constant" and any(e.name == "value" for e in node.attribute)
        name = node.input[0]
    return True


def weight_data(
    graph: LayerGraph, uses: Mapping[str, WeightUse], weights: OnnxWeights, stored: Mapping[str, TensorProto]
) -> dict[str, OperandData]:
    """What is known of the weights of a graph, by tensor; an array that two layers see in two shapes is left out."""
    shapes: dict[str, Shape | None] = {}
    for layer in graph.layers:
        tensor = graph.weight_tensor(layer)
        if tensor is not None:
            shapes[tensor.name] = tensor.shape if shapes.get(tensor.name, tensor.shape) == tensor.shape else None
    return {
        name: OperandData(load=partial(weights.integers, uses[name], shape))
        for name, shape in shapes.items()
        if shape is not None and name in uses and is_known(uses[name].tensor, weights.makers, stored)
    }
