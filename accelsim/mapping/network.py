"""Maps a whole network onto a machine: stages, what stays on chip, tilings, placement, the tile graph of each stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import MappingError
from accelsim.mapping.array_stage import ArrayAddresses, ArrayStage, InputPart
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.dataflow import DATAFLOWS
from accelsim.mapping.footprint import pixel_grid
from accelsim.mapping.placement import Demand, Placement, place
from accelsim.mapping.residency import FeatureMapLife, choose_kept
from accelsim.mapping.stages import Part, Stage, channels_of, plan_stages
from accelsim.mapping.tile_graph import OutputTiles, StageTiles
from accelsim.mapping.tiling import (
    MOST_BLOCKS_AT_ALL,
    ORDERS,
    BufferSpace,
    TilingProblem,
    best_retention,
    search_tiling,
    smallest_footprint,
)
from accelsim.mapping.vector_stage import StreamedInput, VectorStage
from accelsim.units import BITS_PER_BYTE, bits_to_bytes, ceil_div
from accelsim.workload.operators import Conv, Gemm, MatMul

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig, Operand
    from accelsim.mapping.tiling import Tiling
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operators import Shape


@dataclass(frozen=True)
class MemoryInterface:
    """What the mapper has to know of the DRAM; the same for a simulated and for an ideal one.

    Parameters
    ----------
    bytes_per_cycle
        Peak bandwidth per cycle of the array.
    burst_bytes
        Bytes of one access.
    latency_cycles
        Cycles of the array from a read of a closed row to its data, on an idle memory.
    capacity_bytes
        Size.
    """

    bytes_per_cycle: float
    burst_bytes: int
    latency_cycles: int
    capacity_bytes: int


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
    """

    graph: LayerGraph
    stages: tuple[Stage, ...]
    tiles: tuple[StageTiles, ...]
    placement: Placement
    parts_of: dict[str, tuple[Part, ...]]


def map_network(
    graph: LayerGraph,
    hardware: HardwareConfig,
    memory: MemoryInterface,
    progress: Callable[[float], None] | None = None,
) -> NetworkMapping:
    """Map a network.

    Parameters
    ----------
    graph, hardware, memory
        What is mapped onto what.
    progress
        Called with the share of the stages that have been mapped.

    Raises
    ------
    MappingError
        When a layer fits into the buffers by no tiling, a mapping given by hand does not fit, or the DRAM is too small.
    """
    barred: set[str] = set()
    while True:
        mapper = _NetworkMapper(graph, hardware, memory, frozenset(barred))
        try:
            return mapper.network_mapping(progress)
        except _NoRoomError as error:
            kept = [mapper.lives[name] for name in mapper.kept_during(error.stage)]
            if not kept:
                raise error.reason from None
            barred.add(max(kept, key=lambda life: (life.bits, life.name)).name)


class _NoRoomError(Exception):
    """A stage does not fit beside the feature maps that are kept on chip; `reason` is what the user is told."""

    def __init__(self, stage: Stage, reason: MappingError) -> None:
        super().__init__(str(reason))
        self.stage = stage
        self.reason = reason


_ARRAY_OPERANDS: tuple[Operand, Operand, Operand] = ("ifmap", "weight", "psum")


