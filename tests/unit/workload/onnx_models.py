"""Builds small ONNX models for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
FLOAT = TensorProto.FLOAT


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "", **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 - attributes of ONNX
    return helper.make_node(op, list(inputs), list(outputs), name or f"{op}_{outputs[0]}", **attributes)


def weight(name: str, *shape: int, dtype: Any = np.float32) -> TensorProto:  # noqa: ANN401 - a NumPy type
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def ints(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    initializers: Sequence[TensorProto] = (),
    outputs: Sequence[str] = ("y",),
    *,
    opset: int = 17,
    types: Mapping[str, int] | None = None,
) -> Path:
    """Save a model; outputs have no shape, so that inference has to find it."""
    kinds = types or {}
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, kinds.get(name, FLOAT), shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kinds.get(name, FLOAT), None) for name in outputs],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
