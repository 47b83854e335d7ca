"""Pragmatic (Albericio et al., MICRO 2017): multiplies by the one bits of the activations alone, one after the other.

A tile is a grid of filters and columns. A column takes a brick (as many channels of one window element as there are
lanes) of a window of its own; all columns share the weights of a filter, so as many windows run side by side as there
are columns: a pallet. Each cycle every lane of a column adds its weight shifted by its next term. The shifts of a cycle
have to lie within the reach of the lanes' own shifters above the lowest one, lanes further up wait. Columns wait for
the slowest of the pallet at every brick, or run ahead by as many bricks as there are synapse set registers. Tiles work
on other filters with the same activations.

With ``all_bits`` for terms this is Stripes (Judd et al., MICRO 2016): a cycle for every bit of the layer's precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from accelsim.config.pe_array import PeArrayConfig
from accelsim.hardware.pe_array.bit_content import booth_distribution, one_bit_distribution
from accelsim.hardware.pe_array.bit_pragmatic_expectation import DrawnInputs, expected_step_cycles, geometry_of
from accelsim.hardware.pe_array.bit_pragmatic_kernel import BLOCK_DTYPE, MACHINE_DTYPE, layer_cycles
from accelsim.hardware.pe_array.bit_pragmatic_terms import Encoding, Masks, term_masks
from accelsim.hardware.pe_array.dense import DenseArray, DenseCosts
from accelsim.hardware.pe_array.diannao import chunks, lane_counts, window_taps
from accelsim.hardware.pe_array.expectation import whole_cycles
from accelsim.hardware.pe_array.operand_memo import once_per_tensor
from accelsim.mapping.array_costs import broadcast_ports
from accelsim.mapping.dataflow import DIMS
from accelsim.mapping.footprint import PixelGrid, pixel_grid
from accelsim.workload.operators import Conv, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer, ArrayWork
    from accelsim.mapping.blocks import BlockSequence


class BitPragmaticConfig(PeArrayConfig):
    """Tiles of inner-product units that work through the terms of activations."""

    sides: ClassVar[tuple[str, str]] = ("filter", "column")

    kind: Literal["bit_pragmatic"] = "bit_pragmatic"
    tiles: int = Field(ge=1, le=4_096)
    """Tiles, each with filters of its own."""
    filters: int = Field(ge=1, le=4_096)
    """Filters of a tile."""
    lanes: int = Field(ge=1, le=4_096)
    """Channels of a brick."""
    columns: int = Field(ge=1, le=4_096)
    """Windows of a pallet."""
    first_stage_bits: int = Field(default=2, ge=0, le=6)
    """Bits of the shift in each lane; the rest of the shift is common to a column (L)."""
    column_registers: int = Field(default=0, ge=0, le=4_096)
    """Synapse set registers, by which columns may run ahead; without any they wait for each other at every brick."""
    pipeline_stages: int = Field(default=2, ge=1, le=64)
    """Cycles from the last term of an output to the output."""
    terms: Encoding = "one_bits"
    """What an activation is worked through in: its one bits, its radix-4 Booth digits, or every bit of the layer."""

    @property
    def elements(self) -> int:
        """Lanes of all columns of all filters: the peak, where no activation has more than one term."""
        return self.tiles * self.filters * self.columns * self.lanes

    @property
    def leaking_elements(self) -> float:
        """As many as bit-parallel multipliers of the same throughput, where every bit is a term."""
        return self.elements / self.operand_bits

    def build(self, hardware: HardwareConfig) -> BitPragmatic:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return BitPragmatic(
            self.tiles * self.filters,
            self.lanes,
            self.columns,
            2**self.first_stage_bits,
            self.column_registers,
            self.pipeline_stages,
            self.terms,
        )


@dataclass(frozen=True)
class BitPragmatic(DenseArray):
    """The array: filters of all tiles, lanes, columns, reach of the first stage, registers, stages, encoding."""

    filters: int
    lanes: int
    columns: int
    reach: int
    registers: int
    pipeline_stages: int
    terms: Encoding

    def costs(self, layer: ArrayLayer) -> BitPragmaticCosts:
        """What a layer costs."""
        return BitPragmaticCosts(layer, self.filters * self.lanes * self.columns, self)


@dataclass(frozen=True)
class BitPragmaticCosts(DenseCosts):
    """Costs of a layer; they follow from its activations."""

    array: BitPragmatic

    @cached_property
    def _grid(self) -> PixelGrid:
        operator = self.layer.operator
        if isinstance(operator, Conv):
            return pixel_grid(operator, (self.layer.ifmap_shape,))
        return PixelGrid(1, self.layer.dims.m, 1, self.layer.dims.m, 1, Window((1, 1)))

    @property
    def _masks(self) -> Masks:
        """Terms of known inputs, (pixels of all images, channels of all groups)."""
        values = self.layer.ifmap.values
        if values is None:
            message = f"the inputs of {self.layer.name} are not known"
            raise ValueError(message)
        if isinstance(self.layer.operator, Conv):
            values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
        else:  # a product of feature maps has a matrix for each group, some of them the same
            dims = self.layer.dims
            shape = (*self.layer.ofmap_shape[:-2], dims.m, dims.k) if dims.groups > 1 else (1, dims.m, dims.k)
            values = values.reshape(shape) if dims.groups == 1 else np.broadcast_to(values, shape)
            values = values.reshape(dims.groups, dims.m, dims.k).swapaxes(0, 1).reshape(dims.m, -1)
        return np.ascontiguousarray(term_masks(values, self.array.terms))

    def _records(self, m: int, n: int, k: int, least: int) -> tuple[NDArray[np.void], ...]:
        """Layer, blocks, geometry and machine for the kernel."""
        dims, array = self.layer.dims, self.array
        machine = (array.filters, array.lanes, array.columns, array.reach, array.registers, least)
        return (
            np.array((dims.m, dims.n, dims.k), BLOCK_DTYPE),
            np.array((m, n, k), BLOCK_DTYPE),
            geometry_of(self._grid),
            np.array(machine, MACHINE_DTYPE),
        )

    def _exact_cycles(self, m: int, n: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Cycles per group and block (groups, m, n, k), and per column of one round; None where nothing is known."""
        if self.layer.ifmap.known != "tensor":
            return None
        key = (self.array, self.layer.operator, self.layer.dims, m, n, k)
        return once_per_tensor(self.layer.ifmap, key, partial(self._count_cycles, m, n, k))

    def _count_cycles(self, m: int, n: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        masks = self._masks
        least = int(masks.flat[0]).bit_count() if self.array.terms == "all_bits" else 1
        extents, block, geometry, machine = (record[()] for record in self._records(m, n, k, least))
        found: tuple[NDArray[np.int64], NDArray[np.int64]] = layer_cycles(  # type: ignore[no-untyped-call]
            masks, self.layer.dims.groups, extents, block, geometry, machine
        )
        return found

    @cached_property
    def _mean_step(self) -> float | None:
        """Cycles of a step of all columns, averaged over the layer; None where the inputs are not known."""
        dims = self.layer.dims
        exact = self._exact_cycles(dims.m, min(dims.n, self.array.filters), dims.k)
        pallets = -(-dims.m // self.array.columns)
        return None if exact is None else float(exact[0][:, 0, 0, 0].mean() / (pallets * self._steps(dims.k)))

    def _steps(self, k: int) -> int:
        """Bricks of a window."""
        return int(chunks(np.array(k), window_taps(self.layer), self.array.lanes))

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Expected cycles from stated statistics; from known inputs as if all steps took the mean of the layer."""
        pixels, pixel_at = np.unique(m, return_inverse=True)
        depths, depth_at = np.unique(k, return_inverse=True)
        table = np.array([[self._round_cycles(pixel, depth) for depth in depths.tolist()] for pixel in pixels.tolist()])
        per_round = table[pixel_at.reshape(m.shape), depth_at.reshape(k.shape)]
        return whole_cycles(groups * -(-n // self.array.filters) * per_round)

    def _round_cycles(self, pixels: int, k: int) -> float:
        """Expected cycles of all windows for one round of filters."""
        if self._mean_step is not None:
            return self._mean_step * -(-pixels // self.array.columns) * self._steps(k)
        whole, rest = divmod(pixels, self.array.columns)
        cycles = 0.0
        for pallets, columns in ((whole, self.array.columns), (1, rest)):
            if pallets and columns:
                cycles += pallets * self._window_cycles(columns, k, self.array.registers)
        return cycles

    @cached_property
    def _drawn_inputs(self) -> DrawnInputs:
        layer, array = self.layer, self.array
        return DrawnInputs(
            layer.ifmap.statistics,
            layer.ifmap_bits,
            array.terms,
            array.reach,
            self._grid.window,
            layer.dims.k // window_taps(layer),
            self._grid.out_width,
        )

    def _window_cycles(self, columns: int, k: int, registers: int) -> float:
        """Expected cycles of all bricks of a pallet of so many windows."""
        array, taps = self.array, window_taps(self.layer)
        short, long = divmod(k, taps)  # of the taps, `long` have one channel more than `short`
        cycles = 0.0
        for channels, times in ((short, taps - long), (short + 1, long)):
            for bricks, lanes in ((channels // array.lanes, array.lanes), (1, channels % array.lanes)):
                if times and bricks and lanes:
                    step = expected_step_cycles(self._drawn_inputs, lanes, columns, registers)
                    cycles += times * bricks * step
        return cycles

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Each round of filters reads the inputs, each pallet the weights."""
        layer, array, groups = self.layer, self.array, blocks.block_groups
        m, n, k = (blocks.extents_per_block[dim] for dim in DIMS)
        cycles, columns = self._block_cycles(blocks)
        behind = np.full_like(cycles, array.pipeline_stages - 1)
        worked, terms = self._worked_and_terms
        efficiency = worked / (self.elements * max(int(cycles.sum()), 1))
        cycles[-1] += behind[-1]  # nothing follows that would hide it
        behind[-1] = 0
        plain = super().work(blocks)
        inputs = int((groups * m * k * -(-n // array.filters)).sum())
        weights = int((groups * -(-m // array.columns) * n * k).sum())
        rounds = lane_counts(blocks.block_extent("n", np.arange(blocks.trips["n"])), array.filters).sum(axis=0)
        busy = np.outer(rounds, columns)
        return replace(
            plain,
            cycles=cycles,
            cycles_behind=behind,
            efficiency=efficiency,
            read_bits=plain.read_bits | {"ifmap": inputs * layer.ifmap_bits, "weight": weights * layer.weight_bits},
            register_file_bits=terms * layer.weight_bits + 2 * round(float(busy.sum())) * layer.psum_bits,
            macs=worked,
            gated_macs=worked,  # priced by their terms
            operations={"shift_add": terms},
            busy_cycles=busy,
            ports=broadcast_ports("ifmap", array.filters),
            description={"terms_per_activation": terms / layer.dims.macs, "operands": {"ifmap": layer.ifmap.known}},
        )

    def _block_cycles(self, blocks: BlockSequence) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Cycles per block, and those of each column in one round of filters."""
        tiling, dims = blocks.tiling, self.layer.dims
        exact = self._exact_cycles(tiling.m, tiling.n, tiling.k)
        if exact is None:
            cycles = self.estimated_cycles(blocks.block_groups, *(blocks.extents_per_block[dim] for dim in DIMS))
            windows = lane_counts(blocks.block_extent("m", np.arange(blocks.trips["m"])), self.array.columns)
            depths = blocks.block_extent("k", np.arange(blocks.trips["k"])).tolist()
            return cycles, windows.sum(axis=0) * (dims.groups * sum(self._window_cycles(1, k, 0) for k in depths))
        by_group, busy = exact
        by_block = np.add.reduceat(by_group, np.arange(0, dims.groups, tiling.groups), axis=0)
        index = blocks.index_per_block
        return by_block[blocks.group_per_block, index["m"], index["n"], index["k"]], busy.astype(np.float64)

    @property
    def _worked_and_terms(self) -> tuple[int, int]:
        """Multiply-accumulates that have a term, and all their terms; padding has none, but where all bits count."""
        if self.layer.ifmap.known == "tensor":
            key = (self.array.terms, self.layer.operator, self.layer.dims)
            return once_per_tensor(self.layer.ifmap, key, self._count_terms)
        layer, statistics = self.layer, self.layer.ifmap.statistics
        bits = statistics.magnitude_bits or max(layer.ifmap_bits - 1, 1)
        if self.array.terms == "all_bits":
            return layer.dims.macs, layer.dims.macs * bits
        channels = layer.dims.groups * layer.dims.k // window_taps(layer)
        seen = int(self._windows_per_pixel.sum()) * self._grid.images * channels * layer.dims.n
        distribution = booth_distribution if self.array.terms == "booth" else one_bit_distribution
        each = distribution(statistics, layer.ifmap_bits if self.array.terms == "booth" else bits)
        return round(seen * statistics.density), round(seen * each.mean)

    def _count_terms(self) -> tuple[int, int]:
        masks, macs = self._masks, self.layer.dims.macs
        if self.array.terms == "all_bits":
            return macs, macs * int(masks.flat[0]).bit_count()
        return self._in_windows(masks != 0), self._in_windows(np.bitwise_count(masks))

    def _in_windows(self, counts: NDArray[np.uint8] | NDArray[np.bool_]) -> int:
        """Sum over all products of what stands by pixel and channel."""
        by_pixel = counts.sum(axis=1, dtype=np.int64).reshape(-1, self._grid.height, self._grid.width)
        return int((by_pixel * self._windows_per_pixel).sum()) * self.layer.dims.n

    @property
    def _windows_per_pixel(self) -> NDArray[np.int64]:
        """How many windows see each pixel of a feature map."""
        grid, window = self._grid, self._grid.window
        seen = []
        for axis, (size, outputs) in enumerate(((grid.height, grid.out_height), (grid.width, grid.out_width))):
            taps = np.arange(window.kernel[axis]) * window.dilation[axis] - window.padding[axis]
            places = (np.arange(outputs)[:, None] * window.stride[axis] + taps).ravel()
            seen.append(np.bincount(places[(places >= 0) & (places < size)], minlength=size))
        windows: NDArray[np.int64] = np.outer(*seen)
        return windows
