"""Reads the weights of a network, values and all, from an ONNX model or an npz archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.pot.files import load_arrays

if TYPE_CHECKING:
    import onnx

    Weights = np.ndarray[Any, Any]

_SUFFIXES = (".onnx", ".npz")


@dataclass(frozen=True, eq=False)
class NetworkWeights:
    """Weights of a network.

    Parameters
    ----------
    network
        Name of the network.
    arrays
        Floating-point weights ``(out, in, rows, columns)`` or ``(out, in)`` by name.
    left_out
        Reasons, by name, why other arrays are not among them; arrays of one dimension (biases, scales) are not named.
    """

    network: str
    arrays: dict[str, Weights]
    left_out: dict[str, str]


def read_weights(path: str | Path) -> NetworkWeights:
    """Read weights.

    Parameters
    ----------
    path
        An ONNX model: the weights of its Conv, Gemm and MatMul nodes, floating-point ones and integers with their
        scales, by the names that `accelsim.workload.onnx_import.import_onnx` gives them; or an npz archive with arrays
        of two or four dimensions, floating-point ones and integers ``NAME`` whose ``NAME_scale`` (one number, or one
        per output) lies beside them, as in the archives of this package.

    Raises
    ------
    WorkloadError
        When the file is missing, unreadable or has no such weights.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise WorkloadError(
            "is no format of weights by its suffix", where=path, value=path.suffix, allowed=", ".join(_SUFFIXES)
        )
    found = _from_onnx(path) if suffix == ".onnx" else _from_npz(path)
    if not found.arrays:
        holder = "Conv, Gemm or MatMul node with floating-point weights"
        shaped = "floating-point array (or integers and their scales) of shape (out, in, rows, columns) or (out, in)"
        wanted = holder if suffix == ".onnx" else shaped
        raise WorkloadError(f"has no {wanted}", where=path)
    return found


def _from_npz(path: Path) -> NetworkWeights:
    arrays = load_arrays(path)
    if "header" in arrays and any(name.startswith("basis_") for name in arrays):
        raise WorkloadError("holds power-of-two weights already", where=path)
    taken, left_out = {}, {}
    for name, array in arrays.items():
        if array.ndim < 2:
            continue
        values = _scaled(array, arrays.get(f"{name}_scale"))
        if values is None:
            left_out[name] = f"holds {array.dtype}, not floating-point numbers, and has no {name}_scale to fit it"
        elif array.ndim not in (2, 4):
            left_out[name] = f"has {array.ndim} dimensions"
        else:
            taken[name] = values
    return NetworkWeights(path.stem, taken, left_out)


def _scaled(array: Weights, scale: Weights | None) -> Weights | None:
    """Return floating-point numbers as they are and integers times their scale; None where no scale fits them."""
    if np.issubdtype(array.dtype, np.floating):
        return array
    if scale is None or not np.issubdtype(array.dtype, np.integer) or not np.issubdtype(scale.dtype, np.floating):
        return None
    if scale.size != 1 and scale.shape != array.shape[:1]:
        return None
    return array.astype(np.float32) * scale.reshape(-1, *(1,) * (array.ndim - 1))


