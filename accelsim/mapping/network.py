"""Maps a whole network onto a machine: stages, what stays on chip, tilings, placement, the tile graph of each stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.cached_network import CachedMachine, map_cached_network
from accelsim.mapping.decisions import mixed_blocks
from accelsim.mapping.layer_tiler import LayerTiler, NoRoomError
from accelsim.mapping.placement import Placement, place
from accelsim.mapping.stage_planner import StagePlanner
from accelsim.mapping.stages import Part, Stage
from accelsim.mapping.tensor_memory import TensorMemory
from accelsim.workload.graph import Layer
from accelsim.workload.operators import View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import PeArray
    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.layer_tiler import MemoryInterface, TilingSolutions
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.mapping.traffic import Interconnect
    from accelsim.workload.graph import LayerGraph


@dataclass(frozen=True)
class NetworkMapping:
    """A network, ready to be simulated.

    Parameters
    ----------
    graph
        The network at the batch that is run.
    stages
        What is executed, in order.
    tiles
        Tile graph of each stage.
    placement
        Where each tensor lies in DRAM.
    parts_of
        What each feature map is made of.
    bits_of
        Stored bits per element of every feature map.
    weights
        Of each stage that has weights, by its index, where and how they lie.
    moves
        By the result of a block that may be skipped the stage that takes the block's place, where its result and what
        stands for that lie in different memories.
    """

    graph: LayerGraph
    stages: tuple[Stage, ...]
    tiles: tuple[StageTiles, ...]
    placement: Placement
    parts_of: dict[str, tuple[Part, ...]]
    bits_of: Mapping[str, int]
    weights: Mapping[int, StoredWeights]
    moves: Mapping[str, StageTiles] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredWeights:
    """Where and how the weights of a stage lie in DRAM.

    Parameters
    ----------
    region
        Name of their place in the placement.
    order
        How their elements lie in it.
    plain
        Whether they do lie so, and not in an encoding of the array's own.
    """

    region: str
    order: ElementOrder
    plain: bool


def map_network(
    graph: LayerGraph,
    hardware: HardwareConfig,
    memory: MemoryInterface,
    array: PeArray | CachedMachine,
    progress: Callable[[float], None] | None = None,
    solutions: TilingSolutions | None = None,
    interconnect: Interconnect | None = None,
) -> NetworkMapping:
    """Map a network.

    Parameters
    ----------
    graph, hardware, memory
        What is mapped onto what.
    array
        The PE array of `hardware`.
    progress
        Called with the share of the stages that have been mapped.
    solutions
        Tilings that are known from before, by problem; those that are found are added.
    interconnect
        What lies between the buffers and the array; None where it delivers all in time.

    Raises
    ------
    MappingError
        When a layer fits into the buffers by no tiling, a mapping given by hand does not fit, or the DRAM is too small.
    """
    if isinstance(array, CachedMachine):
        tensors, tiles, placement, orders = map_cached_network(graph, hardware, memory, array, progress)
        bits_of = {name: tensors.bits_of(name) for name in graph.tensors}
        weights = {
            index: StoredWeights(tensors.stages[index].layer.weight, order, plain=True)
            for index, order in orders.items()
        }
        return NetworkMapping(graph, tensors.stages, tiles, placement, tensors.parts_of, bits_of, weights)
    barred: set[str] = set()
    known: TilingSolutions = {} if solutions is None else solutions
    while True:
        tensors = TensorMemory(graph, hardware, array, frozenset(barred))
        try:
            return NetworkMapper(tensors, memory, known, interconnect).network_mapping(progress)
        except NoRoomError as error:
            kept = [tensors.lives[name] for name in tensors.kept_during(error.stage)]
            if not kept:
                raise error.reason from None
            barred.add(max(kept, key=lambda life: (life.bits, life.name)).name)


@dataclass
class NetworkMapper:
    """What the stages of one network share while they are mapped; everything is computed once."""

    tensors: TensorMemory
    memory: MemoryInterface
    solutions: TilingSolutions
    interconnect: Interconnect | None = None

    @cached_property
    def tiler(self) -> LayerTiler:
        """What cuts the layers."""
        return LayerTiler(self.tensors, self.memory, self.solutions)

    @cached_property
    def planner(self) -> StagePlanner:
        """What makes stages of cut layers."""
        return StagePlanner(self.tensors, self.tiler, self.interconnect)

    def network_mapping(self, progress: Callable[[float], None] | None) -> NetworkMapping:
        """Map all stages."""
        self.tiler.check_operand_widths()
        self.tiler.check_given_tiles()
        self.tiler.check_assigned_tensors()
        blocks: dict[int, BlockSequence] = {}
        for stage in self.tensors.stages:
            if stage.on_array:
                blocks[stage.index] = BlockSequence(self.tiler.problem(stage), self.tiler.tiling(stage))
            if progress:
                progress((stage.index + 1) / len(self.tensors.stages))
        placement = place(self.tensors.demands(blocks), self.memory.capacity_bytes, self.memory.rooms)
        weights = {
            index: StoredWeights(region, blocks[index].weight_order, blocks[index].has_plain_weights)
            for index, region in self.tensors.weight_regions(blocks).items()
        }
        tiles: list[StageTiles] = []
        for stage in self.tensors.stages:
            region = weights[stage.index].region if stage.index in weights else ""
            plan = self.planner.plan(stage, blocks.get(stage.index), placement, tiles, region)
            tiles.append(self.planner.stage_tiles(stage, plan))
        tensors = self.tensors
        bits_of = {name: tensors.bits_of(name) for name in tensors.graph.tensors}
        return NetworkMapping(
            tensors.graph,
            tensors.stages,
            tuple(tiles),
            placement,
            tensors.parts_of,
            bits_of,
            weights,
            self._moves(placement, tiles),
        )

    def _moves(self, placement: Placement, tiles: list[StageTiles]) -> dict[str, StageTiles]:
        """Stages that take the place of skipped blocks whose result lies in another memory than what stands for it.

        Where zeros stand for it they are written by the vector unit, as a copy of nothing.
        """
        skip = self.tensors.graph.annotations.skip
        if skip is None:
            return {}
        roots_of = {name: tuple(part.root for part in parts) for name, parts in self.tensors.parts_of.items()}
        kept = {name: name in self.tensors.kept for name in self.tensors.lives}
        stage_of = {stage.output: stage for stage in self.tensors.stages}
        moves = {}
        for gate in mixed_blocks(skip.gates, kept, roots_of):
            joined = stage_of[roots_of[gate.result][0]]
            shape = self.tensors.graph.tensors[gate.result].shape
            sources = (gate.source,) if gate.source else ()
            layer = Layer(joined.layer.name, View(shape), sources, joined.output)
            parts = tuple(self.tensors.parts_of[name] for name in sources)
            stage = Stage(joined.index, layer, (), joined.output, parts)
            plan = self.planner.plan(stage, None, placement, tiles[: joined.index], "")
            move = self.planner.stage_tiles(stage, plan)
            moves[joined.output] = replace(move, mapping=move.mapping | {"stands_for": joined.layer.name})
        return moves
