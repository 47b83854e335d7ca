"""Ensembles: networks of one shape, with weights of their own, that see the same input and add up their answers.

As ensembles of bitwise networks whose weights are sampled from those of one network (Vogel et al., "Efficient
stochastic inference of bitwise deep neural networks", 2016). Members run one after the other; what a machine would take
to draw their weights is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.annotations import NO_ANNOTATIONS
from accelsim.workload.graph import Layer, LayerGraph
from accelsim.workload.operators import Elementwise

if TYPE_CHECKING:
    from collections.abc import Callable


def ensemble(graph: LayerGraph, members: int, where: object) -> LayerGraph:
    """Join so many networks of this shape.

    Parameters
    ----------
    graph
        One of them.
    members
        How many there are; layers of the first one are called ``member1.<name>``.
    where
        File that asks for it, for messages.

    Raises
    ------
    WorkloadError
        When the network has several outputs, or values or gates of its own.
    """
    if len(graph.outputs) != 1:
        problem = f"{graph.name} has {len(graph.outputs)} outputs"
        raise WorkloadError(problem, where=where, key="members", value=members, allowed="a network with one output")
    if graph.annotations is not NO_ANNOTATIONS:
        problem = f"{graph.name} has annotations of its own"
        raise WorkloadError(problem, where=where, key="members", value=members, allowed="a network without any")
    outside = {tensor.name for tensor in graph.inputs}
    layers: list[Layer] = []
    for number in range(1, members + 1):

        def named(tensor: str, prefix: str = f"member{number}.") -> str:
            return tensor if tensor in outside else prefix + tensor

        layers += [_renamed(layer, named) for layer in graph.layers]
    answers = tuple(f"member{number}.{graph.outputs[0].name}" for number in range(1, members + 1))
    layers.append(Layer("vote", Elementwise("add"), answers))
    return replace(graph, layers=tuple(layers))


def _renamed(layer: Layer, named: Callable[[str], str]) -> Layer:
    return replace(
        layer,
        name=named(layer.name),
        inputs=tuple(map(named, layer.inputs)),
        output=named(layer.output),
        weight=named(layer.weight),
    )
