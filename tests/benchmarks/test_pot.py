"""How long it takes to decompose VGG-19 for CIFAR-10, 20 million weights: the aim is a minute on two cores."""

# mypy: allow-untyped-calls

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from accelsim.workload.loader import load_workload
from accelsim.workload.pot.decompose import decompose_layer, decompose_network
from accelsim.workload.pot.weights import PotLayer

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


def normal_weights(network: str) -> dict[str, np.ndarray[Any, Any]]:
    """Weights as they are set before training (He et al. 2015)."""
    random, graph = np.random.default_rng(0), load_workload(network)
    tensors = [tensor for layer in graph.layers if (tensor := graph.weight_tensor(layer)) is not None]
    return {
        tensor.name: (random.standard_normal(tensor.shape) * math.sqrt(2 / math.prod(tensor.shape[1:]))).astype("f4")
        for tensor in tensors
    }


@pytest.mark.slow
def test_decompose_vgg19(benchmark: BenchmarkFixture) -> None:
    decompose_layer(np.eye(9))  # compile
    weights = normal_weights("vgg19_cifar")
    made = benchmark.pedantic(decompose_network, (weights,), rounds=1)
    benchmark.extra_info["weights"] = made.weight_count
    benchmark.extra_info["megabytes"] = made.storage().megabytes
    assert made.weight_count == 20_024_000
    assert max(layer.error for layer in made.layers if isinstance(layer, PotLayer)) < 0.25


def test_decompose_resnet20(benchmark: BenchmarkFixture) -> None:
    decompose_layer(np.eye(9))  # compile
    made = benchmark(decompose_network, normal_weights("resnet20"))
    assert made.weight_count == 268_336
