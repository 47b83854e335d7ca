"""What happened when in a run, from what its simulation noted: phases, traffic, buffers, banks, power states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.ideal_memory import IdealMemory
from accelsim.result import TRAFFIC_DTYPE, Profile
from accelsim.simulation.trace import COMPONENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.network import NetworkMapping
    from accelsim.simulation.simulator import Simulation


def run_profile(
    config: HardwareConfig, mapping: NetworkMapping, simulation: Simulation, flips: NDArray[np.int64]
) -> Profile:
    """Gather what happened when.

    Parameters
    ----------
    config, mapping, simulation
        The machine, the network on it, and its run.
    flips
        Bits that flipped, of shape (stages, banks); no banks where none can.
    """
    names = [layer.name for layer in mapping.graph.layers]
    layer_of_stage = [names.index(stage.layer.name) for stage in mapping.stages]
    return Profile(
        components=COMPONENTS,
        layers=tuple(names),
        phases=simulation.trace.phases(layer_of_stage),
        dram_traffic=_traffic(simulation),
        buffer_occupancy=simulation.occupancy,
        buffer_capacity_bytes={name: buffer.capacity_bytes for name, buffer in config.sram.items()},
        dram_banks=_dram_banks(simulation, flips),
        dram_state_ps=_dram_states(simulation),
        array_busy_cycles={stage.name: stage.busy_cycles for stage in mapping.tiles if stage.busy_cycles is not None},
    )


def _dram_banks(simulation: Simulation, flips: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Counts per bank, for the heat map."""
    memory = simulation.memory
    if isinstance(memory, IdealMemory):
        return {}
    banks = memory.bank_activity()
    counts = {name: getattr(banks, name) for name in ("activates", "row_hits", "row_misses", "row_conflicts")}
    if flips.size:
        counts["bits_flipped"] = flips.sum(axis=0).reshape(banks.activates.shape)
    return counts


def _dram_states(simulation: Simulation) -> dict[str, int]:
    """Time in each power state, over all ranks."""
    if simulation.dram_activity is None:
        return {}
    total = simulation.dram_activity[-1]
    return {
        "active": int(total.active_ps.sum()),
        "precharged": int(total.precharged_ps.sum()),
        "active_power_down": int(total.active_down_ps.sum()),
        "precharge_power_down": int(total.precharged_down_ps.sum()),
    }


def _traffic(simulation: Simulation) -> NDArray[np.void]:
    """Bytes read and written in each bin of time, up to the end of the run."""
    memory = simulation.memory
    if isinstance(memory, IdealMemory):
        return np.empty(0, TRAFFIC_DTYPE)
    histogram = memory.traffic()
    bins = len(histogram.read_bytes)
    traffic = np.empty(bins, TRAFFIC_DTYPE)
    traffic["time_ps"] = np.arange(bins) * histogram.bin_ps
    traffic["read_bytes"], traffic["write_bytes"] = histogram.read_bytes, histogram.write_bytes
    return traffic[traffic["time_ps"] <= simulation.end_ps]
