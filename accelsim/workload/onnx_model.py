"""An ONNX file as the importer sees it: nodes, shapes, types and the constants that shape computations need.

Weights are never read, only their shapes are. Values are looked at one by one where a shape hangs on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto, numpy_helper

from accelsim.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np

    from accelsim.workload.operators import Shape

DOMAINS = ("", "ai.onnx")
LARGEST_VALUE = 4096
"""Elements of the largest constant whose value is computed; shapes and pads are far below, weights above."""

_BITS: dict[int, int] = {
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.INT8: 8, TensorProto.UINT8: 8, TensorProto.BOOL: 8,
    TensorProto.INT16: 16, TensorProto.UINT16: 16, TensorProto.INT32: 32, TensorProto.UINT32: 32,
    TensorProto.INT64: 64, TensorProto.UINT64: 64,
}  # fmt: skip


@dataclass
class OnnxModel:
    """A parsed model with its inferred shapes.

    Parameters
    ----------
    path
        The file, for messages.
    graph
        Its graph, shapes inferred.
    opset
        Version of the ONNX operators.
    shapes
        Shape of every tensor that has a known one; ``()`` for scalars.
    types
        ONNX element type of every tensor.
    """

    path: Path
    graph: onnx.GraphProto
    opset: int
    shapes: dict[str, Shape] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    _values: dict[str, np.ndarray[Any, Any] | None] = field(default_factory=dict)

    def error(self, problem: str, node: onnx.NodeProto | None = None, key: str | None = None) -> WorkloadError:
        """Build the error that names this file and the node (name and operator)."""
        if node is not None:
            key = f"node {node.name or node.output[0]!r} ({node.op_type})"
        return WorkloadError(problem, where=self.path, key=key)

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """Node that makes each tensor."""
        return {name: node for node in self.graph.node for name in node.output if name}

    @cached_property
    def initializers(self) -> dict[str, TensorProto]:
        """Stored constants by name."""
        return {tensor.name: tensor for tensor in self.graph.initializer}

    @cached_property
    def constants(self) -> set[str]:
        """Names of all tensors that do not depend on an input of the graph (shapes of feature maps do not)."""
        names = set(self.initializers) | {""}
        for node in self.graph.node:
            if node.op_type in {"Shape", "Size"} or names.issuperset(node.input):
                names.update(node.output)
        return names

    def shape(self, name: str, node: onnx.NodeProto) -> Shape:
        """Shape of a tensor that `node` reads or makes.

        Raises
        ------
        WorkloadError
            When shape inference could not tell it.
        """
        shape = self.shapes.get(name)
        if shape is None:
            hint = "fix the dimensions of the graph's inputs, or store the shape in the file"
            raise self.error(f"the shape of tensor {name!r} cannot be inferred; {hint}", node)
        return shape

    def bits(self, name: str) -> int | None:
        """Stored bits of an integer tensor; None (the native precision of the hardware) for floating point."""
        return _BITS.get(self.types.get(name, 0))

    def root(self, name: str) -> str:
        """Stored constant that a constant is another view of, so that shared weights are seen to be shared."""
        while name not in self.initializers:
            node = self.makers.get(name)
            if node is None or node.op_type not in SAME_DATA:
                return name
            name = node.input[0]
        return name

    def value(self, name: str) -> np.ndarray[Any, Any] | None:
        """Value of a small constant; None where it is large, is no constant or cannot be computed."""
        if name not in self._values:
            self._values[name] = None  # also ends a loop in a broken graph
            self._values[name] = self._computed_value(name)
        return self._values[name]

    def _computed_value(self, name: str) -> np.ndarray[Any, Any] | None:
        stored = self.initializers.get(name)
        if stored is not None:
            return self._stored_value(stored)
        node = self.makers.get(name)
        if node is None or name not in self.constants or node.domain not in DOMAINS:
            return None
        if math.prod(self.shapes.get(name, (1,))) > LARGEST_VALUE:
            return None
        if node.op_type in {"Shape", "Size"}:
            shape = self.shapes.get(node.input[0])
            return None if shape is None else _run(node, {node.input[0]: _empty_of(shape)}, self.opset)
        inputs = {key: self.value(key) for key in node.input if key}
        if any(value is None for value in inputs.values()) or not _stays_small(node, inputs):
            return None
        return _run(node, inputs, self.opset, name)

    def _stored_value(self, tensor: TensorProto) -> np.ndarray[Any, Any] | None:
        if math.prod(tensor.dims) > LARGEST_VALUE:
            return None
        try:
            return numpy_helper.to_array(tensor, base_dir=str(self.path.parent))
        except (ValueError, TypeError, OSError, onnx.checker.ValidationError) as problem:
            reason = str(problem).splitlines()[0]
            raise self.error(f"its data cannot be read: {reason}", key=f"tensor {tensor.name!r}") from None


SAME_DATA = frozenset(
    {"Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "DequantizeLinear"}
)
_GROWING = frozenset({"ConstantOfShape", "Expand", "Tile", "Range", "OneHot", "Pad", "Resize", "Upsample"})


def _stays_small(node: onnx.NodeProto, inputs: dict[str, Any]) -> bool:
    """Whether a node that can make much out of little makes little."""
    if node.op_type not in _GROWING:
        return True
    if node.op_type in {"ConstantOfShape", "Expand"}:
        return math.prod(int(size) for size in inputs[node.input[-1]].ravel()) <= LARGEST_VALUE
    if node.op_type == "Range":
        start, limit, delta = (float(inputs[name]) for name in node.input)
        return delta != 0 and abs((limit - start) / delta) <= LARGEST_VALUE
    return False


def _empty_of(shape: Shape) -> np.ndarray[Any, Any]:
    """Array of a shape that takes no memory."""
    import numpy as np  # most models need no value at all

    return np.broadcast_to(np.zeros((), np.int8), shape)


def _run(
    node: onnx.NodeProto, inputs: dict[str, Any], opset: int, output: str | None = None
) -> np.ndarray[Any, Any] | None:
    from onnx.reference import ReferenceEvaluator  # slow to import, and most models need it never

    try:
        model = onnx.helper.make_model(
            onnx.helper.make_graph(
                [node],
                "one_node",
                [onnx.helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in inputs],
                [onnx.helper.make_tensor_value_info(output or node.output[0], TensorProto.UNDEFINED, None)],
            ),
            opset_imports=[onnx.helper.make_opsetid("", opset)],
        )
        results: Any = ReferenceEvaluator(model).run(None, inputs)
    except Exception:  # whatever stops the evaluation, the value stays unknown and its user says so
        return None
    value: np.ndarray[Any, Any] = results[0]
    return value if hasattr(value, "dtype") else None  # sequences are lists


def infer_model(proto: onnx.ModelProto, path: Path) -> OnnxModel:
    """Infer shapes; where that stops at a computed shape, compute the constants and infer again.

    Raises
    ------
    WorkloadError
        When inference finds the graph inconsistent.
    """
    opset = next((entry.version for entry in proto.opset_import if entry.domain in DOMAINS), 1)
    while True:
        try:
            proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError) as problem:
            reason = " ".join(str(problem).split())
            raise WorkloadError(f"shape inference failed: {reason}", where=path) from None
        graph = proto.graph
        model = OnnxModel(path, graph, opset, *_known(graph))
        computed = _computed_constants(model)
        if not computed:
            return model
        graph.initializer.extend(computed)
        names = {tensor.name for tensor in computed}
        kept = [node for node in graph.node if not names.issuperset(node.output)]
        del graph.node[:]
        graph.node.extend(kept)


def _known(graph: onnx.GraphProto) -> tuple[dict[str, Shape], dict[str, int]]:
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    types: dict[str, int] = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        types.setdefault(value.name, tensor.elem_type)
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes.setdefault(value.name, tuple(dim.dim_value for dim in dims))
    return shapes, types


def _computed_constants(model: OnnxModel) -> list[TensorProto]:
    """Values of the constants behind tensors of unknown shape, as far as they are not stored yet."""
    wanted: Iterable[str] = dict.fromkeys(
        name
        for node in model.graph.node
        if any(output and output not in model.shapes for output in node.output)
        for name in node.input
        if name in model.makers and name in model.constants
    )
    values = {name: model.value(name) for name in wanted}
    return [numpy_helper.from_array(value, name) for name, value in values.items() if value is not None]
