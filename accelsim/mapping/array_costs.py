"""What the mapper asks of a PE array, whichever kind it is.

An array is asked for the costs of a layer, block by block, while the tiling is searched, and for the work that the
chosen blocks are when it is found. Everything else (which tiles come and go when, and where they lie) is the mapper's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from accelsim.workload.operand_data import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dataflow, Dim
    from accelsim.workload.operand_data import OperandData
    from accelsim.workload.operators import Conv, Gemm, GemmDims, MatMul, Shape


@dataclass(frozen=True)
class StoredForm:
    """Space that a tensor takes, as a share of its elements at their full width.

    Parameters
    ----------
    dram_share
        In DRAM, and on the way from and to it.
    buffer_share
        In its on-chip buffer.
    is_padded
        Whether its elements are stored as they are, each tile with zeros behind it.
    """

    dram_share: float = 1.0
    buffer_share: float = 1.0
    is_padded: bool = False


PLAIN = StoredForm()
"""Every element at its full width."""


@dataclass(frozen=True)
class ArrayLayer:
    """One layer, as an array sees it.

    Parameters
    ----------
    name
        Its name.
    operator
        What it computes.
    ifmap_shape, ofmap_shape
        Shapes of its first input and of its output.
    dims
        The same as matrix products: `groups` of them, ``(m, k) x (k, n)`` each. In a convolution m are the output
        pixels of all images in row-major order, n the filters of a group, k the input channels of a group times the
        window, the channel being the slower index.
    ifmap_bits, weight_bits, ofmap_bits, psum_bits
        Bits per element.
    ifmap, weight, ofmap
        What is known of the values.
    """

    name: str = field(compare=False)
    operator: Conv | Gemm | MatMul
    ifmap_shape: Shape
    ofmap_shape: Shape
    dims: GemmDims
    ifmap_bits: int
    weight_bits: int
    ofmap_bits: int
    psum_bits: int
    ifmap: OperandData = UNKNOWN
    weight: OperandData = UNKNOWN
    ofmap: OperandData = UNKNOWN


@dataclass(frozen=True)
class Folding:
    """A systolic array, whose cycles the compiled search knows in closed form.

    Parameters
    ----------
    dataflow
        Which dimension lies where.
    rows, cols
        Size of the array.
    """

    dataflow: Dataflow
    rows: int
    cols: int


@dataclass(frozen=True)
class Ports:
    """Where an operand enters or leaves an array, for an interconnect that has to bring it there.

    Parameters
    ----------
    number
        Places, over which its words are dealt out.
    fan_out
        Neighbouring places that get each word.
    """

    number: int = 1
    fan_out: int = 1


def broadcast_ports(operand: str, units: int) -> dict[str, Ports]:
    """Ports of an array whose units all get the same words of one operand, and words of their own of the others."""
    return {name: Ports(units, units if name == operand else 1) for name in ("ifmap", "weight", "psum")}


@dataclass(frozen=True)
class Loading:
    """How the stationary operand enters an array whose elements hold it twice: one copy is used, the other shifted in.

    Parameters
    ----------
    operand
        ``weight`` or ``ifmap``.
    lead_cycles
        Per block the cycles that its first load takes, from when the operand is in its buffer and the second copy is
        free until the block can begin; 0 where a block goes on with what the array holds.
    handover_cycles
        Per block the cycles from its begin until its last fold begins, with which the second copy is free for the load
        of the next block.
    exposed_cycles
        Per block those of its cycles in which the array waits for loads between its own folds.
    """

    operand: str
    lead_cycles: NDArray[np.int64]
    handover_cycles: NDArray[np.int64]
    exposed_cycles: NDArray[np.int64]


@dataclass(frozen=True)
class ArrayWork:
    """What an array does for one layer.

    Parameters
    ----------
    cycles
        Per block the cycles of the array, in the order of the blocks.
    cycles_behind
        Per block the cycles from its end until its last result has left the array; 0 but where the next block follows
        on its heels.
    macs
        Multiply-accumulates executed: those that were not skipped.
    efficiency
        Share of the array's elements that have work, averaged over the folds or passes.
    read_bits, written_bits
        Bits that pass between buffers and array, by operand (``ifmap``, ``weight``, ``psum``).
    register_file_bits
        Bits read or written in registers inside the array.
    gated_macs
        Multiply-accumulates that took their cycle but no energy, for an operand was zero.
    operations
        Other operations by name, such as ``rebuild``; priced by the energy table's `array_operation_pj`.
    busy_cycles
        Cycles in which each part of the array did useful work, ``(rows, columns)`` as the array is drawn.
    description
        How the layer was mapped, for the report.
    loading
        Loads of the stationary operand that are no part of `cycles`, but overlap with the blocks before.
    drain_cycles
        Cycles from the end of the last block until the array is empty, where they are no part of `cycles`.
    ports
        Where each operand enters and leaves; an operand that is left out does so at a single place.
    block_read_bits, block_written_bits
        Per block what `read_bits` and `written_bits` sum up; where an operand is left out, in proportion to `cycles`.
    """

    cycles: NDArray[np.int64]
    cycles_behind: NDArray[np.int64]
    macs: int
    efficiency: float
    read_bits: dict[str, int]
    written_bits: dict[str, int]
    register_file_bits: int
    gated_macs: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    busy_cycles: NDArray[np.float64] | None = None
    description: dict[str, object] = field(default_factory=dict)
    loading: Loading | None = None
    drain_cycles: int = 0
    ports: dict[str, Ports] = field(default_factory=dict)
    block_read_bits: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    block_written_bits: dict[str, NDArray[np.int64]] = field(default_factory=dict)


class BlockCosts(Protocol):
    """One layer on one array: what its blocks cost. Equal layers on equal arrays compare equal, and share a tiling."""

    @property
    def folding(self) -> Folding | None:
        """The array as the compiled search knows it; None where `estimated_cycles` gives the costs."""

    @property
    def completes_sums(self) -> bool:
        """Whether a block that holds all of k hands on results only, no partial sums."""

    @property
    def weight_form(self) -> StoredForm:
        """How the weights are stored."""

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Block sizes worth trying along a dimension; None for powers of two and the whole extent."""

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks of these extents, which broadcast against each other; what the search goes by.

        Exact unless the cycles depend on where in its tensors a block lies.
        """

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:
        """Bits of each weight tile in DRAM, (groups, n, k) in blocks; None where `weight_form` gives them."""

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """What the array does, block by block, exact."""


class PeArray(Protocol):
    """An array."""

    def costs(self, layer: ArrayLayer) -> BlockCosts:
        """What a layer costs.

        Raises
        ------
        MappingError
            When the array cannot run the layer.
        """

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:
        """How a feature map of elements of `bits` bits is stored."""


def reassigns_channels(array: object) -> bool:
    """Whether an array deals out the open channels of a convolution anew where some are skipped.

    It says so by an attribute of this name; where there is none the places of skipped channels idle.
    """
    return bool(getattr(array, "reassigns_channels", False))
