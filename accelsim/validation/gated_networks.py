"""Gated networks to compare with the same ones without gates: those of SkipNet, and the project's own.

Published execution shares are the input: SkipNet (Wang et al., ECCV 2018) keeps 70.272, 52.340 and 49.526 % of the
computation of ResNet-38, -74 and -110 on CIFAR-10, and 70.058 % of ResNet-101 on ImageNet. Beside them stand gated
networks of the project's own, with decisions and accuracy on the CIFAR-10 test set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import InputError
from accelsim.resources import resource_folder
from accelsim.workload.gates import with_gates
from accelsim.workload.loader import load_workload
from accelsim.workload.skip import SkipPlan, drawn_decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.workload.graph import LayerGraph

SAMPLES = 20
"""Rows of decisions drawn at a published rate."""

SEED = 0


@dataclass(frozen=True)
class PublishedSkip:
    """A network of a paper: the share of its computation that is kept, and its accuracy (%) without and with gates."""

    network: str
    kept: float
    base_accuracy: float
    accuracy: float


PUBLISHED = (
    PublishedSkip("resnet38_cifar", 0.70272, 92.50, 92.75),
    PublishedSkip("resnet74_cifar", 0.52340, 92.95, 92.77),
    PublishedSkip("resnet110_cifar", 0.49526, 93.60, 93.30),
    PublishedSkip("resnet101", 0.70058, 77.37, 76.942),
)
"""SkipNet with recurrent gates and hybrid reinforcement learning, tables of the paper and of its released code."""


@dataclass(frozen=True)
class OwnSkip:
    """A gated network of the project's own, the same without gates, and the weights that give the latter's accuracy."""

    network: str
    base: str
    base_weights: str


OWN_BASE = "resnet20_cifar"
OWN = (
    *(OwnSkip(f"resnet20_gated_{budget}", OWN_BASE, OWN_BASE) for budget in (100, 75, 50, 35)),
    *(OwnSkip(f"resnet38_gated_{budget}", "resnet38_cifar", "resnet38_gated_100") for budget in (100, 75, 50, 35)),
    OwnSkip("resnet38_channel_gated_50", "resnet38_cifar", "resnet38_gated_100"),
    *(OwnSkip(f"densenet_gated_{budget}", "densenet_cifar", "densenet_gated_100") for budget in (100, 75, 50)),
)
"""Where no plain network was trained apart, the one whose gates let everything run gives the accuracy without them."""

NETWORKS = (*(entry.network for entry in PUBLISHED), *(entry.network for entry in OWN))
"""Networks of the study."""


@dataclass(frozen=True)
class GatedCase:
    """A network with its gates and decisions, beside the same one without gates.

    Parameters
    ----------
    graph, base
        The network with and without gates.
    implied
        Share of the computation that the decisions imply.
    accuracy, base_accuracy
        Share of right answers with and without gates.
    published
        Whether decisions were drawn at a published rate.
    """

    graph: LayerGraph
    base: LayerGraph
    implied: float
    accuracy: float
    base_accuracy: float
    published: bool


def gated_case(network: str) -> GatedCase:
    """One of SkipNet's networks, with decisions drawn at its published rate, or one of the project's own.

    Raises
    ------
    InputError
        When the study does not have it, or it has no decisions.
    """
    for entry in PUBLISHED:
        if entry.network == network:
            base = load_workload(network)
            accuracies = entry.accuracy / 100, entry.base_accuracy / 100
            return GatedCase(planned_at(base, entry.kept), base, entry.kept, *accuracies, published=True)
    own = {entry.network: entry for entry in OWN}
    if network not in own:
        raise InputError("is no network of the study", where="network", value=network, allowed=", ".join(NETWORKS))
    graph, base = load_workload(network), load_workload(own[network].base)
    plan = graph.annotations.skip
    if plan is None or plan.right is None:
        raise InputError("has no decisions with their answers", where=network)
    shares = np.array([gated_share(base, gate.layers) for gate in plan.gates])
    implied = 1 - float((shares * (1 - _executed(plan))).sum(axis=1).mean())
    accuracies = float(plan.right.mean()), _own_accuracy(own[network].base_weights)
    return GatedCase(graph, base, implied, *accuracies, published=False)


def _executed(plan: SkipPlan) -> NDArray[np.float64]:
    """Per sample and gate the part of its work that is done: of a block that runs, the channels that are computed."""
    executed = plan.decisions.astype(np.float64)
    column = {gate.name: number for number, gate in enumerate(plan.gates)}
    for number, gate in enumerate(plan.channel_gates):
        executed[:, column[gate.name]] *= plan.channels_of(number).mean(axis=1)
    return executed


def _own_accuracy(network: str) -> float:
    note = json.loads((resource_folder("workloads") / "weights" / f"{network}.json").read_text("utf-8"))
    return float(note["right"]["int8_weights"] / note["test_images"])


def all_open(graph: LayerGraph) -> LayerGraph:
    """The network with gates that decide, and decisions by which every block runs."""
    plan = graph.annotations.skip
    if plan is None:
        return graph
    opened = SkipPlan(plan.gates, np.ones((1, len(plan.gates)), np.bool_), plan.origin)
    return replace(graph, annotations=replace(graph.annotations, skip=opened))


def gated_share(graph: LayerGraph, layers: Sequence[str]) -> float:
    """Share of a network's multiply-accumulates that some of its layers have."""
    inside = set(layers)
    return sum(graph.dense_macs(layer) for layer in graph.layers if layer.name in inside) / graph.total_macs


def planned_at(graph: LayerGraph, kept: float) -> LayerGraph:
    """The network with recurrent gates that keep a share of its computation.

    Every block but the first runs equally often, but for rounding: an assumption, for papers give no rates by block.

    Parameters
    ----------
    graph
        The network.
    kept
        Share of its multiply-accumulates, those that no gate can skip included.
    """
    gated, gates = with_gates(graph)
    shares = [gated_share(graph, gate.layers) for gate in gates]
    rate = (kept - (1 - sum(shares))) / sum(shares)
    if not 0 <= rate <= 1:
        raise InputError("keeps more or less than its gates can", where=graph.name, value=kept)
    decisions = drawn_decisions([rate] * len(gates), SAMPLES, SEED, shares)
    plan = SkipPlan(gates, decisions, "rate")
    return replace(gated, annotations=replace(gated.annotations, skip=plan))
