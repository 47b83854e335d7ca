"""Layers about which an annotated workload may state something."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.workload.operators import Conv, Gemm, MatMul

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from accelsim.workload.graph import Layer, LayerGraph


def multiplying_layers(graph: LayerGraph, stated: Iterable[str], path: Path, key: str) -> dict[str, Layer]:
    """Layers of a network that multiply, by name.

    Parameters
    ----------
    graph
        The network.
    stated
        Names of the layers about which something is stated.
    path, key
        Where that stands, for messages.

    Raises
    ------
    WorkloadError
        When something is stated about another layer.
    """
    layers = {layer.name: layer for layer in graph.layers if isinstance(layer.operator, Conv | Gemm | MatMul)}
    for name in stated:
        if name not in layers:
            near = difflib.get_close_matches(name, layers, n=1) or list(layers)
            allowed = f"its layers, such as {near[0]!r}" if near else "none, for no layer has any"
            problem = "is no layer of the network that has multiply-accumulates"
            raise WorkloadError(problem, where=path, key=f"{key}.{name}", allowed=allowed)
    return layers
