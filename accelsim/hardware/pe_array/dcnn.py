"""DCNN, the dense machine that SCNN is compared with (Parashar et al., ISCA 2017, section 5).

Elements share out the output plane by pixels, or the filters of a matrix product; each multiplies `lanes` activations
by as many weights and adds the products up in a tree, `lanes` weights of a filter at a time whatever their channel.
Nothing is skipped. Its improved version, DCNN-opt, switches multipliers off that have a zero operand, and stores the
feature maps in DRAM without their zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelsim.config.pe_array import PeArrayConfig
from accelsim.hardware.pe_array.dense import DenseArray, DenseCosts
from accelsim.hardware.pe_array.scnn_operands import LayerOperands, entries_per_element
from accelsim.hardware.pe_array.scnn_planes import rectangles
from accelsim.mapping.array_costs import PLAIN, StoredForm, broadcast_ports
from accelsim.mapping.dataflow import DIMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer, ArrayWork
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.workload.operand_data import OperandData

_INDEX_BITS = 4


class DcnnConfig(PeArrayConfig):
    """Elements with a dot-product unit."""

    kind: Literal["dcnn"]
    pe_rows: int = Field(ge=1, le=256)
    """Rows of elements, which share out the rows of the output plane."""
    pe_cols: int = Field(ge=1, le=256)
    """Columns of elements."""
    lanes: int = Field(default=16, ge=1, le=1024)
    """Products that an element adds up per cycle."""
    gate_zeros: bool = False
    """Whether a multiplier with a zero operand spends no energy."""
    compress_maps: bool = False
    """Whether feature maps lie in DRAM without their zeros, with 4-bit indices."""

    @property
    def elements(self) -> int:
        """Multipliers."""
        return self.pe_rows * self.pe_cols * self.lanes

    def build(self, hardware: HardwareConfig) -> Dcnn:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return Dcnn(self)


@dataclass(frozen=True)
class Dcnn(DenseArray):
    """The array."""

    config: DcnnConfig

    def costs(self, layer: ArrayLayer) -> DcnnCosts:
        """What a layer costs."""
        return DcnnCosts(layer, self.config.elements, self.config)

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:
        """Feature maps without their zeros in DRAM, where the config says so and that is shorter."""
        if not self.config.compress_maps:
            return PLAIN
        share = entries_per_element(data.density, (1 << _INDEX_BITS) - 1) * (bits + _INDEX_BITS) / bits
        return StoredForm(dram_share=min(share, 1.0))


@dataclass(frozen=True)
class DcnnCosts(DenseCosts):
    """Costs of one layer."""

    config: DcnnConfig

    @cached_property
    def _operands(self) -> LayerOperands:
        return LayerOperands(self.layer, frozenset(("ifmap", "weight")))

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Whole rows of output pixels, and parts of one; any filters and weights."""
        if dim != "m" or not self._operands.is_plane:
            return None
        height, width = self.layer.ofmap_shape[2:]
        rows = [1 << power for power in range(height.bit_length())]
        images = [1 << power for power in range(self.layer.ofmap_shape[0].bit_length())]
        parts = [1 << power for power in range(width.bit_length())]
        return sorted({*parts, *(width * row for row in rows), *(width * height * image for image in images),
                       width * height, self.layer.dims.m})  # fmt: skip

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks of whole rows; the pixels of the slowest element, one filter and dot product at a time."""
        steps = -(-k // self.config.lanes)
        pes = self.config.pe_rows * self.config.pe_cols
        sizes, place = np.unique(m, return_inverse=True)
        slowest = np.array([self._slowest_pixels(int(size)) for size in sizes])[place.reshape(m.shape)]
        of_each = slowest * n if self._operands.is_plane else m * -(-n // pes)
        cycles: NDArray[np.int64] = groups * of_each * steps
        return cycles

    def _slowest_pixels(self, pixels: int) -> int:
        """Output pixels of the element that has the most."""
        if not self._operands.is_plane:
            return pixels
        _, _, height, width = self.layer.ofmap_shape
        parts = rectangles(0, pixels, height, width)
        return sum(
            -(-(part.rows[1] - part.rows[0]) // self.config.pe_rows)
            * -(-(part.cols[1] - part.cols[0]) // self.config.pe_cols)
            for part in parts
        )

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Every multiplication takes its cycle; those with a zero operand may be gated."""
        work = super().work(blocks)
        layer, taps_bits = self.layer, self.layer.ifmap_bits + self.layer.weight_bits
        dots = layer.dims.groups * layer.dims.m * layer.dims.n * -(-layer.dims.k // self.config.lanes)
        gated = layer.dims.macs - self._operands.useful_products if self.config.gate_zeros else 0
        return replace(
            work,
            gated_macs=gated,
            register_file_bits=layer.dims.macs * taps_bits + 2 * dots * layer.psum_bits,
            busy_cycles=self._busy_cycles(blocks),
            ports=broadcast_ports("weight", self.config.pe_rows * self.config.pe_cols),
            description={"operands": {"ifmap": layer.ifmap.known, "weight": layer.weight.known}} if gated else {},
        )

    def _busy_cycles(self, blocks: BlockSequence) -> NDArray[np.float64]:
        """Cycles in which each element has a dot product: each block of m meets each of n and of k."""
        dims, grid = self.layer.dims, (self.config.pe_rows, self.config.pe_cols)
        m, n, k = (blocks.block_extent(dim, np.arange(blocks.trips[dim])) for dim in DIMS)
        sums = np.zeros(grid)
        if self._operands.is_plane:
            for pixels, times in zip(*np.unique(m, return_counts=True), strict=True):
                for part in rectangles(0, int(pixels), *self.layer.ofmap_shape[2:]):
                    rows = _dealt_out(part.rows[1] - part.rows[0], grid[0])
                    cols = _dealt_out(part.cols[1] - part.cols[0], grid[1])
                    sums += times * dims.n * np.outer(rows, cols)
        else:
            own = sum(_dealt_out(filters, sums.size) for filters in n.tolist())
            sums += dims.m * np.reshape(own, grid)
        busy: NDArray[np.float64] = sums * float(dims.groups * (-(-k // self.config.lanes)).sum())
        return busy


def _dealt_out(extent: int, places: int) -> NDArray[np.int64]:
    """Share of each place where the first ones take as much as the slowest, and the last what is left."""
    most = -(-extent // places)
    return np.clip(extent - np.arange(places) * most, 0, most)
