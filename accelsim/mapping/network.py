"""Maps a whole network onto a machine: stages, what stays on chip, tilings, placement, the tile graph of each stage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.array_addresses import ArrayAddresses, InputPart
from accelsim.mapping.array_stage import ArrayStage
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.cached_network import CachedMachine, map_cached_network
from accelsim.mapping.decisions import mixed_blocks
from accelsim.mapping.layer_tiler import ARRAY_OPERANDS, LayerTiler, MemoryInterface, NoRoomError
from accelsim.mapping.placement import Placement, place
from accelsim.mapping.stages import Part, Stage, channels_of
from accelsim.mapping.tensor_memory import TensorMemory, psum_name
from accelsim.mapping.tile_graph import Activity, OutputTiles, StageTiles
from accelsim.mapping.traffic import Interconnect, StepLimit, port_limits
from accelsim.mapping.vector_stage import StreamedInput, VectorStage
from accelsim.units import BITS_PER_BYTE
from accelsim.workload.graph import Layer
from accelsim.workload.operators import Conv, MatMul, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import PeArray
    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.layer_tiler import TilingSolutions
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operators import Shape


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
            plan = self.plan(stage, blocks.get(stage.index), placement, tiles, region)
            tiles.append(self.stage_tiles(stage, plan))
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
            plan = self.plan(stage, None, placement, tiles[: joined.index], "")
            move = self.stage_tiles(stage, plan)
            moves[joined.output] = replace(move, mapping=move.mapping | {"stands_for": joined.layer.name})
        return moves

    def plan(
        self,
        stage: Stage,
        blocks: BlockSequence | None,
        placement: Placement,
        done: list[StageTiles],
        weight_region: str,
    ) -> ArrayStage | VectorStage:
        """Join a stage with the places of its tensors and with the stages before it."""
        producers = {self.tensors.stages[tiles.index].output: (tiles.index, tiles.output) for tiles in done}
        if blocks is None:
            return self._vector_stage(stage, placement, producers)
        regions = placement.regions
        convolution = isinstance(stage.layer.operator, Conv)
        whole_rows = not convolution and len(stage.inputs[0]) == 1
        ifmap = tuple(
            InputPart(
                placement.region_of(part.root).address,
                part.first_channel,
                blocks.problem.dims.k if whole_rows else part.channels,
                producers.get(part.root),
                part.in_order,
            )
            for part in stage.inputs[0]
            if part.root not in self.tensors.kept
        )
        weight, matrices = weight_region, None
        if isinstance(stage.layer.operator, MatMul):
            weight = stage.inputs[1][0].root
            matrices = matrices_of_groups(self.tensors.graph.input_shapes(stage.layer), blocks.problem.dims.groups)
        weight_on_chip = weight in self.tensors.kept
        addresses = ArrayAddresses(
            ifmap=ifmap,
            weight=None if weight_on_chip else placement.region_of(weight).address,
            weight_producer=producers.get(weight) if matrices and not weight_on_chip else None,
            matrices=matrices,
            ofmap=None if stage.output in self.tensors.kept else placement.region_of(stage.output).address,
            psum=regions[psum_name(stage)].address if psum_name(stage) in regions else 0,
        )
        buffers = tuple(self.tensors.hardware.buffer_of(operand) for operand in ARRAY_OPERANDS)
        kept_in = self.tensors.hardware.buffer_of("ofmap") if addresses.ofmap is None else None
        rate = self._results_per_cycle(blocks.problem.ofmap_bits, kept_in)
        return ArrayStage(blocks, addresses, buffers, convolution, kept_in, rate)  # type: ignore[arg-type]

    def _vector_stage(
        self, stage: Stage, placement: Placement, producers: dict[str, tuple[int, OutputTiles]]
    ) -> VectorStage:
        parts = [part for parts in stage.inputs for part in parts]
        inputs = tuple(
            StreamedInput(
                placement.region_of(part.root).address,
                self.tensors.stored_bytes(part.tensor),
                producers.get(part.root),
                part.in_order,
            )
            for part in {part.tensor: part for part in parts}.values()
            if part.root not in self.tensors.kept
        )
        free = self.tensors.free_bits(stage)
        buffers = (self.tensors.hardware.buffer_of("ifmap"), self.tensors.hardware.buffer_of("ofmap"))
        in_dram = stage.output not in self.tensors.kept
        shape = self.tensors.graph.tensors[stage.output].shape
        plan = VectorStage(
            operations=self.tensors.graph.vector_operations(stage.layer),
            elements=self.tensors.graph.tensors[stage.output].elements,
            lanes=self.tensors.hardware.vector_unit.lanes,
            inputs=inputs,
            input_bits=sum(self.tensors.tensor_bits(part.tensor) for part in parts),
            output_bits=self.tensors.tensor_bits(stage.output),
            output_bytes=self.tensors.stored_bytes(stage.output),
            output_address=placement.region_of(stage.output).address if in_dram else None,
            output_pixels=self.tensors.graph.tensors[stage.output].elements // channels_of(shape),
            buffers=buffers,
            free_bits=(free[buffers[0]], free[buffers[1]]),
            copies=tuple(self.tensors.hardware.sram[name].tiles_in_flight for name in buffers),  # type: ignore[arg-type]
        )
        if not plan.fits:
            held = plan.held_bits(plan.tiles)
            shared = buffers[0] == buffers[1]
            number = 0 if shared or held[0] > plan.free_bits[0] else 1
            raise NoRoomError(
                stage, self.tiler.too_small(stage, buffers[number], sum(held) if shared else held[number])
            )
        return plan

    def stage_tiles(self, stage: Stage, plan: ArrayStage | VectorStage) -> StageTiles:
        """The tile graph of a stage."""
        kept = stage.output in self.tensors.kept
        if isinstance(plan, ArrayStage):
            inputs = [tiles for tiles in (plan.ifmap_tiles, plan.weight_tiles) if tiles is not None]
            efficiency, description = plan.work.efficiency, plan.description
            busy_cycles, loads, drain_cycles = plan.work.busy_cycles, plan.loads, plan.work.drain_cycles
        else:
            inputs = [plan.input_tiles] if plan.input_tiles is not None else []
            efficiency, description, busy_cycles, loads, drain_cycles = 0.0, {"tiles": plan.tiles}, None, None, 0
        return StageTiles(
            index=stage.index,
            name=stage.layer.name,
            on_array=stage.on_array,
            compute_cycles=plan.compute_cycles,
            inputs=tuple(inputs),
            output=plan.output_tiles,
            kept_bits=self.tensors.lives[stage.output].bits if kept else 0,
            kept_in=self.tensors.hardware.buffer_of("ofmap"),
            kept_until=self.tensors.kept.get(stage.output, stage.index),
            activity=self._activity(plan),
            mapping_efficiency=efficiency,
            mapping=description | {"kept_on_chip": kept},
            busy_cycles=busy_cycles,
            loads=loads,
            drain_cycles=drain_cycles,
            limits=self._limits(plan),
        )

    def _results_per_cycle(self, bits: int, kept_in: str | None) -> float | None:
        """Results that pass the vector unit and the port of their buffer per cycle; None where that takes no time."""
        hardware = self.tensors.hardware
        if not hardware.vector_unit.takes_results:
            return None
        width = hardware.sram[kept_in].bytes_per_cycle if kept_in else None
        lanes = hardware.vector_unit.lanes
        return lanes if width is None else min(lanes, width * BITS_PER_BYTE / bits)

    def _limits(self, plan: ArrayStage | VectorStage) -> tuple[StepLimit, ...]:
        """What the steps of a stage may have to wait for beside their compute unit."""
        sram, limits = self.tensors.hardware.sram, []
        if any(buffer.bytes_per_cycle is not None for buffer in sram.values()):
            limits += port_limits(sram, plan.traffic)
        if self.interconnect is not None and isinstance(plan, ArrayStage):
            limits.append(plan.edge_traffic.limit(self.interconnect))
        return tuple(limits)

    def _activity(self, plan: ArrayStage | VectorStage) -> Activity:
        """Counts for the energy model; what passes the array's edge charges the links of the interconnect."""
        activity = plan.activity
        if self.interconnect is None or not isinstance(plan, ArrayStage):
            return activity
        edge = plan.edge_traffic
        return replace(
            activity,
            interconnect_bits=activity.interconnect_bits - int(edge.bits.sum()),
            interconnect_bit_hops=edge.bit_hops(self.interconnect),
        )


def matrices_of_groups(shapes: tuple[Shape, ...], groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per group of a product of feature maps the matrix that it takes of each, leading dimensions broadcast."""
    leading = [shape[:-2] for shape in shapes]
    if groups == 1:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    joint = np.broadcast_shapes(*leading)
    first, second = (np.broadcast_to(np.arange(math.prod(dims)).reshape(dims), joint).ravel() for dims in leading)
    return first, second
