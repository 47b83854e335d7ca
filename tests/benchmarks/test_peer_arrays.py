"""How long networks take on the peers of SmartExchange: ResNet-50 without values, and VGG-16 with sparse tensors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.pipeline import simulate
from accelsim.workload.loader import load_workload
from accelsim.workload.operand_data import OperandData

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

    from accelsim.workload.graph import LayerGraph

pytestmark = pytest.mark.slow
PEERS = ("diannao_1k", "cambricon_x_1k", "bit_pragmatic_8k")


@pytest.mark.parametrize("hardware", ["systolic_32x32", *PEERS])
def test_resnet50(benchmark: BenchmarkFixture, hardware: str) -> None:
    graph = load_workload("resnet50")
    simulate(hardware, graph)  # compile
    result = benchmark(simulate, hardware, graph)
    assert result.totals.dense_macs == graph.total_macs


@pytest.mark.parametrize("hardware", PEERS)
def test_vgg16_with_sparse_tensors(benchmark: BenchmarkFixture, hardware: str) -> None:
    graph = sparse_vgg16()
    result = benchmark(simulate, hardware, graph)
    assert result.totals.effective_macs <= result.totals.dense_macs


def sparse_vgg16() -> LayerGraph:
    """VGG-16 with int8 operands of the densities that Deep Compression reports."""
    graph, operands = load_workload("vgg16_pruned"), {}
    for layer in graph.layers:
        weight = graph.weight_tensor(layer)
        if weight is not None:
            shapes = {layer.inputs[0]: graph.input_shapes(layer)[0], weight.name: weight.shape}
            for name, shape in shapes.items():
                density = graph.annotations.of_tensor(name).statistics.density
                operands[name] = OperandData(load=partial(drawn, shape, density))
    return replace(graph, annotations=replace(graph.annotations, operands=operands))


@cache
def drawn(shape: tuple[int, ...], density: float) -> NDArray[np.int8]:
    random = np.random.default_rng(len(shape))
    values = random.integers(1, 128, shape, np.int8)
    values[random.random(shape, np.float32) >= density] = 0
    return values
