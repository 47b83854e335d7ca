"""Two or more runs side by side: the same figures of each, with ratios to the first."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from accelsim.report.layer_figures import dram_bytes, ordered
from accelsim.report.quantities import ratio
from accelsim.result import ENERGY_COMPONENTS, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.result import LayerResult, RunResult

_DERIVED: dict[str, Callable[[RunResult], float]] = {
    "frames_per_s": lambda run: ratio(run.run.batch * 1e9, run.totals.latency_ns),
    "average_power_mw": lambda run: ratio(run.totals.energy_pj, run.totals.latency_ns),
    "dram_bytes": lambda run: run.totals.dram_read_bytes + run.totals.dram_write_bytes,
    "row_hits": lambda run: run.dram.row_hits,
    "row_misses": lambda run: run.dram.row_misses,
    "row_conflicts": lambda run: run.dram.row_conflicts,
    "bits_flipped": lambda run: run.dram.bits_flipped,
}


@dataclass(frozen=True)
class Row:
    """One figure of every run.

    Parameters
    ----------
    values
        One per run; None where a run has no such figure.
    """

    name: str
    values: tuple[float | None, ...]

    @property
    def ratios(self) -> tuple[float | None, ...]:
        """Each value divided by the first run's; None where there is nothing to divide."""
        first = self.values[0]
        return tuple(None if value is None or not first else value / first for value in self.values)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"name": self.name, "values": list(self.values), "ratios": list(self.ratios)}


@dataclass(frozen=True)
class LayerRow:
    """One layer in every run that has it; layers match by name."""

    name: str
    op: str
    total_cycles: Row
    energy_pj: Row
    dram_bytes: Row

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        figures = (self.total_cycles, self.energy_pj, self.dram_bytes)
        return {"name": self.name, "op": self.op} | {row.name: row.to_dict() | {"name": self.name} for row in figures}


@dataclass(frozen=True)
class Comparison:
    """What differs between runs.

    Parameters
    ----------
    labels
        Short distinct names of the runs.
    folders
        Where they were read from.
    """

    labels: tuple[str, ...]
    folders: tuple[str, ...]
    runs: tuple[RunResult, ...]
    totals: tuple[Row, ...]
    energy_pj: tuple[Row, ...]
    layers: tuple[LayerRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; ratios are to the first run."""
        runs = [
            {"label": label, "folder": folder, "run_id": run.run.run_id, "hardware": run.run.hardware,
             "workload": run.run.workload, "batch": run.run.batch, "seed": run.run.seed}
            for label, folder, run in zip(self.labels, self.folders, self.runs, strict=True)
        ]  # fmt: skip
        return {
            "runs": runs,
            "totals": [row.to_dict() for row in self.totals],
            "energy_pj": [row.to_dict() for row in self.energy_pj],
            "layers": [row.to_dict() for row in self.layers],
        }


def compare(runs: Sequence[RunResult], folders: Sequence[str]) -> Comparison:
    """Put runs side by side.

    Parameters
    ----------
    runs
        At least one; ratios are to the first.
    folders
        Where each was read from.
    """
    return Comparison(
        labels=_labels(runs, folders),
        folders=tuple(folders),
        runs=tuple(runs),
        totals=_totals(runs),
        energy_pj=_energies(runs),
        layers=_layers(runs),
    )


def _labels(runs: Sequence[RunResult], folders: Sequence[str]) -> tuple[str, ...]:
    """Name each run by what tells it from the others, as shortly as that is possible."""
    hardware = [run.run.hardware for run in runs]
    workloads = [run.run.workload for run in runs]
    batches = [f"batch {run.run.batch}" for run in runs]
    varying = [part for part in (hardware, workloads, batches) if len(set(part)) > 1] or [hardware]
    names = [" ".join(parts) for parts in zip(*varying, strict=True)]
    if len(set(names)) < len(names):
        names = [folder.rstrip("/").rsplit("/", 1)[-1] for folder in folders]
    count = Counter(names)
    return tuple(f"{name} ({index})" if count[name] > 1 else name for index, name in enumerate(names, start=1))


def _totals(runs: Sequence[RunResult]) -> tuple[Row, ...]:
    rows = [Row(entry.name, tuple(getattr(run.totals, entry.name) for run in runs)) for entry in fields(Totals)]
    return (*rows, *(Row(name, tuple(derive(run) for run in runs)) for name, derive in _DERIVED.items()))


def _energies(runs: Sequence[RunResult]) -> tuple[Row, ...]:
    parts = ordered((part for run in runs for part in run.energy_pj), ENERGY_COMPONENTS)
    return tuple(
        Row(part, tuple(math.fsum(run.energy_pj[part].values()) if part in run.energy_pj else None for run in runs))
        for part in parts
    )


def _layers(runs: Sequence[RunResult]) -> tuple[LayerRow, ...]:
    by_name = [{layer.name: layer for layer in run.layer_results} for run in runs]
    names = dict.fromkeys(name for layers in by_name for name in layers)
    return tuple(_layer_row(name, [layers.get(name) for layers in by_name]) for name in names)


def _layer_row(name: str, found: Sequence[LayerResult | None]) -> LayerRow:
    def row(figure: str, read: Callable[[LayerResult], float]) -> Row:
        return Row(figure, tuple(None if layer is None else read(layer) for layer in found))

    return LayerRow(
        name=name,
        op=next(layer.op for layer in found if layer is not None),
        total_cycles=row("total_cycles", lambda layer: layer.total_cycles),
        energy_pj=row("energy_pj", lambda layer: layer.energy_pj),
        dram_bytes=row("dram_bytes", dram_bytes),
    )
