"""Searches how a layer is best cut into blocks (`accelsim.mapping.tiling`).

The search is exhaustive over the candidates, one compiled kernel, and every figure it ranks by is exact but for the
time that transfers take: it assumes the peak bandwidth of the DRAM, half a burst lost at the begin of every run of
bytes, and the latency of an idle memory for each set of tiles that has to be waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.dataflow import DIMS
from accelsim.mapping.footprint import PixelGrid, band_pixels, band_stretches, block_pixels, block_sizes
from accelsim.mapping.tiling import ORDERS, Tiling, TilingProblem, channel_ranges
from accelsim.mapping.tiling_kernel import MOST_BUFFERS, PROBLEM_DTYPE, SLACK, best_tiling, candidate_cost
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.dataflow import Dim

_ORDER_TABLE = np.array([[DIMS.index(dim) for dim in order] for order in ORDERS], dtype=np.int64)

MOST_BLOCKS = 100_000
"""Blocks per layer beyond which a mapping is only taken when no coarser one fits."""

MOST_BLOCKS_AT_ALL = 2_000_000
"""Blocks per layer beyond which no mapping is taken: their lists alone would fill the memory."""


def search_tiling(problem: TilingProblem) -> Tiling | None:
    """Find the best tiling by the problem's objective; None when none of at most `MOST_BLOCKS_AT_ALL` blocks fits."""
    candidates = _candidates(problem)
    limits = (MOST_BLOCKS, MOST_BLOCKS_AT_ALL) if problem.objective != "compute_cycles" else (MOST_BLOCKS_AT_ALL,)
    for most_blocks in limits:
        best = _search(candidates, problem, most_blocks)
        if best is not None:
            return best
    return None


def best_retention(problem: TilingProblem, order: tuple[Dim, ...], m: int, n: int, k: int) -> Tiling | None:
    """Complete a tiling given by hand: the retention levels that the objective prefers, None when none fits."""
    candidates = _candidates(problem, m=[m], n=[n], k=[k], orders=[ORDERS.index(order)])
    return _search(candidates, problem, MOST_BLOCKS_AT_ALL)


def smallest_footprint(problem: TilingProblem) -> list[int]:
    """Bits per buffer of the tiling that exceeds the buffers by the least, for the message when nothing fits.

    What an operand holds grows with its blocks, but for the second copy that a single block does not need; so blocks of
    one element and whole extents are all that has to be looked at.
    """
    extents, space = problem.dims, problem.space
    ends = [sorted({1, extent}) for extent in (extents.m, extents.n, extents.k)]
    one = _candidates(problem, *ends)
    record = _kernel_record(problem, 0)
    least, needed = np.inf, [0] * len(space.free_bits)
    for (im, m), n, (ik, k) in product(enumerate(ends[0]), ends[1], enumerate(ends[2])):
        group_sizes = (1, extents.groups) if (n, k) == (extents.n, extents.k) else (1,)
        sizes = np.array([m, n, k], dtype=np.int64)
        for order, groups, levels in product(_ORDER_TABLE, group_sizes, product(range(4), repeat=3)):
            *_, held = candidate_cost(  # type: ignore[no-untyped-call]
                record, order, sizes, one.k_channels[ik], one.m_pixels[im], groups, levels, 0
            )
            used = [0] * len(needed)
            for buffer, bits in zip(space.index, held, strict=True):
                used[buffer] += int(bits)
            excess = sum(max(bits - free, 0) for bits, free in zip(used, space.free_bits, strict=True))
            if excess < least:
                least, needed = excess, used
    return needed


@dataclass(frozen=True)
class TilingCost:
    """What the search knows of a tiling.

    Parameters
    ----------
    compute_cycles
        Cycles of the array.
    ifmap_bytes, weight_bytes, result_bytes, psum_bytes
        DRAM traffic; partial sums both ways. Exact where elements are whole bytes.
    held_bits
        Most that ifmap, weight and psum ever hold of their buffers.
    """

    compute_cycles: int
    ifmap_bytes: int
    weight_bytes: int
    result_bytes: int
    psum_bytes: int
    held_bits: tuple[int, int, int]


