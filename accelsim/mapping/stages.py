"""Which layers the machine runs, and which ride along.

A *stage* is a layer that the array or the vector unit runs, together with the layers fused into its drain: functions
of one element (activation, folded batch normalisation, arithmetic with a constant) whose input nobody else reads.
Views change addresses only. A concatenation along the channels costs nothing either where its readers can fetch each
part from where its producer left it; views and matrix products cannot. Any other concatenation is a copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accelsim.workload.operators import Concat, Conv, Elementwise, Gemm, MatMul, Normalisation, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.workload.graph import Layer, LayerGraph

CHANNEL_AXIS = 1


@dataclass(frozen=True)
class Part:
    """A stretch of channels of a feature map, and the tensor whose memory holds it.

    Parameters
    ----------
    tensor
        Name of the feature map whose shape the stretch has.
    root
        Name of the tensor that owns the memory: an input of the graph or the output of a stage.
    first_channel, channels
        Place of the stretch on the reader's channel axis.
    in_order
        Whether its pixels come in the order in which the owner's are made; a view may mix them.
    """

    tensor: str
    root: str
    first_channel: int
    channels: int
    in_order: bool = True


@dataclass(frozen=True)
class Stage:
    """A layer that is run, and what is fused into it.

    Parameters
    ----------
    index
        Position in the order of execution.
    layer
        The layer that gives the stage its name.
    fused
        Layers applied on the way out.
    output
        Name of the feature map that reaches memory: the output of the last fused layer.
    inputs
        Per input of the layer the parts it is made of.
    """

    index: int
    layer: Layer
    fused: tuple[Layer, ...]
    output: str
    inputs: tuple[tuple[Part, ...], ...]

    @property
    def on_array(self) -> bool:
        """Whether the PE array runs it; the vector unit otherwise."""
        return isinstance(self.layer.operator, Conv | Gemm | MatMul)

    @property
    def roots(self) -> tuple[str, ...]:
        """Tensors whose memory the stage reads, each once."""
        return tuple(dict.fromkeys(part.root for parts in self.inputs for part in parts))


def plan_stages(graph: LayerGraph, bits: Mapping[str, int]) -> tuple[tuple[Stage, ...], dict[str, tuple[Part, ...]]]:
    """Cut a graph into stages, in topological order; also the parts that each feature map is made of.

    Parameters
    ----------
    graph
        The network.
    bits
        Stored bits per element of every feature map: maps of unequal width are joined by a copy.
    """
    fused_into = _fused_layers(graph)
    free = {layer.name for layer in graph.layers if _is_free_concat(graph, layer, bits)}
    stages: list[Stage] = []
    parts_of: dict[str, tuple[Part, ...]] = {}
    for tensor in graph.inputs:
        parts_of[tensor.name] = (_whole(graph, tensor.name, tensor.name),)
    for layer in graph.layers:
        if layer.op == "view":
            source = parts_of[layer.inputs[0]]
            parts_of[layer.output] = (_seen_anew(graph, layer.output, source[0]),)
        elif layer.name in free:
            parts_of[layer.output] = _joined([parts_of[name] for name in layer.inputs])
        elif layer.name not in fused_into.values():
            fused = _fused_chain(layer, fused_into, graph)
            output = fused[-1].output if fused else layer.output
            inputs = tuple(parts_of[name] for name in layer.inputs)
            stages.append(Stage(len(stages), layer, fused, output, inputs))
            for follower in (layer, *fused):
                parts_of[follower.output] = (_whole(graph, follower.output, output),)
    return tuple(stages), parts_of


def _seen_anew(graph: LayerGraph, tensor: str, source: Part) -> Part:
    """A view of a feature map: its pixels keep their order where it only cuts or renames channels."""
    seen, owner = graph.tensors[tensor], graph.tensors[source.tensor]
    pixels = [entry.elements // channels_of(entry.shape) for entry in (seen, owner)]
    part = _whole(graph, tensor, source.root)
    return replace(part, in_order=source.in_order and pixels[0] == pixels[1])


def _whole(graph: LayerGraph, tensor: str, root: str) -> Part:
    return Part(tensor, root, 0, channels_of(graph.tensors[tensor].shape))


def channels_of(shape: tuple[int, ...]) -> int:
    """Channels of a feature map: dimension 1 of ``(N, C, H, W)``, else the last one."""
    return shape[CHANNEL_AXIS] if len(shape) == 4 else shape[-1]


def _joined(inputs: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    joined: list[Part] = []
    first = 0
    for parts in inputs:
        joined += [replace(part, first_channel=first + part.first_channel) for part in parts]
        first += sum(part.channels for part in parts)
    return tuple(joined)


def _fused_layers(graph: LayerGraph) -> dict[str, str]:
    """Map each layer to the one fused into it."""
    fused: dict[str, str] = {}
    for layer in graph.layers:
        if not _is_elementwise_function(layer):
            continue
        producer = graph.producer(layer.inputs[0])
        if (
            producer is not None
            and producer.op not in ("view", "concat")
            and len(graph.consumers(producer.output)) == 1
        ):
            fused[producer.name] = layer.name
    return fused


def _is_elementwise_function(layer: Layer) -> bool:
    operator = layer.operator
    if isinstance(operator, Normalisation):
        return operator.function == "batch"
    return layer.op == "activation" or (isinstance(operator, Elementwise) and len(layer.inputs) == 1)


def _fused_chain(layer: Layer, fused_into: dict[str, str], graph: LayerGraph) -> tuple[Layer, ...]:
    by_name = {entry.name: entry for entry in graph.layers}
    chain: list[Layer] = []
    while (follower := fused_into.get(layer.name)) is not None:
        layer = by_name[follower]
        chain.append(layer)
    return tuple(chain)


def _is_free_concat(graph: LayerGraph, layer: Layer, bits: Mapping[str, int]) -> bool:
    if not isinstance(layer.operator, Concat) or any(bits[name] != bits[layer.output] for name in layer.inputs):
        return False
    rank = len(graph.tensors[layer.output].shape)
    along_channels = rank == 4 and layer.operator.axis % rank == CHANNEL_AXIS
    return along_channels and all(_reads_parts(graph, reader, layer) for reader in graph.consumers(layer.output))


def _reads_parts(graph: LayerGraph, reader: Layer, concat: Layer) -> bool:
    """Whether a layer can take a joined map from where its parts lie; products need rows in one piece."""
    if isinstance(reader.operator, Gemm):
        return math.prod(graph.tensors[concat.output].shape[2:]) == 1 and not reader.operator.per_position
    return not isinstance(reader.operator, MatMul | View)
