"""Reads an ONNX file: parses it, refuses what is broken, and makes it ready for shape inference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from accelsim.errors import WorkloadError
from accelsim.workload.onnx_model import DOMAINS, LARGEST_VALUE, OnnxModel, infer_model

if TYPE_CHECKING:
    from pathlib import Path

_CONTRIB = "com.microsoft"
_PLAIN_OPERATORS: dict[str, tuple[str, tuple[int, ...] | slice]] = {
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearSigmoid": ("Sigmoid", (0,)),
    "QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "QLinearSoftmax": ("Softmax", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QGemm": ("Gemm", (0, 3, 6)),
    "Gelu": ("Gelu", (0,)),
    "FastGelu": ("Gelu", (0,)),
    "QuickGelu": ("Gelu", (0,)),
    "QuantizeLinear": ("QuantizeLinear", slice(None)),
    "DequantizeLinear": ("DequantizeLinear", slice(None)),
}
"""Operators of ONNX Runtime's quantiser and optimiser: the ONNX operator of the same work, and the inputs it takes."""


def load_model(path: Path) -> OnnxModel:
    """Read an ONNX file and infer its shapes; a symbolic or missing batch (dimension 0 of an input) becomes 1.

    Raises
    ------
    WorkloadError
        When the file is no readable ONNX model or an input has an unknown dimension besides the batch.
    """
    proto = parse_file(path)
    if not proto.graph.node:
        raise WorkloadError("holds no ONNX graph with nodes", where=path)
    _use_plain_operators(proto.graph)
    _check_domains(proto, path)
    _check_order(proto.graph, path)
    for tensor in proto.graph.initializer:
        check_initializer(tensor, path)
        _drop_large_data(tensor)
    if proto.functions:
        from onnx import inliner  # models with functions are rare

        proto = inliner.inline_local_functions(proto)
    _fix_symbols(proto.graph, path)
    return infer_model(proto, path)


def parse_file(path: Path) -> onnx.ModelProto:
    """Read an ONNX file as it is.

    Raises
    ------
    WorkloadError
        When the file is missing, unreadable or no ONNX model.
    """
    try:
        if path.is_dir():
            raise WorkloadError("is a directory, not a file", where=path)
        data = path.read_bytes()
    except FileNotFoundError:
        raise WorkloadError("no such file", where=path) from None
    except OSError as problem:
        raise WorkloadError(f"cannot be read: {problem.strerror}", where=path) from None
    if not data:
        raise WorkloadError("is empty", where=path, allowed="an ONNX model")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise WorkloadError("is no ONNX model, or a truncated one (its protobuf does not parse)", where=path) from None
    return proto


def _use_plain_operators(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.domain == _CONTRIB and node.op_type in _PLAIN_OPERATORS:
            node.op_type, taken = _PLAIN_OPERATORS[node.op_type]
            names = list(node.input)
            kept = names[taken] if isinstance(taken, slice) else [names[i] for i in taken if i < len(names)]
            del node.input[:]
            node.input.extend(kept)
            node.domain = ""


def _check_domains(proto: onnx.ModelProto, path: Path) -> None:
    known = {*DOMAINS, *(function.domain for function in proto.functions)}
    for node in proto.graph.node:
        if node.domain not in known:
            key = f"node {node.name or (node.output or ['?'])[0]!r} ({node.op_type})"
            raise WorkloadError(
                f"operator domain {node.domain!r} is not supported", where=path, key=key, allowed="operators of ONNX"
            )
    newest = onnx.defs.onnx_opset_version()
    for opset in proto.opset_import:
        if opset.domain in DOMAINS and not 1 <= opset.version <= newest:
            raise WorkloadError("not known", where=path, key="opset", value=opset.version, allowed=f"1 to {newest}")


def _check_order(graph: onnx.GraphProto, path: Path) -> None:
    """Every tensor that a node reads has to be there before: ONNX keeps nodes sorted."""
    known = {"", *(tensor.name for tensor in graph.initializer), *(value.name for value in graph.input)}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    made = {name for node in graph.node for name in node.output}
    for node in graph.node:
        if not node.output:
            raise WorkloadError("has no outputs", where=path, key=f"node {node.name!r} ({node.op_type})")
        for name in node.input:
            if name not in known:
                reason = "is made later: the graph has a cycle" if name in made else "is made by no node"
                key = f"node {node.name or node.output[0]!r} ({node.op_type})"
                raise WorkloadError(f"its input {name!r} {reason}", where=path, key=key)
        known.update(node.output)


def check_initializer(tensor: TensorProto, path: Path) -> None:
    """Make sure that a stored constant has a possible shape, and its data file, where it has one, all of it.

    Raises
    ------
    WorkloadError
        When it has not; the message names the tensor.
    """
    key = f"tensor {tensor.name!r}"
    if any(size < 0 for size in tensor.dims):
        raise WorkloadError(f"shape {tuple(tensor.dims)} has a negative dimension", where=path, key=key)
    if tensor.data_location != TensorProto.EXTERNAL:
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    file = (path.parent / location).resolve()
    if not location or not file.is_relative_to(path.parent.resolve()):
        raise WorkloadError(f"its external file {location!r} is not beside the model", where=path, key=key)
    if not file.is_file():
        raise WorkloadError(f"its external file {location!r} is missing", where=path, key=key)
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError:
        raise WorkloadError("its external offset or length is no number", where=path, key=key) from None
    if end > file.stat().st_size:
        raise WorkloadError(f"its external file {location!r} is truncated", where=path, key=key)


def _drop_large_data(tensor: TensorProto) -> None:
    """Forget the values of a weight array: inference would copy them twice and reads none."""
    if math.prod(tensor.dims) > LARGEST_VALUE:
        for part in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
            tensor.ClearField(part)


def _fix_symbols(graph: onnx.GraphProto, path: Path) -> None:
    """Set the batch symbol of the inputs to 1, wherever it stands; refuse every other unknown dimension."""
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    elsewhere = {dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim[1:] if dim.dim_param}
    batch_symbols = set()
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].HasField("dim_value") and dims[0].dim_param not in elsewhere:
            batch_symbols.add(dims[0].dim_param)
            dims[0].dim_value = 1
    for value in (*inputs, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and dim.dim_param in batch_symbols:
                dim.dim_value = 1
    for value in inputs:
        _check_input(value, path)


def _check_input(value: onnx.ValueInfoProto, path: Path) -> None:
    key = f"input {value.name!r}"
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise WorkloadError("is no tensor with a shape", where=path, key=key)
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value"):
            symbol = repr(dim.dim_param) if dim.dim_param else "no value"
            raise WorkloadError(
                f"dimension {axis} is {symbol}; give it a number, e.g. with "
                "onnx.tools.update_model_dims.update_inputs_outputs_dims",
                where=path,
                key=key,
            )
        if dim.dim_value < 1:
            raise WorkloadError(f"dimension {axis} is {dim.dim_value}", where=path, key=key, allowed="at least 1")