def tiling_cost(problem: TilingProblem, tiling: Tiling) -> TilingCost:
    """Cost of one tiling, by the model that the search ranks by."""
    one = _candidates(problem, m=[tiling.m], n=[tiling.n], k=[tiling.k], orders=[ORDERS.index(tiling.order)])
    sizes = np.array([tiling.m, tiling.n, tiling.k], dtype=np.int64)
    cycles, traffic, held = candidate_cost(  # type: ignore[no-untyped-call]
        _kernel_record(problem, 0), one.orders[0], sizes, one.k_channels[0], one.m_pixels[0], tiling.groups,
        tiling.retention, int(estimated_layer_cycles(problem, [tiling.groups], one)[0, 0, 0, 0]),
    )  # fmt: skip
    ifmap, weight, results, psum = (int(size) for size in traffic)
    return TilingCost(int(cycles), ifmap, weight, results, psum, (int(held[0]), int(held[1]), int(held[2])))


@dataclass(frozen=True)
class _Candidates:
    """Block sizes to try, and what part of the input feature map follows from each m and k."""

    m: NDArray[np.int64]
    m_pixels: NDArray[np.int64]
    """(sizes, 4): pixels of the largest block, of all blocks, of all blocks less the rows held from before, and the
    number of runs in memory that the blocks are made of."""
    n: NDArray[np.int64]
    k: NDArray[np.int64]
    k_channels: NDArray[np.int64]
    """(sizes, 2): most channels that a block touches, and the sum over the blocks."""
    groups: NDArray[np.int64]
    orders: NDArray[np.int64]


def _candidates(
    problem: TilingProblem,
    m: list[int] | None = None,
    n: list[int] | None = None,
    k: list[int] | None = None,
    orders: list[int] | None = None,
) -> _Candidates:
    grid, folding = problem.grid, problem.folding
    side: dict[str, int] = {}
    if folding is not None:
        side = {folding.dataflow.row_dim: folding.rows, folding.dataflow.col_dim: folding.cols}
    wanted = {dim: _within(problem.costs.block_sizes(dim), getattr(problem.dims, dim)) for dim in DIMS}
    m = m or wanted["m"] or block_sizes(grid, side.get("m", 1))
    pixels = np.array([_pixel_counts(grid, size) for size in m], np.int64).reshape(-1, 4)
    n = n or wanted["n"] or _sizes(problem.dims.n, side.get("n", 1))
    k = (
        k
        or wanted["k"]
        or sorted({*_sizes(problem.dims.k, problem.taps), *_sizes(problem.dims.k, side.get("k", problem.taps))})
    )
    return _Candidates(
        m=np.array(m, dtype=np.int64),
        m_pixels=pixels,
        n=np.array(n, dtype=np.int64),
        k=np.array(k, dtype=np.int64),
        k_channels=np.array([_touched_channels(problem, size) for size in k], dtype=np.int64),
        groups=np.array(_sizes(problem.dims.groups, 1), dtype=np.int64),
        orders=_ORDER_TABLE if orders is None else _ORDER_TABLE[orders],
    )


@lru_cache(maxsize=65_536)
def _pixel_counts(grid: PixelGrid, size: int) -> tuple[int, int, int, int]:
    """One row of `_Candidates.m_pixels`; machines change more often than networks, so it is worth keeping."""
    bands = grid.bands(size)
    per_block = block_pixels(bands, ceil_div(grid.output_pixels, size))
    fresh = int(band_pixels(grid.fresh_bands(size)).sum())
    return int(per_block.max()), int(per_block.sum()), fresh, int(band_stretches(bands, grid.width).sum())


def _within(sizes: Sequence[int] | None, extent: int) -> list[int]:
    return sorted({min(size, extent) for size in sizes or ()})


