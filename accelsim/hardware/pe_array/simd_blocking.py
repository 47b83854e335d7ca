"""Block sizes of matrix products on SIMD cores, chosen from the cache sizes as BLIS and oneDNN choose them.

A tile of ``mr x nr`` sums fills the vector registers, a sliver of ``kc x nr`` half of the first cache, a packed block
of ``mc x kc`` half of the second, a panel of ``kc x nc`` half of the last (Low et al., "Analytical modeling is enough
for high-performance BLIS", ACM TOMS 2016, without its fine print on associativity). With a shared memory the tiles are
square and as large as the lanes' registers allow, unless smaller ones keep more cores busy, and k comes in slices of a
cache line per pixel (as in CUTLASS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.units import BITS_PER_BYTE, BYTES_PER_KIB, ceil_div

if TYPE_CHECKING:
    from accelsim.hardware.pe_array.simd import SimdConfig
    from accelsim.workload.operators import GemmDims

LANE_BITS = 32
"""Bits of a sum in a vector register."""

LONGEST_SLICE = 1_024
"""Elements of k per block at most."""

TILE_SIDES = (128, 64, 32)
"""Sides of the tiles of a product that is staged through a shared memory."""


@dataclass(frozen=True)
class Blocking:
    """How a product is cut.

    Parameters
    ----------
    mr, nr
        Tile of sums in registers.
    mc, nc
        Pixels of a packed block (of a staged tile), filters of a panel (of a staged tile).
    kc
        Elements of k per slice.
    by_filters
        Whether the cores share the filters; the pixels otherwise.
    """

    mr: int
    nr: int
    mc: int
    nc: int
    kc: int
    by_filters: bool

    def slices(self, k: int) -> list[tuple[int, int]]:
        """First element and extent of each slice of k."""
        return [(first, min(self.kc, k - first)) for first in range(0, k, self.kc)]


def packed_blocking(config: SimdConfig, dims: GemmDims, ifmap_bits: int, weight_bits: int) -> Blocking:
    """Blocks of a product whose packed operands lie in the caches."""
    caches = [cache.capacity_kib * BYTES_PER_KIB * BITS_PER_BYTE / 2 for cache in config.caches.values()]
    shared = list(config.caches.values())[min(1, len(caches) - 1)].cores
    lanes = config.vector_bits // LANE_BITS
    vectors = 2 if config.vector_registers >= 8 else 1
    nr = min(vectors * lanes, ceil_div(dims.n, lanes) * lanes)
    mr = min(max((config.vector_registers - vectors - 1) // vectors, 1), dims.m)
    longest = max(min(int(caches[0] / (nr * weight_bits)), LONGEST_SLICE), 8)
    kc = _even(dims.k, longest, 8)
    most = max(int(caches[min(1, len(caches) - 1)] / shared / (kc * ifmap_bits)) // mr, 1) * mr
    nc = max(int(caches[-1] / (kc * weight_bits)) // nr, 1) * nr
    by_filters = dims.m < config.cores * mr and dims.n > nr
    own = dims.m if by_filters else ceil_div(ceil_div(dims.m, mr), config.cores) * mr
    return Blocking(mr, nr, _even(own, most, mr), min(nc, dims.n), kc, by_filters)


def staged_blocking(config: SimdConfig, dims: GemmDims, ifmap_bits: int, weight_bits: int) -> Blocking:
    """Blocks of a product whose tiles are copied into a memory that the lanes share."""
    room = (config.shared_memory_kib or 0) * BYTES_PER_KIB * BITS_PER_BYTE / 2  # two slices, one of them on its way
    kc = max(config.line_bytes * BITS_PER_BYTE // max(ifmap_bits, weight_bits), 1)
    fitting = [side for side in TILE_SIDES if side * kc * (ifmap_bits + weight_bits) <= room] or [TILE_SIDES[-1]]
    busy = [side for side in fitting if ceil_div(dims.m, side) * ceil_div(dims.n, side) >= config.cores]
    side = busy[0] if busy else fitting[-1]
    return Blocking(8, 8, side, side, min(kc, dims.k), by_filters=False)


def _even(total: int, most: int, unit: int) -> int:
    """Size of equal pieces of `total`, none above `most`, whole units each."""
    pieces = ceil_div(total, most)
    return min(ceil_div(ceil_div(total, pieces), unit) * unit, max(total, 1)) if pieces > 1 else total
