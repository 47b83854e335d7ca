"""Builds the tile graph of a stage that the PE array runs, from its tiling and the placement of its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.address_pattern import AddressPattern
from accelsim.mapping.dataflow import RELEVANT_DIMS
from accelsim.mapping.footprint import block_pixels
from accelsim.mapping.layout import band_runs, pixel_runs
from accelsim.mapping.tile_graph import Activity, Dependence, OperandTiles, OutputTiles
from accelsim.mapping.tiling import channel_ranges
from accelsim.units import BITS_PER_BYTE, bits_to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.blocks import BlockSequence, TileVisits
    from accelsim.mapping.tiling import Tiling, TilingProblem


@dataclass(frozen=True)
class InputPart:
    """A stretch of input channels in DRAM.

    Parameters
    ----------
    address
        Where its feature map begins.
    first_channel, channels
        Place of the stretch on the channel axis of the layer's input.
    producer
        Output of the stage that makes it, with that stage's index; None for an input of the graph.
    in_order
        Whether its pixels come in the order in which the producer makes them.
    """

    address: int
    first_channel: int
    channels: int
    producer: tuple[int, OutputTiles] | None
    in_order: bool = True


@dataclass(frozen=True)
class ArrayAddresses:
    """Where the operands of one stage lie in DRAM; None for what stays on chip.

    Parameters
    ----------
    ifmap
        The parts of the input that are in DRAM.
    weight
        Address of the weights, or of the second feature map of a matrix product.
    weight_producer
        Stage that makes the second feature map of a matrix product.
    matrices
        Per group of a product of feature maps its matrix of the first and of the second one, which lie row by row;
        None for weights, which lie tile by tile.
    ofmap, psum
        Addresses of the results and of spilled partial sums.
    """

    ifmap: tuple[InputPart, ...]
    weight: int | None
    weight_producer: tuple[int, OutputTiles] | None
    matrices: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    ofmap: int | None
    psum: int


@dataclass(frozen=True)
class ArrayStage:
    """One layer on the array: its tiling unrolled, and the tiles that follow from it.

    Parameters
    ----------
    blocks
        The layer, cut into blocks.
    addresses
        Where its operands lie.
    buffers
        Names of the buffers of ifmap, weight and psum.
    groups_are_channels
        Whether groups are stretches of channels (convolution) or whole matrices (batched products).
    kept_in
        Name of the buffer to which the results move where they stay on chip; None where they go to DRAM.
    """

    blocks: BlockSequence
    addresses: ArrayAddresses
    buffers: tuple[str, str, str]
    groups_are_channels: bool
    kept_in: str | None = None

    @property
    def problem(self) -> TilingProblem:
        """The layer."""
        return self.blocks.problem

    @property
    def tiling(self) -> Tiling:
        """How it is cut."""
        return self.blocks.tiling

    @cached_property
    def _step_of_block(self) -> NDArray[np.int64]:
        """Step that each block belongs to: a new one begins where a tile arrives, or after one has left."""
        begins = np.zeros(len(self.blocks.compute_cycles), bool)
        begins[0] = True
        for visits in self.blocks.visits.values():
            begins[visits.first_block] = True
        after_drain = self.blocks.visits["psum"].last_block + 1
        begins[after_drain[after_drain < len(begins)]] = True
        return np.cumsum(begins) - 1

    @cached_property
    def compute_cycles(self) -> NDArray[np.int64]:
        """Cycles of the array per step."""
        return np.bincount(self._step_of_block, weights=self.blocks.compute_cycles).astype(np.int64)

    def _tiles(
        self, operand: str, number: int, bits: NDArray[np.int64], released: NDArray[np.int64], fetch: AddressPattern
    ) -> OperandTiles:
        visits = self.blocks.visits[operand]
        sets = len(visits.set_last_block)
        return OperandTiles(
            operand=operand,
            buffer=self.buffers[number],
            first_step=self._step_of_block[visits.first_block],
            set_index=visits.set_index,
            allocated_bits=bits,
            released_bits=released,
            retire_step=self._step_of_block[visits.set_last_block],
            sets_in_flight=self.problem.space.copies[number] if sets > 1 else 1,
            fetch=fetch,
        )

    def _channel_range(self, visits: TileVisits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last-plus-one input channel of each ifmap tile, on the axis of the whole feature map.

        Where a set holds all of k, a channel that two tiles share comes with the first of them.
        """
        first, end = channel_ranges(self.problem, self.tiling.k)
        if "k" in self.tiling.order[self.tiling.retention[0] :]:
            first = np.append(0, end[:-1])
        first, end = first[visits.dims["k"]], end[visits.dims["k"]]
        if not self.groups_are_channels:
            return first, end
        group = visits.group * self.tiling.groups
        last_group = group + self.blocks.group_extent(visits.group) - 1
        return first + group * self.problem.channels, end + last_group * self.problem.channels

    @cached_property
    def ifmap_tiles(self) -> OperandTiles | None:
        """Tiles of the input feature map; None where all of it is on chip."""
        if not self.problem.ifmap_in_dram:
            return None
        visits, grid, block = self.blocks.visits["ifmap"], self.problem.grid, self.tiling.m
        slides = self._slides
        bands = grid.fresh_bands(block) if slides else grid.bands(block)
        pixels = block_pixels(bands, self.blocks.trips["m"])
        channels = self._channel_range(visits)
        width = (channels[1] - channels[0]) * self._matrices(visits) * self.problem.ifmap_bits
        allocated = pixels[visits.dims["m"]] * width
        fetch = AddressPattern.gather(
            [self._ifmap_runs(visits, bands, channels, part) for part in self.addresses.ifmap], len(allocated)
        )
        tiles = self._tiles("ifmap", 0, allocated, self._released_ifmap(visits, allocated, width), fetch)
        ready = self._ready_fraction(visits)
        dependences: dict[int, Dependence] = {}
        for part in self.addresses.ifmap:
            if part.producer:
                stage, output = part.producer
                drained = output.drains_until(ready if part.in_order else np.ones(len(ready)))
                if stage in dependences:
                    drained = np.maximum(drained, dependences[stage].drained)
                dependences[stage] = Dependence(stage, drained)
        return tiles.after(*dependences.values())

    def _matrices(self, visits: TileVisits) -> NDArray[np.int64]:
        """Whole matrices in each tile: the groups of a batched product."""
        return np.ones_like(visits.group) if self.groups_are_channels else self.blocks.group_extent(visits.group)

    @property
    def _slides(self) -> bool:
        """Whether tiles leave input rows behind that the next one finds in the buffer."""
        order, level = self.tiling.order, self.tiling.retention[0]
        inside = "m" in order[level:] and self.blocks.trips["m"] > 1
        outside = [dim for dim in order[:level] if dim in RELEVANT_DIMS["ifmap"] and self.blocks.trips[dim] > 1]
        return inside or (bool(outside) and outside[-1] == "m")

    def _released_ifmap(
        self, visits: TileVisits, allocated: NDArray[np.int64], width: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        sets = len(visits.set_last_block)
        taken = _sum_per_set(allocated, visits.set_index, sets)
        if not self._slides or "m" in self.tiling.order[self.tiling.retention[0] :]:
            return taken
        grid, block = self.problem.grid, self.tiling.m
        pixels = block_pixels(grid.bands(block), self.blocks.trips["m"])
        held = _sum_per_set(pixels[visits.dims["m"]] * width, visits.set_index, sets)
        shared = held - taken  # rows that a set found in the buffer: the set before leaves them there
        released: NDArray[np.int64] = held - np.append(shared[1:], 0)
        return released

    def _ifmap_runs(
        self,
        visits: TileVisits,
        bands: NDArray[np.void],
        channels: tuple[NDArray[np.int64], NDArray[np.int64]],
        part: InputPart,
    ) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Runs of one part of the input, with the tile that each belongs to."""
        first_band = np.searchsorted(bands["block"], np.arange(self.blocks.trips["m"] + 1))
        counts = np.diff(first_band)[visits.dims["m"]]
        owner = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        picked = bands[first_band[visits.dims["m"]][owner] + within]
        begin = np.clip(channels[0] - part.first_channel, 0, part.channels)[owner]
        end = np.clip(channels[1] - part.first_channel, 0, part.channels)[owner]
        runs = band_runs(part.address, self.problem.grid, picked, (begin, end), part.channels, self.problem.ifmap_bits)
        if self.addresses.matrices is not None:
            matrix = bits_to_bytes(part.channels * self.problem.ifmap_bits) * self.problem.dims.m
            return self._repeat_per_matrix(visits, owner, runs, self.addresses.matrices[0] * matrix)
        return owner, runs

    def _repeat_per_matrix(
        self, visits: TileVisits, owner: NDArray[np.int64], runs: NDArray[np.void], starts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Repeat the runs of one matrix for every group of their tile, each moved to where its matrix starts."""
        counts = self.blocks.group_extent(visits.group)[owner]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        group = np.repeat(visits.group[owner] * self.tiling.groups, counts) + within
        owner, runs = np.repeat(owner, counts), np.repeat(runs, counts)
        runs["base"] += starts[group]
        return owner, runs

    def _ready_fraction(self, visits: TileVisits) -> NDArray[np.float64]:
        """Leading part of the input that has to exist before each tile can be fetched."""
        grid = self.problem.grid
        bands = grid.bands(self.tiling.m)
        end = (bands["image"] * grid.height + bands["row_end"] - 1) * grid.width + bands["col_end"]
        last = np.zeros(self.blocks.trips["m"])
        np.maximum.at(last, bands["block"], end / grid.input_pixels)
        if self.groups_are_channels:
            return last[visits.dims["m"]]
        return (visits.group * self.tiling.groups + self._matrices(visits)) / self.problem.dims.groups

    @cached_property
    def weight_tiles(self) -> OperandTiles:
        """Tiles of the weights; they take no space where a second feature map is on chip already."""
        visits = self.blocks.visits["weight"]
        n, k = (self.blocks.block_extent(dim, visits.dims[dim]) for dim in ("n", "k"))
        bits = n * k * self.blocks.group_extent(visits.group) * self.problem.weight_bits
        address = self.addresses.weight
        if address is None:
            bits, fetch = np.zeros_like(bits), AddressPattern.empty(len(bits))
        else:
            owner = np.arange(len(bits))
            if self.addresses.matrices is None:
                runs = self.blocks.stored_runs("weight", address)
            else:
                owner, runs = self._matrix_runs(address, visits, n, k, self.addresses.matrices[1])
            fetch = AddressPattern.gather([(owner, runs)], len(bits))
        released = _sum_per_set(bits, visits.set_index, len(visits.set_last_block))
        tiles = self._tiles("weight", 1, bits, released, fetch)
        if self.addresses.weight_producer is None:
            return tiles
        stage, output = self.addresses.weight_producer
        return tiles.after(Dependence(stage, output.drains_until(np.ones(len(bits)))))

    def _matrix_runs(
        self,
        address: int,
        visits: TileVisits,
        n: NDArray[np.int64],
        k: NDArray[np.int64],
        matrices: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Runs of the second feature map of a product, which lies row by row along k, with the tile of each."""
        dims, bits = self.problem.dims, self.problem.weight_bits
        first = visits.dims["n"] * self.tiling.n
        runs = pixel_runs(address, visits.dims["k"] * self.tiling.k, k, (first, first + n), dims.n, bits)
        starts = matrices * dims.k * bits_to_bytes(dims.n * bits)
        return self._repeat_per_matrix(visits, np.arange(len(n)), runs, starts)

    @cached_property
    def output_tiles(self) -> OutputTiles:
        """Tiles of the output: fetched again where sums were spilled, drained at the end of each visit."""
        visits, problem = self.blocks.visits["psum"], self.problem
        m, n = (self.blocks.block_extent(dim, visits.dims[dim]) for dim in ("m", "n"))
        elements = m * n * self.blocks.group_extent(visits.group)
        first_visit = self.blocks.k_index(visits.first_block) == 0
        complete = self.blocks.k_index(visits.last_block) == self.blocks.trips["k"] - 1
        bits = elements * (problem.ofmap_bits if self.blocks.sums_in_array else problem.psum_bits)
        owner = np.arange(len(bits))
        spill = self.blocks.stored_runs("psum", self.addresses.psum)
        drained = [(owner[~complete], spill[~complete])]
        if self.addresses.ofmap is not None:
            drained.append((owner[complete], self._result_runs(visits, m, n)[complete]))
        fetch = AddressPattern.gather([(owner[~first_visit], spill[~first_visit])], len(bits))
        released = _sum_per_set(bits, visits.set_index, len(visits.set_last_block))
        first_pixel = visits.dims["m"] * self.tiling.m
        output_pixels = problem.dims.m * (1 if self.groups_are_channels else problem.dims.groups)
        if not self.groups_are_channels:
            first_pixel = first_pixel + visits.group * self.tiling.groups * problem.dims.m
        return OutputTiles(
            tiles=self._tiles("psum", 2, bits, released, fetch),
            last_step=self._step_of_block[visits.last_block],
            delay_cycles=self.blocks.cycles_behind[visits.last_block],
            drain=AddressPattern.gather(drained, len(bits)),
            spilled_before=self._drains_before(visits, first_visit),
            first_pixel=np.where(complete, first_pixel, output_pixels),
            output_pixels=output_pixels,
        )

    def _drains_before(self, visits: TileVisits, first_visit: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Drains that must be over before a tile returns: that of its own earlier visit."""
        order = np.argsort(visits.last_block, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        place = (visits.group * self.blocks.trips["m"] + visits.dims["m"]) * self.blocks.trips["n"] + visits.dims["n"]
        by_place = np.lexsort((visits.first_block, place))
        before = np.zeros(len(order), np.int64)
        before[by_place[1:]] = rank[by_place[:-1]] + 1
        return np.where(first_visit, 0, before)

    def _result_runs(self, visits: TileVisits, m: NDArray[np.int64], n: NDArray[np.int64]) -> NDArray[np.void]:
        """Runs of finished results in the output feature map."""
        problem = self.problem
        group = visits.group * self.tiling.groups
        groups = self.blocks.group_extent(visits.group)
        first = visits.dims["n"] * self.tiling.n
        pixel = visits.dims["m"] * self.tiling.m
        address = self.addresses.ofmap or 0
        if self.groups_are_channels:
            channels = (first + group * problem.dims.n, first + n + (group + groups - 1) * problem.dims.n)
            return pixel_runs(address, pixel, m, channels, problem.ofmap_run_channels, problem.ofmap_bits)
        runs = pixel_runs(address, pixel, m, (first, first + n), problem.dims.n, problem.ofmap_bits)
        matrix = bits_to_bytes(problem.dims.n * problem.ofmap_bits) * problem.dims.m
        runs["base"] += group * matrix
        runs["outer_count"], runs["outer_stride"] = groups, matrix
        return runs

    @property
    def mapping_efficiency(self) -> float:
        """Share of the array's elements that a fold uses, on average."""
        problem, flow = self.problem, self.problem.dataflow
        folds = self.blocks.folds
        used = self.blocks.extents[flow.row_dim] * self.blocks.extents[flow.col_dim]
        return used / (folds[flow.row_dim] * folds[flow.col_dim] * problem.rows * problem.cols)

    @property
    def activity(self) -> Activity:
        """On-chip accesses: each operand passes the array's edge once per fold of the dimension it lacks."""
        problem, dims = self.problem, self.problem.dims
        lacking = {"ifmap": "n", "weight": "m", "psum": "k"}
        elements = {"ifmap": dims.m * dims.k, "weight": dims.n * dims.k, "psum": dims.m * dims.n}
        passes = {operand: dims.groups * elements[operand] * self.blocks.folds[lacking[operand]] for operand in lacking}
        results = dims.groups * elements["psum"]
        reads = {
            "ifmap": passes["ifmap"] * problem.ifmap_bits,
            "weight": passes["weight"] * problem.weight_bits,
            "psum": (passes["psum"] - results) * problem.psum_bits,
        }
        writes = {"psum": (passes["psum"] - results) * problem.psum_bits + results * problem.ofmap_bits}
        edge_bits = sum(reads.values()) + sum(writes.values())
        fills = {"weight": int(self.weight_tiles.fetch.tile_bytes.sum()) * BITS_PER_BYTE}
        fills["ifmap"] = int(self.ifmap_tiles.fetch.tile_bytes.sum()) * BITS_PER_BYTE if self.ifmap_tiles else 0
        fills["psum"] = int(self.output_tiles.tiles.fetch.tile_bytes.sum()) * BITS_PER_BYTE
        drained = int(self.output_tiles.drain.tile_bytes.sum()) * BITS_PER_BYTE
        for operand, bits in fills.items():
            writes[operand] = writes.get(operand, 0) + bits
        moved = results * problem.ofmap_bits if self.kept_in not in (None, self.buffers[2]) else 0
        reads["psum"] += drained + moved
        written = self._by_buffer(writes)
        if self.kept_in is not None:
            written[self.kept_in] = written.get(self.kept_in, 0) + moved
        return Activity(
            macs=dims.macs,
            operand_bits=(problem.ifmap_bits, problem.weight_bits),
            sram_read_bits=self._by_buffer(reads),
            sram_write_bits=written,
            register_file_bits=dims.macs * self._register_bits_per_mac,
            interconnect_bits=edge_bits + sum(fills.values()) + drained + moved,
        )

    @property
    def _register_bits_per_mac(self) -> int:
        """Registers of one element per multiply-accumulate: operands that pass are read and written, the third read."""
        problem = self.problem
        stationary = {"m": "weight", "n": "ifmap", "k": "psum"}[problem.dataflow.stream_dim]
        bits = {"ifmap": problem.ifmap_bits, "weight": problem.weight_bits, "psum": problem.psum_bits}
        return sum(width * (1 if operand == stationary != "psum" else 2) for operand, width in bits.items())

    def _by_buffer(self, bits: dict[str, int]) -> dict[str, int]:
        total: dict[str, int] = {}
        for operand, name in zip(RELEVANT_DIMS, self.buffers, strict=True):
            total[name] = total.get(name, 0) + bits.get(operand, 0)
        return total

    @property
    def description(self) -> dict[str, object]:
        """The tiling in words for the report."""
        tiling = self.tiling
        return {
            "order": "".join(tiling.order),
            "tile": {"groups": tiling.groups, "m": tiling.m, "n": tiling.n, "k": tiling.k},
            "retention": dict(zip(RELEVANT_DIMS, tiling.retention, strict=True)),
            "blocks": len(self.blocks.compute_cycles),
            "steps": len(self.compute_cycles),
        }


def _sum_per_set(values: NDArray[np.int64], set_index: NDArray[np.int64], sets: int) -> NDArray[np.int64]:
    total = np.zeros(sets, np.int64)
    np.add.at(total, set_index, values)
    return total
