"""Puts decoded power-of-two weights in the place of those that an ONNX model came with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from accelsim.errors import WorkloadError
from accelsim.workload.pot.operand import KnownPotOperand
from accelsim.workload.pot.sources import read_weights

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph

    Array = np.ndarray[Any, Any]

_LARGEST = 127


def decoded_arrays(graph: LayerGraph) -> dict[str, Array]:
    """Decoded weights of a network, float32, by the name of their tensor; empty where none is decomposed."""
    pots = {name: data.pot for name, data in graph.annotations.operands.items()}
    return {name: pot.layer.decode() for name, pot in pots.items() if isinstance(pot, KnownPotOperand)}


def replace_weights(model: onnx.ModelProto, path: Path, arrays: dict[str, Array]) -> None:
    """Replace weights of a model by others of the same shapes.

    Integers with a scale are replaced by the nearest integers of a new scale: one per output where there was one per
    output, else one.

    Parameters
    ----------
    model
        The model, with all its data; changed in place.
    path
        Where it came from; its weights are read from there once more, to see how they lie in the model.
    arrays
        New weights (out, in, ...) by the names that the import gives them.

    Raises
    ------
    WorkloadError
        When one of them lies in the model in another way than as it is or transposed.
    """
    known = read_weights(path).arrays if arrays else {}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    scales = {
        node.input[0]: node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    }
    for name, array in arrays.items():
        tensor, old = stored.get(name), known.get(name)
        if tensor is None or old is None:
            raise WorkloadError("its decoded weights have no place in the model", where=path, key=f"tensor {name!r}")
        if name in scales:
            _replace_integers(stored, scales[name], array)
        else:
            tensor.CopyFrom(numpy_helper.from_array(_as_stored(array, old, tensor, path), name))


def _as_stored(array: Array, old: Array, tensor: onnx.TensorProto, path: Path) -> Array:
    """Turn weights the way in which the old ones lie in the model."""
    lies = numpy_helper.to_array(tensor)
    if lies.size == old.size and np.array_equal(lies.reshape(old.shape), old):
        return array.reshape(lies.shape).astype(lies.dtype)
    if lies.ndim >= 2 and old.ndim == 2 and np.array_equal(lies.reshape(lies.shape[-2:]).T, old):
        return np.ascontiguousarray(array.T).reshape(lies.shape).astype(lies.dtype)
    raise WorkloadError("its decoded weights have no place in the model", where=path, key=f"tensor {tensor.name!r}")


def _replace_integers(stored: dict[str, onnx.TensorProto], node: onnx.NodeProto, array: Array) -> None:
    integers, scale, *zero = (name for name in node.input if name)
    kind = numpy_helper.to_array(stored[integers]).dtype
    offset = 0 if np.issubdtype(kind, np.signedinteger) else _LARGEST + 1
    per_output = numpy_helper.to_array(stored[scale]).size > 1
    over = tuple(range(1, array.ndim)) if per_output else None
    largest = np.abs(array).max(axis=over, keepdims=True)
    steps = np.where(largest > 0, largest, 1.0) / np.float32(_LARGEST)
    values = (np.rint(array / steps) + offset).astype(kind)
    stored[integers].CopyFrom(numpy_helper.from_array(values, integers))
    old_scale = numpy_helper.to_array(stored[scale])
    stored[scale].CopyFrom(numpy_helper.from_array(steps.astype(old_scale.dtype).reshape(old_scale.shape), scale))
    for name in zero:
        shape = numpy_helper.to_array(stored[name]).shape
        stored[name].CopyFrom(numpy_helper.from_array(np.full(shape, offset, kind), name))
