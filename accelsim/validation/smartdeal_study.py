"""SmartExchange's comparison of machines, and SmartDeal's claims about training, under stated assumptions.

Zhao et al., "SmartExchange: trading higher-cost memory storage/access for lower-cost computation", ISCA 2020; Chen et
al., "SmartDeal", arXiv 2101.01163. Networks run at batch 1 in 8 bits. SmartExchange has decomposed weights at the
published sparsity, Cambricon-X and SCNN plain weights of the same density (assumption: which pruned networks they were
given is not published), DianNao and Bit-pragmatic all weights. Activations: half of them zero, 1.36 nonzero Booth
digits each, as published for MobileNetV2 (assumption for the others). No constant is chosen by what comes out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.errors import InputError
from accelsim.pipeline import simulate
from accelsim.workload.annotated import annotate
from accelsim.workload.loader import load_workload
from accelsim.workload.training import TrainingRecord, training_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.mapping.layer_tiler import TilingSolutions
    from accelsim.result import RunResult
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.pot.parameters import Index


@dataclass(frozen=True)
class StudyNetwork:
    """A network, the share of its coefficients that are zero (ISCA 2020, recalled: assumption), and its index.

    The index is the one under which the published sizes come out (`accelsim.workload.pot.storage`).
    """

    name: str
    sparsity: float
    index: Index = "vector"


NETWORKS = (
    StudyNetwork("vgg11", 0.86),
    StudyNetwork("resnet50", 0.45),
    StudyNetwork("mobilenetv2", 0.0),
    StudyNetwork("efficientnet_b0", 0.0),
    StudyNetwork("vgg19_cifar", 0.928, "group"),
    StudyNetwork("resnet164_cifar", 0.376, "element"),
    StudyNetwork("deeplabv3plus_backbone", 0.45),  # assumption: that of ResNet-50
)

DIANNAO, SMARTEXCHANGE = "DianNao", "SmartExchange"


@dataclass(frozen=True)
class Machine:
    """A machine: its preset, and how it gets the weights: ``all``, ``pruned`` or ``pot``."""

    name: str
    hardware: str
    weights: str


MACHINES = (
    Machine(DIANNAO, "diannao_1k", "all"),
    Machine("SCNN", "scnn_1k", "pruned"),
    Machine("Cambricon-X", "cambricon_x_1k", "pruned"),
    Machine("Bit-pragmatic", "bit_pragmatic_8k", "all"),
    Machine(SMARTEXCHANGE, "smartexchange", "pot"),
)

ABLATIONS = (
    Machine("PoT only", "diannao_1k", "dense_pot"),
    Machine("bit-serial only", "smartexchange", "all"),
)
"""One feature alone; sparsity alone is Cambricon-X. PoT alone: nothing zero, weights decoded before a dense array."""

TRAINED = ("vgg19_cifar", "resnet164_cifar")
"""Networks of which a step of training is simulated."""
TRAINING_BATCH = 16
"""Samples of that step (assumption)."""

PUBLISHED = {
    "energy_efficiency_max": 6.7, "speedup_max": 19.2, "inference_energy_efficiency_max": 2.44,
    "training_storage": 10.56, "training_energy": 4.48,
}  # fmt: skip
"""Abstracts of both papers. What the last three are measured against is not public."""


@dataclass(frozen=True)
class MachineResult:
    """One network on one machine.

    Parameters
    ----------
    machine
        Its name.
    energy_pj, latency_ns, dram_bytes
        Totals.
    energy_by_component_pj
        What adds up to the energy.
    compute_utilization
        Share of the array's time and elements that did work.
    waiting_share
        Share of the cycles in which the array waited, for DRAM above all.
    """

    machine: str
    energy_pj: float
    latency_ns: float
    dram_bytes: int
    energy_by_component_pj: dict[str, float]
    compute_utilization: float
    waiting_share: float


@dataclass(frozen=True)
class NetworkResult:
    """One network on all machines, and with one feature alone."""

    network: str
    sparsity: float
    machines: dict[str, MachineResult]
    ablations: dict[str, MachineResult]

    def efficiency(self, machine: str, over: str = DIANNAO) -> float:
        """Energy of a machine as a factor of what another takes."""
        return self._of(over).energy_pj / self._of(machine).energy_pj

    def speedup(self, machine: str, over: str = DIANNAO) -> float:
        """Latency likewise."""
        return self._of(over).latency_ns / self._of(machine).latency_ns

    def dram_accesses(self, machine: str) -> float:
        """DRAM accesses of a machine over those of SmartExchange."""
        return self._of(machine).dram_bytes / self._of(SMARTEXCHANGE).dram_bytes

    def _of(self, machine: str) -> MachineResult:
        return (self.machines | self.ablations)[machine]


@dataclass(frozen=True)
class TrainingResult:
    """A step of training by one method on one machine.

    Parameters
    ----------
    network, method, hardware
        What was trained how, where.
    batch
        Samples of the step.
    energy_pj, latency_ns, dram_bytes
        Per batch that is offered: those that the method leaves out take nothing.
    state_bits
        Bits of weights and optimiser state.
    kept_bits
        Bits of the feature maps that wait for the backward pass.
    """

    network: str
    method: str
    hardware: str
    batch: int
    energy_pj: float
    latency_ns: float
    dram_bytes: float
    state_bits: int
    kept_bits: int


def chosen_networks(beginnings: Sequence[str]) -> tuple[StudyNetwork, ...]:
    """Networks whose names begin with one of some texts; all where none is given.

    Raises
    ------
    InputError
        When a text begins no name.
    """
    for text in beginnings:
        if not any(network.name.startswith(text.lower()) for network in NETWORKS):
            names = ", ".join(network.name for network in NETWORKS)
            raise InputError("is no network of this study", where="--network", value=text, allowed=names)
    wanted = tuple(text.lower() for text in beginnings)
    return tuple(network for network in NETWORKS if not wanted or network.name.startswith(wanted))


STATED_IFMAP = {"density": 0.5, "booth_digits": 1.36}
"""What is stated of every feature map but the first."""


def stated_weights(network: StudyNetwork, weights: str) -> dict[str, Any]:
    """What is stated of the weights of a network for machines that get them in one way."""
    density = round(1.0 - network.sparsity, 6)
    ways: dict[str, dict[str, Any]] = {
        "all": {"density": 1.0},
        "pruned": {"density": density},
        "pot": {"density": 1.0, "pot": {"vector_density": density, "index": network.index, "shared_filters": 32}},
        "dense_pot": {"density": 1.0, "pot": {"vector_density": 1.0, "index": network.index, "shared_filters": 32}},
    }
    return ways[weights]


def study_workload(network: StudyNetwork, weights: str) -> LayerGraph:
    """A network with what is stated of its values for machines that get their weights in one way."""
    document = {
        "accelsim_workload": 1,
        "network": network.name,
        "name": network.name,
        "statistics": {"default": {"weight": stated_weights(network, weights), "ifmap": STATED_IFMAP}},
    }
    return annotate(document, Path("SmartDeal study"), load_workload(network.name))


def compare_network(
    network: StudyNetwork, progress: Callable[[str, float], None] | None = None, overrides: Sequence[str] = ()
) -> NetworkResult:
    """Simulate a network on all machines, each changed by the same overrides."""
    found = {}
    cases = (*MACHINES, *ABLATIONS)
    for number, machine in enumerate(cases):
        if progress:
            progress(f"{network.name} on {machine.name}", number / len(cases))
        workload = study_workload(network, machine.weights)
        result = simulate(machine.hardware, workload, overrides=overrides, accuracy=False)
        found[machine.name] = _machine_result(machine.name, result)
    return NetworkResult(
        network.name, network.sparsity,
        {machine.name: found[machine.name] for machine in MACHINES},
        {machine.name: found[machine.name] for machine in ABLATIONS},
    )  # fmt: skip


def _machine_result(name: str, result: RunResult) -> MachineResult:
    totals = result.totals
    components = {component: sum(actions.values()) for component, actions in result.energy_pj.items()}
    dram_bytes = totals.dram_read_bytes + totals.dram_write_bytes
    waiting = totals.stall_cycles / totals.total_cycles
    return MachineResult(
        name, totals.energy_pj, totals.latency_ns, dram_bytes, components, totals.compute_utilization, waiting
    )


def train_network(
    network: StudyNetwork, progress: Callable[[str, float], None] | None = None, overrides: Sequence[str] = ()
) -> tuple[TrainingResult, ...]:
    """Simulate a step by each method on SmartExchange's array, and by SGD on DianNao; gradients have 8 bits."""
    cases = (
        ("sgd", "diannao_1k"),
        ("sgd", "smartexchange"),
        ("e2train", "smartexchange"),
        ("smartdeal", "smartexchange"),
    )
    found = []
    solutions: dict[str, TilingSolutions] = {}
    for number, (method, hardware) in enumerate(cases):
        if progress:
            progress(f"training {network.name} by {method} on {hardware}", number / len(cases))
        record = TrainingRecord.model_validate({"method": method, "gradient_bits": 8})
        weights = "pot" if method == "smartdeal" else "all"
        step = training_step(study_workload(network, weights).with_batch(TRAINING_BATCH), record)
        known = solutions.setdefault(hardware, {})
        totals = simulate(hardware, step.graph, overrides=overrides, accuracy=False, solutions=known).totals
        run = step.executed_batches
        kept = sum(tensor.elements * (tensor.bits or 8) for tensor in map(step.graph.tensors.__getitem__, step.kept))
        found.append(
            TrainingResult(
                network.name,
                method,
                hardware,
                TRAINING_BATCH,
                run * totals.energy_pj,
                run * totals.latency_ns,
                run * (totals.dram_read_bytes + totals.dram_write_bytes),
                step.state_bits,
                kept,
            )
        )
    return tuple(found)


