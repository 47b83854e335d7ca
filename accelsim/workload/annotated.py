"""Annotated workloads: a YAML file that names a network and states what belongs to it.

::

    accelsim_workload: 1
    name: alexnet_pruned              # optional
    network: alexnet                  # a name, or the path of a workload file, counted from this one
    statistics:                       # optional; of tensors whose values are not known
      default: {ifmap: {density: 0.5}}
      layers:
        conv2: {weight: {density: 0.38}, ifmap: {density: 0.53}}
    tensors: alexnet_tensors.npz      # optional; integers as stored, by tensor name
    images: test_images.npz           # optional; what accuracy is measured on

Statistics stand by layer: ``ifmap`` is its first input, ``weight`` its weights (of a product of two feature maps the
second one). Values of `tensors` go before statistics, a layer's own before the default.
"""

from __future__ import annotations

import difflib
import zipfile
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from accelsim.config.model import Record, validate
from accelsim.errors import WorkloadError
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Gemm, MatMul
from accelsim.workload.yaml_records import Name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.workload.graph import Layer, LayerGraph

_Share = Annotated[float, Field(ge=0, le=1)]
_PerElement = Annotated[float, Field(ge=0, le=64)]


class StatisticsRecord(Record):
    """Stated statistics of one tensor."""

    density: _Share
    vector_density: _Share | None = None
    booth_digits: _PerElement | None = None
    one_bits: _PerElement | None = None


class OperandsRecord(Record):
    """Statistics of the operands of a layer."""

    ifmap: StatisticsRecord | None = None
    weight: StatisticsRecord | None = None


class StatisticsTable(Record):
    """Statistics of a network."""

    default: OperandsRecord = OperandsRecord()
    layers: dict[Name, OperandsRecord] = Field(default_factory=dict)


class AnnotatedRecord(Record):
    """An annotated workload file."""

    accelsim_workload: Literal[1]
    network: Annotated[str, Field(min_length=1)]
    name: Name | None = None
    description: Annotated[str, Field(min_length=1)] | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    statistics: StatisticsTable = StatisticsTable()
    tensors: str | None = None
    images: str | None = None


def annotate(document: Mapping[str, Any], path: Path, network: LayerGraph) -> LayerGraph:
    """Lay the annotations of a file over a network.

    Parameters
    ----------
    document
        The parsed file.
    path
        Where it lies.
    network
        The network that it names.

    Raises
    ------
    WorkloadError
        When the annotations are not accepted or name what the network does not have.
    """
    record = validate(AnnotatedRecord, document, path, WorkloadError)
    if record.batch is not None:
        network = network.with_batch(record.batch)
    operands = dict(network.annotations.operands)
    operands |= {name: data for name, data in _stated(record, path, network).items() if name not in operands}
    if record.tensors is not None:
        operands |= _tensors(path.parent / record.tensors, network)
    images = network.annotations.images
    if record.images is not None:
        images = path.parent / record.images
        if not images.exists():
            raise WorkloadError("no such file or folder", where=path, key="images", value=record.images)
    return replace(
        network,
        name=record.name or path.stem,
        description=record.description or network.description,
        annotations=replace(network.annotations, operands=operands, images=images),
    )


def _stated(record: AnnotatedRecord, path: Path, network: LayerGraph) -> dict[str, OperandData]:
    """Stated statistics, by tensor."""
    layers = {layer.name: layer for layer in network.layers if isinstance(layer.operator, Conv | Gemm | MatMul)}
    for name in record.statistics.layers:
        if name not in layers:
            near = difflib.get_close_matches(name, layers, n=1)
            raise WorkloadError(
                "is no layer of the network that has multiply-accumulates",
                where=path,
                key=f"statistics.layers.{name}",
                allowed=f"its layers, such as {(near or list(layers))[0]!r}",
            )
    default = record.statistics.default
    defaults: dict[str, StatisticsRecord | None] = {}
    own: dict[str, StatisticsRecord | None] = {}
    for name, layer in layers.items():
        operands = record.statistics.layers.get(name, OperandsRecord())
        first, second = layer.inputs[0], _second_operand(layer)
        inside = network.producer(first) is not None  # what comes from outside is dense unless its layer says otherwise
        defaults |= {first: default.ifmap if inside else None, second: default.weight}
        own |= {tensor: stated for tensor, stated in ((first, operands.ifmap), (second, operands.weight)) if stated}
    return {
        tensor: OperandData(OperandStatistics(**statistics.model_dump()), stated=True)
        for tensor, statistics in (defaults | own).items()
        if statistics is not None
    }


def _second_operand(layer: Layer) -> str:
    return layer.inputs[1] if isinstance(layer.operator, MatMul) else layer.weight


def _tensors(path: Path, network: LayerGraph) -> dict[str, OperandData]:
    """Values from an npz file, each loaded when it is needed; names and shapes are checked at once."""
    shapes = {name: tensor.shape for name, tensor in network.tensors.items()}
    for layer in network.layers:
        weight = network.weight_tensor(layer)
        if weight is not None:
            shapes[weight.name] = weight.shape
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WorkloadError(f"cannot be read as npz: {error}", where=path) from None
    for name in names:
        if name not in shapes:
            near = difflib.get_close_matches(name, shapes, n=1)
            hint = f"a tensor of the network, such as {near[0]!r}" if near else "tensors of the network"
            raise WorkloadError("is no tensor of the network", where=path, key=name, allowed=hint)
    return {name: OperandData(load=partial(_load, path, name, shapes[name])) for name in names}


def _load(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    """One array of a file; a feature map of another batch is repeated or cut to fit."""
    with np.load(path, allow_pickle=False) as file:
        values: np.ndarray[Any, np.dtype[Any]] = file[name]
    if not np.issubdtype(values.dtype, np.integer):
        raise WorkloadError(
            "holds no integers", where=path, key=name, value=str(values.dtype), allowed="int8 and wider"
        )
    if values.shape[1:] != shape[1:] or not values.size:
        raise WorkloadError(
            "has another shape than the tensor", where=path, key=name, value=values.shape, allowed=str(shape)
        )
    if values.shape[0] != shape[0]:
        values = np.resize(values, shape)
    return values
