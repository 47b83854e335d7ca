"""RadiX-Nets against what their construction promises, and the sizes of the Sparse DNN Challenge."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import simulate
from accelsim.workload.loader import load_workload
from accelsim.workload.zoo.radixnet import CONNECTIONS, radixnet, topology

CONNECTIONS_OF_120_LAYERS = {
    1024: 3_932_160,
    4096: 15_728_640,
    16384: 62_914_560,
    65536: 251_658_240,
}  # of the challenge


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(2, 4), min_size=1, max_size=4), st.integers(1, 3))
def test_every_node_reaches_every_other_over_as_many_ways(radices: list[int], copies: int) -> None:
    layers = [topology(tuple(radices), copies, step).astype(np.int64) for step in range(len(radices))]
    for layer, radix in zip(layers, radices, strict=True):
        assert (layer.sum(axis=0) == radix * copies).all()
        assert (layer.sum(axis=1) == radix * copies).all()
    ways = layers[0]
    for layer in layers[1:]:
        ways = layer @ ways
    assert (ways == copies ** (len(radices) - 1)).all()
    assert ways.shape == (copies * math.prod(radices),) * 2


@pytest.mark.parametrize(("neurons", "connections"), CONNECTIONS_OF_120_LAYERS.items())
def test_networks_have_the_connections_of_the_challenge(neurons: int, connections: int) -> None:
    graph = load_workload(f"radixnet_{neurons}")
    gemms = [layer for layer in graph.layers if layer.op == "gemm"]
    assert len(gemms) == 120
    densities = [graph.annotations.of_tensor(layer.weight).density for layer in gemms]
    assert sum(densities) * neurons**2 == connections
    assert {density * neurons for density in densities} == {CONNECTIONS}


def test_layers_differ_within_a_round_of_digits() -> None:
    graph = radixnet(1024, 7)
    weights = [graph.annotations.of_tensor(f"layer{index}.weight").values for index in range(1, 8)]
    known = [values for values in weights if values is not None]
    assert len(known) == 7
    assert not any(np.array_equal(left, right) for left, right in pairwise(known))
    assert weights[0] is weights[6]


@pytest.mark.parametrize("neurons", [1000, 16, 0])
def test_other_sizes_are_refused(neurons: int) -> None:
    with pytest.raises(ValueError, match=f"{neurons} neurons in each of 120 layers are no network of radix 2"):
        radixnet(neurons, 120)


def test_an_array_that_skips_weights_follows_connections_alone() -> None:
    graph = radixnet(1024, 6).with_batch(16)
    sparse, dense = (simulate(machine, graph).totals for machine in ("cambricon_x_1k", "diannao_1k"))
    assert sparse.effective_macs == 16 * 6 * 1024 * CONNECTIONS
    assert dense.effective_macs == 16 * 6 * 1024 * 1024
    assert sparse.total_cycles < dense.total_cycles
    assert sparse.dram_read_bytes < dense.dram_read_bytes / 2
