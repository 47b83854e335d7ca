"""The figures of a run that the expressions of claim files read, by name.

===========================================  ==========================================================================
latency_ns, energy_pj, total_cycles, ...     the totals of a run, named as in ``result.json``
dram_bytes                                   bytes read and written
energy.<component>[.<action>]                picojoules
stalls.<cause>                               cycles
dram.<counter>                               row_hits, activates, reads, ...
accuracy, accuracy_baseline, accuracy_loss   shares of right answers, where accuracy is measured or a trace tells it
wasted_dram_bytes                            fetched in vain, where samples decide for themselves
state_bits, kept_bits, executed_batches      of training: with the optimiser, feature maps, share run
clock_mhz, peak_macs_per_cycle               of the machine
mapping.<key>                                numbers that the array tells of a single layer
===========================================  ==========================================================================
"""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsim.result import ENERGY_COMPONENTS, STALL_CAUSES
from accelsim.validation.experiment import Breakdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from accelsim.result import LayerResult, RunResult

_LAYER_SUMS = (
    "total_cycles", "compute_cycles", "stall_cycles", "dense_macs", "effective_macs", "dram_read_bytes",
    "dram_write_bytes", "energy_pj",
)  # fmt: skip
_ALWAYS = (
    *_LAYER_SUMS, "latency_ns", "dram_bytes", "dram_energy_pj", "compute_utilization", "clock_mhz",
    "peak_macs_per_cycle",
)  # fmt: skip
_SOMETIMES = ("accuracy", "accuracy_baseline", "accuracy_clean", "accuracy_loss", "wasted_dram_bytes",
              "state_bits", "kept_bits", "executed_batches")  # fmt: skip
_FAMILIES = ("energy", "stalls", "dram", "mapping", "exits")


def is_figure(name: str) -> bool:
    """Whether a run may have a figure of this name."""
    head, _, rest = name.partition(".")
    if not rest:
        return name in _ALWAYS or name in _SOMETIMES
    if head == "energy":
        return rest.partition(".")[0] in ENERGY_COMPONENTS
    if head == "stalls":
        return rest in STALL_CAUSES
    return head in _FAMILIES


def figure_names() -> str:
    """Names of all figures, for messages."""
    return ", ".join((*_ALWAYS, *_SOMETIMES, *(f"{family}.<name>" for family in _FAMILIES)))


@dataclass(frozen=True)
class LayerFigures:
    """Figures of one layer."""

    name: str
    op: str
    figures: dict[str, float]


@dataclass(frozen=True)
class RunFigures:
    """Figures of a run, as a whole and by layer; plain enough for a cache.

    Parameters
    ----------
    totals
        Of the run.
    layers
        In order.
    """

    totals: dict[str, float]
    layers: tuple[LayerFigures, ...]

    def of_layers(self, names: Sequence[str] = (), ops: Sequence[str] = ()) -> dict[str, float]:
        """Figures of the layers that a pattern names and whose operator is listed; all where neither is given."""
        if not names and not ops:
            return self.totals
        chosen = [
            layer for layer in self.layers
            if (not ops or layer.op in ops) and (not names or any(fnmatch.fnmatch(layer.name, one) for one in names))
        ]  # fmt: skip
        if not chosen:
            return {}
        machine = {name: self.totals[name] for name in ("clock_mhz", "peak_macs_per_cycle")}
        if len(chosen) == 1:
            return derived(chosen[0].figures | machine)
        keys = {key for layer in chosen for key in layer.figures if not key.startswith("mapping.")}
        return derived({key: math.fsum(layer.figures.get(key, 0.0) for layer in chosen) for key in keys} | machine)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"totals": self.totals, "layers": [[layer.name, layer.op, layer.figures] for layer in self.layers]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> RunFigures:
        """Figures from plain data."""
        return cls(record["totals"], tuple(LayerFigures(*layer) for layer in record["layers"]))


