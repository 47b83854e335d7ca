"""Matrix products whose tiles are copied into a memory that the lanes of a core share, as CUTLASS blocks them on a GPU.

Only these copies, and the results, pass the caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.kernel import replay
from accelsim.hardware.pe_array.simd_loops import (
    PR_GROUP,
    PR_IFMAP_BITS,
    PR_ISSUE,
    PR_LANES,
    PR_LOADS,
    PR_M,
    PR_MAC_ISSUE,
    PR_MAC_TICKS,
    PR_MC,
    PR_N,
    PR_NC,
    PR_WEIGHT_BITS,
    PR_WEIGHT_ROW,
    SPARE,
    TA_INSTRUCTIONS,
    TA_SHARED,
    emit,
    gather,
    sliver_place,
    update_sums,
)
from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words


@kernel
def run_staged(
    product: Words,
    grid: Words,
    segments: Words,
    slices: Words,
    copy: Words,
    records: Words,
    tally: Words,
    caches: Caches,
) -> None:
    """Run a product tile by tile: ``mc x nc`` results per core at a time, k in slices through the shared memory.

    Neighbouring cores take tiles of neighbouring pixels and the same filters. Arguments as `run_packed` takes them.
    """
    cores = caches.cores.shape[0]
    m, n, mc, nc = product[PR_M], product[PR_N], product[PR_MC], product[PR_NC]
    rows_of_tiles = -(-m // mc)
    tiles = rows_of_tiles * -(-n // nc)
    number = 0
    for wave in range(0, tiles, cores):
        for k in range(slices.shape[0]):
            begin, depth = slices[k, 0], slices[k, 1]
            for core in range(min(cores, tiles - wave)):
                pixel, filters = (wave + core) % rows_of_tiles * mc, (wave + core) // rows_of_tiles * nc
                rows, cols = min(mc, m - pixel), min(nc, n - filters)
                used = segments[slices[k, 2] : slices[k, 3]]
                number = gather(records, number, core, pixel, pixel + rows, grid, used, copy, tally, caches)
                place = sliver_place(product, begin, depth, filters)
                run, count = cols * depth * product[PR_WEIGHT_BITS] // 8, 1
                if product[PR_WEIGHT_ROW]:
                    run, count = cols * product[PR_WEIGHT_BITS] // 8, depth
                staged = rows * depth * product[PR_IFMAP_BITS] // 8 + run * count
                tally[TA_SHARED] += staged + warp_bytes(product, rows, cols, depth)
                ticks = staged_ticks(product, rows, cols, depth, tally)
                run = max(run, 1)
                number = emit(
                    records, number, core, 0, place, run, count, product[PR_WEIGHT_ROW], -(-ticks // count)
                )  # fmt: skip
                if number + SPARE > records.shape[0]:
                    replay(records, number, caches)
                    number = 0
                if k == slices.shape[0] - 1:
                    number = update_sums(records, number, core, product, pixel, filters, rows, cols, 1, 1, tally)
    replay(records, number, caches)


@lean_kernel
def staged_ticks(product: Words, rows: int, cols: int, depth: int, tally: Words) -> int:
    """Time of a tile whose lanes hold 8 x 8 sums each and load 8 + 8 operands per element of k, four at a time."""
    groups = -(-depth // product[PR_GROUP])
    vectors = -(-rows * cols // product[PR_LANES])
    macs = groups * vectors
    loads = -(-macs // 16)
    issued = macs * product[PR_MAC_ISSUE] + loads
    tally[TA_INSTRUCTIONS] += issued
    ticks: int = max(
        macs * product[PR_MAC_TICKS], issued * lo.TICKS // product[PR_ISSUE], loads * lo.TICKS // product[PR_LOADS]
    )
    return ticks


@lean_kernel
def warp_bytes(product: Words, rows: int, cols: int, depth: int) -> int:
    """Bytes read from the shared memory: per vector of lanes, 4 x 8 of them, 32 + 64 operands for 64 sums per lane."""
    warps = -(-rows * cols // (64 * product[PR_LANES]))
    read: int = warps * depth * 96 * max(product[PR_IFMAP_BITS], 8) // 8
    return read
