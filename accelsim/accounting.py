"""Accounts for a run: which layer took which cycles, bytes and picojoules, and the records that say so."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim import __version__
from accelsim.energy.model import EnergyByAction, EnergyModel, add_energies, component_totals
from accelsim.hardware.dram.power import energies_pj
from accelsim.hardware.ideal_memory import IdealMemory
from accelsim.result import LayerResult, Machine, RunInfo, RunResult, sum_layers
from accelsim.run_profile import run_profile
from accelsim.simulation.flip_count import count_flips
from accelsim.stage_figures import closed_channels, dram_bytes, dram_result, is_skipped, result_share, wasted_activity
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.energy.table import EnergyTable
    from accelsim.hardware.dram.device import Device
    from accelsim.hardware.dram.read_errors import ReadErrors
    from accelsim.mapping.network import NetworkMapping
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.result import DramResult
    from accelsim.simulation.simulator import Simulation
    from accelsim.workload.graph import Layer, LayerGraph


@dataclass(frozen=True)
class Account:
    """Joins what mapping, simulation and energy model know into the records of a result.

    Parameters
    ----------
    config, table, device
        The machine, its energy table and its DRAM device.
    mapping
        The network on the machine.
    simulation
        What happened.
    errors
        Bit errors of the memory; None where no bit flips.
    peak_dram_gb_per_s
        Bandwidth of the memory as configured; infinite for an ideal one without a limit.
    """

    config: HardwareConfig
    table: EnergyTable
    device: Device
    mapping: NetworkMapping
    simulation: Simulation
    errors: ReadErrors | None
    peak_dram_gb_per_s: float

    @cached_property
    def _energy_model(self) -> EnergyModel:
        return EnergyModel(self.config, self.table)

    def result(self, seed: int, *, with_profile: bool = True) -> RunResult:
        """Return the record of the run, with or without what happened when."""
        layers, energies = self._layers()
        graph, config = self.mapping.graph, self.config
        config_hash = self._config_hash()
        flips = self._flips()
        return RunResult(
            run=RunInfo(
                run_id=_run_id(config, graph, config_hash, seed),
                config_hash=config_hash,
                hardware=config.name,
                workload=graph.name,
                seed=seed,
                version=__version__,
                batch=graph.batch,
            ),
            machine=Machine(
                clock_mhz=config.pe_array.clock_mhz,
                peak_macs_per_cycle=config.pe_array.elements,
                peak_dram_gb_per_s=self.peak_dram_gb_per_s,
            ),
            totals=sum_layers(layers, self.simulation.end_ps, config.pe_array.elements),
            energy_pj=add_energies(energies),
            dram=self._dram(int(flips.sum())),
            layer_results=tuple(layers),
            profile=run_profile(self.config, self.mapping, self.simulation, flips) if with_profile else None,
            resolved_config=config.resolved(),
        )

    def _config_hash(self) -> str:
        """Hash of the config and of the files that it names."""
        parts = (
            self.config.content_hash,
            self.table.model_dump_json(exclude={"name", "description", "sources"}),
            self.device.model_dump_json(exclude={"description", "sources"}),
        )
        content = " ".join(parts)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    # -- layers ---------------------------------------------------------------------------------------------------

    def _layers(self) -> tuple[list[LayerResult], list[EnergyByAction]]:
        """Results of all layers in the order of the graph: those that were run, and those that rode along."""
        of_layer = {stage.layer.name: index for index, stage in enumerate(self.mapping.stages)}
        stages = zip(self.mapping.stages, self.mapping.tiles, strict=True)
        rides_on = {layer.name: stage for planned, stage in stages for layer in planned.fused}
        layers, energies = [], []
        for layer in self.mapping.graph.layers:
            index = of_layer.get(layer.name)
            if index is None:
                result, energy = self._riding_layer(layer, rides_on.get(layer.name))
            else:
                result, energy = self._stage_layer(layer, index)
            layers.append(result)
            energies.append(energy)
        return layers, energies

    def _riding_layer(self, layer: Layer, carrier: StageTiles | None) -> tuple[LayerResult, EnergyByAction]:
        """Result of a layer that takes no time of its own."""
        skipped = carrier is not None and is_skipped(carrier)
        operations = 0
        if carrier is not None and not skipped:
            operations = round(self.mapping.graph.vector_operations(layer) * result_share(carrier))
        energy = self._energy_model.vector_energy(operations)
        by_component = component_totals(energy)
        result = LayerResult(
            name=layer.name,
            op=layer.op,
            total_cycles=0,
            compute_cycles=0,
            stall_cycles=0,
            stalls={},
            dense_macs=0,
            effective_macs=0,
            mapping_efficiency=0.0,
            dram_read_bytes=0,
            dram_write_bytes=0,
            energy_pj=sum(by_component.values()),
            energy_by_component=by_component,
            skipped_fraction=float(skipped),
            mapping={"fused_into": carrier.name} if carrier else {"addresses_only": True},
        )
        return result, energy

    def _stage_layer(self, layer: Layer, index: int) -> tuple[LayerResult, EnergyByAction]:
        """Result of a layer that was run."""
        stage, timing = self.mapping.tiles[index], self.simulation.timings[index]
        begin, end = self._span_cycles(index)
        stalls = dict(timing.stalls)
        tail = end - timing.end_cycle
        if tail:
            stalls["ofmap_drain"] = stalls.get("ofmap_drain", 0) + tail
        read, written = self._dram_bytes(index)
        activity = wasted_activity(stage, timing.wasted_bytes) if stage.closed else stage.activity
        energy = self._energy_model.stage_energy(activity, self._dram_energy(index), self._span_ps(index))
        by_component = component_totals(energy)
        macs = self.mapping.graph.dense_macs(layer)
        result = LayerResult(
            name=layer.name,
            op=layer.op,
            total_cycles=end - begin,
            compute_cycles=timing.compute_cycles,
            stall_cycles=end - begin - timing.compute_cycles,
            stalls=stalls,
            dense_macs=macs,
            effective_macs=stage.activity.macs,
            mapping_efficiency=stage.mapping_efficiency,
            dram_read_bytes=read,
            dram_write_bytes=written,
            energy_pj=sum(by_component.values()),
            energy_by_component=by_component,
            skipped_fraction=1.0 if is_skipped(stage) else closed_channels(stage),
            wasted_dram_bytes=sum(timing.wasted_bytes.values()),
            mapping=stage.mapping,
        )
        return result, energy

    def _dram_bytes(self, index: int) -> tuple[int, int]:
        """Bytes that a stage reads from and writes to DRAM: by its mapping, or, where it is closed, those in vain."""
        stage = self.mapping.tiles[index]
        if stage.closed:
            return sum(self.simulation.timings[index].wasted_bytes.values()), 0
        return dram_bytes(stage)

    def _span_cycles(self, index: int) -> tuple[int, int]:
        """Cycles from the end of the stage before to the end of this one, the last drain included in the last."""
        timings = self.simulation.timings
        last = index == len(timings) - 1
        begin = timings[index - 1].end_cycle if index else 0
        return begin, self.simulation.end_cycle if last else timings[index].end_cycle

    def _span_ps(self, index: int) -> int:
        clock = self.config.pe_array.clock
        begin, end = self._span_cycles(index)
        return clock.ps_of(end) - clock.ps_of(begin)

    def _dram_energy(self, index: int) -> dict[str, float]:
        """Energy of the DRAM between the ends of the stage before and of this one."""
        activity, memory = self.simulation.dram_activity, self.simulation.memory
        if activity is None or isinstance(memory, IdealMemory):
            per_byte = self.table.dram_pj_per_bit * BITS_PER_BYTE
            read, written = self._dram_bytes(index)
            return {"read": read * per_byte, "write": written * per_byte}
        return self._dram_energies[index]

    @cached_property
    def _dram_energies(self) -> list[dict[str, float]]:
        """Energies of the DRAM by stage and action."""
        activity, memory = self.simulation.dram_activity, self.simulation.memory
        if activity is None or isinstance(memory, IdealMemory):
            return []
        energies = energies_pj(activity.steps(), memory.spec)
        columns = (values.tolist() for values in energies.values())
        return [dict(zip(energies, row, strict=True)) for row in zip(*columns, strict=True)]

    # -- the whole run --------------------------------------------------------------------------------------------

    def _flips(self) -> NDArray[np.int64]:
        """Bits that flipped, per stage and bank; no banks where none can."""
        if self.errors is None:
            return np.zeros((len(self.mapping.tiles), 0), np.int64)
        return count_flips(self.mapping.tiles, self.errors)

    def _dram(self, bits_flipped: int) -> DramResult:
        simulation = self.simulation
        total = None if simulation.dram_activity is None else simulation.dram_activity[-1]
        moved = simulation.reads, simulation.writes
        return dram_result(simulation.memory, total, moved, simulation.end_ps, bits_flipped)


def _run_id(config: HardwareConfig, graph: LayerGraph, config_hash: str, seed: int) -> str:
    """Name of the run: what ran on what, and a hash of all that decides the result."""
    content = {
        "config": config_hash,
        "layers": repr(graph.layers),
        "inputs": repr(graph.inputs),
        "seed": seed,
        "version": __version__,
    }
    if graph.annotations.skip is not None:
        content["skip"] = graph.annotations.skip.digest
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    words = (f"{graph.name}-{config.name}").lower()
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in words)
    return f"{safe[:80]}-{digest}"
