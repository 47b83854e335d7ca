"""How a layer may be cut into blocks: block sizes, loop order, and what each operand keeps in its buffer.

A *block* is the part of a product ``(m, k) x (k, n)`` whose operands are in the buffers at one time. Blocks are visited
by three loops. An operand with *retention level* p keeps, besides the current block, all its blocks that the loops at
position p and further in will visit (uneven mapping, as ZigZag calls it); it is fetched again whenever a loop further
out that indexes it moves on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.array_costs import PLAIN
from accelsim.mapping.dataflow import DIMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import BlockCosts, Folding, StoredForm
    from accelsim.mapping.dataflow import Dim
    from accelsim.mapping.footprint import PixelGrid
    from accelsim.workload.operators import GemmDims

IFMAP, WEIGHT, PSUM = 0, 1, 2
ORDERS: tuple[tuple[Dim, ...], ...] = tuple(permutations(DIMS))


@dataclass(frozen=True)
class BufferSpace:
    """Room for one layer's operands.

    Parameters
    ----------
    index
        Per operand (ifmap, weight, psum) the number of its buffer.
    free_bits
        Per buffer the bits that this layer may use.
    copies
        Per operand 2 where the next tile is fetched while the current one is used, else 1.
    """

    index: tuple[int, int, int]
    free_bits: tuple[int, ...]
    copies: tuple[int, int, int]


@dataclass(frozen=True)
class TilingProblem:
    """All that the tiling of one layer depends on; layers with equal problems share one solution.

    Parameters
    ----------
    dims
        The layer as matrix products.
    taps
        Window elements per input channel: ``k = channels * taps``.
    grid
        Pixel geometry of the input feature map.
    costs
        What the blocks cost on the array.
    ifmap_bits, weight_bits, ofmap_bits, psum_bits
        Stored bits per element.
    space
        Buffers.
    ifmap_in_dram, ofmap_in_dram
        Whether input and output travel to DRAM; False where they stay on chip.
    ifmap_run_channels, ofmap_run_channels
        Channels that lie side by side in memory, groups included.
    dram_bytes_per_cycle, burst_bytes, dram_latency_cycles
        Peak bandwidth, access granularity and unloaded latency of the DRAM.
    objective
        ``latency``, ``dram_traffic`` or ``compute_cycles``.
    ifmap_form, ofmap_form
        How the feature maps are stored.
    """

    dims: GemmDims
    taps: int
    grid: PixelGrid
    costs: BlockCosts
    ifmap_bits: int
    weight_bits: int
    ofmap_bits: int
    psum_bits: int
    space: BufferSpace
    ifmap_in_dram: bool
    ofmap_in_dram: bool
    ifmap_run_channels: int
    ofmap_run_channels: int
    dram_bytes_per_cycle: float
    burst_bytes: int
    dram_latency_cycles: int
    objective: str
    ifmap_form: StoredForm = PLAIN
    ofmap_form: StoredForm = PLAIN

    @property
    def channels(self) -> int:
        """Input channels per group."""
        return self.dims.k // self.taps

    @property
    def one_fold_sums(self) -> bool:
        """Whether a block that holds all of k adds it up inside the array, so that no partial sum ever leaves it."""
        folding = self.folding
        if folding is None:
            return self.costs.completes_sums
        return not folding.dataflow.accumulates_in_array and self.dims.k <= folding.rows

    @property
    def folding(self) -> Folding | None:
        """The array where it is systolic."""
        return self.costs.folding

    def is_one_fold(self, tiling: Tiling) -> bool:
        """Whether a block is a single fold of a systolic array, whose stationary operand lives in the registers."""
        folding = self.folding
        if folding is None or tiling.groups > 1:
            return False
        sizes = {"m": tiling.m, "n": tiling.n, "k": tiling.k}
        return sizes[folding.dataflow.row_dim] <= folding.rows and sizes[folding.dataflow.col_dim] <= folding.cols


@dataclass(frozen=True)
class Tiling:
    """A solution: blocks of `groups` groups, `m` output pixels, `n` filters and `k` weights per filter.

    Parameters
    ----------
    order
        Loops over blocks from the outermost to the innermost; the loop over groups is outside all three.
    retention
        Level per operand (ifmap, weight, psum): 3 holds the current block, 0 the whole operand of a group.
    """

    order: tuple[Dim, ...]
    groups: int
    m: int
    n: int
    k: int
    retention: tuple[int, int, int]


def streams_through(problem: TilingProblem, tiling: Tiling) -> bool:
    """Whether consecutive blocks continue one stream, so that the array neither drains nor reloads between them.

    That is so when no loop inside that of the streamed dimension repeats and a block is a single fold of the other two.
    """
    if problem.folding is None:
        return False
    flow, dims = problem.folding.dataflow, problem.dims
    sizes, extents = {"m": tiling.m, "n": tiling.n, "k": tiling.k}, {"m": dims.m, "n": dims.n, "k": dims.k}
    inside = tiling.order[tiling.order.index(flow.stream_dim) + 1 :]
    return all(sizes[dim] == extents[dim] for dim in inside) and problem.is_one_fold(tiling)


def passing_share_bits(problem: TilingProblem, tiling: Tiling, operand: int, copies: int) -> int | None:
    """Bits that a tile takes at most of its buffer, where it passes through into the registers of the array.

    That is so for the stationary operand of a block that is a single fold, in a buffer of its own; None elsewhere.

    Parameters
    ----------
    problem, tiling
        The layer and how it is cut.
    operand
        Number of the operand: ifmap, weight, psum.
    copies
        Tiles that may be in the buffer at one time.
    """
    space = problem.space
    if problem.folding is None or not problem.is_one_fold(tiling):
        return None
    stationary = {"m": WEIGHT, "n": IFMAP, "k": PSUM}[problem.folding.dataflow.stream_dim]
    shared = space.index.count(space.index[operand]) > 1
    if operand != stationary or tiling.retention[operand] != len(ORDERS[0]) or shared:
        return None
    return space.free_bits[space.index[operand]] // copies


def channel_ranges(problem: TilingProblem, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last-plus-one input channel that each block of `block` elements of k touches."""
    begins = np.arange(0, problem.dims.k, block)
    ends = np.minimum(begins + block, problem.dims.k)
    return begins // problem.taps, -(-ends // problem.taps)
