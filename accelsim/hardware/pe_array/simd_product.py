"""A matrix product on SIMD cores as the compiled loops take it: places, segments and costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_loops as loops
from accelsim.hardware.pe_array.simd_blocking import LANE_BITS
from accelsim.mapping.cached_network import pixel_bytes, row_bytes
from accelsim.mapping.placement import ALIGNMENT_BYTES
from accelsim.mapping.sliver_order import SliverOrder
from accelsim.units import BITS_PER_BYTE, bits_to_bytes, ceil_div
from accelsim.workload.operators import Conv, MatMul

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Words
    from accelsim.hardware.pe_array.simd import SimdConfig
    from accelsim.hardware.pe_array.simd_blocking import Blocking
    from accelsim.mapping.cached_network import CachedStage, PlacedPart
    from accelsim.mapping.footprint import PixelGrid
    from accelsim.workload.operators import GemmDims


@dataclass(frozen=True)
class BlockedProduct:
    """One layer of matrix products, cut into blocks.

    k runs over the window row by row and, in each of its pixels, over the channels, as they lie in memory.
    """

    config: SimdConfig
    stage: CachedStage
    blocking: Blocking

    @property
    def dims(self) -> GemmDims:
        """The products."""
        return self.stage.products

    @property
    def _grid(self) -> PixelGrid:
        return self.stage.pixels

    @property
    def description(self) -> dict[str, object]:
        """Loops and blocks, for the report."""
        cut = self.blocking
        block = {"mc": cut.mc, "nc": cut.nc, "kc": cut.kc}
        if self.config.shared_memory_kib is not None:
            return {"loops": "staged", "block": block}
        shared = "filters" if cut.by_filters else "pixels"
        return {"loops": "packed", "block": {"mr": cut.mr, "nr": cut.nr, **block}, "cores_share": shared}

    # -- memory besides the tensors ------------------------------------------------------------------------------

    @property
    def _pack_bytes(self) -> int:
        """Packed block of one core; blocks begin on pages, so that they fall on different sets of a cache."""
        if self.config.shared_memory_kib is not None:
            return 0
        size = bits_to_bytes(self.blocking.mc * self.blocking.kc * self.stage.ifmap_bits)
        return ceil_div(size, ALIGNMENT_BYTES) * ALIGNMENT_BYTES

    @property
    def _own_sums(self) -> bool:
        """Whether partial sums have a memory of their own: they are kept between slices, and wider than results."""
        sliced = len(self.blocking.slices(self.dims.k)) > 1 and self.config.shared_memory_kib is None
        return sliced and self.stage.psum_bits > self.stage.ofmap_bits

    @property
    def scratch_bytes(self) -> int:
        """Packed blocks of all cores, and the partial sums of one group."""
        sums = self.dims.m * bits_to_bytes(self.dims.n * self.stage.psum_bits) if self._own_sums else 0
        return self.config.cores * self._pack_bytes + sums

    # -- for the loops -------------------------------------------------------------------------------------------

    @property
    def grid_words(self) -> Words:
        """The pixels, as `loops.gather` takes them."""
        grid, words = self._grid, np.zeros(loops.N_GRID, np.int64)
        words[[loops.GR_HEIGHT, loops.GR_WIDTH]] = grid.height, grid.width
        words[[loops.GR_OUT_HEIGHT, loops.GR_OUT_WIDTH]] = grid.out_height, grid.out_width
        words[[loops.GR_STRIDE_Y, loops.GR_STRIDE_X]] = grid.window.stride
        words[[loops.GR_TOP, loops.GR_LEFT]] = grid.window.padding[:2]
        return words

    def words(self, group: int) -> Words:
        """Sizes, places and costs of one group."""
        stage, cut, config, dims = self.stage, self.blocking, self.config, self.dims
        bits = max(stage.ifmap_bits, stage.weight_bits)
        width = config.width_class(bits)
        staged = config.shared_memory_kib is not None
        lanes = config.vector_bits // LANE_BITS
        per_lane = max(LANE_BITS // width, 1)
        weight, weight_row = self._weight_place(group)
        ofmap = stage.output + self._output_offset(group)
        own_sums = stage.scratch + config.cores * self._pack_bytes
        words = np.zeros(loops.N_PRODUCT, np.int64)
        values = {
            loops.PR_M: dims.m,
            loops.PR_N: dims.n,
            loops.PR_MR: cut.mr,
            loops.PR_NR: cut.nr,
            loops.PR_MC: cut.mc,
            loops.PR_NC: cut.nc,
            loops.PR_IFMAP_BITS: stage.ifmap_bits,
            loops.PR_WEIGHT_BITS: stage.weight_bits,
            loops.PR_OFMAP_BITS: stage.ofmap_bits,
            loops.PR_SUM_BITS: stage.psum_bits if self._own_sums else stage.ofmap_bits,
            loops.PR_WEIGHT: weight,
            loops.PR_WEIGHT_ROW: weight_row,
            loops.PR_OFMAP: ofmap,
            loops.PR_OFMAP_ROW: row_bytes(stage),
            loops.PR_SUM: own_sums if self._own_sums else ofmap,
            loops.PR_SUM_ROW: bits_to_bytes(dims.n * stage.psum_bits) if self._own_sums else row_bytes(stage),
            loops.PR_PACK: stage.scratch,
            loops.PR_PACK_SIZE: self._pack_bytes,
            loops.PR_SPLIT_N: cut.by_filters,
            loops.PR_LANES: lanes,
            loops.PR_GROUP: per_lane,
            loops.PR_MAC_TICKS: ceil_div(lanes * per_lane * lo.TICKS, config.macs_per_cycle[width]),
            loops.PR_MAC_ISSUE: config.instructions_per_mac(bits),
            loops.PR_ISSUE: config.issue_width,
            loops.PR_LOADS: config.loads_per_cycle,
            loops.PR_VECTOR: config.vector_bits // BITS_PER_BYTE,
        }
        words[list(values)] = list(values.values())
        if staged:
            words[loops.PR_SUM_BITS] = stage.ofmap_bits
        return words

    def _weight_place(self, group: int) -> tuple[int, int]:
        """Address of the second operand of a group, and bytes from row to row where it is a feature map."""
        stage, dims = self.stage, self.dims
        if isinstance(stage.operator, MatMul):
            row = bits_to_bytes(dims.n * stage.weight_bits)
            return stage.weight + self._matrices[1][group] * dims.k * row, row
        return stage.weight + group * dims.n * dims.k * stage.weight_bits // BITS_PER_BYTE, 0

    @property
    def weight_order(self) -> SliverOrder:
        """How the weights lie: sliver by sliver, as the loops read them."""
        cut, dims = self.blocking, self.dims
        kernel = self._grid.window.kernel if isinstance(self.stage.operator, Conv) else (1, 1)
        taps = kernel[0] * kernel[1]
        sliver = cut.nc if self.config.shared_memory_kib is not None else cut.nr
        return SliverOrder(dims.groups, dims.n, dims.k // taps, taps, cut.kc, sliver, self.stage.weight_bits)

    def _output_offset(self, group: int) -> int:
        stage, dims = self.stage, self.dims
        if isinstance(stage.operator, Conv):
            return group * dims.n * stage.ofmap_bits // BITS_PER_BYTE
        return group * dims.m * row_bytes(stage)

    @cached_property
    def _matrices(self) -> tuple[list[int], list[int]]:
        return matrices_of(self.stage)

    def segments(self, group: int) -> tuple[Words, Words]:
        """Segments of input pixels, slice after slice of k, and the slices."""
        segments: list[tuple[int, ...]] = []
        slices = []
        for first, extent in self.blocking.slices(self.dims.k):
            begin = len(segments)
            segments += self._slice_segments(group, first, first + extent)
            slices.append((first, extent, begin, len(segments)))
        return np.array(segments, np.int64).reshape(-1, loops.N_SEGMENT), np.array(slices, np.int64)

    def _slice_segments(self, group: int, begin: int, end: int) -> list[tuple[int, ...]]:
        """Segments of the elements ``[begin, end)`` of k."""
        window, parts = self._grid.window, self.stage.inputs[0]
        kernel = window.kernel if isinstance(self.stage.operator, Conv) else (1, 1)
        channels = self.dims.k // (kernel[0] * kernel[1])
        offset = group * channels if isinstance(self.stage.operator, Conv) else 0
        base = 0
        if isinstance(self.stage.operator, MatMul):
            base = self._matrices[0][group] * self.dims.m * pixel_bytes(parts[0], self.stage.ifmap_bits)
        segments: list[tuple[int, ...]] = []
        for tap in range(begin // channels, ceil_div(end, channels)):
            row, col = divmod(tap, kernel[1])
            first, last = max(begin - tap * channels, 0), min(end - tap * channels, channels)
            for part in parts:
                low = max(first + offset, part.first_channel)
                high = min(last + offset, part.first_channel + part.channels)
                if low < high:
                    where = row * window.dilation[0], col * window.dilation[1]
                    segments.append(self._segment(part, base, where, low, high))
                    _join_last(segments)
        return segments

    def _segment(self, part: PlacedPart, base: int, where: tuple[int, int], low: int, high: int) -> tuple[int, ...]:
        bits = self.stage.ifmap_bits
        first = (low - part.first_channel) * bits // BITS_PER_BYTE
        run = max(ceil_div((high - part.first_channel) * bits, BITS_PER_BYTE) - first, 1)
        return (part.address + base + first, *where, 1, run, pixel_bytes(part, bits))


def matrices_of(stage: CachedStage) -> tuple[list[int], list[int]]:
    """Matrices of both operands that each group of a product of feature maps takes, leading dimensions broadcast."""
    leading = [shape[:-2] for shape in stage.input_shapes]
    if stage.dims is None or stage.dims.groups == 1:
        return [0], [0]
    joint = np.broadcast_shapes(*leading)
    first, second = (
        np.broadcast_to(np.arange(int(np.prod(dims))).reshape(dims), joint).ravel().tolist() for dims in leading
    )
    return first, second


def _join_last(segments: list[tuple[int, ...]]) -> None:
    """Make one segment of the last two where they are whole neighbouring pixels of one row."""
    if len(segments) < 2:
        return
    (base, row, col, cols, run, pixel), after = segments[-2], segments[-1]
    if (base, row, col + cols, run, pixel) == (*after[:3], *after[4:]) and run == pixel and after[3] == 1:
        segments[-2:] = [(base, row, col, cols + 1, run, pixel)]
