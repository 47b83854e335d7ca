"""How long SCNN takes: a dense ResNet-50, and VGG-16 with the values of all its sparse tensors."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from accelsim.pipeline import simulate
from accelsim.workload.annotations import Annotations
from accelsim.workload.drawn_values import draw_integers
from accelsim.workload.loader import load_workload
from accelsim.workload.operand_data import OperandData

if TYPE_CHECKING:
    import numpy as np
    from pytest_benchmark.fixture import BenchmarkFixture

    from accelsim.workload.graph import LayerGraph


def with_values(graph: LayerGraph) -> LayerGraph:
    """A network whose tensors are drawn with the densities that are stated of them."""
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    shapes |= {weight.name: weight.shape for layer in graph.layers if (weight := graph.weight_tensor(layer))}
    names = [name for layer in graph.layers if graph.gemm_dims(layer) for name in (layer.inputs[0], layer.weight)]
    operands = {}
    for seed, name in enumerate(names):
        values = draw_integers(shapes[name], graph.annotations.of_tensor(name).density, seed)
        operands[name] = OperandData(load=partial(_returned, values))
    return replace(graph, annotations=Annotations(operands=operands))


def _returned(values: np.ndarray[Any, np.dtype[np.int8]]) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    return values


def test_dense_resnet50(benchmark: BenchmarkFixture) -> None:
    graph = load_workload("resnet50")
    simulate("scnn", graph)  # compile
    result = benchmark(simulate, "scnn", graph)
    benchmark.extra_info["total_cycles"] = result.totals.total_cycles
    assert result.totals.effective_macs < graph.total_macs, "padding costs nothing"


@pytest.mark.slow
def test_vgg16_with_values(benchmark: BenchmarkFixture) -> None:
    graph = with_values(load_workload("vgg16_pruned"))
    result = benchmark.pedantic(simulate, ("scnn", graph), rounds=2, warmup_rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["total_cycles"] = result.totals.total_cycles
    assert result.totals.effective_macs < 0.3 * graph.total_macs
