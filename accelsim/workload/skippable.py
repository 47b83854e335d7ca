"""Which parts of a network may be left out for an input, and what stands for their results then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.operators import Activation, Concat, Elementwise
from accelsim.workload.skip import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.workload.graph import Layer, LayerGraph


def skippable_blocks(graph: LayerGraph) -> tuple[Gate, ...]:
    """Find the blocks that may be skipped: residual ones, and layers that join new channels to what they read.

    Of a sum of which one addend can stand for the whole, skipped is what only the other addend needs, and the sum
    itself; a projection on the way around still runs. A function of one element that follows the sum belongs to the
    block, as in SkipNet (Wang et al., ECCV 2018). Of a concatenation of a feature map and what is made of it alone, as
    in a DenseNet, skipped is what is made; its channels are zeros then.
    """
    position = {layer.name: index for index, layer in enumerate(graph.layers)}
    blocks = []
    for layer in graph.layers:
        if len(layer.inputs) != 2:
            continue
        ways = [(source, _layers_only_for(graph, branch)) for source, branch in (layer.inputs, layer.inputs[::-1])]
        source, inside = max(ways, key=lambda way: sum(graph.dense_macs(entry) for entry in way[1]))
        if not any(graph.dense_macs(entry) for entry in inside):
            continue
        last: Layer | None = None
        if isinstance(layer.operator, Elementwise) and layer.operator.function == "add":
            last, stands_for = _with_follower(graph, layer), source
            if graph.tensors[source].shape != graph.tensors[layer.output].shape:
                continue
            inside += [layer, last]
        elif isinstance(layer.operator, Concat) and layer.operator.axis == 1 and _sources(inside) == {source}:
            last, stands_for = graph.producer(next(name for name in layer.inputs if name != source)), ""
        if last is not None:
            names = {entry.name for entry in inside}
            ordered = tuple(sorted(names, key=position.__getitem__))
            blocks.append(Gate(_block_name(layer.name), "layer_skip", ordered, stands_for, last.output))
    return tuple(blocks)


def _sources(layers: Sequence[Layer]) -> set[str]:
    """Feature maps that layers read and do not make."""
    made = {layer.output for layer in layers}
    return {name for layer in layers for name in layer.inputs} - made


def _layers_only_for(graph: LayerGraph, tensor: str) -> list[Layer]:
    """Layers of whose results nothing but `tensor` is made, and that are read by one reader of it."""
    if len(graph.consumers(tensor)) != 1:
        return []
    inside: dict[str, Layer] = {}
    waiting = [graph.producer(tensor)]
    while waiting:
        maker = waiting.pop()
        if maker is None or maker.name in inside:
            continue
        if inside and not all(reader.name in inside for reader in graph.consumers(maker.output)):
            continue
        inside[maker.name] = maker
        waiting += [graph.producer(name) for name in maker.inputs]
    return list(inside.values())


def _with_follower(graph: LayerGraph, layer: Layer) -> Layer:
    readers = graph.consumers(layer.output)
    alone = len(readers) == 1 and isinstance(readers[0].operator, Activation)
    return readers[0] if alone else layer


def _block_name(name: str) -> str:
    return name.rpartition(".")[0] or name


def early_exit(graph: LayerGraph, name: str, test: str) -> Gate:
    """Build the gate of an exit whose confidence test is the layer `test`: what comes after it in the graph closes.

    Layers between the test and the end that only the exit's own head needs do not exist: a test has no readers.

    Raises
    ------
    WorkloadError
        When there is no such layer, or others read what it makes.
    """
    by_name = {layer.name: index for index, layer in enumerate(graph.layers)}
    if test not in by_name:
        raise WorkloadError("is no layer of the network", where=graph.source or graph.name, key=name, value=test)
    layer = graph.layers[by_name[test]]
    if graph.consumers(layer.output):
        raise WorkloadError(
            "cannot be a confidence test, for other layers read its result",
            where=graph.source or graph.name, key=name, value=test,
        )  # fmt: skip
    later = tuple(entry.name for entry in graph.layers[by_name[test] + 1 :])
    return Gate(name, "early_exit", later, decided_by=test)


def checked_gate(graph: LayerGraph, gate: Gate) -> Gate:
    """Check that a network keeps its shapes where a gate is closed; return the gate.

    Raises
    ------
    WorkloadError
        When a layer does not exist, the stretch is fed or read from elsewhere, or changes the shape.
    """
    where = graph.source or graph.name
    known = {layer.name: layer for layer in graph.layers}
    for name in (*gate.layers, *([gate.decided_by] if gate.decided_by else [])):
        if name not in known:
            raise WorkloadError("is no layer of the network", where=where, key=gate.name, value=name)
    if gate.kind == "early_exit":
        return gate
    _check_stand_in(graph, gate)
    for name in gate.layers:
        made = known[name].output
        outside = [reader.name for reader in graph.consumers(made) if reader.name not in gate.layers]
        if made != gate.result and outside:
            raise WorkloadError(
                f"cannot be skipped, for {outside[0]!r} reads {made!r} inside it", where=where, key=gate.name
            )
    position = {layer.name: index for index, layer in enumerate(graph.layers)}
    first = min(gate.layers, key=position.__getitem__)
    if gate.decided_by is not None and position[gate.decided_by] >= position[first]:
        raise WorkloadError(
            f"decides too late: {first!r} runs before it", where=where, key=gate.name, value=gate.decided_by
        )
    return gate


def _check_stand_in(graph: LayerGraph, gate: Gate) -> None:
    """Check that what stands for the result of a closed stretch exists and has its shape; zeros always do."""
    where = graph.source or graph.name
    for tensor in (gate.source, gate.result) if gate.source else (gate.result,):
        if tensor not in graph.tensors:
            raise WorkloadError("is no feature map of the network", where=where, key=gate.name, value=tensor)
    if not gate.source:
        return
    shapes = graph.tensors[gate.source].shape, graph.tensors[gate.result].shape
    if shapes[0] != shapes[1]:
        raise WorkloadError(
            f"cannot be skipped, for it makes {shapes[1]} of {shapes[0]}", where=where, key=gate.name,
            allowed="layers that keep the shape",
        )  # fmt: skip
    made = {layer.output for layer in graph.layers if layer.name in gate.layers}
    if gate.source in made:
        raise WorkloadError("cannot stand for what it is made of", where=where, key=gate.name, value=gate.source)
