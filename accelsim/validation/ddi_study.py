"""What skipping saves: computation against latency and energy, by machine and by what is fetched ahead of decisions.

What FLOPs promise is compared with what a machine sees, on the networks of `accelsim.validation.gated_networks`.
Published figures of energy or latency there are none that could be repeated.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from accelsim.config.dram import whole_memory_at
from accelsim.config.loader import load_hardware
from accelsim.errors import InputError, MissingDataError
from accelsim.hardware.dram.controller import Dram
from accelsim.pipeline import simulate
from accelsim.validation.combined_study import ALL, accuracy_of
from accelsim.validation.eden_study import TABLE_3, reduced_point
from accelsim.validation.gated_networks import NETWORKS, OWN, all_open, gated_case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.mapping.layer_tiler import TilingSolutions
    from accelsim.result import RunResult
    from accelsim.validation.gated_networks import GatedCase

MACHINES = ("systolic_32x32", "eyeriss", "smartexchange")
POLICIES = ("wait", "speculate_weights", "speculate")
IMAGES = 1_000
"""Images that the accuracy of the combined cases is measured on."""


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
    networks_chosen = [gated_case(network) for network in chosen]
    cases, combined = [], []
    for number, machine in enumerate(chosen_machines):
        known: TilingSolutions = {}
        for index, gated in enumerate(networks_chosen):
            if progress:
                progress(f"{gated.graph.name} on {machine}", (number + index / len(chosen)) / len(chosen_machines))
            base = simulate(machine, gated.base, accuracy=False, solutions=known)
            cases += [_case(machine, policy, gated, base, known) for policy in POLICIES]
        if {entry.network for entry in OWN} & set(chosen) and load_hardware(machine).dram.kind == "command":
            combined += combine(machine, known)
    return DdiResult(tuple(cases), tuple(combined))


def _chosen(beginnings: Sequence[str], names: Sequence[str], option: str) -> list[str]:
    for text in beginnings:
        if not any(name.startswith(text.lower()) for name in names):
            near = difflib.get_close_matches(text, names, n=3)
            raise InputError("begins no name of this study", where=option, value=text, allowed=", ".join(near or names))
    return [name for name in names if not beginnings or name.startswith(tuple(text.lower() for text in beginnings))]


def _case(machine: str, policy: str, gated: GatedCase, base: RunResult, known: TilingSolutions) -> SkipCase:
    overrides = [f"control.prefetch={policy}"]
    found = simulate(machine, gated.graph, overrides=overrides, accuracy=False, solutions=known)
    whole = simulate(machine, all_open(gated.graph), overrides=overrides, accuracy=False, solutions=known)
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


def combine(machine: str, known: TilingSolutions) -> list[CombinedCase]:
    """Skipping, decomposed weights and approximate DRAM, each alone, each pair and all three, in the same runs.

    The DRAM is at the reductions that EDEN found ResNet-101 in int8 to bear (MICRO 2019, table 3): an assumption here.
    Accuracy is measured on the first images of the test set, where it is there.
    """
    config = load_hardware(machine)
    lowered = whole_memory_at(reduced_point(Dram(config.dram), TABLE_3["int8"]["resnet101"]))
    flips = "dram.bit_errors={table: eden_table3}"
    cases = []
    for techniques in ALL:
        overrides = [lowered] if techniques.dram else []
        totals = simulate(machine, techniques.workload, overrides=overrides, accuracy=False, solutions=known).totals
        try:
            accuracy = accuracy_of(config, techniques, IMAGES, [*overrides, flips] if overrides else [])["accuracy"]
        except MissingDataError:
            accuracy = None
        cases.append(
            CombinedCase(
                machine, techniques.words, totals.latency_ns, totals.energy_pj, totals.dram_energy_pj,
                accuracy,
            )
        )  # fmt: skip
    return cases
