"""What a run reports: frozen records, to and from JSON (schema 1 of ``result.json``).

The names of the JSON keys are those of the records' fields. Sums hold exactly: layers add up to the totals, components
to the energy and causes to the stalls, because the totals are computed from the layers and from nothing else.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.sample_result import SamplesResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

SCHEMA = 1

ENERGY_COMPONENTS = ("pe_array", "vector_unit", "register_file", "sram", "interconnect", "dram", "leakage")
STALL_CAUSES = (
    "ifmap_fetch", "weight_fetch", "psum_fetch", "ofmap_drain", "weight_shift", "ifmap_shift", "array_drain",
    "cache_miss", "late_prefetch", "buffer_bandwidth", "interconnect",
)  # fmt: skip
"""What the compute units can wait for: data that has not arrived, room for results that has not been drained, a
stationary operand that is still shifting into the array, results that have not left it, lines that no cache had, and
lines that were fetched ahead, but not early enough, ports of buffers and an interconnect that are busy."""


@dataclass(frozen=True)
class RunInfo:
    """What was run."""

    run_id: str
    config_hash: str
    hardware: str
    workload: str
    seed: int
    version: str
    batch: int = 1


@dataclass(frozen=True)
class Machine:
    """The figures of the machine that a roofline needs."""

    clock_mhz: float
    peak_macs_per_cycle: int
    peak_dram_gb_per_s: float
    """Peak DRAM bandwidth; infinite bandwidth of an ideal memory is stored as null in JSON."""


@dataclass(frozen=True)
class LayerResult:
    """What one layer cost.

    `total_cycles` count from the end of the layer before (the first fetch for the first layer) to the end of this one,
    so they add up; they are the sum of `compute_cycles` and `stall_cycles`. `energy_by_component` holds the keys of
    `ENERGY_COMPONENTS`.
    """

    name: str
    op: str
    total_cycles: int
    compute_cycles: int
    stall_cycles: int
    stalls: dict[str, int]
    dense_macs: int
    effective_macs: int
    mapping_efficiency: float
    dram_read_bytes: int
    dram_write_bytes: int
    energy_pj: float
    energy_by_component: dict[str, float]
    skipped_fraction: float = 0.0
    mapping: dict[str, Any] = field(default_factory=dict)
    wasted_dram_bytes: int = 0


@dataclass(frozen=True)
class Totals:
    """Sums over the layers."""

    total_cycles: int
    compute_cycles: int
    stall_cycles: int
    latency_ns: float
    energy_pj: float
    dense_macs: int
    effective_macs: int
    compute_utilization: float
    dram_read_bytes: int
    dram_write_bytes: int
    dram_energy_pj: float


@dataclass(frozen=True)
class DramResult:
    """What the DRAM did; `reads` and `writes` are bursts."""

    row_hits: int = 0
    row_misses: int = 0
    row_conflicts: int = 0
    activates: int = 0
    precharges: int = 0
    reads: int = 0
    writes: int = 0
    refreshes: int = 0
    busy_ns: float = 0.0
    bandwidth_gb_per_s: float = 0.0
    bits_flipped: int = 0


@dataclass(frozen=True)
class AccuracyResult:
    """Measured accuracy of the run and of the unimpaired network, with a 95 % confidence interval of the former.

    Parameters
    ----------
    metric
        ``top1``: share of images whose label has the highest score.
    baseline
        That of the network as its file has it.
    value
        That of the network as the machine stores it, with the errors of its memory.
    samples
        Images, classified with each seed.
    ci95_low, ci95_high
        Confidence interval of `value`.
    clean
        As `value`, had the memory made no errors: what the number formats alone cost.
    top5
        Share of images whose label has one of the five highest scores, errors included.
    seeds
        Modules over which `value` is the mean.
    flips_per_pass
        Bits that flipped in what each layer computed with in one pass (of one batch), by layer and tensor.
    """

    metric: str
    baseline: float
    value: float
    samples: int
    ci95_low: float
    ci95_high: float
    clean: float | None = None
    top5: float | None = None
    seeds: int = 1
    flips_per_pass: dict[str, dict[str, float]] = field(default_factory=dict)


PHASE_DTYPE = np.dtype(
    [("component", "i2"), ("layer", "i4"), ("step", "i4"), ("start_ps", "i8"), ("end_ps", "i8"), ("bytes", "i8")]
)
"""One fetch, compute or drain: indices into `Profile.components` and the layers, its times, the bytes it moved."""

TRAFFIC_DTYPE = np.dtype([("time_ps", "i8"), ("read_bytes", "i8"), ("write_bytes", "i8")])
"""DRAM traffic of one time bin, which begins at `time_ps` and ends where the next begins."""

OCCUPANCY_DTYPE = np.dtype([("time_ps", "i8"), ("bytes", "i8")])
"""Bytes held by a buffer from `time_ps` on."""


@dataclass(frozen=True)
class Profile:
    """What happened when: the data behind the timeline, bandwidth and occupancy figures.

    Parameters
    ----------
    components
        Names of the machine's active components, such as ``ifmap DMA`` or ``PE array``.
    layers
        Layer names, indexed by the phases.
    phases
        Array of `PHASE_DTYPE`, ordered by start.
    dram_traffic
        Array of `TRAFFIC_DTYPE`, equal time bins that cover the run.
    buffer_occupancy
        Per buffer an array of `OCCUPANCY_DTYPE`, one entry per change.
    buffer_capacity_bytes
        Per buffer its capacity.
    dram_banks
        Counts per bank, each of shape (channels x ranks, banks of a rank): ``activates``, ``row_hits``,
        ``row_misses``, ``row_conflicts`` and, where bit errors are configured, ``bits_flipped``; empty for an ideal
        memory.
    dram_state_ps
        Time in each power state, summed over the ranks: ``active``, ``precharged``, ``active_power_down`` and
        ``precharge_power_down``; empty for an ideal memory.
    array_busy_cycles
        Per layer the cycles in which each part of the array did useful work, (rows, columns) as the array is drawn.
    """

    components: tuple[str, ...]
    layers: tuple[str, ...]
    phases: NDArray[np.void]
    dram_traffic: NDArray[np.void]
    buffer_occupancy: dict[str, NDArray[np.void]]
    buffer_capacity_bytes: dict[str, int]
    dram_banks: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    dram_state_ps: dict[str, int] = field(default_factory=dict)
    array_busy_cycles: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunResult:
    """Everything that a run found out.

    Parameters
    ----------
    energy_pj
        ``{component: {action: pJ}}`` with at least the keys of `ENERGY_COMPONENTS`.
    profile
        Times of the single phases; not part of the JSON form.
    resolved_config
        The hardware config as it was used, every default filled in; not part of the JSON form.
    """

    run: RunInfo
    machine: Machine
    totals: Totals
    energy_pj: dict[str, dict[str, float]]
    dram: DramResult
    layer_results: tuple[LayerResult, ...]
    accuracy: AccuracyResult | None = None
    samples: SamplesResult | None = None
    profile: Profile | None = field(default=None, compare=False, repr=False)
    resolved_config: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def layers(self) -> pd.DataFrame:
        """One row per layer; nested figures become columns such as ``stalls.weight_fetch``."""
        import pandas as pd

        return pd.json_normalize([asdict(layer) for layer in self.layer_results], max_level=1)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``result.json``."""
        record = {"schema": SCHEMA} | {
            name: _plain(getattr(self, name))
            for name in ("run", "machine", "totals", "energy_pj", "dram", "accuracy", "samples")
        }
        return record | {"layers": [_plain(layer) for layer in self.layer_results]}

    def to_json(self) -> str:
        """Return ``result.json`` as text; figures that are infinite or undefined become null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> RunResult:
        """Build the record from the content of a ``result.json``.

        Raises
        ------
        KeyError, TypeError
            When the content is none of schema 1.
        """
        machine = dict(record["machine"])
        if machine["peak_dram_gb_per_s"] is None:
            machine["peak_dram_gb_per_s"] = math.inf
        samples = record["samples"]
        return cls(
            run=RunInfo(**record["run"]),
            machine=Machine(**machine),
            totals=Totals(**record["totals"]),
            energy_pj={component: dict(actions) for component, actions in record["energy_pj"].items()},
            dram=DramResult(**record["dram"]),
            layer_results=tuple(LayerResult(**layer) for layer in record["layers"]),
            accuracy=AccuracyResult(**record["accuracy"]) if record["accuracy"] else None,
            samples=SamplesResult.from_dict(samples) if samples else None,
        )

    def _repr_html_(self) -> str:
        """Show headline figures and the layer table in a notebook."""
        totals = self.totals
        headline = (
            f"<b>{escape(self.run.workload)}</b> on <b>{escape(self.run.hardware)}</b>, batch {self.run.batch}: "
            f"{totals.total_cycles:,} cycles, {totals.latency_ns / 1e6:.3f} ms, {totals.energy_pj / 1e9:.3f} mJ, "
            f"utilisation {totals.compute_utilization:.1%}"
        )
        columns = ["name", "op", "total_cycles", "compute_cycles", "stall_cycles", "dram_read_bytes", "energy_pj"]
        return f"<p>{headline}</p>{self.layers[columns].to_html(index=False)}"


def sum_layers(layers: Iterable[LayerResult], latency_ps: int, peak_macs_per_cycle: int) -> Totals:
    """Add layers up to totals.

    Parameters
    ----------
    layers
        Results of all layers.
    latency_ps
        Time from the first fetch to the last drain.
    peak_macs_per_cycle
        Multiply-accumulates of the whole array per cycle, for the utilisation.
    """
    rows = list(layers)
    total_cycles = sum(row.total_cycles for row in rows)
    effective_macs = sum(row.effective_macs for row in rows)
    return Totals(
        total_cycles=total_cycles,
        compute_cycles=sum(row.compute_cycles for row in rows),
        stall_cycles=sum(row.stall_cycles for row in rows),
        latency_ns=latency_ps / 1_000,
        energy_pj=math.fsum(row.energy_pj for row in rows),
        dense_macs=sum(row.dense_macs for row in rows),
        effective_macs=effective_macs,
        compute_utilization=effective_macs / (peak_macs_per_cycle * total_cycles) if total_cycles else 0.0,
        dram_read_bytes=sum(row.dram_read_bytes for row in rows),
        dram_write_bytes=sum(row.dram_write_bytes for row in rows),
        dram_energy_pj=math.fsum(row.energy_by_component["dram"] for row in rows),
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any JSON-like tree
    """Turn records into JSON values; NaN and infinity into None."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
