"""Maps a whole network onto a machine: stages, what stays on chip, tilings, placement, the tile graph of each stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

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

    from accelsim.config.schema import HardwareConfig, Operand
    from accelsim.mapping.tiling import Tiling
    from accelsim.workload.graph import LayerGraph


@dataclass(frozen=True)
class MemoryInterface:
    """What the mapper has to know of the DRAM; the same for a simulated and for an ideal one.

    Parameters
    ----------
    bytes_per_cycle
        Peak bandwidth per cycle of the array.
    burst_bytes
        Bytes of one access.
    capacity_bytes
        Size.
    """

    bytes_per_cycle: float
    burst_bytes: int
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
    """

    graph: LayerGraph
    stages: tuple[Stage, ...]
    tiles: tuple[StageTiles, ...]
    placement: Placement


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
    mapper = _NetworkMapper(graph, hardware, memory)
    mapper.check_operand_widths()
    mapper.check_given_tiles()
    blocks: dict[int, BlockSequence] = {}
    for stage in mapper.stages:
        if stage.on_array:
            blocks[stage.index] = BlockSequence(mapper.problem(stage), mapper.tiling(stage))
        if progress:
            progress((stage.index + 1) / len(mapper.stages))
    placement = place(mapper.demands(blocks), memory.capacity_bytes)
    tiles: list[StageTiles] = []
    for stage in mapper.stages:
        plan = mapper.plan(stage, blocks.get(stage.index), placement, tiles)
        tiles.append(mapper.stage_tiles(stage, plan))
    return NetworkMapping(graph, mapper.stages, tuple(tiles), placement)


_ARRAY_OPERANDS: tuple[Operand, Operand, Operand] = ("ifmap", "weight", "psum")


