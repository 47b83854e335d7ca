"""Gates on channels: which output channels of a convolution an input needs, decided one by one.

Such a gate stands inside a block, between two convolutions: an output channel of the first that is closed is zero, so
that neither its filter nor what the second would make of it has to be computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Activation, Conv, Normalisation
from accelsim.workload.pot.reshaping import plain_reason
from accelsim.workload.pot_annotations import stated_weights

if TYPE_CHECKING:
    from accelsim.workload.graph import Layer, LayerGraph
    from accelsim.workload.operators import Shape
    from accelsim.workload.skip import Gate


@dataclass(frozen=True)
class ChannelGate:
    """A gate on the channels between two convolutions.

    Parameters
    ----------
    name
        Name of the block.
    first, second
        The convolution whose output channels are decided on, and the one that reads them.
    width
        Channels.
    decided_by
        Layer at whose end the decisions are known; None where they are known before the inference begins.
    """

    name: str
    first: str
    second: str
    width: int
    decided_by: str | None = None


def channel_gate(graph: LayerGraph, block: Gate) -> ChannelGate:
    """Find the channels of a block that may be skipped: those behind its first convolution that leads to a second.

    Between the two stand functions of single elements alone, and nobody else reads what lies there.

    Raises
    ------
    WorkloadError
        When the block has no such convolutions.
    """
    by_name = {layer.name: layer for layer in graph.layers}
    for name in block.layers:
        first = by_name[name]
        second = _reader(graph, first) if _is_plain(first) else None
        if second is not None and second.name in block.layers:
            width = graph.tensors[first.output].shape[1]
            return ChannelGate(block.name, first.name, second.name, width, block.decided_by)
    raise WorkloadError(
        "has no two convolutions in a row between which channels could be skipped",
        where=graph.source or graph.name, key=f"skip.channels.{block.name}",
    )  # fmt: skip


def _is_plain(layer: Layer) -> bool:
    return isinstance(layer.operator, Conv) and layer.operator.groups == 1


def _reader(graph: LayerGraph, first: Layer) -> Layer | None:
    """The convolution that alone reads the result of another, past functions of single elements."""
    readers = graph.consumers(first.output)
    while len(readers) == 1:
        reader = readers[0]
        if _is_plain(reader):
            return reader
        normalises = isinstance(reader.operator, Normalisation) and reader.operator.function == "batch"
        if not isinstance(reader.operator, Activation) and not normalises:
            return None
        readers = graph.consumers(reader.output)
    return None


def narrowed(graph: LayerGraph, gate: ChannelGate, channels: int) -> LayerGraph:
    """The network with so many channels between the two convolutions of a gate; the rest is as it was.

    Which channels are open differs from sample to sample. Weights of the two whose values or coefficients are known are
    therefore as sparse as they are as a whole, and feature maps behind a layer as nothing but statistics has them.
    """
    maps = {layer.output for layer in graph.layers}
    known = graph.annotations.operands
    operands = {name: data for name, data in known.items() if name not in maps or data.load is None}
    layers = []
    for layer in graph.layers:
        weight = graph.weight_tensor(layer) if layer.name in (gate.first, gate.second) else None
        if weight is not None and weight.name in operands:
            filters, inputs, *window = weight.shape
            shape = (channels, inputs, *window) if layer.name == gate.first else (filters, channels, *window)
            operands[weight.name] = _as_statistics(operands[weight.name], shape)
        if layer.name == gate.first and isinstance(layer.operator, Conv):
            layers.append(replace(layer, operator=replace(layer.operator, out_channels=channels)))
        else:
            layers.append(layer)
    annotations = replace(graph.annotations, operands=operands, skip=None)
    return replace(graph, layers=tuple(layers), annotations=annotations)


def _as_statistics(data: OperandData, shape: Shape) -> OperandData:
    """Weights of another shape that are as sparse as these; what only statistics are known of stays as it is."""
    if data.pot is None and data.load is None:
        return data
    if data.pot is not None and plain_reason(shape) is None:
        pot = data.pot
        coded = pot.row_density * pot.layout.filters * pot.layout.filter_weights
        density = min(pot.nonzeros / coded, 1.0) if coded else 1.0
        return stated_weights(shape, pot.row_density, density, pot.index, pot.shared_filters)
    values = data.values
    if values is None:
        return replace(data, pot=None)
    rows = np.any(values.reshape(-1, values.shape[-1]), axis=1)
    statistics = OperandStatistics(density=data.density, vector_density=float(rows.mean()))
    return OperandData(statistics, stated=True)
