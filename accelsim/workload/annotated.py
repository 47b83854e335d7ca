"""Annotated workloads: a YAML file that names a network and states what belongs to it.

::

    accelsim_workload: 1
    name: alexnet_pruned              # optional
    network: alexnet                  # a name, or the path of a workload file, counted from this one
    part: {until: conv3}              # optional; of the layers, see `accelsim.workload.network_part`
    bits: {default: {weight: 1}}      # optional; widths of tensors, see `accelsim.workload.stored_bits`
    members: 4                        # optional; as many such networks that add up their answers
    statistics:                       # optional; of tensors whose values are not known
      default: {ifmap: {density: 0.5}}
      layers:
        conv2: {weight: {density: 0.38}, ifmap: {density: 0.53}}
    tensors: alexnet_tensors.npz      # optional; integers as stored, by tensor name
    pot_weights: alexnet_pot.npz      # optional; weights from `accelsim decompose`
    images: test_images.npz           # optional; what accuracy is measured on
    skip: {gates: rnn, rate: 0.7}     # optional; see `accelsim.workload.skip_annotation`
    training: {method: smartdeal}     # optional; a step of training, see `accelsim.workload.training`

Statistics stand by layer: ``ifmap`` is its first input, ``weight`` its weights (of a product of two feature maps the
second one), ``ofmap`` its output as it is stored. Values of `tensors` go before statistics, a layer's own before the
default. What is stated of a concatenation, a view, a maximum or a local response normalisation is taken to hold of what
goes in. Weights that are decomposed into sparse powers of two come from a file, which goes before all else, or are
described by their sparsity, `default` meaning all that can be::

    statistics:
      default: {weight: {pot: {vector_density: 0.4, density: 0.7, index: group}}}
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from accelsim.config.model import Record, validate
from accelsim.errors import WorkloadError
from accelsim.workload.ensemble import ensemble
from accelsim.workload.network_part import PartRecord, network_part
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Concat, MatMul, Normalisation, Pool, Upsample, View
from accelsim.workload.pot.parameters import Index
from accelsim.workload.pot.reshaping import plain_reason
from accelsim.workload.pot_annotations import known_weights, stated_weights
from accelsim.workload.skip_annotation import SkipRecord, with_skips
from accelsim.workload.stated_layers import multiplying_layers
from accelsim.workload.stored_bits import BitsRecord, with_bits
from accelsim.workload.tensor_file import tensor_values
from accelsim.workload.training import TrainingRecord
from accelsim.workload.yaml_records import Name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.workload.graph import Layer, LayerGraph, Tensor

_Share = Annotated[float, Field(ge=0, le=1)]
_PerElement = Annotated[float, Field(ge=0, le=64)]


class StatisticsRecord(Record):
    """Stated statistics of one tensor."""

    density: _Share
    vector_density: _Share | None = None
    booth_digits: _PerElement | None = None
    one_bits: _PerElement | None = None
    magnitude_bits: Annotated[int, Field(ge=1, le=64)] | None = None


class PotStatisticsRecord(Record):
    """Stated sparsity of weights that are decomposed into sparse powers of two and a basis."""

    vector_density: _Share = 1.0
    """Share of the rows of coefficients that are not zero as a whole."""
    density: _Share = 1.0
    """Share of the coefficients in those that are not zero."""
    index: Index = "vector"
    """What a bit of the index stands for."""
    shared_filters: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Neighbouring filters that have their zero rows in common; 32 where they share the index, else 1."""


class WeightStatisticsRecord(Record):
    """Stated statistics of a weight array: of its elements, or of the coefficients that it is decomposed into."""

    density: _Share | None = None
    vector_density: _Share | None = None
    booth_digits: _PerElement | None = None
    one_bits: _PerElement | None = None
    pot: PotStatisticsRecord | None = None

    @model_validator(mode="after")
    def _says_how_dense_it_is(self) -> WeightStatisticsRecord:
        if self.density is None and self.pot is None:
            message = "needs density, or pot for weights that are decomposed"
            raise ValueError(message)
        return self


