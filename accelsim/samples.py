"""Runs whose samples differ: one simulation for each different row of decisions, and what it means over all samples.

Cycles, bytes and energies of the layers are means over the samples, rounded one by one; the totals add them up. The
figures over time are those of one sample, the one whose latency lies nearest the mean.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from accelsim.mapping.decisions import DecidedStages
from accelsim.result import RunResult, sum_layers
from accelsim.sample_figures import RowFigures, SampleSums
from accelsim.sample_result import Distribution, Histogram, SamplesResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from accelsim.mapping.channel_variants import ChannelVariants
    from accelsim.mapping.network import NetworkMapping
    from accelsim.row_figures import RowAccounts
    from accelsim.workload.skip import SkipPlan

HISTOGRAM_BINS = 40
ROWS_PER_WORKER = 300
"""Rows below which a further process is not worth its start."""

_CHUNK = 50


class RowRun(Protocol):
    """Simulates mappings on a machine."""

    def __call__(
        self, mapped: NetworkMapping, report: Callable[[float], None] | None = None, *, with_profile: bool = True
    ) -> RunResult:
        """Simulate a mapping."""

    def accounts(self, mapping: NetworkMapping) -> RowAccounts | None:
        """What simulates rows of decisions on a mapping quickly; None where only single runs can."""


@dataclass(frozen=True, eq=False)
class SampleRuns:
    """The different rows of decisions of a plan, on a machine.

    Parameters
    ----------
    mapping
        The network with everything in it.
    plan
        Gates and decisions.
    run
        Simulates a mapping, with or without what the figures over time need; goes to other processes as it is.
    variants
        Stages of which some channels are skipped; None where the plan has no gates on channels.
    """

    mapping: NetworkMapping
    plan: SkipPlan
    run: RowRun
    variants: ChannelVariants | None = None

    @cached_property
    def _patterns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per different row a sample that has it, and per sample the number of its row."""
        rows = self.plan.distinct[1][:, None]
        if self.variants is not None:
            rows = np.concatenate([rows, self.variants.runs.reshape(self.plan.samples, -1)], axis=1)
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        return first, which.reshape(-1)

    @property
    def which(self) -> NDArray[np.int64]:
        """Per sample the number of its row."""
        return self._patterns[1]

    @property
    def rows(self) -> int:
        """Number of different rows."""
        return len(self._patterns[0])

    @cached_property
    def _decided(self) -> DecidedStages:
        return DecidedStages(self.mapping, self.plan)

    def mapping_of(self, row: int) -> NetworkMapping:
        """The network under one row."""
        sample = int(self._patterns[0][row])
        decisions = self.plan.distinct[0][self.plan.distinct[1][sample]]
        if self.variants is None:
            return replace(self.mapping, tiles=self._decided.stages(decisions))
        stages = self._decided.stages(decisions, self.variants.stages_of(sample), self.variants.deciders())
        return replace(self.mapping, tiles=stages)

    @cached_property
    def _accounts(self) -> RowAccounts | None:
        return self.run.accounts(self.mapping)

    def figures(self, row: int) -> RowFigures:
        """Simulate one row."""
        mapping = self.mapping_of(row)
        found = None if self._accounts is None else self._accounts.figures(mapping.tiles)
        return found or RowFigures.of(self.run(mapping, with_profile=False))

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what another process makes for itself."""
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}


_runs: SampleRuns | None = None


def _start(runs: SampleRuns) -> None:
    global _runs  # noqa: PLW0603 - what a worker process simulates
    _runs = runs


def _figures(row: int) -> RowFigures:
    if _runs is None:
        message = "a worker process has been started without its runs"
        raise RuntimeError(message)
    return _runs.figures(row)


def _all_figures(runs: SampleRuns, workers: int) -> Iterator[RowFigures]:
    """Figures of all rows in their order."""
    workers = min(workers, runs.rows // ROWS_PER_WORKER)
    if workers < 2:
        for row in range(runs.rows):
            yield runs.figures(row)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (runs,)) as pool:
        yield from pool.map(_figures, range(runs.rows), chunksize=_CHUNK)


def run_samples(runs: SampleRuns, progress: Callable[[float], None] | None = None, workers: int = 1) -> RunResult:
    """Simulate all samples of a plan.

    Parameters
    ----------
    runs
        Network, plan and machine.
    progress
        Called with the share of the rows that have been simulated.
    workers
        Processes; the result is the same for any number.
    """
    counts = np.bincount(runs.which, minlength=runs.rows)
    sums, totals = SampleSums(), []
    for row, figures in enumerate(_all_figures(runs, workers)):
        sums.add(figures, int(counts[row]))
        totals.append(figures.totals)
        if progress:
            progress((row + 1) / runs.rows)
    per_row = np.array(totals)
    shown = runs.run(runs.mapping_of(_representative(per_row[:, 0], counts)), with_profile=True)
    layers = sums.layers(shown.layer_results, runs.mapping)
    samples = _samples(runs, per_row)
    total = sum_layers(layers, 0, shown.machine.peak_macs_per_cycle)
    return replace(
        shown,
        totals=replace(total, latency_ns=samples.latency_ns.mean),
        energy_pj=sums.energy(layers),
        dram=sums.dram_result(shown.dram),
        layer_results=tuple(layers),
        samples=samples,
    )


def _representative(latency: NDArray[np.float64], counts: NDArray[np.int64]) -> int:
    """Row whose latency lies nearest the mean over the samples; the more frequent one of equals."""
    mean = np.average(latency, weights=counts)
    return int(np.lexsort((-counts, np.abs(latency - mean)))[0])


def _samples(runs: SampleRuns, per_row: NDArray[np.float64]) -> SamplesResult:
    plan, values = runs.plan, per_row[runs.which]
    latency, energy, macs = (_distribution(values[:, column]) for column in range(3))
    counts, edges = np.histogram(values[:, 0], bins=HISTOGRAM_BINS)
    rates = plan.execution_rates()
    for number, gate in enumerate(plan.channel_gates):
        rates[f"{gate.name}.channels"] = float(plan.channels_of(number).mean())
    return SamplesResult(
        count=plan.samples,
        latency_ns=latency,
        energy_pj=energy,
        effective_macs=macs,
        distinct=runs.rows,
        wasted_dram_bytes=float(values[:, 3].mean()),
        execution_rates=rates,
        accuracy=None if plan.right is None else float(plan.right.mean()),
        latency_histogram=Histogram(tuple(edges.tolist()), tuple(counts.tolist())),
    )


def _distribution(values: NDArray[np.float64]) -> Distribution:
    p50, p99 = np.percentile(values, (50, 99), method="inverted_cdf")
    return Distribution(float(values.mean()), float(p50), float(p99))
