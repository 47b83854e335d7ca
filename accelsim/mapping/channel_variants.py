"""Convolutions of which some channels are skipped: what an array saves by that, and the stages that are left.

An array that deals out its work anew for each layer (`reassigns_channels`) runs the channels that are open and no more.
On any other the place of a closed channel idles: saved is what falls away as a whole, a fold of a systolic array along
a dimension that lies in space, a channel of the one that streams, a block of the mapping elsewhere. The mapping stays
that of the whole layer. Of the weights those are fetched that run; a compiler is taken to have stored them filter by
filter before the channels and channel by channel behind them, so that what is skipped is whole stretches.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from accelsim.errors import MappingError
from accelsim.mapping.array_costs import reassigns_channels
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.network import NetworkMapper
from accelsim.mapping.tensor_memory import TensorMemory
from accelsim.units import ceil_div
from accelsim.workload.channel_skip import narrowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import PeArray
    from accelsim.mapping.cached_network import CachedMachine
    from accelsim.mapping.layer_tiler import MemoryInterface, TilingSolutions
    from accelsim.mapping.network import NetworkMapping
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.mapping.tiling import Tiling, TilingProblem
    from accelsim.mapping.traffic import Interconnect
    from accelsim.workload.channel_skip import ChannelGate
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.skip import SkipPlan

Side = Literal["first", "second"]


@dataclass(frozen=True, eq=False)
class ChannelVariants:
    """The stages of a mapped network around its gates on channels.

    Parameters
    ----------
    mapping
        The network with everything in it.
    plan
        Its gates.
    hardware, memory, array, interconnect
        The machine.
    solutions
        Tilings that are known from the mapping.
    """

    mapping: NetworkMapping
    plan: SkipPlan
    hardware: HardwareConfig
    memory: MemoryInterface
    array: PeArray | CachedMachine
    interconnect: Interconnect | None
    solutions: TilingSolutions
    _known: dict[tuple[int, Side, int], StageTiles] = field(default_factory=dict)
    _shares: dict[tuple[int, Side, int, int], StageTiles] = field(default_factory=dict)

    @cached_property
    def _barred(self) -> frozenset[str]:
        pairs = zip(self.mapping.stages, self.mapping.tiles, strict=True)
        return frozenset(stage.output for stage, tiles in pairs if not tiles.kept_bits)

    def _mapper(self, graph: LayerGraph) -> NetworkMapper:
        tensors = TensorMemory(graph, self.hardware, self.array, self._barred)
        return NetworkMapper(tensors, self.memory, self.solutions, self.interconnect)

    @cached_property
    def _whole(self) -> NetworkMapper:
        return self._mapper(self.mapping.graph)

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {stage.layer.name: stage.index for stage in self.mapping.stages}

    def _planned(self, index: int) -> tuple[TilingProblem, Tiling]:
        stage = self.mapping.stages[index]
        return self._whole.tiler.problem(stage), self._whole.tiler.tiling(stage)

    @cached_property
    def runs(self) -> NDArray[np.int64]:
        """Per sample and gate the channels that are open, those that the first and those that the second stage runs."""
        found = np.zeros((self.plan.samples, len(self.plan.channel_gates), 3), np.int64)
        for number, gate in enumerate(self.plan.channel_gates):
            is_open = self.plan.channels_of(number)
            found[:, number, 0] = is_open.sum(axis=1)
            found[:, number, 1] = self._run_channels(gate, "first", is_open)
            found[:, number, 2] = self._run_channels(gate, "second", is_open)
        return found

    def _run_channels(self, gate: ChannelGate, side: Side, is_open: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Channels that a stage runs, those that idle along included, per sample; at least one."""
        counts: NDArray[np.int64] = np.maximum(is_open.sum(axis=1), 1)
        if reassigns_channels(self.array):
            return counts
        problem, tiling = self._planned(self._index_of[gate.first if side == "first" else gate.second])
        dim: Literal["n", "k"] = "n" if side == "first" else "k"
        taps = 1 if side == "first" else problem.taps
        block = tiling.n if side == "first" else tiling.k
        size = block
        if problem.folding is not None:
            flow = problem.folding.dataflow
            if flow.stream_dim == dim:
                return counts
            size = problem.folding.rows if flow.row_dim == dim else problem.folding.cols
        element = np.arange(gate.width * taps)
        fold = element // block * ceil_div(block, min(size, block)) + element % block // min(size, block)
        within = np.zeros((gate.width, int(fold[-1]) + 1))
        np.add.at(within, (element // taps, fold), 1.0)
        occupied = is_open.astype(np.float64) @ within > 0
        lengths = within.sum(axis=0)
        run = (occupied @ lengths).astype(np.int64)
        lower, upper = run // taps, -(-run // taps)
        same_folds = -(-lower * taps // size) == occupied.sum(axis=1)
        found: NDArray[np.int64] = np.maximum(np.where(same_folds, lower, upper), counts)
        return found

    def stages_of(self, sample: int) -> dict[int, StageTiles]:
        """Stages by index that take the place of planned ones for a sample."""
        replaced = {}
        for number, gate in enumerate(self.plan.channel_gates):
            is_open, first, second = self.runs[sample, number].tolist()
            sides: tuple[tuple[Side, str, int], ...] = (("first", gate.first, first), ("second", gate.second, second))
            for side, name, run in sides:
                index = self._index_of[name]
                key = (number, side, run, is_open)
                if key not in self._shares:
                    self._shares[key] = self._share(number, side, run, is_open)
                replaced[index] = self._shares[key]
        return replaced

    def _share(self, number: int, side: Side, run: int, is_open: int) -> StageTiles:
        """A stage that runs so many channels, of which so many are open."""
        gate = self.plan.channel_gates[number]
        index = self._index_of[gate.first if side == "first" else gate.second]
        tiles = self.mapping.tiles[index]
        if run < gate.width:
            tiles = self._stage(number, side, index, run)
        if is_open < gate.width:
            share = {"open": is_open, "run": run, "of": gate.width, "results": side == "first"}
            macs = round(tiles.activity.macs * is_open / run)
            gated = round(tiles.activity.gated_macs * is_open / run)
            activity = replace(tiles.activity, macs=macs, gated_macs=gated)
            tiles = replace(tiles, activity=activity, mapping=tiles.mapping | {"channels": share})
        return replace(tiles, waits=True)

    def deciders(self) -> dict[int, str]:
        """Per stage around a gate the layer that decides."""
        found: dict[int, str] = {}
        for gate in self.plan.channel_gates:
            if gate.decided_by is not None:
                found |= {self._index_of[gate.first]: gate.decided_by, self._index_of[gate.second]: gate.decided_by}
        return found

    def _stage(self, number: int, side: Side, index: int, run: int) -> StageTiles:
        key = (number, side, run)
        if key not in self._known:
            self._known[key] = self._mapped(self.plan.channel_gates[number], index, run)
        return self._known[key]

    def _mapped(self, gate: ChannelGate, index: int, run: int) -> StageTiles:
        """A stage with so many channels, cut as the whole one is."""
        mapper = self._mapper(narrowed(self.mapping.graph, gate, run))
        stage = mapper.tensors.stages[index]
        problem, tiling = mapper.tiler.problem(stage), self._planned(index)[1]
        dims = problem.dims
        cut = replace(tiling, m=min(tiling.m, dims.m), n=min(tiling.n, dims.n), k=min(tiling.k, dims.k))
        mapping = self.mapping
        if set(mapper.tensors.kept) != set(self._whole.tensors.kept):
            message = f"layer {stage.layer.name!r} would change what stays on chip when channels are skipped"
            raise MappingError(message, where=mapping.graph.source or mapping.graph.name)
        region = mapping.weights[index].region
        blocks = BlockSequence(problem, cut)
        planned = mapper.planner.plan(stage, blocks, mapping.placement, mapping.tiles[:index], region)
        return mapper.planner.stage_tiles(stage, planned)
