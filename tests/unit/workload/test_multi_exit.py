"""MSDNet and RANet against the multiply-adds at which their papers have the exits.

- MSDNet's own counter prints 615.6, 1436.4, 2283.2, 2967.4 and 3253.8 M for blocks of 7 layers (recalled); it also
  counts functions, averages and biases.
- RANet: figure of anytime prediction in Yang et al., CVPR 2020, read to 0.05e9 (ImageNet; without the seventh exit,
  which no point can be told from) and 0.01e8 (CIFAR).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim import simulate
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

MSDNET = (615.61e6, 1436.39e6, 2283.18e6, 2967.42e6, 3253.79e6)
RANET = {0: 0.45e9, 1: 0.9e9, 2: 1.15e9, 3: 1.35e9, 4: 2.3e9, 5: 2.6e9, 7: 3.35e9}
RANET_CIFAR = {0: 0.16e8, 1: 0.31e8, 2: 0.45e8, 4: 0.6e8, 6: 0.9e8, 7: 0.95e8}
BUDGETS = {"ranet": 1350e6, "msdnet": 1710e6, "ranet_cifar": 31e6, "msdnet_cifar": 38e6}


def macs_up_to_exits(graph: LayerGraph) -> list[int]:
    sums = itertools.accumulate(graph.dense_macs(layer) for layer in graph.layers)
    return [total for layer, total in zip(graph.layers, sums, strict=True) if layer.op == "softmax"]


def test_msdnet_has_its_exits_where_its_own_counter_has_them() -> None:
    graph = load_workload("msdnet")
    macs = macs_up_to_exits(graph)
    assert macs == pytest.approx(MSDNET, rel=0.006)
    assert all(ours < theirs for ours, theirs in zip(macs, MSDNET, strict=True))  # which counts more than products


@pytest.mark.parametrize(("name", "read", "error"), [("ranet", RANET, 0.03e9), ("ranet_cifar", RANET_CIFAR, 0.008e8)])
def test_ranet_has_its_exits_where_the_figure_has_them(name: str, read: dict[int, float], error: float) -> None:
    macs = macs_up_to_exits(load_workload(name))
    assert len(macs) == 8
    for exit_number, published in read.items():
        assert macs[exit_number] == pytest.approx(published, abs=error)


@pytest.mark.parametrize("name", ["msdnet", "msdnet_cifar", "ranet", "ranet_cifar"])
def test_exits_read_the_coarsest_scale_and_end_in_all_classes(name: str) -> None:
    graph = load_workload(name)
    classes, coarsest = (10, 8) if "cifar" in name else (1000, 7)
    for number in range(1, len(graph.outputs) + 1):
        by_name = {layer.name: layer for layer in graph.layers}
        assert graph.tensors[f"exit{number}.softmax"].shape == (1, classes)
        assert graph.input_shapes(by_name[f"exit{number}.conv1"])[0][2] == coarsest


@pytest.mark.parametrize(("name", "budget"), BUDGETS.items())
def test_budgeted_presets_leave_at_the_published_mean(name: str, budget: float) -> None:
    graph = load_workload(f"{name}_budgeted")
    plan = graph.annotations.skip
    assert plan is not None
    macs = np.array(macs_up_to_exits(graph))[plan.taken_exits]
    assert macs.mean() == pytest.approx(budget, rel=0.005)
    counts = np.bincount(plan.taken_exits)
    reached = counts[::-1].cumsum()[::-1].astype(float)
    geometric = (counts[1] / counts[0]) ** np.arange(len(counts))
    stays = 1 - geometric / geometric[::-1].cumsum()[::-1]
    spread = np.sqrt(stays * (1 - stays) / reached)[:-1]  # each image that reaches an exit stays by a draw of its own
    assert (abs(reached[1:] / reached[:-1] - stays[:-1]) <= 4 * spread + 0.01).all()


def test_a_budgeted_network_runs_and_leaves_earlier_for_less() -> None:
    samples = simulate("edge_16x16", "msdnet_cifar_budgeted", fidelity="estimate").samples
    assert samples is not None
    assert [entry.name for entry in samples.exits] == ["exit1", "exit2", "exit3", "exit4", "end"]
    energies = [entry.energy_pj for entry in samples.exits]
    assert energies == sorted(energies)
    assert samples.energy_pj.mean < energies[-1]
    assert samples.effective_macs.mean == pytest.approx(BUDGETS["msdnet_cifar"], rel=0.005)
