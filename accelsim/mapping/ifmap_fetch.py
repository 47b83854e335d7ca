"""What each tile of an input feature map brings in from DRAM, what room it takes, and what it has to wait for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.address_pattern import AddressPattern, shortened
from accelsim.mapping.blocks import repeat_per_matrix, shared_bits, sum_per_set
from accelsim.mapping.dataflow import RELEVANT_DIMS
from accelsim.mapping.footprint import block_pixels
from accelsim.mapping.layout import band_runs
from accelsim.mapping.tile_graph import Dependence
from accelsim.mapping.tiling import channel_ranges
from accelsim.units import bits_to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_addresses import ArrayAddresses, InputPart
    from accelsim.mapping.blocks import BlockSequence, TileVisits
    from accelsim.mapping.tiling import Tiling, TilingProblem


@dataclass(frozen=True)
class IfmapFetch:
    """The tiles of one input feature map.

    Parameters
    ----------
    blocks
        The layer, cut into blocks.
    addresses
        Where its operands lie.
    groups_are_channels
        Whether groups are stretches of channels (convolution) or whole matrices (batched products).
    """

    blocks: BlockSequence
    addresses: ArrayAddresses
    groups_are_channels: bool

    @property
    def problem(self) -> TilingProblem:
        """The layer."""
        return self.blocks.problem

    @property
    def tiling(self) -> Tiling:
        """How it is cut."""
        return self.blocks.tiling

    @property
    def visits(self) -> TileVisits:
        """The tiles in the sequence of blocks."""
        return self.blocks.visits["ifmap"]

    @cached_property
    def _bands(self) -> NDArray[np.void]:
        """Input pixels of each block of output pixels, less the rows that the block before left behind."""
        grid, block = self.problem.grid, self.tiling.m
        return grid.fresh_bands(block) if self._slides else grid.bands(block)

    @cached_property
    def _pixel_bits(self) -> NDArray[np.int64]:
        """Bits that each tile holds of one pixel: its channels, of all its matrices."""
        first, end = self._channel_range
        return (end - first) * self._matrices * self.problem.ifmap_bits

    def _tile_bits(self, bands: NDArray[np.void]) -> NDArray[np.int64]:
        pixels = block_pixels(bands, self.blocks.trips["m"])
        bits: NDArray[np.int64] = pixels[self.visits.dims["m"]] * self._pixel_bits
        return shared_bits(bits, self.problem.ifmap_form.buffer_share)

    @cached_property
    def allocated_bits(self) -> NDArray[np.int64]:
        """Room that each tile takes."""
        bits = self._tile_bits(self._bands)
        return bits if self._slides else self.blocks.room(0, bits)

    @cached_property
    def released_bits(self) -> NDArray[np.int64]:
        """Room that each set gives back: rows that the next set goes on using stay."""
        sets = len(self.visits.set_last_block)
        taken = sum_per_set(self.allocated_bits, self.visits.set_index, sets)
        if not self._slides or "m" in self.tiling.order[self.tiling.retention[0] :]:
            return taken
        held = sum_per_set(self._tile_bits(self.problem.grid.bands(self.tiling.m)), self.visits.set_index, sets)
        shared = held - taken  # rows that a set found in the buffer: the set before leaves them there
        released: NDArray[np.int64] = held - np.append(shared[1:], 0)
        return released

    @cached_property
    def pattern(self) -> AddressPattern:
        """Where the tiles lie."""
        return AddressPattern.gather([self._runs(part) for part in self.addresses.ifmap], len(self.visits.group))

    @property
    def dependences(self) -> tuple[Dependence, ...]:
        """What must have been drained before each tile can be fetched."""
        ready = self._ready_fraction
        dependences: dict[int, Dependence] = {}
        for part in self.addresses.ifmap:
            if part.producer:
                stage, output = part.producer
                drained = output.drains_until(ready if part.in_order else np.ones(len(ready)))
                if stage in dependences:
                    drained = np.maximum(drained, dependences[stage].drained)
                dependences[stage] = Dependence(stage, drained)
        return tuple(dependences.values())

    @cached_property
    def _channel_range(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last-plus-one input channel of each ifmap tile, on the axis of the whole feature map.

        Where a set holds all of k, a channel that two tiles share comes with the first of them.
        """
        visits = self.visits
        first, end = channel_ranges(self.problem, self.tiling.k)
        if "k" in self.tiling.order[self.tiling.retention[0] :]:
            first = np.append(0, end[:-1])
        first, end = first[visits.dims["k"]], end[visits.dims["k"]]
        if not self.groups_are_channels:
            return first, end
        group = visits.group * self.tiling.groups
        last_group = group + self.blocks.group_extent(visits.group) - 1
        return first + group * self.problem.channels, end + last_group * self.problem.channels

    @property
    def _matrices(self) -> NDArray[np.int64]:
        """Whole matrices in each tile: the groups of a batched product."""
        visits = self.visits
        return np.ones_like(visits.group) if self.groups_are_channels else self.blocks.group_extent(visits.group)

    @property
    def _slides(self) -> bool:
        """Whether tiles leave input rows behind that the next one finds in the buffer."""
        order, level = self.tiling.order, self.tiling.retention[0]
        inside = "m" in order[level:] and self.blocks.trips["m"] > 1
        outside = [dim for dim in order[:level] if dim in RELEVANT_DIMS["ifmap"] and self.blocks.trips[dim] > 1]
        return inside or (bool(outside) and outside[-1] == "m")

    def _runs(self, part: InputPart) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Runs of one part of the input, with the tile that each belongs to."""
        visits, bands, channels = self.visits, self._bands, self._channel_range
        first_band = np.searchsorted(bands["block"], np.arange(self.blocks.trips["m"] + 1))
        counts = np.diff(first_band)[visits.dims["m"]]
        owner = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        picked = bands[first_band[visits.dims["m"]][owner] + within]
        begin = np.clip(channels[0] - part.first_channel, 0, part.channels)[owner]
        end = np.clip(channels[1] - part.first_channel, 0, part.channels)[owner]
        runs = band_runs(part.address, self.problem.grid, picked, (begin, end), part.channels, self.problem.ifmap_bits)
        runs = shortened(runs, self.problem.ifmap_form.dram_share, part.address)
        if self.addresses.matrices is not None:
            matrix = bits_to_bytes(part.channels * self.problem.ifmap_bits) * self.problem.dims.m
            return repeat_per_matrix(self.blocks, visits, owner, runs, self.addresses.matrices[0] * matrix)
        return owner, runs

    @property
    def _ready_fraction(self) -> NDArray[np.float64]:
        """Leading part of the input that has to exist before each tile can be fetched."""
        visits, grid = self.visits, self.problem.grid
        bands = grid.bands(self.tiling.m)
        end = (bands["image"] * grid.height + bands["row_end"] - 1) * grid.width + bands["col_end"]
        last = np.zeros(self.blocks.trips["m"])
        np.maximum.at(last, bands["block"], end / grid.input_pixels)
        if self.groups_are_channels:
            return last[visits.dims["m"]]
        return (visits.group * self.tiling.groups + self._matrices) / self.problem.dims.groups
