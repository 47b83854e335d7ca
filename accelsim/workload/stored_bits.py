"""The key `bits` of an annotated workload: widths at which tensors are stored, where they are not those of the machine.

::

    bits:
      default: {ifmap: 1, weight: 1}    # optional; of all layers that multiply
      layers:                           # optional
        conv1: {ifmap: 8, weight: 8}    # `ifmap` is the first input of the layer, `weight` its weights

A feature map that several layers read has one width; where two layers state different ones, the wider one counts, and
where one states none, the machine's. What a default says holds for layers for which nothing is stated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from accelsim.config.model import Record
from accelsim.workload.stated_layers import multiplying_layers
from accelsim.workload.yaml_records import Name

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import Layer, LayerGraph

_Bits = Annotated[int, Field(ge=1, le=64)]


class LayerBitsRecord(Record):
    """Widths of the operands of a layer; the machine's own where nothing is stated."""

    ifmap: _Bits | None = None
    weight: _Bits | None = None


class BitsRecord(Record):
    """Widths of a network."""

    default: LayerBitsRecord = LayerBitsRecord()
    layers: dict[Name, LayerBitsRecord] = Field(default_factory=dict)


def with_bits(graph: LayerGraph, record: BitsRecord, path: Path) -> LayerGraph:
    """The network with these widths.

    Parameters
    ----------
    graph
        The network.
    record
        What the workload states.
    path
        Its file, for messages.

    Raises
    ------
    WorkloadError
        When a layer does not exist or does not multiply.
    """
    multiplying = multiplying_layers(graph, record.layers, path, "bits.layers")
    bits_of = {name: record.layers.get(name, record.default) for name in multiplying}
    widths = _map_widths(graph, bits_of)

    def changed(layer: Layer) -> Layer:
        weight = bits_of[layer.name].weight if layer.name in bits_of else None
        return replace(
            layer, output_bits=widths.get(layer.output, layer.output_bits), weight_bits=weight or layer.weight_bits
        )

    inputs = tuple(replace(tensor, bits=widths.get(tensor.name, tensor.bits)) for tensor in graph.inputs)
    return replace(graph, inputs=inputs, layers=tuple(changed(layer) for layer in graph.layers))


def _map_widths(graph: LayerGraph, bits_of: dict[str, LayerBitsRecord]) -> dict[str, int]:
    """Widths of feature maps all of whose multiplying readers state one."""
    widths: dict[str, int] = {}
    for tensor in graph.tensors:
        stated = [bits_of[reader.name].ifmap for reader in graph.consumers(tensor)
                  if reader.name in bits_of and reader.inputs[0] == tensor]  # fmt: skip
        known = [bits for bits in stated if bits is not None]
        if known and len(known) == len(graph.consumers(tensor)):
            widths[tensor] = max(known)
    return widths
