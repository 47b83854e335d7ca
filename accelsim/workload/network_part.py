"""The key `part` of an annotated workload: the layers that one of two machines runs.

::

    part: {until: pool5, noise: true}   # the client: what leads to this layer, and noise added to what it sends
    part: {after: pool5}                # the server: all other layers; what the client sends enters

Noise is drawn beforehand, as in Shredder (Mireshghallah et al., ASPLOS 2020): one addition for each element that is
sent, with numbers that are at the client, whose way to the vector unit is left out.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import model_validator

from accelsim.config.model import Record
from accelsim.errors import WorkloadError
from accelsim.workload.annotations import NO_ANNOTATIONS
from accelsim.workload.graph import Layer, Tensor
from accelsim.workload.operators import Elementwise
from accelsim.workload.yaml_records import Name

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph


class PartRecord(Record):
    """Which part of a network is meant: that up to a layer, or that behind it."""

    until: Name | None = None
    after: Name | None = None
    noise: bool = False
    """Whether noise is added to the result of `until`."""

    @model_validator(mode="after")
    def _is_one_part(self) -> PartRecord:
        if (self.until is None) == (self.after is None):
            raise ValueError("needs until or after, one of the two")
        if self.noise and self.until is None:
            raise ValueError("noise goes with until: it is the client who adds it")
        return self

    @property
    def layer(self) -> str:
        """The last layer of the client."""
        return self.until or self.after or ""


def network_part(graph: LayerGraph, record: PartRecord, path: Path) -> LayerGraph:
    """Cut a part out of a network.

    Parameters
    ----------
    graph
        The whole network.
    record
        Which part.
    path
        The file that asks for it, for messages.

    Raises
    ------
    WorkloadError
        When there is no such layer, nothing lies behind it, the server would need more than its result, or the network
        has values or gates of its own.
    """
    key = "part.until" if record.until is not None else "part.after"
    by_name = {layer.name: layer for layer in graph.layers}
    if record.layer not in by_name:
        near = difflib.get_close_matches(record.layer, by_name, n=1)
        allowed = f"its layers, such as {(near or list(by_name))[0]!r}"
        raise WorkloadError("is no layer of the network", where=path, key=key, value=record.layer, allowed=allowed)
    if graph.annotations is not NO_ANNOTATIONS:
        problem = f"{graph.name} has annotations of its own"
        raise WorkloadError(problem, where=path, key="part", allowed="a network without any")
    last = by_name[record.layer]
    client = _leading_to(graph, last)
    server = tuple(layer for layer in graph.layers if layer.name not in client)
    outside = {tensor.name for tensor in graph.inputs} | {
        layer.output for layer in graph.layers if layer.name in client
    }
    needed = sorted({name for layer in server for name in layer.inputs if name in outside})
    if needed != [last.output]:
        problem = f"is no place to cut at: the layers behind it read {', '.join(needed) or 'nothing'}"
        raise WorkloadError(problem, where=path, key=key, value=record.layer, allowed="a layer all paths go through")
    if record.after is not None:
        return replace(graph, inputs=(graph.tensors[last.output],), layers=server)
    layers = tuple(layer for layer in graph.layers if layer.name in client)
    if record.noise:
        layers += (Layer("noise", Elementwise("add"), (last.output,), output_bits=last.output_bits),)
    inputs = tuple(tensor for tensor in graph.inputs if _is_read(tensor, layers))
    return replace(graph, inputs=inputs, layers=layers)


def _leading_to(graph: LayerGraph, last: Layer) -> set[str]:
    """Names of the layers whose results a layer is made of, its own included."""
    inside: set[str] = set()
    waiting = [last]
    while waiting:
        layer = waiting.pop()
        if layer.name not in inside:
            inside.add(layer.name)
            waiting += graph.producers(layer)
    return inside


def _is_read(tensor: Tensor, layers: tuple[Layer, ...]) -> bool:
    return any(tensor.name in layer.inputs for layer in layers)
