"""Skipping, sparse powers of two and approximate DRAM in one network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim.resources import resource_folder
from accelsim.validation.combined_study import decomposed_decisions, decomposed_weights
from accelsim.workload.decision_trace import load_trace
from accelsim.workload.loader import load_workload
from accelsim.workload.pot.files import load_pot_weights
from accelsim.workload.pot.weights import PotLayer

SHARED = Path(__file__).parents[4] / "shared" / "data"
WORKLOADS = resource_folder("workloads")
NETWORKS = {"resnet20_gated_50": "resnet20_trained", "resnet38_channel_gated_50": "resnet38_cifar"}
"""Gated networks that ship decomposed, and what their layers are called after."""


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("gated", NETWORKS)
def test_the_decomposed_network_decides_as_its_trace_says(gated: str) -> None:
    if not (SHARED / "cifar10_test.npz").is_file():
        pytest.skip("needs the CIFAR-10 test set in the folder shared/ beside the checkout")
    found, kept = decomposed_decisions(gated, SHARED), load_trace(WORKLOADS / "skip" / f"{gated}_pot.npz")
    assert (found.decisions == kept.decisions).all()
    assert (found.right == kept.right).all()


@pytest.mark.parametrize(("gated", "plain"), NETWORKS.items())
def test_weights_that_ship_are_those_of_the_gated_network(gated: str, plain: str) -> None:
    made, kept = decomposed_weights(gated, plain), load_pot_weights(WORKLOADS / "weights" / f"{gated}_pot.npz")
    graph = load_workload(f"{gated}_pot")
    named = {weight.name for layer in graph.layers if (weight := graph.weight_tensor(layer)) is not None}
    assert {layer.name for layer in kept.layers} <= named
    for ours, theirs in zip(made.layers, kept.layers, strict=True):
        assert isinstance(ours, PotLayer)
        assert isinstance(theirs, PotLayer)
        assert (ours.name, ours.levels.tobytes()) == (theirs.name, theirs.levels.tobytes())
        np.testing.assert_array_equal(ours.decode(), theirs.decode())


@pytest.mark.parametrize("name", ["resnet38_channel_gated_50", "resnet38_channel_gated_50_pot"])
def test_channels_of_the_channel_gated_network_close_by_the_input(name: str) -> None:
    """A quarter of the channels are closed where their block runs, in masks that differ between inputs."""
    trace, at, computed, masks = load_trace(WORKLOADS / "skip" / f"{name}.npz"), 0, [], 0
    for block in trace.blocks:
        assert block.channels
        runs, channels = trace.decisions[:, at], trace.decisions[:, at + 1 : at + 1 + block.channels]
        at += 1 + block.channels
        if runs.mean() > 0.5:
            computed.append(channels[runs].mean())
        masks += len(np.unique(channels, axis=0))
    assert 0.6 < np.mean(computed) < 0.9
    assert masks > 10_000
