"""What memory the tensors of a network take: their widths, how long they live, what stays on chip, the rest in DRAM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.errors import MappingError
from accelsim.mapping.placement import Demand
from accelsim.mapping.residency import FeatureMapLife, choose_kept
from accelsim.mapping.stages import Part, Stage, channels_of, plan_stages
from accelsim.units import BITS_PER_BYTE, bits_to_bytes
from accelsim.workload.operators import MatMul

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import PeArray, StoredForm
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.cached_network import CachedMachine
    from accelsim.workload.graph import LayerGraph


@dataclass(frozen=True)
class TensorMemory:
    """The tensors of one network on one machine; everything is computed once.

    Parameters
    ----------
    graph
        The network.
    hardware
        The machine.
    array
        Its PE array.
    barred
        Feature maps that may not stay on chip, because something else would not fit beside them.
    """

    graph: LayerGraph
    hardware: HardwareConfig
    array: PeArray | CachedMachine
    barred: frozenset[str] = frozenset()

    @cached_property
    def plan(self) -> tuple[tuple[Stage, ...], dict[str, tuple[Part, ...]]]:
        """Stages, and what each feature map is made of."""
        return plan_stages(self.graph, {name: self.bits_of(name) for name in self.graph.tensors})

    @property
    def parts_of(self) -> dict[str, tuple[Part, ...]]:
        """What each feature map is made of."""
        return self.plan[1]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is run."""
        stages = self.plan[0]
        if not stages:
            raise MappingError(
                "has nothing to run, only views and joins of feature maps", where=self.graph.source or self.graph.name
            )
        return stages

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

    def form_of(self, tensor: str) -> StoredForm:
        """How a feature map is stored; a view is stored as what it shows."""
        root = self.parts_of[tensor][0].root
        return self.array.feature_map_form(self.graph.annotations.of_tensor(root), self.bits_of(root))

    def stored_bytes(self, tensor: str) -> int:
        """Bytes of a whole feature map on its way from or to DRAM."""
        return bits_to_bytes(math.ceil(self.tensor_bits(tensor) * self.form_of(tensor).dram_share))

    def tensor_bits(self, tensor: str) -> int:
        """Bits of a whole feature map."""
        return self.graph.tensors[tensor].elements * self.bits_of(tensor)

    def _kept_bits(self, tensor: str) -> int:
        """Room that a whole feature map takes in its buffer."""
        return math.ceil(self.tensor_bits(tensor) * self.form_of(tensor).buffer_share)

    def weight_bits(self, stage: Stage) -> int:
        """Stored bits per element of a stage's second operand."""
        if isinstance(stage.layer.operator, MatMul):
            return self.bits_of(stage.layer.inputs[1])
        stated = stage.layer.weight_bits
        return self.hardware.precision.weight_bits if stated is None else stated

    @cached_property
    def lives(self) -> dict[str, FeatureMapLife]:
        """Every tensor that owns memory, from the stage that makes it to the last that reads it (inputs from -1)."""
        last = {root: stage.index for stage in self.stages for root in stage.roots}
        last |= dict.fromkeys(self._results, len(self.stages) - 1)
        lives = {}
        for tensor in self.graph.inputs:
            lives[tensor.name] = FeatureMapLife(tensor.name, self._kept_bits(tensor.name), 0, last.get(tensor.name, 0))
        for stage in self.stages:
            until = last.get(stage.output, stage.index)
            lives[stage.output] = FeatureMapLife(stage.output, self._kept_bits(stage.output), stage.index, until)
        return lives

    @cached_property
    def _results(self) -> set[str]:
        """Owners of the memory of the network's results, which have to be in DRAM at the end."""
        return {part.root for tensor in self.graph.outputs for part in self.parts_of[tensor.name]}

    def kept_during(self, stage: Stage) -> list[str]:
        """Feature maps that are kept on chip while a stage runs."""
        return [name for name, last in self.kept.items() if self.lives[name].first <= stage.index <= last]

    @cached_property
    def kept(self) -> dict[str, int]:
        """Feature maps that stay on chip, with the last stage that reads each."""
        if not self.hardware.sram or not self.hardware.mapping.keep_on_chip:
            return {}
        buffer = self.hardware.buffer_of("ofmap")
        if self.hardware.buffer_of("ifmap") != buffer:
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
            total += weight.elements * self.weight_bits(stage) if weight else 0
        if stage.on_array and self.hardware.buffer_of("psum") == buffer:
            total += self.graph.tensors[stage.layer.output].elements * self.hardware.precision.psum_bits
        return total + sum(self.lives[root].bits for root in stage.roots)

    def free_bits(self, stage: Stage) -> dict[str, int]:
        """Space per buffer that is left to the tiles of a stage."""
        free = {name: buffer.capacity_bytes * BITS_PER_BYTE for name, buffer in self.hardware.sram.items()}
        for name in self.kept_during(stage):
            free[self.hardware.buffer_of("ofmap")] -= self.lives[name].bits
        return free

    @cached_property
    def on_host(self) -> set[str]:
        """Owners of memory that the host has: what enters the network, and results that no layer reads again."""
        if self.hardware.host.bandwidth_gb_per_s is None:
            return set()
        read = {root for stage in self.stages for root in stage.roots}
        return {tensor.name for tensor in self.graph.inputs} | (self._results - read)

    def demands(self, blocks: dict[int, BlockSequence]) -> list[Demand]:
        """Tensors that need room in DRAM: weights for good, feature maps and spilled sums while they live."""
        last_stage = len(self.stages) - 1
        weights = {name: blocks[index].stored_weight_bytes for index, name in self.weight_regions(blocks).items()}
        demands = [Demand(name, size, 0, last_stage) for name, size in weights.items()]
        for name, life in self.lives.items():
            if name not in self.kept:
                demands.append(Demand(name, self.padded_bytes(name), life.first, life.last, name in self.on_host))
        for index, sequence in blocks.items():
            if sequence.spilled_bytes:
                name = psum_name(self.stages[index])
                demands.append(Demand(name, sequence.spilled_bytes, index, index))
        return demands

    def weight_regions(self, blocks: dict[int, BlockSequence]) -> dict[int, str]:
        """Name of the memory that holds the weights of each stage.

        Stages that share weights share the memory where their tiles put every element at the same place; a stage whose
        tiles need another order has a copy of its own, since a tile lies in one piece.
        """
        regions: dict[int, str] = {}
        copies: dict[str, dict[object, str]] = {}
        for index, sequence in blocks.items():
            layer = self.stages[index].layer
            if not isinstance(layer.operator, MatMul):
                known = copies.setdefault(layer.weight, {})
                order = sequence.weight_order.plainest if sequence.has_plain_weights else sequence.weight_order
                place = (order, sequence.stored_weight_bytes)
                regions[index] = known.setdefault(place, f"{layer.weight}@{layer.name}" if known else layer.weight)
        return regions

    def padded_bytes(self, tensor: str) -> int:
        """Bytes of a feature map in DRAM, every pixel (of a matrix: every row) rounded up to whole bytes."""
        record, bits = self.graph.tensors[tensor], self.bits_of(tensor)
        runs = channels_of(record.shape), record.shape[-1]
        return max(record.elements // run * bits_to_bytes(run * bits) for run in runs)


def psum_name(stage: Stage) -> str:
    """Name of the partial sums that a stage spills."""
    return f"{stage.layer.name}.psum"
