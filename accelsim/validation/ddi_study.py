"""What skipping saves: computation against latency and energy, by machine and by what is fetched ahead of decisions.

Published execution shares are the input: SkipNet (Wang et al., ECCV 2018) keeps 70.272, 52.340 and 49.526 % of the
computation of ResNet-38, -74 and -110 on CIFAR-10, and 70.058 % of ResNet-101 on ImageNet. Beside them stand gated
networks of the project's own, with decisions and accuracy on the CIFAR-10 test set. What FLOPs promise is compared with
what a machine sees. Published figures of energy or latency there are none that could be repeated.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.config.dram import whole_memory_at
from accelsim.config.loader import load_hardware
from accelsim.errors import InputError, MissingDataError
from accelsim.hardware.dram.controller import Dram
from accelsim.pipeline import simulate
from accelsim.resources import resource_folder
from accelsim.validation.combined_study import ALL, accuracy_of
from accelsim.validation.eden_study import TABLE_3, reduced_point
from accelsim.workload.gates import with_gates
from accelsim.workload.loader import load_workload
from accelsim.workload.skip import SkipPlan, drawn_decisions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from accelsim.result import RunResult
    from accelsim.workload.graph import LayerGraph

MACHINES = ("systolic_32x32", "eyeriss", "smartexchange")
POLICIES = ("wait", "speculate_weights", "speculate")
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
class SkipCase:
    """One network on one machine under one policy, beside the same network without gates.

    Parameters
    ----------
    network, machine, policy
        What ran where.
    implied
        Share of the computation that the decisions imply; of published networks the published one.
    kept
        Share of the multiply-accumulates executed, those of the gates included.
    latency, energy
        Shares of those without gates.
    gate_latency, gate_energy
        What gates alone add where every block runs, as shares of those without gates.
    wasted_bytes
        Fetched in vain, per sample.
    accuracy, base_accuracy
        Share of right answers with and without gates; published ones are those of the paper.
    energy_pj, base_energy_pj, latency_ns, base_latency_ns
        Means per sample.
    execution_rates
        By block.
    published
        Whether decisions were drawn at a published rate.
    """

    network: str
    machine: str
    policy: str
    implied: float
    kept: float
    latency: float
    energy: float
    gate_latency: float
    gate_energy: float
    wasted_bytes: float
    accuracy: float
    base_accuracy: float
    energy_pj: float
    base_energy_pj: float
    latency_ns: float
    base_latency_ns: float
    execution_rates: dict[str, float]
    published: bool


@dataclass(frozen=True)
class CombinedCase:
    """Skipping, sparse powers of two and approximate DRAM alone or together, on one machine.

    Parameters
    ----------
    machine, techniques
        What ran where.
    latency_ns, energy_pj, dram_energy_pj
        Means per sample.
    accuracy
        Share of right answers; None where there are no test images.
    """

    machine: str
    techniques: str
    latency_ns: float
    energy_pj: float
    dram_energy_pj: float
    accuracy: float | None


@dataclass(frozen=True)
class DdiResult:
    """What the study found."""

    cases: tuple[SkipCase, ...]
    combined: tuple[CombinedCase, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"study": "ddi", "schema": 1, **asdict(self)}


def run_study(
    machines: Sequence[str] = (), networks: Sequence[str] = (), progress: Callable[[str, float], None] | None = None
) -> DdiResult:
    """Run the study on machines and networks whose names begin with one of some texts, on all where none is given.

    Raises
    ------
    InputError
        When a text begins no name.
    """
    chosen_machines = _chosen(machines, MACHINES, "--platform")
    chosen = _chosen(networks, NETWORKS, "--network")
    cases, combined = [], []
    for number, machine in enumerate(chosen_machines):
        for index, network in enumerate(chosen):
            if progress:
                progress(f"{network} on {machine}", (number + index / len(chosen)) / len(chosen_machines))
            gated = gated_case(network)
            base = simulate(machine, gated.base, accuracy=False)
            cases += [_case(machine, policy, gated, base) for policy in POLICIES]
        if {entry.network for entry in OWN} & set(chosen) and load_hardware(machine).dram.kind == "command":
            combined += combine(machine)
    return DdiResult(tuple(cases), tuple(combined))


def _chosen(beginnings: Sequence[str], names: Sequence[str], option: str) -> list[str]:
    for text in beginnings:
        if not any(name.startswith(text.lower()) for name in names):
            near = difflib.get_close_matches(text, names, n=3)
            raise InputError("begins no name of this study", where=option, value=text, allowed=", ".join(near or names))
    return [name for name in names if not beginnings or name.startswith(tuple(text.lower() for text in beginnings))]


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


def _case(machine: str, policy: str, gated: GatedCase, base: RunResult) -> SkipCase:
    overrides = [f"control.prefetch={policy}"]
    found = simulate(machine, gated.graph, overrides=overrides, accuracy=False)
    whole = simulate(machine, all_open(gated.graph), overrides=overrides, accuracy=False)
    samples = found.samples
    if samples is None:
        raise InputError("has no gates", where=gated.graph.name)
    return SkipCase(
        network=gated.graph.name,
        machine=machine,
        policy=policy,
        implied=gated.implied,
        kept=found.totals.effective_macs / base.totals.dense_macs,
        latency=found.totals.latency_ns / base.totals.latency_ns,
        energy=found.totals.energy_pj / base.totals.energy_pj,
        gate_latency=whole.totals.latency_ns / base.totals.latency_ns - 1,
        gate_energy=whole.totals.energy_pj / base.totals.energy_pj - 1,
        wasted_bytes=samples.wasted_dram_bytes,
        accuracy=gated.accuracy,
        base_accuracy=gated.base_accuracy,
        energy_pj=found.totals.energy_pj,
        base_energy_pj=base.totals.energy_pj,
        latency_ns=found.totals.latency_ns,
        base_latency_ns=base.totals.latency_ns,
        execution_rates=samples.execution_rates,
        published=gated.published,
    )


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


def planned_at(graph: LayerGraph, kept: float, samples: int = SAMPLES, seed: int = SEED) -> LayerGraph:
    """The network with recurrent gates that keep a share of its computation.

    Every block but the first runs equally often, but for rounding: an assumption, for papers give no rates by block.

    Parameters
    ----------
    graph
        The network.
    kept
        Share of its multiply-accumulates, those that no gate can skip included.
    samples, seed
        Samples to draw, and what draws them.
    """
    gated, gates = with_gates(graph)
    shares = [gated_share(graph, gate.layers) for gate in gates]
    rate = (kept - (1 - sum(shares))) / sum(shares)
    if not 0 <= rate <= 1:
        raise InputError("keeps more or less than its gates can", where=graph.name, value=kept)
    decisions = drawn_decisions([rate] * len(gates), samples, seed, shares)
    plan = SkipPlan(gates, decisions, "rate")
    return replace(gated, annotations=replace(gated.annotations, skip=plan))


def combine(machine: str, images: int = 1_000) -> list[CombinedCase]:
    """Skipping, decomposed weights and approximate DRAM, each alone, each pair and all three, in the same runs.

    The DRAM is at the reductions that EDEN found ResNet-101 in int8 to bear (MICRO 2019, table 3): an assumption here.
    Accuracy is measured on the first `images` of the test set, where it is there.
    """
    config = load_hardware(machine)
    lowered = whole_memory_at(reduced_point(Dram(config.dram), TABLE_3["int8"]["resnet101"]))
    flips = "dram.bit_errors={table: eden_table3}"
    cases = []
    for techniques in ALL:
        overrides = [lowered] if techniques.dram else []
        totals = simulate(machine, techniques.workload, overrides=overrides, accuracy=False).totals
        try:
            accuracy = accuracy_of(config, techniques, images, [*overrides, flips] if overrides else [])["accuracy"]
        except MissingDataError:
            accuracy = None
        cases.append(
            CombinedCase(
                machine, techniques.words, totals.latency_ns, totals.energy_pj, totals.dram_energy_pj,
                accuracy,
            )
        )  # fmt: skip
    return cases
