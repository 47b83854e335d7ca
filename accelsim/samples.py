"""Runs whose samples differ: one simulation for each different row of decisions, and what it means over all samples.

Cycles, bytes and energies of the layers are means over the samples, rounded one by one; the totals add them up. The
figures over time are those of one sample, the one whose latency lies nearest the mean.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.energy.model import rounded
from accelsim.mapping.decisions import DecidedStages
from accelsim.result import Distribution, DramResult, Histogram, LayerResult, RunResult, SamplesResult, sum_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.network import NetworkMapping
    from accelsim.workload.skip import SkipPlan

HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class SampleRuns:
    """Runs of the different rows of decisions.

    Parameters
    ----------
    plan
        Gates and decisions.
    runs
        One for each different row, in their order.
    """

    plan: SkipPlan
    runs: tuple[RunResult, ...]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples with each row."""
        return np.bincount(self.plan.distinct[1], minlength=len(self.runs))

    def representative(self) -> int:
        """Row whose latency lies nearest the mean over the samples; the more frequent one of equals."""
        latency = np.array([run.totals.latency_ns for run in self.runs])
        mean = np.average(latency, weights=self.counts)
        order = np.lexsort((-self.counts, np.abs(latency - mean)))
        return int(order[0])

    def mean_result(self, shown: RunResult) -> RunResult:
        """The run over all samples.

        Parameters
        ----------
        shown
            The run of the representative row, with its profile.
        """
        weights = self.counts / self.plan.samples
        layers = [
            _mean_layer([run.layer_results[index] for run in self.runs], weights)
            for index in range(len(shown.layer_results))
        ]
        totals = sum_layers(layers, 0, shown.machine.peak_macs_per_cycle)
        latency = self._distribution("latency_ns")
        return replace(
            shown,
            totals=replace(totals, latency_ns=latency.mean),
            energy_pj=_mean_energy([run.energy_pj for run in self.runs], weights, layers),
            dram=_mean_dram([run.dram for run in self.runs], weights),
            layer_results=tuple(layers),
            samples=self._samples(latency),
        )

    def _per_sample(self, field: str) -> NDArray[np.float64]:
        values = np.array([getattr(run.totals, field) for run in self.runs], np.float64)
        return values[self.plan.distinct[1]]

    def _distribution(self, field: str) -> Distribution:
        values = self._per_sample(field)
        p50, p99 = np.percentile(values, (50, 99), method="inverted_cdf")
        return Distribution(float(values.mean()), float(p50), float(p99))

    def _samples(self, latency: Distribution) -> SamplesResult:
        right = self.plan.right
        counts, edges = np.histogram(self._per_sample("latency_ns"), bins=HISTOGRAM_BINS)
        wasted = [sum(layer.wasted_dram_bytes for layer in run.layer_results) for run in self.runs]
        return SamplesResult(
            count=self.plan.samples,
            latency_ns=latency,
            energy_pj=self._distribution("energy_pj"),
            effective_macs=self._distribution("effective_macs"),
            distinct=len(self.runs),
            wasted_dram_bytes=float(np.average(wasted, weights=self.counts)),
            execution_rates=self.plan.execution_rates(),
            accuracy=None if right is None else float(right.mean()),
            latency_histogram=Histogram(tuple(edges.tolist()), tuple(counts.tolist())),
        )


def run_samples(
    mapping: NetworkMapping,
    plan: SkipPlan,
    run: Callable[[NetworkMapping], RunResult],
    show: Callable[[NetworkMapping], RunResult],
    progress: Callable[[float], None] | None = None,
) -> RunResult:
    """Simulate all samples of a plan.

    Parameters
    ----------
    mapping
        The network with everything in it.
    plan
        Gates and decisions.
    run, show
        Simulate a mapping, the second one with what the figures over time need.
    progress
        Called with the share of the rows that have been simulated.
    """
    decided = DecidedStages(mapping, plan)
    rows, _ = plan.distinct
    runs = []
    for number, row in enumerate(rows):
        runs.append(run(replace(mapping, tiles=decided.stages(row))))
        if progress:
            progress((number + 1) / len(rows))
    samples = SampleRuns(plan, tuple(runs))
    shown = rows[samples.representative()]
    return samples.mean_result(show(replace(mapping, tiles=decided.stages(shown))))


def _mean_layer(layers: Sequence[LayerResult], weights: NDArray[np.float64]) -> LayerResult:
    """Mean of one layer over the rows; cycles by cause are rounded one by one and added up again."""

    def mean(field: str) -> float:
        return float(np.dot([getattr(layer, field) for layer in layers], weights))

    causes = dict.fromkeys(cause for layer in layers for cause in layer.stalls)
    stalls = {
        cause: round(float(np.dot([layer.stalls.get(cause, 0) for layer in layers], weights))) for cause in causes
    }
    compute, stalled = round(mean("compute_cycles")), sum(stalls.values())
    components = layers[0].energy_by_component
    energies = {
        name: rounded(float(np.dot([layer.energy_by_component[name] for layer in layers], weights)))
        for name in components
    }
    runs = next((layer for layer in layers if not layer.skipped_fraction), layers[0])
    return replace(
        runs,
        total_cycles=compute + stalled,
        compute_cycles=compute,
        stall_cycles=stalled,
        stalls={cause: cycles for cause, cycles in stalls.items() if cycles},
        effective_macs=round(mean("effective_macs")),
        dram_read_bytes=round(mean("dram_read_bytes")),
        dram_write_bytes=round(mean("dram_write_bytes")),
        energy_pj=sum(energies.values()),
        energy_by_component=energies,
        skipped_fraction=mean("skipped_fraction"),
        wasted_dram_bytes=round(mean("wasted_dram_bytes")),
    )


def _mean_energy(
    energies: Sequence[dict[str, dict[str, float]]], weights: NDArray[np.float64], layers: Sequence[LayerResult]
) -> dict[str, dict[str, float]]:
    """Mean by component and action; what rounding leaves goes to the largest action, so that the layers add up."""
    mean: dict[str, dict[str, float]] = {}
    for component in energies[0]:
        actions = dict.fromkeys(action for energy in energies for action in energy[component])
        mean[component] = {
            action: rounded(float(np.dot([energy[component].get(action, 0.0) for energy in energies], weights)))
            for action in actions
        }
        total = sum(layer.energy_by_component[component] for layer in layers)
        if mean[component]:
            largest = max(mean[component], key=mean[component].__getitem__)
            mean[component][largest] += total - sum(mean[component].values())
    return mean


def _mean_dram(results: Sequence[DramResult], weights: NDArray[np.float64]) -> DramResult:
    values: dict[str, Any] = {}
    for field in fields(DramResult):
        value = float(np.dot([getattr(result, field.name) for result in results], weights))
        values[field.name] = round(value) if isinstance(getattr(results[0], field.name), int) else value
    return DramResult(**values)
