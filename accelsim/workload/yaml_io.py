"""The native workload format: YAML that is pleasant to write by hand and holds a layer graph exactly.

::

    accelsim_workload: 1              # version of the format
    name: tiny
    description: what it is           # optional
    inputs:
      image: [1, 3, 32, 32]           # a shape, or {shape: [...], bits: 8}
    layers:
      - {name: conv1, op: conv, out_channels: 16, kernel: 3, padding: 1}
      - {name: relu1, op: activation, function: relu}
      - {name: fc, op: gemm, out_features: 10}

A layer without `inputs` reads the layer before it, the first one the only input of the graph.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from accelsim.config.model import Record, validate
from accelsim.errors import WorkloadError
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operators import ShapeError
from accelsim.workload.yaml_records import RECORDS, Bits, Count, Name, operator_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT_VERSION = 1
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


class InputRecord(Record):
    """A feature map that comes from outside."""

    shape: tuple[Count, ...]
    bits: Bits | None = None


class WorkloadRecord(Record):
    """A workload file without its layers, which are checked one by one."""

    accelsim_workload: Literal[1]
    name: Name
    description: Annotated[str, Field(min_length=1)] | None = None
    inputs: dict[Name, InputRecord]
    layers: list[dict[str, Any]]


def parse_workload(document: Mapping[str, Any], where: object) -> LayerGraph:
    """Build the layer graph that a document in the native format describes.

    Parameters
    ----------
    document
        The parsed YAML.
    where
        Its file or preset, for messages and as the graph's `source`.

    Raises
    ------
    WorkloadError
        Naming the first layer and key that is wrong, its value and what is allowed.
    """
    if "accelsim_workload" not in document:
        raise WorkloadError(
            "is missing; every native workload file begins with it",
            where=where,
            key="accelsim_workload",
            allowed=f"accelsim_workload: {FORMAT_VERSION}",
        )
    if "layers" not in document:
        allowed = "layers and inputs, or the key network with the name of one that the file annotates"
        raise WorkloadError("is missing", where=where, key="layers", allowed=allowed)
    head = validate(WorkloadRecord, {**document, "inputs": _spelled_out(document.get("inputs"))}, where, WorkloadError)
    inputs = tuple(Tensor(name, record.shape, record.bits) for name, record in head.inputs.items())
    before = inputs[0].name if len(inputs) == 1 else None
    layers: list[Layer] = []
    for index, data in enumerate(head.layers):
        layers.append(_layer(data, index, before, where))
        before = layers[-1].output
    return LayerGraph(head.name, inputs, tuple(layers), str(where), head.description)


def _spelled_out(inputs: object) -> object:
    if not isinstance(inputs, dict):
        return inputs
    return {name: {"shape": value} if isinstance(value, list) else value for name, value in inputs.items()}


def _layer(data: dict[str, Any], index: int, before: str | None, where: object) -> Layer:
    name = data.get("name")
    place = f"layers[{index}]" + (f" ({name})" if isinstance(name, str) else "")
    operation = data.get("op")
    if not isinstance(operation, str) or operation not in RECORDS:
        problem, value = ("is missing", ...) if operation is None else ("unknown operator", operation)
        raise WorkloadError(problem, where=where, key=f"{place}.op", value=value, allowed=", ".join(RECORDS))
    record = validate(RECORDS[operation], data, f"{where}: {place}", WorkloadError)
    inputs = record.inputs
    if inputs is None and before is None:
        raise WorkloadError("is missing; the graph has several inputs", where=where, key=f"{place}.inputs")
    try:
        operator = record.operator()
    except ShapeError as problem:
        raise WorkloadError(str(problem), where=where, key=place) from None
    return Layer(
        record.name,
        operator,
        inputs if inputs is not None else (before or "",),
        record.output or "",
        getattr(record, "weight", None) or "",
        getattr(record, "weight_bits", None),
        record.output_bits,
    )


def dump_yaml(graph: LayerGraph) -> str:
    """Write a layer graph in the native format; `parse_workload` gives the same graph back (but for its `source`)."""
    head: dict[str, Any] = {"accelsim_workload": FORMAT_VERSION, "name": graph.name}
    if graph.description:
        head["description"] = graph.description
    lines = [f"{key}: {_flow(value)}" for key, value in head.items()]
    lines.append("inputs:")
    for tensor in graph.inputs:
        value = list(tensor.shape) if tensor.bits is None else {"shape": list(tensor.shape), "bits": tensor.bits}
        lines.append(f"  {_flow(tensor.name)}: {_flow(value)}")
    lines.append("layers:")
    lines += [f"  - {_flow(fields)}" for fields in _layer_fields(graph)]
    return "\n".join(lines) + "\n"


def _layer_fields(graph: LayerGraph) -> Iterable[dict[str, Any]]:
    before = graph.inputs[0].name if len(graph.inputs) == 1 else None
    for layer in graph.layers:
        fields: dict[str, Any] = {"name": layer.name, "op": layer.op, **operator_fields(layer.operator)}
        if layer.inputs != (before,):
            fields["inputs"] = list(layer.inputs)
        if layer.output != layer.name:
            fields["output"] = layer.output
        if graph.weight_tensor(layer) is not None:
            if layer.weight != f"{layer.name}.weight":
                fields["weight"] = layer.weight
            if layer.weight_bits is not None:
                fields["weight_bits"] = layer.weight_bits
        if layer.output_bits is not None:
            fields["output_bits"] = layer.output_bits
        yield fields
        before = layer.output


def _escaped(match: re.Match[str]) -> str:
    return f"\\U{ord(match[0]):08x}"


def _flow(value: object) -> str:
    """One YAML value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(entry) for entry in value) + "]"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_/][\w./-]*", value, re.ASCII) and value.lower() not in _WORDS_OF_YAML
        return value if plain else '"' + re.sub(r"[^ !#-\[\]-~]", _escaped, value) + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)