def summarise(results: Sequence[NetworkResult], training: Sequence[TrainingResult]) -> dict[str, Any]:
    """The figures that the papers claim, published and simulated, and where; None where nothing was simulated."""
    found: dict[str, list[tuple[float, str]]] = {name: [] for name in PUBLISHED}
    for result in results:
        for machine in MACHINES:
            if machine.name != SMARTEXCHANGE:
                over = f"{result.network} over {machine.name}"
                found["energy_efficiency_max"].append((result.efficiency(SMARTEXCHANGE, machine.name), over))
                found["speedup_max"].append((result.speedup(SMARTEXCHANGE, machine.name), over))
        alone = result.efficiency(SMARTEXCHANGE, "bit-serial only")
        found["inference_energy_efficiency_max"].append((alone, result.network))
    pairs = [
        (one, other)
        for one in training for other in training
        if one.network == other.network and one.method == "sgd" and other.method == "smartdeal"
        and one.hardware == other.hardware
    ]  # fmt: skip
    for one, other in pairs:
        found["training_storage"].append((one.state_bits / other.state_bits, one.network))
        found["training_energy"].append((one.energy_pj / other.energy_pj, one.network))
    most = {name: max(values, default=(None, None)) for name, values in found.items()}
    return {
        name: {"published": value, "simulated": most[name][0], "where": most[name][1]}
        for name, value in PUBLISHED.items()
    }


def to_document(
    results: Sequence[NetworkResult], training: Sequence[TrainingResult], overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Plain data, for JSON."""
    return {
        "study": "smartdeal",
        "schema": 1,
        "overrides": list(overrides),
        "claims": summarise(results, training),
        "networks": [asdict(result) for result in results],
        "training": [asdict(result) for result in training],
    }
