"""A matrix product row by row, as the compiled loops take it: places and costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_rows as sr
from accelsim.hardware.pe_array.simd_blocking import LANE_BITS
from accelsim.hardware.pe_array.simd_lowering import is_lowered
from accelsim.hardware.pe_array.simd_product import matrices_of
from accelsim.mapping.cached_network import pixel_bytes, row_bytes
from accelsim.mapping.element_order import WeightOrder
from accelsim.mapping.placement import ALIGNMENT_BYTES
from accelsim.units import BITS_PER_BYTE, bits_to_bytes, ceil_div
from accelsim.workload.operators import Conv, Gemm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accelsim.hardware.cache.layout import Words
    from accelsim.hardware.pe_array.simd import SimdConfig
    from accelsim.mapping.cached_network import CachedStage
    from accelsim.mapping.footprint import PixelGrid
    from accelsim.workload.operators import GemmDims

LOOP_INSTRUCTIONS = 2
"""Instructions per vector besides its loads, its arithmetic and its store: the index, and the jump back."""

LOWERING_INSTRUCTIONS = 8
"""Instructions per element of the lowered matrix: four comparisons with the borders, two indices, load and store."""


@dataclass(frozen=True)
class PlainProduct:
    """One product of plain loops: of an image and a group, or of two matrices.

    Parameters
    ----------
    rows, first, second
        As `simd_rows.run_rows` takes them, or `simd_rows.run_dots`.
    planes
        Places of the planes that are lowered first; None where nothing is.
    sum_bytes
        Bytes of the sums, set to zero before.
    """

    rows: Words
    first: Words
    second: Words
    planes: Words | None
    sum_bytes: int


@dataclass(frozen=True)
class RowProduct:
    """One layer of matrix products, row by row."""

    config: SimdConfig
    stage: CachedStage

    @property
    def dims(self) -> GemmDims:
        """The products."""
        return self.stage.products

    @property
    def _grid(self) -> PixelGrid:
        return self.stage.pixels

    @property
    def is_lowered(self) -> bool:
        """Whether the map is lowered into a matrix; that of a 1 x 1 kernel is one already."""
        return is_lowered(self.stage)

    @property
    def pixels(self) -> int:
        """Output pixels of an image."""
        return self._grid.out_height * self._grid.out_width

    @property
    def _shape(self) -> tuple[int, int]:
        """Rows of results of one product, and results of a row."""
        dims = self.dims
        return (dims.n, self.pixels) if isinstance(self.stage.operator, Conv) else (dims.m, dims.n)

    @property
    def weight_order(self) -> WeightOrder:
        """How the weights lie: filter after filter, as the model has them."""
        dims = self.dims
        return WeightOrder(dims.groups, dims.n, dims.k, dims.groups, dims.n, dims.k, self.stage.weight_bits)

    @property
    def description(self) -> dict[str, object]:
        """Loops, for the report."""
        return {"loops": "dots" if isinstance(self.stage.operator, Gemm) else "rows", "lowered": self.is_lowered}

    # -- memory besides the tensors ------------------------------------------------------------------------------

    @property
    def _matrix_bytes(self) -> int:
        """The lowered matrix of one image and group."""
        size = bits_to_bytes(self.dims.k * self.pixels * self.stage.ifmap_bits) if self.is_lowered else 0
        return ceil_div(size, ALIGNMENT_BYTES) * ALIGNMENT_BYTES

    @property
    def _own_sums(self) -> bool:
        """Whether sums have a memory of their own, for they are wider than results; registers hold those of dots."""
        return self.stage.psum_bits > self.stage.ofmap_bits and not isinstance(self.stage.operator, Gemm)

    @property
    def scratch_bytes(self) -> int:
        """The lowered matrix, and the sums of one product."""
        rows, length = self._shape
        return self._matrix_bytes + (bits_to_bytes(rows * length * self.stage.psum_bits) if self._own_sums else 0)

    # -- products ------------------------------------------------------------------------------------------------

    def products(self) -> Iterator[PlainProduct]:
        """The products of a layer, one after the other."""
        if isinstance(self.stage.operator, Gemm):
            yield self._dots()
        elif isinstance(self.stage.operator, Conv):
            for image in range(self._grid.images):
                for group in range(self.dims.groups):
                    yield self._convolution(image, group)
        else:
            for group in range(self.dims.groups):
                yield self._matrices(group)

    def _convolution(self, image: int, group: int) -> PlainProduct:
        """One image and group: weights times the lowered matrix."""
        stage, dims, grid = self.stage, self.dims, self._grid
        plane = grid.height * grid.width * stage.ifmap_bits
        taps = grid.window.kernel[0] * grid.window.kernel[1]
        channels = np.arange(dims.k // taps) + group * (dims.k // taps)
        planes = np.zeros(len(channels), np.int64)
        for part in stage.inputs[0]:
            inside = (channels >= part.first_channel) & (channels < part.first_channel + part.channels)
            number = image * part.channels + channels[inside] - part.first_channel
            planes[inside] = part.address * BITS_PER_BYTE + number * plane
        k = np.arange(dims.k)
        weights = (stage.weight * BITS_PER_BYTE) + (group * dims.n * dims.k + k) * stage.weight_bits
        first = np.stack([weights, np.full(dims.k, dims.k * stage.weight_bits)], axis=1)
        second = stage.scratch * BITS_PER_BYTE + k * self.pixels * stage.ifmap_bits if self.is_lowered else planes
        row = self.pixels * stage.ofmap_bits
        out = stage.output * BITS_PER_BYTE + (image * dims.groups + group) * dims.n * row
        words = self._words((stage.weight_bits, stage.ifmap_bits), out, row)
        return PlainProduct(words, first, second, planes if self.is_lowered else None, self._sum_bytes)

    def _matrices(self, group: int) -> PlainProduct:
        """One pair of matrices."""
        stage, dims = self.stage, self.dims
        left, right = (matrices[group] for matrices in matrices_of(stage))
        k = np.arange(dims.k)
        first = np.zeros((dims.k, 2), np.int64)
        for part in stage.inputs[0]:
            row = pixel_bytes(part, stage.ifmap_bits) * BITS_PER_BYTE
            inside = (k >= part.first_channel) & (k < part.first_channel + part.channels)
            place = part.address * BITS_PER_BYTE + left * dims.m * row
            first[inside, 0] = place + (k[inside] - part.first_channel) * stage.ifmap_bits
            first[inside, 1] = row
        row = bits_to_bytes(dims.n * stage.weight_bits) * BITS_PER_BYTE
        second = stage.weight * BITS_PER_BYTE + (right * dims.k + k) * row
        row = row_bytes(stage) * BITS_PER_BYTE
        out = stage.output * BITS_PER_BYTE + group * dims.m * row
        words = self._words((stage.ifmap_bits, stage.weight_bits), out, row)
        return PlainProduct(words, first, second, None, self._sum_bytes)

    def _dots(self) -> PlainProduct:
        """A fully connected layer: the input times every filter."""
        stage, dims = self.stage, self.dims
        first = np.array(
            [
                (
                    part.address * BITS_PER_BYTE,
                    pixel_bytes(part, stage.ifmap_bits) * BITS_PER_BYTE,
                    min(part.channels, dims.k),
                )
                for part in stage.inputs[0]
            ],
            np.int64,
        )
        second = np.array([stage.weight * BITS_PER_BYTE, dims.k * stage.weight_bits])
        bits = stage.ifmap_bits, stage.weight_bits
        words = self._words(bits, stage.output * BITS_PER_BYTE, row_bytes(stage) * BITS_PER_BYTE)
        words[[sr.RW_OUT, sr.RW_OUT_ROW]] = words[[sr.RW_SUM, sr.RW_SUM_ROW]]
        words[sr.RW_STRETCH] = max(self.config.line_bytes * BITS_PER_BYTE // max(bits), 1)
        return PlainProduct(words, first, second, None, 0)

    @property
    def _sum_bytes(self) -> int:
        rows, length = self._shape
        bits = self.stage.psum_bits if self._own_sums else self.stage.ofmap_bits
        return max(rows * length * bits // BITS_PER_BYTE, 1)

    def _words(self, bits: tuple[int, int], out: int, out_row: int) -> Words:
        """Sizes, places and costs of a product whose results begin at the bit `out`."""
        stage, config = self.stage, self.config
        rows, length = self._shape
        sum_bits = stage.psum_bits if self._own_sums else stage.ofmap_bits
        sums = (stage.scratch + self._matrix_bytes) * BITS_PER_BYTE
        words = np.zeros(sr.N_ROWS, np.int64)
        values = {
            sr.RW_M: rows,
            sr.RW_N: length,
            sr.RW_K: self.dims.k,
            sr.RW_STRETCH: max(config.line_bytes * BITS_PER_BYTE // sum_bits, 1),
            sr.RW_FIRST_BITS: bits[0],
            sr.RW_SECOND_BITS: bits[1],
            sr.RW_SUM: sums if self._own_sums else out,
            sr.RW_SUM_ROW: length * sum_bits if self._own_sums else out_row,
            sr.RW_SUM_BITS: sum_bits,
            sr.RW_OUT: out if self._own_sums else -1,
            sr.RW_OUT_ROW: out_row,
            sr.RW_OUT_BITS: stage.ofmap_bits,
            sr.RW_LANES: self.lanes,
            sr.RW_TICKS: self._vector_ticks,
            sr.RW_ROW_TICKS: (1 + LOOP_INSTRUCTIONS) * lo.TICKS // config.issue_width,
        }
        words[list(values)] = list(values.values())
        return words

    # -- costs ---------------------------------------------------------------------------------------------------

    @property
    def lanes(self) -> int:
        """Sums per vector."""
        return self.config.vector_bits // LANE_BITS

    @property
    def _instructions(self) -> int:
        """Instructions per vector: loads of both rows, arithmetic, and the store of sums that no register keeps."""
        bits = max(self.stage.ifmap_bits, self.stage.weight_bits)
        stores = 0 if isinstance(self.stage.operator, Gemm) else 1
        return 2 + stores + self.config.instructions_per_mac(bits) + LOOP_INSTRUCTIONS

    @property
    def _vector_ticks(self) -> int:
        """Time of a vector from the first cache: the multipliers', the loads' or that of the issue."""
        config = self.config
        width = config.width_class(max(self.stage.ifmap_bits, self.stage.weight_bits))
        return max(
            ceil_div(self.lanes * lo.TICKS, config.macs_per_cycle[width]),
            2 * lo.TICKS // config.loads_per_cycle,
            self._instructions * lo.TICKS // config.issue_width,
        )

    @property
    def vectors(self) -> int:
        """Vectors of sums that all products update."""
        rows, length = self._shape
        products = self.dims.macs // (rows * length * self.dims.k)
        if isinstance(self.stage.operator, Gemm):
            return products * rows * length * ceil_div(self.dims.k, self.lanes)
        return products * rows * self.dims.k * ceil_div(length, self.lanes)

    @property
    def tally(self) -> tuple[int, int, int]:
        """Instructions, vectors loaded and vectors stored."""
        lowered = self.dims.groups * self.dims.k * self._grid.output_pixels if self.is_lowered else 0
        moved = ceil_div(lowered * self.stage.ifmap_bits, self.config.vector_bits)
        stored = 0 if isinstance(self.stage.operator, Gemm) else self.vectors
        instructions = self.vectors * self._instructions + lowered * LOWERING_INSTRUCTIONS
        return instructions, 2 * self.vectors + moved, stored + moved

    @property
    def lowering_words(self) -> Words:
        """The window, as `simd_rows.run_lowering` takes it."""
        grid, words = self._grid, np.zeros(sr.N_LOWERING, np.int64)
        words[[sr.LW_KERNEL_Y, sr.LW_KERNEL_X]] = grid.window.kernel
        words[[sr.LW_STRIDE_Y, sr.LW_STRIDE_X]] = grid.window.stride
        words[[sr.LW_DILATION_Y, sr.LW_DILATION_X]] = grid.window.dilation
        words[[sr.LW_TOP, sr.LW_LEFT]] = grid.window.padding[:2]
        words[[sr.LW_HEIGHT, sr.LW_WIDTH]] = grid.height, grid.width
        words[[sr.LW_OUT_HEIGHT, sr.LW_OUT_WIDTH]] = grid.out_height, grid.out_width
        words[sr.LW_BITS] = self.stage.ifmap_bits
        words[sr.LW_TICKS] = grid.out_width * LOWERING_INSTRUCTIONS * lo.TICKS // self.config.issue_width
        return words