class OperandsRecord(Record):
    """Statistics of the operands of a layer."""

    ifmap: StatisticsRecord | None = None
    weight: WeightStatisticsRecord | None = None
    ofmap: StatisticsRecord | None = None
    """Of the output as it is stored: after activation and batch normalisation."""


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
    part: PartRecord | None = None
    bits: BitsRecord | None = None
    members: Annotated[int, Field(ge=2, le=1_000)] | None = None
    statistics: StatisticsTable = StatisticsTable()
    tensors: str | None = None
    pot_weights: str | None = None
    images: str | None = None
    skip: SkipRecord | None = None
    training: TrainingRecord | None = None


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
    if record.part is not None:
        network = network_part(network, record.part, path)
    if record.bits is not None:
        network = with_bits(network, record.bits, path)
    if record.members is not None:
        network = ensemble(network, record.members, path)
    plan = network.annotations.skip
    if record.skip is not None:
        network, plan = with_skips(network, record.skip, path)
    operands = dict(network.annotations.operands)
    for name, data in _stated(record, path, network).items():
        if name not in operands or data.pot is not None:  # how weights are to be decomposed, whatever they are now
            operands[name] = data
    if record.tensors is not None:
        operands |= tensor_values(path.parent / record.tensors, network)
    if record.pot_weights is not None:
        operands |= known_weights(path.parent / record.pot_weights, network)
    images = network.annotations.images
    if record.images is not None:
        images = path.parent / record.images
        if not images.exists():
            raise WorkloadError("no such file or folder", where=path, key="images", value=record.images)
    training = record.training or network.annotations.training
    return replace(
        network,
        name=record.name or path.stem,
        description=record.description or network.description,
        annotations=replace(network.annotations, operands=operands, images=images, skip=plan, training=training),
    )


def _stated(record: AnnotatedRecord, path: Path, network: LayerGraph) -> dict[str, OperandData]:
    """Stated statistics, by tensor."""
    layers = multiplying_layers(network, record.statistics.layers, path, "statistics.layers")
    default = record.statistics.default
    defaults: dict[str, OperandData | None] = {}
    own: dict[str, OperandData | None] = {}
    for name, layer in layers.items():
        operands = record.statistics.layers.get(name, OperandsRecord())
        first, second, weight = layer.inputs[0], _second_operand(layer), network.weight_tensor(layer)
        inside = network.producer(first) is not None  # what comes from outside is dense unless its layer says otherwise
        defaults |= {first: _data(default.ifmap) if inside else None, second: _weight_data(default.weight, weight)}
        _check_pot(operands.weight, weight, path, f"statistics.layers.{name}.weight.pot")
        for tensor, data in ((first, _data(operands.ifmap)), (second, _weight_data(operands.weight, weight))):
            own[tensor] = data or own.get(tensor)
        stored = _stored_output(layer, network)
        defaults.setdefault(stored, _data(default.ofmap))
        own[stored] = _data(operands.ofmap) or own.get(stored)
    own = {tensor: data for tensor, data in own.items() if data is not None}
    known = {tensor: data for tensor, data in (defaults | own).items() if data is not None}
    for layer in reversed(network.layers):
        if layer.output in known and _keeps_zeros(layer):
            known |= {tensor: known[layer.output] for tensor in layer.inputs if tensor not in known}
    return known


def _keeps_zeros(layer: Layer) -> bool:
    """Whether the inputs of a layer have no fewer zeros than its output has: what is stated of this holds of those."""
    operator = layer.operator
    if isinstance(operator, Pool | Normalisation):
        return operator.function in {"max", "local_response"}
    return isinstance(operator, Concat | Upsample | View)


def _stored_output(layer: Layer, network: LayerGraph) -> str:
    """Name of a layer's output after the functions of one element that ride on it."""
    readers = network.consumers(layer.output)
    while len(readers) == 1 and (readers[0].op == "activation" or _is_batch_normalisation(readers[0])):
        layer = readers[0]
        readers = network.consumers(layer.output)
    return layer.output


def _is_batch_normalisation(layer: Layer) -> bool:
    return isinstance(layer.operator, Normalisation) and layer.operator.function == "batch"


def _data(stated: StatisticsRecord | None) -> OperandData | None:
    return None if stated is None else OperandData(OperandStatistics(**stated.model_dump()), stated=True)


def _weight_data(stated: WeightStatisticsRecord | None, weight: Tensor | None) -> OperandData | None:
    """What is stated of weights; those that cannot be decomposed are as dense as is stated beside it, if anything."""
    if stated is None:
        return None
    if stated.pot is not None and weight is not None and plain_reason(weight.shape) is None:
        return stated_weights(weight.shape, **stated.pot.model_dump())
    if stated.density is None:
        return None
    return OperandData(OperandStatistics(**stated.model_dump(exclude={"pot"})), stated=True)


def _check_pot(stated: WeightStatisticsRecord | None, weight: Tensor | None, path: Path, key: str) -> None:
    """Refuse decomposed weights for a layer that has none or whose weights stay plain."""
    if stated is None or stated.pot is None:
        return
    reason = "it has no weights, but two inputs" if weight is None else plain_reason(weight.shape)
    if reason is not None:
        raise WorkloadError(f"the layer cannot be decomposed: {reason}", where=path, key=key)


def _second_operand(layer: Layer) -> str:
    return layer.inputs[1] if isinstance(layer.operator, MatMul) else layer.weight