@dataclass
class _NetworkMapper:
    """What the stages of one network share while they are mapped; everything is computed once."""

    graph: LayerGraph
    hardware: HardwareConfig
    memory: MemoryInterface

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return plan_stages(self.graph)

    @cached_property
    def _solutions(self) -> dict[TilingProblem, Tiling | None]:
        return {}

    # -- widths ---------------------------------------------------------------------------------------------------

    def bits_of(self, tensor: str) -> int:
        """Stored bits per element of a feature map."""
        stated = self.graph.tensors[tensor].bits
        if stated is not None:
            return stated
        made_here = self.graph.producer(tensor) is not None
        return self.hardware.precision.ofmap_bits if made_here else self.hardware.precision.ifmap_bits

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
        lives = {}
        for tensor in self.graph.inputs:
            lives[tensor.name] = FeatureMapLife(
                tensor.name, self._tensor_bits(tensor.name), 0, last.get(tensor.name, 0)
            )
        for stage in self.stages:
            until = last.get(stage.output, len(self.stages) - 1)
            lives[stage.output] = FeatureMapLife(stage.output, self._tensor_bits(stage.output), stage.index, until)
        return lives

    @cached_property
    def kept(self) -> dict[str, int]:
        """Feature maps that stay on chip, with the last stage that reads each."""
        buffer = self.hardware.buffer_of("ofmap")
        if not self.hardware.mapping.keep_on_chip or self.hardware.buffer_of("ifmap") != buffer:
            return {}
        read = {root for stage in self.stages for root in stage.roots}
        made = {stage.output for stage in self.stages}
        lives = [life for name, life in self.lives.items() if name in read and name in made]
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
        for name, last in self.kept.items():
            if self.lives[name].first <= stage.index <= last:
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
                raise MappingError(
                    f"the tile m {sizes['m']}, n {sizes['n']}, k {sizes['k']} does not fit into the buffers",
                    where=self.hardware.name,
                    key=f"mapping.layers.{stage.layer.name}",
                )
            return found
        if problem not in self._solutions:
            self._solutions[problem] = search_tiling(problem)
        solution = self._solutions[problem]
        if solution is None:
            raise self._does_not_fit(stage, problem)
        return solution

    def _does_not_fit(self, stage: Stage, problem: TilingProblem) -> MappingError:
        needed = smallest_footprint(problem)
        for name, bits, free in zip(self.hardware.sram, needed, problem.space.free_bits, strict=True):
            if bits > free:
                return MappingError(
                    f"layer {stage.layer.name!r} fits into buffer {name!r} by no tiling: the smallest tiles need "
                    f"{ceil_div(bits, BITS_PER_BYTE)} bytes, it has {max(free, 0) // BITS_PER_BYTE} bytes",
                    where=self.hardware.name,
                    key=f"sram.{name}.capacity_kib",
                    value=self.hardware.sram[name].capacity_kib,
                )
        return MappingError(
            f"layer {stage.layer.name!r} fits into the buffers in more than {MOST_BLOCKS_AT_ALL} tiles only",
            where=self.hardware.name,
            key="sram",
            value={name: free // BITS_PER_BYTE for name, free in zip(self.hardware.sram, problem.space.free_bits, strict=True)},
            allowed="buffers of more bytes",
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
        """Bytes of a feature map in DRAM, every pixel rounded up to whole bytes."""
        record = self.graph.tensors[tensor]
        channels = channels_of(record.shape)
        return record.elements // channels * bits_to_bytes(channels * self.bits_of(tensor))

    # -- tile graphs ----------------------------------------------------------------------------------------------

    def plan(
        self, stage: Stage, blocks: BlockSequence | None, placement: Placement, done: list[StageTiles]
    ) -> ArrayStage | VectorStage:
        """Join a stage with the places of its tensors and with the stages before it."""
        producers = {self.stages[tiles.index].output: (tiles.index, tiles.output) for tiles in done}
        if blocks is None:
            return self._vector_stage(stage, placement, producers)
        regions = placement.regions
        ifmap = tuple(
            InputPart(regions[part.root].address, part.first_channel, part.channels, producers.get(part.root))
            for part in stage.inputs[0]
            if part.root not in self.kept
        )
        weight, matrices = stage.layer.weight, 0
        if isinstance(stage.layer.operator, MatMul):
            weight = stage.inputs[1][0].root
            shape = self.graph.input_shapes(stage.layer)[1]
            matrices = self.graph.tensors[stage.layer.inputs[1]].elements // (shape[-1] * shape[-2])
        weight_on_chip = weight in self.kept
        addresses = ArrayAddresses(
            ifmap=ifmap,
            weight=None if weight_on_chip else regions[weight].address,
            weight_producer=producers.get(weight) if matrices and not weight_on_chip else None,
            weight_matrices=matrices,
            ofmap=None if stage.output in self.kept else regions[stage.output].address,
            psum=regions[_psum_name(stage)].address if _psum_name(stage) in regions else 0,
        )
        buffers = tuple(self.hardware.buffer_of(operand) for operand in _ARRAY_OPERANDS)
        convolution = isinstance(stage.layer.operator, Conv)
        return ArrayStage(blocks, addresses, buffers, groups_are_channels=convolution)  # type: ignore[arg-type]

    def _vector_stage(
        self, stage: Stage, placement: Placement, producers: dict[str, tuple[int, OutputTiles]]
    ) -> VectorStage:
        parts = [part for parts in stage.inputs for part in parts]
        inputs = tuple(
            StreamedInput(placement.regions[part.root].address, self._part_bytes(part), producers.get(part.root))
            for part in parts
            if part.root not in self.kept
        )
        free = self._free_bits(stage)
        buffers = (self.hardware.buffer_of("ifmap"), self.hardware.buffer_of("ofmap"))
        in_dram = stage.output not in self.kept
        shape = self.graph.tensors[stage.output].shape
        return VectorStage(
            operations=self.graph.vector_operations(stage.layer),
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

    def _part_bytes(self, part: Part) -> int:
        return bits_to_bytes(self._tensor_bits(part.tensor))

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


def _psum_name(stage: Stage) -> str:
    return f"{stage.layer.name}.psum"
