"""Figures of many rows of decisions on one machine: as `accounting` has them, without a record for every layer.

What a stage costs whatever happens around it is worked out once for each stage that is met; what time decides, leakage
and DRAM, for all stages of a row at once. Energies are whole multiples of a fixed resolution, so that sums of them are
the same in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.energy.model import RESOLUTION_PJ, EnergyModel
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.power import RailPrices, energies_pj, rail_prices
from accelsim.result import ENERGY_COMPONENTS
from accelsim.sample_figures import COUNTS, DRAM_FIELDS, RowFigures
from accelsim.simulation.compiled.machine import CompiledMachine
from accelsim.simulation.flip_count import count_flips
from accelsim.simulation.simulator import build_memory
from accelsim.stage_figures import closed_channels, dram_bytes, dram_result, is_skipped, result_share, wasted_activity
from accelsim.units import BITS_PER_BYTE, PS_PER_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.energy.table import EnergyTable
    from accelsim.hardware.dram.read_errors import ReadErrors
    from accelsim.hardware.ideal_memory import IdealMemory
    from accelsim.mapping.network import NetworkMapping
    from accelsim.mapping.tile_graph import Activity, StageTiles
    from accelsim.simulation.compiled.run import CompiledRun, RunEnd

Action = tuple[str, str]
"""Component and action of an energy."""

_IN_TIME = ("dram", "leakage")
"""Components whose energy depends on what happens when."""


@dataclass(frozen=True, eq=False)
class _StageFigures:
    """What is known of a stage before it runs.

    Parameters
    ----------
    macs, read_bytes, written_bytes
        Work, and bytes of DRAM; none of them for a stage that does not run.
    skipped
        Share of it that does not run.
    actions, energy
        Actions on chip, and their energies by `RowAccounts._columns`.
    riding
        Energy of each layer that rides on it, which are skipped where the stage is.
    flips
        Bits that flip in what it fetches.
    alive
        The stage, whose identity names these figures.
    """

    macs: int
    read_bytes: int
    written_bytes: int
    skipped: float
    actions: tuple[Action, ...]
    energy: tuple[float, ...]
    riding: tuple[float, ...]
    flips: int
    alive: StageTiles


@dataclass
class RowAccounts:
    """Simulates rows of decisions on a machine.

    Parameters
    ----------
    config, table, errors
        The machine, its energy table and what flips in its memory.
    mapping
        The network with everything in it.
    """

    config: HardwareConfig
    table: EnergyTable
    errors: ReadErrors | None
    mapping: NetworkMapping

    def __post_init__(self) -> None:
        self._memory = build_memory(self.config)
        self._machine = CompiledMachine(self.config, self._memory.burst_bytes, logged=False)
        self._model = EnergyModel(self.config, self.table)
        self._runs = 0
        self._stages: dict[tuple[int, int], _StageFigures] = {}
        self._columns: dict[Action, int] = {}
        self._in_vain: dict[tuple[tuple[str, int], ...], tuple[float, ...]] = {}
        self._place_layers()

    def _place_layers(self) -> None:
        """Places of the stages, and of the layers that ride on them, among the layers."""
        place = {layer.name: number for number, layer in enumerate(self.mapping.graph.layers)}
        stages = self.mapping.stages
        self._layer_of_stage = np.array([place[planned.layer.name] for planned in stages])
        riding = [(index, place[layer.name]) for index, planned in enumerate(stages) for layer in planned.fused]
        self._carriers = np.array([index for index, _ in riding], np.int64)
        self._riders = np.array([rider for _, rider in riding], np.int64)
        self._by_layer = np.argsort(self._layer_of_stage).tolist()

    def figures(self, stages: tuple[StageTiles, ...]) -> RowFigures | None:
        """Simulate one row; None where its stages block each other."""
        memory = self._unused_memory()
        run = self._machine.run(stages, memory)
        if run is None:
            return None
        return self._join(stages, run, run.end(self.config.pe_array.clock, memory), memory)

    def _unused_memory(self) -> Dram | IdealMemory:
        if self._runs and isinstance(self._memory, Dram):
            self._memory.reset()
        elif self._runs:
            self._memory = build_memory(self.config)
        self._runs += 1
        return self._memory

    # -- what is known of a stage ---------------------------------------------------------------------------------

    def _figures(self, index: int, stage: StageTiles) -> _StageFigures:
        known = self._stages.get((index, id(stage)))
        if known is None:
            known = self._stages[index, id(stage)] = self._work_out(index, stage)
        return known

    def _work_out(self, index: int, stage: StageTiles) -> _StageFigures:
        planned, graph = self.mapping.stages[index], self.mapping.graph
        skipped, share = is_skipped(stage), result_share(stage)
        operations = [0 if skipped else round(graph.vector_operations(layer) * share) for layer in planned.fused]
        read, written = dram_bytes(stage)
        actions, energy = self._on_chip(stage.activity)
        return _StageFigures(
            macs=stage.activity.macs,
            read_bytes=read,
            written_bytes=written,
            skipped=1.0 if skipped else closed_channels(stage),
            actions=actions,
            energy=energy,
            riding=tuple(self._model.vector_energy(count)["vector_unit"]["operation"] for count in operations),
            flips=0 if self.errors is None else int(count_flips((stage,), self.errors).sum()),
            alive=stage,
        )

    def _on_chip(self, activity: Activity) -> tuple[tuple[Action, ...], tuple[float, ...]]:
        """Actions of a stage and their energies, without what time decides; an energy for every column so far."""
        energy = {
            (component, action): pj
            for component, actions in self._model.stage_energy(activity, {}, 0).items()
            if component not in _IN_TIME
            for action, pj in actions.items()
        }
        for action in energy:
            self._columns.setdefault(action, len(self._columns))
        return tuple(energy), tuple(energy.get(action, 0.0) for action in self._columns)

    def _wasted_energy(self, stage: StageTiles, wasted: dict[str, int]) -> tuple[float, ...]:
        """Energies of a stage that does not run, for which something was fetched."""
        activity = wasted_activity(stage, wasted)
        key = tuple(activity.sram_write_bits.items())
        if key not in self._in_vain:
            self._in_vain[key] = self._on_chip(activity)[1]
        return self._in_vain[key]

    # -- a row ----------------------------------------------------------------------------------------------------

    def _join(
        self, stages: tuple[StageTiles, ...], run: CompiledRun, end: RunEnd, memory: Dram | IdealMemory
    ) -> RowFigures:
        known = [self._figures(index, stage) for index, stage in enumerate(stages)]
        layers, at = len(self.mapping.graph.layers), self._layer_of_stage
        wasted = run.wasted_bytes.sum(axis=1)
        closed = np.array([stage.closed for stage in stages])
        counts = np.zeros((len(COUNTS), layers), np.int64)
        counts[:, at] = (
            run.compute_cycles,
            [entry.macs for entry in known],
            np.where(closed, wasted, [entry.read_bytes for entry in known]),
            [entry.written_bytes for entry in known],
            wasted,
        )
        skipped = np.zeros(layers)
        skipped[at] = [entry.skipped for entry in known]
        skipped[self._riders] = skipped[at[self._carriers]] == 1.0
        by_action = self._on_chip_energies(stages, known, run) | self._energies_in_time(
            run, end, memory, counts[2:4, at]
        )
        riding = np.array([pj for entry in known for pj in entry.riding])
        energies, actions = self._sum_energies(by_action, riding)
        flips = sum(entry.flips for entry in known)
        total = None if end.activity is None else end.activity[-1]
        dram = dram_result(memory, total, (end.reads, end.writes), end.time_ps, flips)
        totals = (
            end.time_ps / PS_PER_NS,
            sum(values.sum() for values in energies.values()),
            *counts[[1, 4]].sum(axis=1),
        )
        return RowFigures(
            totals=np.array(totals, np.float64),
            counts=counts,
            skipped=skipped,
            stalls=self._stalls(run, end),
            energies=energies,
            actions=actions,
            dram=np.array([getattr(dram, name) for name in DRAM_FIELDS], np.float64),
        )

    def _on_chip_energies(
        self, stages: tuple[StageTiles, ...], known: list[_StageFigures], run: CompiledRun
    ) -> dict[Action, NDArray[np.float64]]:
        """Energies by action and stage; actions in the order in which the layers have them."""
        rows = [entry.energy for entry in known]
        for index in np.flatnonzero(run.wasted_bytes.any(axis=1)).tolist():
            rows[index] = self._wasted_energy(stages[index], run.wasted_of(index))
        columns = len(self._columns)
        table = np.array([row if len(row) == columns else row + (0.0,) * (columns - len(row)) for row in rows])
        sorts = dict.fromkeys(known[index].actions for index in self._by_layer)
        return {action: table[:, self._columns[action]] for sort in sorts for action in sort}

    def _energies_in_time(
        self, run: CompiledRun, end: RunEnd, memory: Dram | IdealMemory, moved_bytes: NDArray[np.int64]
    ) -> dict[Action, NDArray[np.float64]]:
        """Energies of DRAM and leakage by action and stage."""
        if end.activity is not None and isinstance(memory, Dram):
            dram = energies_pj(end.activity.steps(), memory.spec, self._rail_prices)
        else:
            per_byte = self.table.dram_pj_per_bit * BITS_PER_BYTE
            dram = {name: moved * per_byte for name, moved in zip(("read", "write"), moved_bytes, strict=True)}
        ends = np.append(run.end_cycles[:-1], end.cycle)
        spans_ps = np.diff(self.config.pe_array.clock.ps_of_all(ends), prepend=0)
        leaked = {name: power_mw * spans_ps / PS_PER_NS for name, power_mw in self._model.leakage_mw.items()}
        found = {("dram", action): energy for action, energy in dram.items()}
        found |= {("leakage", action): energy for action, energy in leaked.items()}
        return {action: np.rint(energy / RESOLUTION_PJ) * RESOLUTION_PJ for action, energy in found.items()}

    @cached_property
    def _rail_prices(self) -> tuple[RailPrices, ...]:
        if not isinstance(self._memory, Dram):
            return ()
        return rail_prices(self._memory.spec, self._memory.rank_shape[0])

    def _sum_energies(
        self, by_action: dict[Action, NDArray[np.float64]], riding: NDArray[np.float64]
    ) -> tuple[dict[str, NDArray[np.float64]], dict[Action, float]]:
        """Energies by component and layer, and those by action."""
        layers = len(self.mapping.graph.layers)
        energies = {component: np.zeros(layers) for component in ENERGY_COMPONENTS}
        actions = {}
        for component in ENERGY_COMPONENTS:
            for (owner, action), values in by_action.items():
                if owner == component:
                    energies[component][self._layer_of_stage] += values
                    actions[component, action] = float(values.sum())
        energies["vector_unit"][self._riders] += riding
        actions["vector_unit", "operation"] += float(riding.sum())
        return energies, actions

    def _stalls(self, run: CompiledRun, end: RunEnd) -> dict[str, NDArray[np.int64]]:
        """Cycles by cause and layer; causes in the order in which the layers meet them."""
        cycles, order = run.stalls.copy(), run.stall_order.copy()
        tail, drain = end.cycle - int(run.end_cycles[-1]), run.causes.index("ofmap_drain")
        if tail:
            cycles[-1, drain] += tail
            order[-1, drain] = order[-1, drain] or order.max() + 1
        by_layer = order[self._by_layer] > 0
        met = np.flatnonzero(by_layer.any(axis=0))
        layer = by_layer[:, met].argmax(axis=0)
        found = {}
        for cause in met[np.lexsort((order[self._by_layer][layer, met], layer))].tolist():
            found[run.causes[cause]] = np.zeros(len(self.mapping.graph.layers), np.int64)
            found[run.causes[cause]][self._layer_of_stage] = cycles[:, cause]
        return found