def run_figures(result: RunResult, more: Mapping[str, float] | None = None) -> RunFigures:
    """Read the figures off a run; `more` are added to the totals."""
    totals = {key: float(value) for key, value in vars(result.totals).items()}
    totals |= {
        "dram_bytes": totals["dram_read_bytes"] + totals["dram_write_bytes"],
        "clock_mhz": result.machine.clock_mhz,
        "peak_macs_per_cycle": float(result.machine.peak_macs_per_cycle),
    }
    for component, actions in result.energy_pj.items():
        totals[f"energy.{component}"] = math.fsum(actions.values())
        totals |= {f"energy.{component}.{action}": value for action, value in actions.items()}
    for cause in STALL_CAUSES:
        totals[f"stalls.{cause}"] = float(sum(layer.stalls.get(cause, 0) for layer in result.layer_results))
    totals |= {f"dram.{key}": float(value) for key, value in vars(result.dram).items()}
    totals |= decided_figures(result) | dict(more or {})
    return RunFigures(totals, tuple(_layer(layer) for layer in result.layer_results))


def decided_figures(result: RunResult) -> dict[str, float]:
    """Accuracy, and what differs between samples."""
    found = {}
    samples = result.samples
    if samples is not None:
        found["wasted_dram_bytes"] = samples.wasted_dram_bytes
        if samples.accuracy is not None:
            found["accuracy"] = samples.accuracy
        for leaving in samples.exits:
            found[f"exits.{leaving.name}.share"] = leaving.share
            found[f"exits.{leaving.name}.latency_ns"] = leaving.latency_ns
    accuracy = result.accuracy
    if accuracy is not None:
        found |= {
            "accuracy": accuracy.value,
            "accuracy_baseline": accuracy.baseline,
            "accuracy_loss": accuracy.baseline - accuracy.value,
        }
        if accuracy.clean is not None:
            found["accuracy_clean"] = accuracy.clean
    return found


def _layer(layer: LayerResult) -> LayerFigures:
    figures = {name: float(getattr(layer, name)) for name in _LAYER_SUMS}
    figures |= {f"energy.{component}": value for component, value in layer.energy_by_component.items()}
    figures |= {f"stalls.{cause}": float(cycles) for cause, cycles in layer.stalls.items()}
    figures |= {f"mapping.{key}": value for key, value in _numbers(layer.mapping)}
    return LayerFigures(layer.name, layer.op, figures)


def _numbers(mapping: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, float]]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{above}{key}", float(value)


def derived(figures: dict[str, float]) -> dict[str, float]:
    """Figures of layers with those that follow from them."""
    cycles, peak = figures["total_cycles"], figures["peak_macs_per_cycle"]
    return figures | {
        "dram_bytes": figures["dram_read_bytes"] + figures["dram_write_bytes"],
        "dram_energy_pj": figures.get("energy.dram", 0.0),
        "latency_ns": cycles * 1_000 / figures["clock_mhz"],
        "compute_utilization": figures["effective_macs"] / (peak * cycles) if peak and cycles else 0.0,
    }


def breakdowns(sides: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[Breakdown, ...]:
    """Shares of energy and of time, by side: means over its cases."""
    energy, cycles = {}, {}
    for side, cases in sides.items():
        energy[side] = _mean_shares([{part: case.get(f"energy.{part}", 0.0) for part in ENERGY_COMPONENTS}
                                     for case in cases])  # fmt: skip
        cycles[side] = _mean_shares([_time(case) for case in cases])
    return tuple(
        Breakdown(title, {side: found for side, found in shares.items() if found})
        for title, shares in (("energy", energy), ("time", cycles)) if any(shares.values())
    )  # fmt: skip


def _time(case: Mapping[str, float]) -> dict[str, float]:
    parts = {"compute": case.get("compute_cycles", 0.0)}
    return parts | {cause: case.get(f"stalls.{cause}", 0.0) for cause in STALL_CAUSES}


def _mean_shares(cases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    shares = []
    for parts in cases:
        total = math.fsum(parts.values())
        if total > 0:
            shares.append({part: value / total for part, value in parts.items()})
    if not shares:
        return {}
    means = {part: math.fsum(entry[part] for entry in shares) / len(shares) for part in shares[0]}
    return {part: share for part, share in means.items() if share > 0}