def estimated_layer_cycles(problem: TilingProblem, groups: list[int], candidates: _Candidates) -> NDArray[np.int64]:
    """Cycles of the layer for all candidate block sizes, (groups, k, n, m); all 0 where the array folds.

    Along each dimension a layer is so many whole blocks and at most one that is cut; so its cycles are a sum of few.
    """
    sizes = (np.array(groups, np.int64), candidates.k, candidates.n, candidates.m)
    total = np.zeros([len(axis) for axis in sizes], np.int64)
    if problem.folding is not None:
        return total
    dims = problem.dims
    pieces: list[list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = []
    for axis, (size, extent) in enumerate(zip(sizes, (dims.groups, dims.k, dims.n, dims.m), strict=True)):
        along = [-1 if place == axis else 1 for place in range(len(sizes))]
        whole, rest = (extent // size).reshape(along), (extent % size).reshape(along)
        pieces.append([(size.reshape(along), whole), (np.maximum(rest, 1), np.minimum(rest, 1))])
    for group, k, n, m in product(*pieces):
        count = group[1] * k[1] * n[1] * m[1]
        if count.any():
            total += count * problem.costs.estimated_cycles(group[0], m[0], n[0], k[0])
    return total


def _touched_channels(problem: TilingProblem, block: int) -> tuple[int, int]:
    first, end = channel_ranges(problem, block)
    return int((end - first).max()), int((end - first).sum())


def _sizes(extent: int, *units: int) -> list[int]:
    """Powers of two times one and times each of `units`, and the whole extent."""
    sizes = {extent}
    for start in (1, *units):
        size = start
        while size < extent:
            sizes.add(size)
            size *= 2
    return sorted(sizes)


def _search(candidates: _Candidates, problem: TilingProblem, most_blocks: int) -> Tiling | None:
    """Rank all candidates twice: first for the least primary figure, then for the best of those within its slack."""
    objective = ("latency", "dram_traffic", "compute_cycles").index(problem.objective)
    sizes = (candidates.groups, candidates.k, candidates.k_channels, candidates.n, candidates.m, candidates.m_pixels)
    record = _kernel_record(problem, most_blocks)
    cycles = estimated_layer_cycles(problem, candidates.groups.tolist(), candidates)
    leasts = np.zeros(cycles.shape)
    limit = np.inf
    best = np.zeros(len(_BEST_FIELDS), np.int64)
    for _ in range(2):
        found, least, best = best_tiling(  # type: ignore[no-untyped-call]
            *sizes, candidates.orders, record, cycles, problem.dram_bytes_per_cycle, objective, limit, leasts
        )
        if not found:
            return None
        limit = least * (1 + SLACK if problem.objective == "latency" else 1)
    choice = dict(zip(_BEST_FIELDS, (int(entry) for entry in best), strict=True))
    order = tuple(DIMS[dim] for dim in candidates.orders[choice["order"]])
    return Tiling(
        order=order,
        groups=choice["groups"],
        m=choice["m"],
        n=choice["n"],
        k=choice["k"],
        retention=(choice["ifmap_level"], choice["weight_level"], choice["psum_level"]),
    )


_BEST_FIELDS = ("order", "groups", "m", "n", "k", "ifmap_level", "weight_level", "psum_level")


def _kernel_record(problem: TilingProblem, most_blocks: int) -> NDArray[np.void]:
    """Lay the problem out for the kernel, as an array of one `PROBLEM_DTYPE`."""
    dims, folding, space = problem.dims, problem.folding, problem.space
    record = np.zeros(1, PROBLEM_DTYPE)
    values: dict[str, object] = {
        "groups": dims.groups,
        "extents": (dims.m, dims.n, dims.k),
        "channels": problem.channels,
        "taps": problem.taps,
        "stream_dim": -1,
        "one_fold_sums": problem.one_fold_sums,
        "ifmap_bits": problem.ifmap_bits,
        "weight_bits": problem.weight_bits,
        "ofmap_bits": problem.ofmap_bits,
        "psum_bits": problem.psum_bits,
        "ifmap_in_dram": problem.ifmap_in_dram,
        "ofmap_in_dram": problem.ofmap_in_dram,
        "ifmap_run": problem.ifmap_run_channels,
        "ofmap_run": problem.ofmap_run_channels,
        "burst_bytes": problem.burst_bytes,
        "dram_latency": problem.dram_latency_cycles,
        "most_blocks": most_blocks,
        "buffers": len(space.free_bits),
        "buffer": space.index,
        "copies": space.copies,
        "free_bits": (*space.free_bits, *(0,) * (MOST_BUFFERS - len(space.free_bits))),
    }
    if folding is not None:
        flow = folding.dataflow
        values |= {
            "row_dim": DIMS.index(flow.row_dim),
            "col_dim": DIMS.index(flow.col_dim),
            "stream_dim": DIMS.index(flow.stream_dim),
            "rows": folding.rows,
            "cols": folding.cols,
            "overhead": flow.fold_overhead_cycles(folding.rows, folding.cols),
        }
    forms = (problem.ifmap_form, problem.costs.weight_form, problem.ofmap_form)
    values |= {
        "dram_share": [form.dram_share for form in forms],
        "buffer_share": [form.buffer_share for form in forms],
    }
    for name, value in values.items():
        record[name] = value
    return record
