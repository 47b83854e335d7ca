"""Drops from translated layers what costs nothing: views of views, views nobody reads, quantisers that fold away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from accelsim.workload.operators import Activation, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accelsim.workload.graph import Layer, Tensor

QUANTISER = Activation("quantize")


def fold_quantisers(
    inputs: Iterable[Tensor], layers: list[Layer], outputs: set[str]
) -> tuple[tuple[Tensor, ...], list[Layer]]:
    """Let a producer store its feature map quantised, where the quantisers are the only ones to read it.

    Parameters
    ----------
    inputs
        Feature maps from outside; one that is only read by quantisers arrives quantised.
    layers
        Producers before consumers.
    outputs
        Feature maps that are results of the graph, and so keep their precision.
    """
    readers = _readers(layers)
    makers = {layer.output: layer for layer in layers}
    bits: dict[str, int | None] = {}
    renamed: dict[str, str] = {}
    for layer in layers:
        if layer.operator == QUANTISER:
            source = renamed.get(layer.inputs[0], layer.inputs[0])
            path = _private_path(layer, makers, readers, outputs)
            if path:
                bits.update((name, layer.output_bits) for name in path)
                renamed[layer.output] = source
    kept = [
        replace(
            layer,
            inputs=tuple(renamed.get(name, name) for name in layer.inputs),
            output_bits=bits.get(layer.output, layer.output_bits),
        )
        for layer in layers
        if layer.output not in renamed
    ]
    return tuple(replace(tensor, bits=bits.get(tensor.name, tensor.bits)) for tensor in inputs), kept


def _private_path(
    quantiser: Layer, makers: dict[str, Layer], readers: dict[str, list[Layer]], outputs: set[str]
) -> list[str]:
    """Feature maps from the quantiser's input back over views to where it is made; none if others read one of them."""
    name = quantiser.inputs[0]
    path = [name]
    if any(reader.operator != QUANTISER or reader.output_bits != quantiser.output_bits for reader in readers[name]):
        return []
    while name in makers and isinstance(makers[name].operator, View):
        name = makers[name].inputs[0]
        path.append(name)
        if len(readers[name]) > 1:
            return []
    return [] if outputs.intersection(path) else path


def join_views(layers: list[Layer], outputs: set[str]) -> list[Layer]:
    """Make one view of a view that only a view reads, and drop views that nobody reads."""
    readers = _readers(layers)
    joined: dict[str, Layer] = {}
    for layer in layers:
        source = joined.get(layer.inputs[0])
        inputs = layer.inputs
        private = source and len(readers[source.output]) == 1 and source.output not in outputs
        if source and private and _is_view(layer) and _is_view(source):
            del joined[source.output]
            inputs = source.inputs
        joined[layer.output] = replace(layer, inputs=inputs)
    kept: list[Layer] = []
    read = set(outputs)
    for layer in reversed(joined.values()):
        if layer.output in read or not _is_view(layer):
            kept.append(layer)
            read.update(layer.inputs)
    return kept[::-1]


def _is_view(layer: Layer) -> bool:
    return isinstance(layer.operator, View)


def _readers(layers: list[Layer]) -> dict[str, list[Layer]]:
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in dict.fromkeys(layer.inputs):
            readers.setdefault(name, []).append(layer)
    return readers