@dataclass
class _NetworkMapper:
    """What the stages of one network share while they are mapped; everything is computed once."""

    graph: LayerGraph
    hardware: HardwareConfig
    memory: MemoryInterface
    barred: frozenset[str]
    """Feature maps that may not stay on chip, because something else would not fit beside them."""

    def network_mapping(self, progress: Callable[[float], None] | None) -> NetworkMapping:
        """Map all stages."""
        self.check_operand_widths()
        self.check_given_tiles()
        blocks: dict[int, BlockSequence] = {}
        for stage in self.stages:
            if stage.on_array:
                blocks[stage.index] = BlockSequence(self.problem(stage), self.tiling(stage))
            if progress:
                progress((stage.index + 1) / len(self.stages))
        placement = place(self.demands(blocks), self.memory.capacity_bytes)
        tiles: list[StageTiles] = []
        for stage in self.stages:
            plan = self.plan(stage, blocks.get(stage.index), placement, tiles)
            tiles.append(self.stage_tiles(stage, plan))
        return NetworkMapping(self.graph, self.stages, tuple(tiles), placement, self._plan[1])

    @cached_property
    def _plan(self) -> tuple[tuple[Stage, ...], dict[str, tuple[Part, ...]]]:
        return plan_stages(self.graph, {name: self.bits_of(name) for name in self.graph.tensors})

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is run."""
        stages = self._plan[0]
        if not stages:
            raise MappingError(
                "has nothing to run, only views and joins of feature maps", where=self.graph.source or self.graph.name
            )
        return stages

    @cached_property
    def _solutions(self) -> dict[TilingProblem, Tiling | None]:
        return {}

    # -- widths ---------------------------------------------------------------------------------------------------

    def bits_of(self, tensor: str) -> int:
        """Stored bits per element of a feature map; a view has those of what it shows."""
        return self._bits[tensor]

    @cached_property
    def _bits(self) -> dict[str, int]:
        precision, bits = self.hardware.precision, {}
        for tensor in self.graph.inputs:
            bits[tensor.name] = precision.ifmap_bits if tensor.bits is None else tensor.bits
        for layer in self.graph.layers:
            stated = self.graph.tensors[layer.output].bits
            if layer.op == "view":
                stated = bits[layer.inputs[0]]
            elif layer.op == "concat" and stated is None:
                stated = max(bits[name] for name in layer.inputs)
            bits[layer.output] = precision.ofmap_bits if stated is None else stated
        return bits

    def _tensor_bits(self, tensor: str) -> int:
        return self.graph.tensors[tensor].elements * self.bits_of(tensor)

    def _weight_bits(self, stage: Stage) -> int:
        if isinstance(stage.layer.operator, MatMul):
            return self.bits_of(stage.layer.inputs[1])
        stated = stage.layer.weight_bits
        return self.hardware.precision.weight_bits if stated is None else stated

    def check_operand_widths(self) -> None:
        """Refuse operands that are wider than a multiplier of the array."""
        widest = self.hardware.pe_array.operand_bits
        for stage in self.stages:
            if not stage.on_array:
                continue
            for tensor, bits in (
                (stage.layer.inputs[0], self.bits_of(stage.layer.inputs[0])),
                (stage.layer.weight, self._weight_bits(stage)),
            ):
                if bits > widest:
                    problem = (
                        f"layer {stage.layer.name!r} has operands of {bits} bits, the array multiplies up to {widest}"
                    )
                    raise MappingError(problem, where=self.graph.source or self.graph.name, key=tensor)

    # -- what stays on chip ---------------------------------------------------------------------------------------

    @cached_property
    def lives(self) -> dict[str, FeatureMapLife]:
        """Every tensor that owns memory, from the stage that makes it to the last that reads it (inputs from -1)."""
        last = {root: stage.index for stage in self.stages for root in stage.roots}
        last |= dict.fromkeys(self._results, len(self.stages) - 1)
        lives = {}
        for tensor in self.graph.inputs:
            lives[tensor.name] = FeatureMapLife(
                tensor.name, self._tensor_bits(tensor.name), 0, last.get(tensor.name, 0)
            )
        for stage in self.stages:
            until = last.get(stage.output, stage.index)
            lives[stage.output] = FeatureMapLife(stage.output, self._tensor_bits(stage.output), stage.index, until)
        return lives

    @cached_property
    def _results(self) -> set[str]:
        """Owners of the memory of the network's results, which have to be in DRAM at the end."""
        return {part.root for tensor in self.graph.outputs for part in self._plan[1][tensor.name]}

    def kept_during(self, stage: Stage) -> list[str]:
        """Feature maps that are kept on chip while a stage runs."""
        return [name for name, last in self.kept.items() if self.lives[name].first <= stage.index <= last]

    @cached_property
    def kept(self) -> dict[str, int]:
        """Feature maps that stay on chip, with the last stage that reads each."""
        buffer = self.hardware.buffer_of("ofmap")
        if not self.hardware.mapping.keep_on_chip or self.hardware.buffer_of("ifmap") != buffer:
            return {}
        made = {stage.output for stage in self.stages}
        lives = [life for name, life in self.lives.items() if name in made - self._results - self.barred]
        capacity = self.hardware.sram[buffer].capacity_bytes * BITS_PER_BYTE
        return choose_kept(lives, [self._working_bits(stage, buffer) for stage in self.stages], capacity)

    def _working_bits(self, stage: Stage, buffer: str) -> int:
        """Space that a stage would fill in a buffer if it kept all that it touches."""
        total = 0
        if self.hardware.buffer_of("weight") == buffer:
            weight = self.graph.weight_tensor(stage.layer)
            total += weight.elements * self._weight_bits(stage) if weight else 0
        if stage.on_array and self.hardware.buffer_of("psum") == buffer:
            total += self.graph.tensors[stage.layer.output].elements * self.hardware.precision.psum_bits
        return total + sum(self.lives[root].bits for root in stage.roots)

    def _free_bits(self, stage: Stage) -> dict[str, int]:
        """Space per buffer that is left to the tiles of a stage."""
        free = {name: buffer.capacity_bytes * BITS_PER_BYTE for name, buffer in self.hardware.sram.items()}
        for name in self.kept_during(stage):
            free[self.hardware.buffer_of("ofmap")] -= self.lives[name].bits
        return free

    # -- tilings --------------------------------------------------------------------------------------------------

    def problem(self, stage: Stage) -> TilingProblem:
        """The tiling problem of a stage on the array."""
        layer, array = stage.layer, self.hardware.pe_array
        shapes = self.graph.input_shapes(layer)
        operator = layer.operator
        dims = self.graph.gemm_dims(layer)
        if dims is None or not isinstance(operator, Conv | Gemm | MatMul):
            message = f"{layer.name} does not run on the array"
            raise TypeError(message)
        convolution = isinstance(operator, Conv)
        taps = operator.window.kernel[0] * operator.window.kernel[1] if isinstance(operator, Conv) else 1
        return TilingProblem(
            dims=dims,
            taps=taps,
            grid=pixel_grid(operator, shapes),
            dataflow=DATAFLOWS[array.dataflow],
            rows=array.rows,
            cols=array.cols,
            ifmap_bits=self.bits_of(layer.inputs[0]),
            weight_bits=self._weight_bits(stage),
            ofmap_bits=self.bits_of(stage.output),
            psum_bits=self.hardware.precision.psum_bits,
            space=self._space(stage),
            ifmap_in_dram=any(part.root not in self.kept for part in stage.inputs[0]),
            ofmap_in_dram=stage.output not in self.kept,
            ifmap_run_channels=shapes[0][1] if convolution else dims.k,
            ofmap_run_channels=dims.groups * dims.n if convolution else dims.n,
            dram_bytes_per_cycle=self.memory.bytes_per_cycle,
            burst_bytes=self.memory.burst_bytes,
            dram_latency_cycles=self.memory.latency_cycles,
            objective=self.hardware.mapping.objective,
        )

    def _space(self, stage: Stage) -> BufferSpace:
        names = list(self.hardware.sram)
        free = self._free_bits(stage)
        owners = [self.hardware.buffer_of(operand) for operand in _ARRAY_OPERANDS]
        return BufferSpace(
            index=tuple(names.index(owner) for owner in owners),  # type: ignore[arg-type]
            free_bits=tuple(free[name] for name in names),
            copies=tuple(2 if self.hardware.sram[owner].double_buffer else 1 for owner in owners),  # type: ignore[arg-type]
        )

    def check_given_tiles(self) -> None:
        """Refuse mappings given for layers that the array does not run."""
        known = [stage.layer.name for stage in self.stages if stage.on_array]
        for name in self.hardware.mapping.layers:
            if name not in known:
                raise MappingError(
                    "is no layer of the network that the array runs",
                    where=self.hardware.name,
                    key=f"mapping.layers.{name}",
                    allowed=", ".join(known),
                )

    def tiling(self, stage: Stage) -> Tiling:
        """The tiling of a stage: the one given by hand, or the best one; equal problems are solved once."""
        problem = self.problem(stage)
        given = self.hardware.mapping.layers.get(stage.layer.name)
        if given is not None:
            sizes = {"m": given.m, "n": given.n, "k": given.k}
            limits = {"m": problem.dims.m, "n": problem.dims.n, "k": problem.dims.k}
            sizes = {dim: min(size, limits[dim]) for dim, size in sizes.items()}
            order = next(order for order in ORDERS if "".join(order) == given.order)
            found = best_retention(problem, order, **sizes)
            if found is None:
                reason = MappingError(
                    f"the tile m {sizes['m']}, n {sizes['n']}, k {sizes['k']} does not fit into the buffers",
                    where=self.hardware.name,
                    key=f"mapping.layers.{stage.layer.name}",
                )
                raise _NoRoomError(stage, reason)
            return found
        if problem not in self._solutions:
            self._solutions[problem] = search_tiling(problem)
        solution = self._solutions[problem]
        if solution is None:
            raise _NoRoomError(stage, self._does_not_fit(stage, problem))
        return solution

    def _does_not_fit(self, stage: Stage, problem: TilingProblem) -> MappingError:
        needed = smallest_footprint(problem)
        for name, bits, free in zip(self.hardware.sram, needed, problem.space.free_bits, strict=True):
            if bits > free:
                return self._too_small(stage, name, bits)
        return MappingError(
            f"layer {stage.layer.name!r} fits into the buffers in more than {MOST_BLOCKS_AT_ALL} tiles only",
            where=self.hardware.name,
            key="sram",
            value={
                name: free // BITS_PER_BYTE
                for name, free in zip(self.hardware.sram, problem.space.free_bits, strict=True)
            },
            allowed="buffers of more bytes",
        )

    def _too_small(self, stage: Stage, buffer: str, bits: int) -> MappingError:
        capacity = self.hardware.sram[buffer]
        return MappingError(
            f"layer {stage.layer.name!r} fits into buffer {buffer!r} by no tiling: the smallest tiles need "
            f"{ceil_div(bits, BITS_PER_BYTE)} bytes, it has {capacity.capacity_bytes} bytes",
            where=self.hardware.name,
            key=f"sram.{buffer}.capacity_kib",
            value=capacity.capacity_kib,
        )

    # -- placement ------------------------------------------------------------------------------------------------

    def demands(self, blocks: dict[int, BlockSequence]) -> list[Demand]:
        """Tensors that need room in DRAM: weights for good, feature maps and spilled sums while they live."""
        last_stage = len(self.stages) - 1
        weights: dict[str, int] = {}
        for index, sequence in blocks.items():
            layer = self.stages[index].layer
            if not isinstance(layer.operator, MatMul):
                weights[layer.weight] = max(weights.get(layer.weight, 0), sequence.stored_weight_bytes)
        demands = [Demand(name, size, 0, last_stage) for name, size in weights.items()]
        for name, life in self.lives.items():
            if name not in self.kept:
                demands.append(Demand(name, self._stored_bytes(name), life.first, life.last))
        for index, sequence in blocks.items():
            if sequence.spilled_bytes:
                name = _psum_name(self.stages[index])
                demands.append(Demand(name, sequence.spilled_bytes, index, index))
        return demands

    def _stored_bytes(self, tensor: str) -> int:
        """Bytes of a feature map in DRAM, every pixel (of a matrix: every row) rounded up to whole bytes."""
        record, bits = self.graph.tensors[tensor], self.bits_of(tensor)
        runs = channels_of(record.shape), record.shape[-1]
        return max(record.elements // run * bits_to_bytes(run * bits) for run in runs)

    # -- tile graphs ----------------------------------------------------------------------------------------------

    def plan(
        self, stage: Stage, blocks: BlockSequence | None, placement: Placement, done: list[StageTiles]
    ) -> ArrayStage | VectorStage:
        """Join a stage with the places of its tensors and with the stages before it."""
        producers = {self.stages[tiles.index].output: (tiles.index, tiles.output) for tiles in done}
        if blocks is None:
            return self._vector_stage(stage, placement, producers)
        regions = placement.regions
        convolution = isinstance(stage.layer.operator, Conv)
        whole_rows = not convolution and len(stage.inputs[0]) == 1
        ifmap = tuple(
            InputPart(
                regions[part.root].address,
                part.first_channel,
                blocks.problem.dims.k if whole_rows else part.channels,
                producers.get(part.root),
                part.in_order,
            )
            for part in stage.inputs[0]
            if part.root not in self.kept
        )
        weight, matrices = stage.layer.weight, None
        if isinstance(stage.layer.operator, MatMul):
            weight = stage.inputs[1][0].root
            matrices = matrices_of_groups(self.graph.input_shapes(stage.layer), blocks.problem.dims.groups)
        weight_on_chip = weight in self.kept
        addresses = ArrayAddresses(
            ifmap=ifmap,
            weight=None if weight_on_chip else regions[weight].address,
            weight_producer=producers.get(weight) if matrices and not weight_on_chip else None,
            matrices=matrices,
            ofmap=None if stage.output in self.kept else regions[stage.output].address,
            psum=regions[_psum_name(stage)].address if _psum_name(stage) in regions else 0,
        )
        buffers = tuple(self.hardware.buffer_of(operand) for operand in _ARRAY_OPERANDS)
        return ArrayStage(blocks, addresses, buffers, groups_are_channels=convolution)  # type: ignore[arg-type]

    def _vector_stage(
        self, stage: Stage, placement: Placement, producers: dict[str, tuple[int, OutputTiles]]
    ) -> VectorStage:
        parts = [part for parts in stage.inputs for part in parts]
        inputs = tuple(
            StreamedInput(
                placement.regions[part.root].address,
                bits_to_bytes(self._tensor_bits(part.tensor)),
                producers.get(part.root),
                part.in_order,
            )
            for part in {part.tensor: part for part in parts}.values()
            if part.root not in self.kept
        )
        free = self._free_bits(stage)
        buffers = (self.hardware.buffer_of("ifmap"), self.hardware.buffer_of("ofmap"))
        in_dram = stage.output not in self.kept
        shape = self.graph.tensors[stage.output].shape
        plan = VectorStage(
            operations=self.graph.vector_operations(stage.layer),
            elements=self.graph.tensors[stage.output].elements,
            lanes=self.hardware.vector_unit.lanes,
            inputs=inputs,
            input_bits=sum(self._tensor_bits(part.tensor) for part in parts),
            output_bits=self._tensor_bits(stage.output),
            output_address=placement.regions[stage.output].address if in_dram else None,
            output_pixels=self.graph.tensors[stage.output].elements // channels_of(shape),
            buffers=buffers,
            free_bits=(free[buffers[0]], free[buffers[1]]),
            copies=tuple(2 if self.hardware.sram[name].double_buffer else 1 for name in buffers),  # type: ignore[arg-type]
        )
        if not plan.fits:
            held = plan.held_bits(plan.tiles)
            shared = buffers[0] == buffers[1]
            number = 0 if shared or held[0] > plan.free_bits[0] else 1
            raise _NoRoomError(stage, self._too_small(stage, buffers[number], sum(held) if shared else held[number]))
        return plan

    def stage_tiles(self, stage: Stage, plan: ArrayStage | VectorStage) -> StageTiles:
        """The tile graph of a stage."""
        kept = stage.output in self.kept
        if isinstance(plan, ArrayStage):
            inputs = [tiles for tiles in (plan.ifmap_tiles, plan.weight_tiles) if tiles is not None]
            efficiency, description = plan.mapping_efficiency, plan.description
        else:
            inputs = [plan.input_tiles] if plan.input_tiles is not None else []
            efficiency, description = 0.0, {"tiles": plan.tiles}
        return StageTiles(
            index=stage.index,
            name=stage.layer.name,
            on_array=stage.on_array,
            compute_cycles=plan.compute_cycles,
            inputs=tuple(inputs),
            output=plan.output_tiles,
            kept_bits=self.lives[stage.output].bits if kept else 0,
            kept_in=self.hardware.buffer_of("ofmap"),
            kept_until=self.kept.get(stage.output, stage.index),
            activity=plan.activity,
            mapping_efficiency=efficiency,
            mapping=description | {"kept_on_chip": kept},
        )


def matrices_of_groups(shapes: tuple[Shape, ...], groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per group of a product of feature maps the matrix that it takes of each, leading dimensions broadcast."""
    leading = [shape[:-2] for shape in shapes]
    if groups == 1:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    joint = np.broadcast_shapes(*leading)
    first, second = (np.broadcast_to(np.arange(math.prod(dims)).reshape(dims), joint).ravel() for dims in leading)
    return first, second


def _psum_name(stage: Stage) -> str:
    return f"{stage.layer.name}.psum"
