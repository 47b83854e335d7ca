"""Makes a stage of a cut layer: joined with the places of its tensors, then as the tile graph that is simulated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.array_addresses import ArrayAddresses, InputPart
from accelsim.mapping.array_stage import ArrayStage
from accelsim.mapping.layer_tiler import ARRAY_OPERANDS, NoRoomError
from accelsim.mapping.stages import channels_of
from accelsim.mapping.tensor_memory import psum_name
from accelsim.mapping.tile_graph import StageTiles
from accelsim.mapping.traffic import port_limits
from accelsim.mapping.vector_stage import StreamedInput, VectorStage
from accelsim.units import BITS_PER_BYTE
from accelsim.workload.operators import Conv, MatMul

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.layer_tiler import LayerTiler
    from accelsim.mapping.placement import Placement
    from accelsim.mapping.stages import Stage
    from accelsim.mapping.tensor_memory import TensorMemory
    from accelsim.mapping.tile_graph import Activity, OutputTiles
    from accelsim.mapping.traffic import Interconnect, StepLimit
    from accelsim.workload.operators import Shape

    Producers = Mapping[str, tuple[int, OutputTiles]]
    """By feature map the stage that makes it and the tiles in which it comes."""


@dataclass(frozen=True)
class StagePlanner:
    """What the stages of one network share while they are planned.

    Parameters
    ----------
    tensors
        Where the tensors live.
    tiler
        What cuts the layers.
    interconnect
        What lies between the buffers and the array; None where it delivers all in time.
    """

    tensors: TensorMemory
    tiler: LayerTiler
    interconnect: Interconnect | None

    def plan(
        self,
        stage: Stage,
        blocks: BlockSequence | None,
        placement: Placement,
        done: Sequence[StageTiles],
        weight_region: str,
    ) -> ArrayStage | VectorStage:
        """Join a stage with the places of its tensors and with the stages before it."""
        producers = {self.tensors.stages[tiles.index].output: (tiles.index, tiles.output) for tiles in done}
        if blocks is None:
            return self._vector_stage(stage, placement, producers)
        return self._array_stage(stage, blocks, placement, producers, weight_region)

    def _array_stage(
        self, stage: Stage, blocks: BlockSequence, placement: Placement, producers: Producers, weight_region: str
    ) -> ArrayStage:
        weight, matrices = weight_region, None
        if isinstance(stage.layer.operator, MatMul):
            weight = stage.inputs[1][0].root
            matrices = matrices_of_groups(self.tensors.graph.input_shapes(stage.layer), blocks.problem.dims.groups)
        weight_on_chip = weight in self.tensors.kept
        regions, psum = placement.regions, psum_name(stage)
        addresses = ArrayAddresses(
            ifmap=self._input_parts(stage, blocks, placement, producers),
            weight=None if weight_on_chip else placement.region_of(weight).address,
            weight_producer=producers.get(weight) if matrices and not weight_on_chip else None,
            matrices=matrices,
            ofmap=None if stage.output in self.tensors.kept else placement.region_of(stage.output).address,
            psum=regions[psum].address if psum in regions else 0,
        )
        buffers = tuple(self.tensors.hardware.buffer_of(operand) for operand in ARRAY_OPERANDS)
        kept_in = self.tensors.hardware.buffer_of("ofmap") if addresses.ofmap is None else None
        rate = self._results_per_cycle(blocks.problem.ofmap_bits, kept_in)
        convolution = isinstance(stage.layer.operator, Conv)
        return ArrayStage(blocks, addresses, buffers, convolution, kept_in, rate)  # type: ignore[arg-type]

    def _input_parts(
        self, stage: Stage, blocks: BlockSequence, placement: Placement, producers: Producers
    ) -> tuple[InputPart, ...]:
        """Parts of the input feature map that lie in DRAM."""
        whole_rows = not isinstance(stage.layer.operator, Conv) and len(stage.inputs[0]) == 1
        return tuple(
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

    def _vector_stage(self, stage: Stage, placement: Placement, producers: Producers) -> VectorStage:
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
        self._check_room(stage, plan)
        return plan

    def _check_room(self, stage: Stage, plan: VectorStage) -> None:
        """Refuse a stage of the vector unit that fits into its buffers by no number of tiles."""
        if plan.fits:
            return
        held, buffers = plan.held_bits(plan.tiles), plan.buffers
        shared = buffers[0] == buffers[1]
        number = 0 if shared or held[0] > plan.free_bits[0] else 1
        raise NoRoomError(stage, self.tiler.too_small(stage, buffers[number], sum(held) if shared else held[number]))

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
