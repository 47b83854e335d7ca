"""Figures over the layers, data first: what a run's result says, as plain records that a test can add up.

`accelsim.report.plots` draws them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.report.quantities import ratio
from accelsim.result import ENERGY_COMPONENTS, STALL_CAUSES
from accelsim.units import BITS_PER_BYTE, BYTES_PER_GB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accelsim.result import LayerResult, RunResult

HZ_PER_MHZ = 1_000_000


@dataclass(frozen=True)
class CyclesPerLayer:
    """Cycles of every layer that takes any: computing, and waiting per cause. Causes that never occurred are left out.

    Parameters
    ----------
    layers_without_time
        Layers left out: they ride on another one (fused) or only rename what another has written.
    """

    layers: tuple[str, ...]
    ops: tuple[str, ...]
    compute_cycles: tuple[int, ...]
    stall_cycles: dict[str, tuple[int, ...]]
    layers_without_time: int


@dataclass(frozen=True)
class EnergyPerLayer:
    """Picojoules per component of every layer, those riders included; components that took none are left out."""

    layers: tuple[str, ...]
    energy_pj: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class EnergyActions:
    """Picojoules of the whole run per component and action: components and actions by falling energy."""

    energy_pj: dict[str, dict[str, float]]

    @property
    def total_pj(self) -> float:
        """Energy of the run."""
        return math.fsum(value for actions in self.energy_pj.values() for value in actions.values())


@dataclass(frozen=True)
class RooflinePoint:
    """One layer on the roofline.

    Parameters
    ----------
    macs_per_byte
        Multiply-accumulates per byte moved from or to DRAM; infinite where nothing was moved.
    macs_per_cycle
        Multiply-accumulates per cycle reached, stalls included.
    """

    layer: str
    op: str
    macs_per_byte: float
    macs_per_cycle: float
    share_of_cycles: float


@dataclass(frozen=True)
class Roofline:
    """Layers with multiply-accumulates against the two roofs of the machine.

    Parameters
    ----------
    dram_bytes_per_cycle
        Peak DRAM bytes per cycle of the array's clock; infinite for an ideal memory.
    layers_without_macs
        Layers left out because they run on the vector unit.
    """

    peak_macs_per_cycle: int
    dram_bytes_per_cycle: float
    points: tuple[RooflinePoint, ...]
    layers_without_macs: int

    def bound(self, macs_per_byte: float) -> float:
        """Multiply-accumulates per cycle that the roofs allow at an intensity."""
        if math.isinf(macs_per_byte):
            return float(self.peak_macs_per_cycle)
        return min(float(self.peak_macs_per_cycle), self.dram_bytes_per_cycle * macs_per_byte)


def ordered(keys: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """Keys in the order of `known`, then any others in the order given."""
    rest = list(dict.fromkeys(keys))
    return [key for key in known if key in rest] + [key for key in rest if key not in known]


def timed_layers(result: RunResult) -> tuple[LayerResult, ...]:
    """Layers that take time of their own."""
    return tuple(row for row in result.layer_results if row.total_cycles)


def cycles_per_layer(result: RunResult) -> CyclesPerLayer:
    """Split the cycles of every layer into compute and the causes of its stalls."""
    rows = timed_layers(result)
    causes = ordered((cause for row in rows for cause in row.stalls), STALL_CAUSES)
    stalls = {cause: tuple(row.stalls.get(cause, 0) for row in rows) for cause in causes}
    return CyclesPerLayer(
        layers=tuple(row.name for row in rows),
        ops=tuple(row.op for row in rows),
        compute_cycles=tuple(row.compute_cycles for row in rows),
        stall_cycles={cause: cycles for cause, cycles in stalls.items() if any(cycles)},
        layers_without_time=len(result.layer_results) - len(rows),
    )


def energy_per_layer(result: RunResult) -> EnergyPerLayer:
    """Split the energy of every layer by component; a fused layer's energy is counted with the layer it rides on."""
    rows = result.layer_results
    names = {row.name for row in rows}
    components = ordered((part for row in rows for part in row.energy_by_component), ENERGY_COMPONENTS)
    sums: dict[str, dict[str, float]] = {}
    for row in rows:
        carrier = row.mapping.get("fused_into")
        energy = sums.setdefault(carrier if carrier in names else row.name, dict.fromkeys(components, 0.0))
        for part, value in row.energy_by_component.items():
            energy[part] += value
    shown = [row.name for row in rows if row.name in sums and any(sums[row.name].values())]
    energies = {part: tuple(sums[name][part] for name in shown) for part in components}
    return EnergyPerLayer(
        layers=tuple(shown), energy_pj={part: values for part, values in energies.items() if any(values)}
    )


def energy_actions(result: RunResult) -> EnergyActions:
    """Sort the energy of the run by component and action, the largest first; zeros are left out."""
    sums = {part: math.fsum(actions.values()) for part, actions in result.energy_pj.items()}
    return EnergyActions(
        {
            part: dict(sorted(((a, v) for a, v in result.energy_pj[part].items() if v), key=lambda item: -item[1]))
            for part in sorted((part for part in sums if sums[part]), key=lambda part: -sums[part])
        }
    )


def roofline(result: RunResult) -> Roofline:
    """Place every layer that multiplies under the roofs of peak compute and peak DRAM bandwidth."""
    machine = result.machine
    timed = timed_layers(result)
    rows = [row for row in timed if row.effective_macs]
    total = result.totals.total_cycles
    return Roofline(
        peak_macs_per_cycle=machine.peak_macs_per_cycle,
        dram_bytes_per_cycle=machine.peak_dram_gb_per_s * BYTES_PER_GB / (machine.clock_mhz * HZ_PER_MHZ),
        points=tuple(
            RooflinePoint(
                layer=row.name,
                op=row.op,
                macs_per_byte=row.effective_macs / dram_bytes(row) if dram_bytes(row) else math.inf,
                macs_per_cycle=ratio(row.effective_macs, row.total_cycles),
                share_of_cycles=ratio(row.total_cycles, total),
            )
            for row in rows
        ),
        layers_without_macs=len(timed) - len(rows),
    )


def dram_bytes(layer: LayerResult) -> int:
    """Bytes that a layer moved from and to DRAM."""
    return layer.dram_read_bytes + layer.dram_write_bytes


def dram_bits_read(result: RunResult) -> int:
    """Bits that the DRAM put onto its bus, in whole bursts; those asked for where a run came without its profile."""
    traffic = None if result.profile is None else result.profile.dram_traffic
    size = result.totals.dram_read_bytes if traffic is None or not len(traffic) else int(traffic["read_bytes"].sum())
    return size * BITS_PER_BYTE


def main_stall_cause(layer: LayerResult) -> str | None:
    """Cause of most of a layer's stall cycles; None where it never stalled."""
    cause = max(layer.stalls, key=lambda name: layer.stalls[name], default=None)
    return cause if cause is not None and layer.stalls[cause] else None


def utilization(layer: LayerResult, peak_macs_per_cycle: int) -> float:
    """Multiply-accumulates done as a fraction of those the array could do in the layer's cycles."""
    return ratio(layer.effective_macs, peak_macs_per_cycle * layer.total_cycles)
