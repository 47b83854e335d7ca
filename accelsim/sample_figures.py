"""What is kept of the run of one row of decisions, and the means over many."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.energy.model import rounded
from accelsim.result import DramResult, LayerResult, RunResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.network import NetworkMapping

COUNTS = ("compute_cycles", "effective_macs", "dram_read_bytes", "dram_write_bytes", "wasted_dram_bytes")
"""Whole numbers of a layer whose means are taken."""

DRAM_FIELDS = tuple(entry.name for entry in fields(DramResult))
TOTALS = ("latency_ns", "energy_pj", "effective_macs")


@dataclass(frozen=True, eq=False)
class RowFigures:
    """A run without what happened when; small enough to keep and to hand from process to process.

    Parameters
    ----------
    totals
        `TOTALS` of the run, and the bytes fetched in vain.
    counts
        ``(COUNTS, layers)``.
    skipped
        Per layer the share that did not run.
    stalls
        By cause and layer, in cycles.
    energies
        By component and layer, in pJ.
    actions
        By component and action, in pJ.
    dram
        `DRAM_FIELDS`.
    """

    totals: NDArray[np.float64]
    counts: NDArray[np.int64]
    skipped: NDArray[np.float64]
    stalls: dict[str, NDArray[np.int64]]
    energies: dict[str, NDArray[np.float64]]
    actions: dict[tuple[str, str], float]
    dram: NDArray[np.float64]

    @classmethod
    def of(cls, run: RunResult) -> RowFigures:
        """Keep the figures of a run."""
        layers = run.layer_results
        stalls: dict[str, NDArray[np.int64]] = {}
        for index, layer in enumerate(layers):
            for cause, cycles in layer.stalls.items():
                if cause not in stalls:
                    stalls[cause] = np.zeros(len(layers), np.int64)
                stalls[cause][index] = cycles
        counts = np.array([[getattr(layer, name) for layer in layers] for name in COUNTS], np.int64)
        return cls(
            totals=np.array([*(getattr(run.totals, name) for name in TOTALS), counts[-1].sum()], np.float64),
            counts=counts,
            skipped=np.array([layer.skipped_fraction for layer in layers]),
            stalls=stalls,
            energies={
                name: np.array([layer.energy_by_component[name] for layer in layers])
                for name in layers[0].energy_by_component
            },
            actions={
                (component, action): value
                for component, energies in run.energy_pj.items()
                for action, value in energies.items()
            },
            dram=np.array([getattr(run.dram, name) for name in DRAM_FIELDS], np.float64),
        )


@dataclass
class SampleSums:
    """Sums over samples; rows are added in their order, so that it does not matter who simulated them."""

    samples: int = 0
    counts: Any = 0
    skipped: Any = 0.0
    dram: Any = 0.0
    stalls: dict[str, Any] = field(default_factory=dict)
    energies: dict[str, Any] = field(default_factory=dict)
    actions: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, row: RowFigures, samples: int) -> None:
        """Add a row that so many samples have."""
        self.samples += samples
        self.counts = self.counts + row.counts * samples
        self.skipped = self.skipped + row.skipped * samples
        self.dram = self.dram + row.dram * samples
        _add(self.stalls, row.stalls, samples)
        _add(self.energies, row.energies, samples)
        _add(self.actions, row.actions, samples)

    def layers(self, shown: Sequence[LayerResult], mapping: NetworkMapping) -> list[LayerResult]:
        """Means by layer; cycles by cause are rounded one by one and added up again.

        Parameters
        ----------
        shown
            Layers of one run, for what does not differ between samples.
        mapping
            The network with everything in it, for the layers that this run skipped.
        """
        planned = {stage.layer.name: tiles for stage, tiles in zip(mapping.stages, mapping.tiles, strict=True)}
        means = []
        for index, layer in enumerate(shown):
            compute, macs, read, written, wasted = (round(value) for value in self.counts[:, index] / self.samples)
            stalls = {cause: round(cycles[index] / self.samples) for cause, cycles in self.stalls.items()}
            energies = {name: rounded(float(values[index]) / self.samples) for name, values in self.energies.items()}
            share, base = float(self.skipped[index]) / self.samples, layer
            if layer.skipped_fraction == 1 and share < 1 and layer.name in planned:
                tiles = planned[layer.name]
                base = replace(layer, mapping=tiles.mapping, mapping_efficiency=tiles.mapping_efficiency)
            means.append(
                replace(
                    base,
                    total_cycles=compute + sum(stalls.values()),
                    compute_cycles=compute,
                    stall_cycles=sum(stalls.values()),
                    stalls={cause: cycles for cause, cycles in stalls.items() if cycles},
                    effective_macs=macs,
                    dram_read_bytes=read,
                    dram_write_bytes=written,
                    energy_pj=sum(energies.values()),
                    energy_by_component=energies,
                    skipped_fraction=share,
                    wasted_dram_bytes=wasted,
                )
            )
        return means

    def energy(self, layers: Sequence[LayerResult]) -> dict[str, dict[str, float]]:
        """Mean by component and action; what rounding leaves goes to the largest, so that the layers add up."""
        mean: dict[str, dict[str, float]] = {name: {} for name in self.energies}
        for (component, action), value in self.actions.items():
            mean[component][action] = rounded(value / self.samples)
        for component, actions in mean.items():
            if actions:
                largest = max(actions, key=actions.__getitem__)
                total = sum(layer.energy_by_component[component] for layer in layers)
                actions[largest] += total - sum(actions.values())
        return mean

    def dram_result(self, shown: DramResult) -> DramResult:
        """Mean of what the DRAM did."""
        values: dict[str, Any] = {}
        for name, total in zip(DRAM_FIELDS, self.dram.tolist(), strict=True):
            value = total / self.samples
            values[name] = round(value) if isinstance(getattr(shown, name), int) else value
        return DramResult(**values)


def _add(sums: dict[Any, Any], values: Mapping[Any, Any], samples: int) -> None:
    for key, value in values.items():
        sums[key] = sums.get(key, 0) + value * samples
