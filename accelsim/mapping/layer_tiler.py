"""Cuts the layers of a network into tiles: by a mapping given by hand, or by the best that the search finds."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accelsim.errors import MappingError
from accelsim.mapping.array_costs import ArrayLayer
from accelsim.mapping.footprint import pixel_grid
from accelsim.mapping.tiling import ORDERS, BufferSpace, TilingProblem
from accelsim.mapping.tiling_search import MOST_BLOCKS_AT_ALL, best_retention, search_tiling, smallest_footprint
from accelsim.units import BITS_PER_BYTE, BYTES_PER_GB, ceil_div
from accelsim.workload.operators import Conv, Gemm, MatMul

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from accelsim.config.schema import HardwareConfig, Operand
    from accelsim.mapping.placement import Rooms
    from accelsim.mapping.stages import Stage
    from accelsim.mapping.tensor_memory import TensorMemory
    from accelsim.mapping.tiling import Tiling
    from accelsim.workload.graph import LayerGraph

    TilingSolutions = MutableMapping[TilingProblem, Tiling | None]
    """Best tilings by problem; None where none fits."""

ARRAY_OPERANDS: tuple[Operand, Operand, Operand] = ("ifmap", "weight", "psum")
"""Operands of the array in the order of `BufferSpace`."""


@dataclass(frozen=True)
class MemoryInterface:
    """What the mapper has to know of the DRAM; an ideal one counts as its device but for a bandwidth that it states.

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
    rooms
        Where tensors may lie; None where that does not matter.
    """

    bytes_per_cycle: float
    burst_bytes: int
    latency_cycles: int
    capacity_bytes: int
    rooms: Rooms | None = None


class NoRoomError(Exception):
    """A stage does not fit beside the feature maps that are kept on chip; `reason` is what the user is told."""

    def __init__(self, stage: Stage, reason: MappingError) -> None:
        super().__init__(str(reason))
        self.stage = stage
        self.reason = reason


@dataclass(frozen=True)
class LayerTiler:
    """Tiles the layers of one network.

    Parameters
    ----------
    tensors
        What memory the tensors take, and the machine.
    memory
        The DRAM.
    solutions
        Tilings found so far, by problem; whoever maps many networks may hand in a mapping that lasts.
    """

    tensors: TensorMemory
    memory: MemoryInterface
    solutions: TilingSolutions = field(default_factory=dict, compare=False, repr=False)

    @property
    def graph(self) -> LayerGraph:
        """The network."""
        return self.tensors.graph

    @property
    def hardware(self) -> HardwareConfig:
        """The machine."""
        return self.tensors.hardware

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is run."""
        return self.tensors.stages

    def check_operand_widths(self) -> None:
        """Refuse operands that are wider than a multiplier of the array."""
        widest = self.hardware.pe_array.operand_bits
        for stage in self.stages:
            if not stage.on_array:
                continue
            for tensor, bits in (
                (stage.layer.inputs[0], self.tensors.bits_of(stage.layer.inputs[0])),
                (stage.layer.weight, self.tensors.weight_bits(stage)),
            ):
                if bits > widest:
                    problem = (
                        f"layer {stage.layer.name!r} has operands of {bits} bits, the array multiplies up to {widest}"
                    )
                    ways = "a wider pe_array.operand_bits"
                    if tensor.endswith(".gradient"):
                        ways += ", or narrower training.gradient_bits"
                    raise MappingError(problem, where=self.graph.source or self.graph.name, key=tensor, allowed=ways)

    def problem(self, stage: Stage) -> TilingProblem:
        """The tiling problem of a stage on the array."""
        layer = stage.layer
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
            costs=self.tensors.array.costs(self.array_layer(stage)),  # type: ignore[union-attr] # machines with caches have no tiles cut
            ifmap_bits=self.tensors.bits_of(layer.inputs[0]),
            weight_bits=self.tensors.weight_bits(stage),
            ofmap_bits=self.tensors.bits_of(stage.output),
            psum_bits=self.hardware.precision.psum_bits,
            space=self._space(stage),
            ifmap_in_dram=any(part.root not in self.tensors.kept for part in stage.inputs[0]),
            ofmap_in_dram=stage.output not in self.tensors.kept,
            ifmap_run_channels=shapes[0][1] if convolution else dims.k,
            ofmap_run_channels=dims.groups * dims.n if convolution else dims.n,
            dram_bytes_per_cycle=self._bytes_per_cycle(stage),
            burst_bytes=self.memory.burst_bytes,
            dram_latency_cycles=self.memory.latency_cycles,
            objective=self.hardware.mapping.objective,
            ifmap_form=self.tensors.form_of(layer.inputs[0]),
            ofmap_form=self.tensors.form_of(stage.output),
        )

    def _bytes_per_cycle(self, stage: Stage) -> float:
        """Bandwidth that the search reckons with: that of the DRAM, or of the link to a host where it is the slower."""
        rate, at_host = self.hardware.host.bandwidth_gb_per_s, self.tensors.on_host
        if rate is None or not (stage.output in at_host or at_host.intersection(stage.roots)):
            return self.memory.bytes_per_cycle
        cycles_per_s = self.hardware.pe_array.clock.frequency_khz * 1_000
        return min(self.memory.bytes_per_cycle, rate * BYTES_PER_GB / cycles_per_s)

    def array_layer(self, stage: Stage) -> ArrayLayer:
        """The layer of a stage, as the array sees it."""
        layer, graph, known = stage.layer, self.graph, self.graph.annotations
        dims, operator = graph.gemm_dims(layer), layer.operator
        if dims is None or not isinstance(operator, Conv | Gemm | MatMul):
            message = f"{layer.name} does not run on the array"
            raise TypeError(message)
        weight = layer.inputs[1] if isinstance(operator, MatMul) else layer.weight
        return ArrayLayer(
            name=layer.name,
            operator=operator,
            ifmap_shape=graph.input_shapes(layer)[0],
            ofmap_shape=graph.tensors[layer.output].shape,
            dims=dims,
            ifmap_bits=self.tensors.bits_of(layer.inputs[0]),
            weight_bits=self.tensors.weight_bits(stage),
            ofmap_bits=self.tensors.bits_of(stage.output),
            psum_bits=self.hardware.precision.psum_bits,
            ifmap=known.of_tensor(layer.inputs[0]),
            weight=known.of_tensor(weight),
            ofmap=known.of_tensor(stage.output),
        )

    def _space(self, stage: Stage) -> BufferSpace:
        names = list(self.hardware.sram)
        free = self.tensors.free_bits(stage)
        owners = [self.hardware.buffer_of(operand) for operand in ARRAY_OPERANDS]
        return BufferSpace(
            index=tuple(names.index(owner) for owner in owners),  # type: ignore[arg-type]
            free_bits=tuple(free[name] for name in names),
            copies=tuple(self.hardware.sram[owner].tiles_in_flight for owner in owners),  # type: ignore[arg-type]
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

    def check_assigned_tensors(self) -> None:
        """Refuse partitions for tensors that the network does not have."""
        weights = {stage.layer.weight for stage in self.stages if isinstance(stage.layer.operator, Conv | Gemm)}
        known = weights | set(self.tensors.lives)
        for name in self.hardware.mapping.partitions:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3)
                raise MappingError(
                    "is no weight array and no feature map of the network that owns memory",
                    where=self.hardware.name,
                    key=f"mapping.partitions.{name}",
                    allowed=f"such as {', '.join(near or sorted(known)[:3])}",
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
                raise NoRoomError(stage, reason)
            return found
        try:
            solution = self.solutions[problem]
        except KeyError:
            solution = self.solutions[problem] = search_tiling(problem)
        if solution is None:
            raise NoRoomError(stage, self._does_not_fit(stage, problem))
        return solution

    def _does_not_fit(self, stage: Stage, problem: TilingProblem) -> MappingError:
        needed = smallest_footprint(problem)
        for name, bits, free in zip(self.hardware.sram, needed, problem.space.free_bits, strict=True):
            if bits > free:
                return self.too_small(stage, name, bits)
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

    def too_small(self, stage: Stage, buffer: str, bits: int) -> MappingError:
        """Error of a stage whose smallest tiles need `bits` of a buffer that has fewer."""
        capacity = self.hardware.sram[buffer]
        return MappingError(
            f"layer {stage.layer.name!r} fits into buffer {buffer!r} by no tiling: the smallest tiles need "
            f"{ceil_div(bits, BITS_PER_BYTE)} bytes, it has {capacity.capacity_bytes} bytes",
            where=self.hardware.name,
            key=f"sram.{buffer}.capacity_kib",
            value=capacity.capacity_kib,
        )
