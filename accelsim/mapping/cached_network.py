"""Maps a network onto a machine with caches: places every tensor in DRAM, and lets the machine run stage by stage.

Nothing is tiled into buffers and nothing is kept on chip by decision: the caches of the machine decide what stays, so
what a stage fetches depends on the stages before it. The machine makes the tile graphs itself, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from accelsim.errors import MappingError
from accelsim.mapping.footprint import pixel_grid
from accelsim.mapping.layer_tiler import LayerTiler
from accelsim.mapping.placement import Demand, Placement, place
from accelsim.mapping.stages import channels_of
from accelsim.mapping.tensor_memory import TensorMemory
from accelsim.units import bits_to_bytes
from accelsim.workload.operators import Conv, Gemm, MatMul, Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import StoredForm
    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.footprint import PixelGrid
    from accelsim.mapping.layer_tiler import MemoryInterface
    from accelsim.mapping.stages import Part, Stage
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.operand_data import OperandData
    from accelsim.workload.operators import GemmDims, Operator, Shape


@dataclass(frozen=True)
class PlacedPart:
    """A stretch of channels of an input in DRAM.

    Parameters
    ----------
    address
        Where its feature map begins.
    first_channel, channels
        Place of the stretch on the channel axis of the layer's input; all elements of a row of a matrix product.
    size_bytes
        Bytes of its feature map.
    """

    address: int
    first_channel: int
    channels: int
    size_bytes: int


@dataclass(frozen=True)
class CachedStage:
    """A stage with the places of its tensors: what a machine with caches runs.

    Parameters
    ----------
    index, name
        Position in the order of execution, and the layer that gives the stage its name.
    operator
        What it computes.
    input_shapes, output_shape
        Shapes of its feature maps.
    dims
        The same as matrix products; None where it is none.
    grid
        Its pixels; None where it has no window.
    inputs
        Per input the parts that it is made of; parts of one memory once per part.
    ifmap_bits, weight_bits, ofmap_bits, psum_bits
        Bits per element.
    vector_operations
        Element operations where it is no matrix product.
    weight
        Address of the weights, or of the second feature map of a product.
    output
        Address of the output.
    scratch
        Address of `scratch_bytes` for the machine's own use.
    """

    index: int
    name: str
    operator: Operator
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    dims: GemmDims | None
    grid: PixelGrid | None
    inputs: tuple[tuple[PlacedPart, ...], ...]
    ifmap_bits: int
    weight_bits: int
    ofmap_bits: int
    psum_bits: int
    vector_operations: int
    weight: int = 0
    output: int = 0
    scratch: int = 0

    @property
    def products(self) -> GemmDims:
        """The matrix products.

        Raises
        ------
        TypeError
            When it is none.
        """
        if self.dims is None:
            message = f"{self.name} multiplies no matrices"
            raise TypeError(message)
        return self.dims

    @property
    def pixels(self) -> PixelGrid:
        """The pixels.

        Raises
        ------
        TypeError
            When it has none.
        """
        if self.grid is None:
            message = f"{self.name} has no pixels"
            raise TypeError(message)
        return self.grid

    @property
    def on_array(self) -> bool:
        """Whether it multiplies matrices."""
        return isinstance(self.operator, Conv | Gemm | MatMul)


class CachedRun(Protocol):
    """A machine with caches while it runs a network: it remembers what its caches hold."""

    def scratch_bytes(self, stage: CachedStage) -> int:
        """Memory that a stage needs besides its tensors; its addresses are not known yet."""

    def weight_order(self, stage: CachedStage) -> ElementOrder:
        """How the weights of a stage lie."""

    def tiles(self, stage: CachedStage) -> StageTiles:
        """Run a stage; called once for each, in order."""


@runtime_checkable
class CachedMachine(Protocol):
    """An array that makes the tile graphs of its stages itself."""

    def begin(self, memory: MemoryInterface) -> CachedRun:
        """Begin a run, the caches empty."""

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:
        """How a feature map of elements of `bits` bits is stored."""


def map_cached_network(
    graph: LayerGraph,
    hardware: HardwareConfig,
    memory: MemoryInterface,
    machine: CachedMachine,
    progress: Callable[[float], None] | None = None,
) -> tuple[TensorMemory, tuple[StageTiles, ...], Placement, dict[int, ElementOrder]]:
    """Map a network onto a machine with caches.

    Parameters
    ----------
    graph, hardware
        What is mapped onto what.
    memory
        The DRAM.
    machine
        The array of `hardware`.
    progress
        Called with the share of the stages that have been run.

    Returns
    -------
    tuple
        The tensors, the tile graph of each stage, the places in DRAM, and how the weights of each stage lie in theirs.

    Raises
    ------
    MappingError
        When the DRAM is too small, an operand too wide, or layers of the network may be skipped.
    """
    if graph.annotations.skip is not None:
        raise MappingError(
            "layers that may be skipped run on machines with scratchpads alone",
            where=graph.source or graph.name,
            key="skip",
        )
    tensors = TensorMemory(graph, hardware, machine)
    LayerTiler(tensors, memory, {}).check_operand_widths()
    run = machine.begin(memory)
    unplaced = {stage.index: _placed(tensors, stage, None) for stage in tensors.stages}
    scratch = {index: run.scratch_bytes(stage) for index, stage in unplaced.items()}
    orders = {
        stage.index: run.weight_order(unplaced[stage.index])
        for stage in tensors.stages
        if graph.weight_tensor(stage.layer) is not None
    }
    placement = place(_demands(tensors, scratch), memory.capacity_bytes, memory.rooms)
    tiles = []
    for stage in tensors.stages:
        tiles.append(run.tiles(_placed(tensors, stage, placement)))
        if progress:
            progress((stage.index + 1) / len(tensors.stages))
    return tensors, tuple(tiles), placement, orders


def scratch_name(stage: Stage) -> str:
    """Name of the memory that a stage needs besides its tensors."""
    return f"{stage.layer.name}.scratch"


def _demands(tensors: TensorMemory, scratch: dict[int, int]) -> list[Demand]:
    """All tensors: weights for good, feature maps and scratch memory while they are used."""
    last = len(tensors.stages) - 1
    weights: dict[str, int] = {}
    for stage in tensors.stages:
        weight = tensors.graph.weight_tensor(stage.layer)
        if weight is not None:
            size = bits_to_bytes(weight.elements * tensors.weight_bits(stage))
            weights[stage.layer.weight] = max(weights.get(stage.layer.weight, 0), size)
    demands = [Demand(name, size, 0, last) for name, size in weights.items()]
    for name, life in tensors.lives.items():
        demands.append(Demand(name, tensors.padded_bytes(name), life.first, life.last))
    demands += [
        Demand(scratch_name(stage), scratch[stage.index], stage.index, stage.index)
        for stage in tensors.stages
        if scratch[stage.index]
    ]
    return demands


def _placed(tensors: TensorMemory, stage: Stage, placement: Placement | None) -> CachedStage:
    """A stage with its places, or with none where there is no placement yet."""
    layer, graph = stage.layer, tensors.graph

    def address(name: str) -> int:
        region = placement.regions.get(name) if placement else None
        return region.address if region else 0

    def placed(part: Part) -> PlacedPart:
        channels = part.channels
        if isinstance(layer.operator, Gemm | MatMul) and len(stage.inputs[0]) == 1:
            channels = dims.k if dims else channels
        return PlacedPart(address(part.root), part.first_channel, channels, tensors.stored_bytes(part.tensor))

    dims = graph.gemm_dims(layer)
    windowed = isinstance(layer.operator, Conv | Gemm | MatMul | Pool)
    shapes = graph.input_shapes(layer)
    weight = stage.inputs[1][0].root if isinstance(layer.operator, MatMul) else layer.weight
    return CachedStage(
        index=stage.index,
        name=layer.name,
        operator=layer.operator,
        input_shapes=shapes,
        output_shape=graph.tensors[stage.output].shape,
        dims=dims,
        grid=pixel_grid(layer.operator, shapes) if windowed else None,  # type: ignore[arg-type]
        inputs=tuple(tuple(placed(part) for part in parts) for parts in stage.inputs),
        ifmap_bits=tensors.bits_of(layer.inputs[0]),
        weight_bits=tensors.weight_bits(stage),
        ofmap_bits=tensors.bits_of(stage.output),
        psum_bits=tensors.hardware.precision.psum_bits,
        vector_operations=graph.vector_operations(layer),
        weight=address(weight),
        output=address(stage.output),
        scratch=address(scratch_name(stage)),
    )


def pixel_bytes(part: PlacedPart, bits: int) -> int:
    """Bytes from pixel to pixel of a part, channels innermost."""
    return bits_to_bytes(part.channels * bits)


def row_bytes(stage: CachedStage) -> int:
    """Bytes from pixel to pixel of the output (from row to row of a matrix)."""
    channels = channels_of(stage.output_shape)
    if stage.dims is not None and not isinstance(stage.operator, Conv):
        channels = stage.dims.n
    return bits_to_bytes(channels * stage.ofmap_bits)