def _from_onnx(path: Path) -> NetworkWeights:
    from accelsim.workload.onnx_reader import check_initializer, parse_file  # onnx takes its time

    graph = parse_file(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    taken: dict[str, Weights] = {}
    left_out: dict[str, str] = {}
    for node in graph.node:
        if node.op_type not in _ORIENT or node.domain not in ("", "ai.onnx") or len(node.input) < 2:
            continue
        name, path_to = _root(node.input[1], stored, makers)
        scaled = makers.get(name)
        if name not in stored and scaled is not None and _is_scaled_constant(scaled, stored):
            name = scaled.input[0]
        else:
            scaled = None
        if name in taken or name in left_out or (name not in stored and name not in makers):
            continue  # seen already, or an input of the graph: a feature map
        tensor = stored.get(name) or _constant(makers.get(name))
        if tensor is None:
            maker = makers[name].op_type
            if node.op_type == "Conv" or maker in _CONSTANT_MAKERS:
                left_out[name] = f"is made by {maker}"
            continue
        check_initializer(tensor, path)
        array = _values(tensor, path) if scaled is None else _scaled_values(scaled, stored, path)
        if array is None:
            left_out[name] = "holds no floating-point numbers"
            continue
        weights = _oriented(array, path_to, node)
        if weights is None:
            left_out[name] = f"has shape {array.shape}, which is no weight of {node.op_type}"
        else:
            taken[name] = weights
    return NetworkWeights(path.stem, taken, left_out)


_ORIENT = frozenset({"Conv", "Gemm", "MatMul"})
_CONSTANT_MAKERS = frozenset({"DequantizeLinear", "ConstantOfShape"})


def _is_scaled_constant(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node makes floating-point weights of stored integers."""
    return node.op_type == "DequantizeLinear" and all(name in stored for name in node.input if name)


def _scaled_values(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto], path: Path) -> Weights | None:
    """Integers less their zero point, times their scale; None where the three do not fit each other."""
    integers, scale, *zero = (_numbers(stored[name], path) for name in node.input if name)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    if scale.ndim > 1 or not -integers.ndim <= axis < integers.ndim:
        return None  # scales of blocks
    shape = [1] * integers.ndim
    if scale.ndim == 1 and scale.size > 1:
        if scale.size != integers.shape[axis]:
            return None
        shape[axis] = scale.size
    offset = zero[0].astype(np.float32).reshape(shape) if zero else np.float32(0)
    return (integers.astype(np.float32) - offset) * scale.astype(np.float32).reshape(shape)


def _root(
    name: str, stored: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> tuple[str, list[onnx.NodeProto]]:
    """Tensor that another one renames or transposes, and the nodes between, first to last."""
    between: list[onnx.NodeProto] = []
    while name not in stored and name in makers and makers[name].op_type in {"Identity", "Cast", "Transpose"}:
        node = makers[name]
        if not node.input or len(between) > len(makers):  # the graph has a cycle
            break
        between.insert(0, node)
        name = node.input[0]
    return name, between


def _constant(node: onnx.NodeProto | None) -> onnx.TensorProto | None:
    if node is None or node.op_type != "Constant":
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _values(tensor: onnx.TensorProto, path: Path) -> Weights | None:
    """Values of a floating-point tensor; None for another type."""
    from onnx import TensorProto

    if tensor.data_type not in {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}:
        return None
    array = _numbers(tensor, path)
    return array if tensor.data_type == TensorProto.DOUBLE else array.astype(np.float32)


def _numbers(tensor: onnx.TensorProto, path: Path) -> Weights:
    """Values of a tensor of any type."""
    from onnx import numpy_helper
    from onnx.checker import ValidationError

    try:
        return numpy_helper.to_array(tensor, base_dir=str(path.parent))
    except (ValueError, TypeError, OSError, ValidationError) as problem:
        reason = (str(problem).splitlines() or [""])[0]
        raise WorkloadError(f"its data cannot be read: {reason}", where=path, key=f"tensor {tensor.name!r}") from None


def _oriented(array: Weights, between: list[onnx.NodeProto], node: onnx.NodeProto) -> Weights | None:
    """Weights as (out, in, ...); None where the array has no such form."""
    for step in between:
        if step.op_type == "Transpose":
            order = next((tuple(a.ints) for a in step.attribute if a.name == "perm"), None)
            if order is not None and sorted(order) != list(range(array.ndim)):
                return None
            array = array.transpose(order)
    if node.op_type == "Conv":
        return array[:, :, None, :] if array.ndim == 3 else array if array.ndim == 4 else None
    if node.op_type == "MatMul":
        array = array.reshape(array.shape[-2:]) if array.ndim >= 2 and set(array.shape[:-2]) <= {1} else array
    if array.ndim != 2:
        return None
    turned = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return array if turned else array.T
