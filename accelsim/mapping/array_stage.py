"""Builds the tile graph of a stage that the PE array runs, from its tiling and the placement of its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.address_pattern import AddressPattern, shortened
from accelsim.mapping.blocks import repeat_per_matrix, shared_bits, sum_per_set
from accelsim.mapping.dataflow import RELEVANT_DIMS
from accelsim.mapping.ifmap_fetch import IfmapFetch
from accelsim.mapping.layout import pixel_runs
from accelsim.mapping.tile_graph import Activity, Dependence, OperandTiles, OutputTiles, StepLoads
from accelsim.mapping.traffic import EdgeTraffic, StepTraffic, spread, sum_at
from accelsim.units import BITS_PER_BYTE, bits_to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_addresses import ArrayAddresses
    from accelsim.mapping.array_costs import ArrayWork
    from accelsim.mapping.blocks import BlockSequence, TileVisits
    from accelsim.mapping.tiling import Tiling, TilingProblem


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
    results_per_cycle
        Results that pass the vector unit when a tile of them is complete; None where that takes no time.
    """

    blocks: BlockSequence
    addresses: ArrayAddresses
    buffers: tuple[str, str, str]
    groups_are_channels: bool
    kept_in: str | None = None
    results_per_cycle: float | None = None

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
        """Step that each block belongs to: a new one begins where a tile arrives, is loaded, or after one has left."""
        begins = np.zeros(len(self.work.cycles), bool)
        begins[0] = True
        for visits in self.blocks.visits.values():
            begins[visits.first_block] = True
        if self.work.loading is not None:
            begins |= self.work.loading.lead_cycles > 0
        after_drain = self.blocks.visits["psum"].last_block + 1
        begins[after_drain[after_drain < len(begins)]] = True
        return np.cumsum(begins) - 1

    @cached_property
    def compute_cycles(self) -> NDArray[np.int64]:
        """Cycles of the array per step."""
        return self._per_step(self.work.cycles)

    def _per_step(self, per_block: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(self._step_of_block, weights=per_block).astype(np.int64)

    @cached_property
    def loads(self) -> StepLoads | None:
        """Loads of the stationary operand per step; None where they are part of the compute cycles."""
        loading = self.work.loading
        if loading is None:
            return None
        on_chip = self.addresses.weight is None if loading.operand == "weight" else not self.problem.ifmap_in_dram
        return StepLoads(
            operand=loading.operand,
            lead_cycles=self._per_step(loading.lead_cycles),  # only the first block of a step has any
            handover_cycles=self._per_step(loading.handover_cycles * (loading.lead_cycles > 0)),
            exposed_cycles=self._per_step(loading.exposed_cycles),
            made_on_chip=on_chip,
        )

    def _retire_step(self, operand: str) -> NDArray[np.int64]:
        """Per set of an operand the last step that uses it: what is loaded into the array is used by its last load."""
        last_step = self._step_of_block[self.blocks.visits[operand].set_last_block]
        if self.loads is None or self.loads.operand != operand:
            return last_step
        loading_steps = np.flatnonzero(self.loads.lead_cycles)
        return loading_steps[np.searchsorted(loading_steps, last_step, side="right") - 1]

    def _tiles(
        self, operand: str, number: int, bits: NDArray[np.int64], released: NDArray[np.int64], fetch: AddressPattern
    ) -> OperandTiles:
        visits = self.blocks.visits[operand]
        return OperandTiles(
            operand=operand,
            buffer=self.buffers[number],
            first_step=self._step_of_block[visits.first_block],
            set_index=visits.set_index,
            allocated_bits=bits,
            released_bits=released,
            retire_step=self._retire_step(operand),
            sets_in_flight=self.blocks.sets_in_flight(number),
            fetch=fetch,
        )

    @cached_property
    def ifmap_tiles(self) -> OperandTiles | None:
        """Tiles of the input feature map; None where all of it is on chip."""
        if not self.problem.ifmap_in_dram:
            return None
        fetch = IfmapFetch(self.blocks, self.addresses, self.groups_are_channels)
        tiles = self._tiles("ifmap", 0, fetch.allocated_bits, fetch.released_bits, fetch.pattern)
        return tiles.after(*fetch.dependences)

    @cached_property
    def weight_tiles(self) -> OperandTiles:
        """Tiles of the weights; they take no space where a second feature map is on chip already."""
        visits = self.blocks.visits["weight"]
        n, k = (self.blocks.block_extent(dim, visits.dims[dim]) for dim in ("n", "k"))
        form = self.problem.costs.weight_form
        bits = n * k * self.blocks.group_extent(visits.group) * self.problem.weight_bits
        bits = shared_bits(bits, form.buffer_share)
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
        bits = self.blocks.room(1, bits)
        released = sum_per_set(bits, visits.set_index, len(visits.set_last_block))
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
        return repeat_per_matrix(self.blocks, visits, np.arange(len(n)), runs, starts)

    @cached_property
    def output_tiles(self) -> OutputTiles:
        """Tiles of the output: fetched again where sums were spilled, drained at the end of each visit."""
        visits, problem = self.blocks.visits["psum"], self.problem
        m, n = (self.blocks.block_extent(dim, visits.dims[dim]) for dim in ("m", "n"))
        elements = m * n * self.blocks.group_extent(visits.group)
        first_visit = self.blocks.k_index(visits.first_block) == 0
        complete = self.blocks.k_index(visits.last_block) == self.blocks.trips["k"] - 1
        bits = elements * problem.psum_bits
        if self.blocks.sums_in_array:
            bits = shared_bits(elements * problem.ofmap_bits, problem.ofmap_form.buffer_share)
            bits = self.blocks.room(2, bits)
        owner = np.arange(len(bits))
        spill = self.blocks.stored_runs("psum", self.addresses.psum)
        drained = [(owner[~complete], spill[~complete])]
        if self.addresses.ofmap is not None:
            plain, share = self._result_runs(visits, m, n)[complete], problem.ofmap_form.dram_share
            results = shortened(plain, share, self.addresses.ofmap)
            drained.append((owner[complete], results))
        fetch = AddressPattern.gather([(owner[~first_visit], spill[~first_visit])], len(bits))
        released = sum_per_set(bits, visits.set_index, len(visits.set_last_block))
        first_pixel = visits.dims["m"] * self.tiling.m
        output_pixels = problem.dims.m * (1 if self.groups_are_channels else problem.dims.groups)
        if not self.groups_are_channels:
            first_pixel = first_pixel + visits.group * self.tiling.groups * problem.dims.m
        return OutputTiles(
            tiles=self._tiles("psum", 2, bits, released, fetch),
            last_step=self._step_of_block[visits.last_block],
            delay_cycles=self.work.cycles_behind[visits.last_block],
            drain=AddressPattern.gather(drained, len(bits)),
            spilled_before=self._drains_before(visits, first_visit),
            first_pixel=np.where(complete, first_pixel, output_pixels),
            output_pixels=output_pixels,
            pass_cycles=self._pass_cycles,
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
    def work(self) -> ArrayWork:
        """What the array does."""
        return self.blocks.work

    @cached_property
    def traffic(self) -> StepTraffic:
        """On-chip accesses per step."""
        work, steps = self.work, len(self.compute_cycles)

        def per_step(totals: dict[str, int], exact: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
            shared = {name: spread(bits, work.cycles) for name, bits in totals.items() if name not in exact}
            return {name: self._per_step(bits) for name, bits in (exact | shared).items()}

        traffic = StepTraffic(
            reads=per_step(work.read_bits, work.block_read_bits),
            writes=per_step(work.written_bits, work.block_written_bits),
            ports={name: np.zeros(steps, np.int64) for name in (*self.buffers, self.kept_in) if name is not None},
        )
        for operand, name in zip(RELEVANT_DIMS, self.buffers, strict=True):
            for passing in (traffic.reads, traffic.writes):
                traffic.ports[name] += passing.get(operand, 0)
        if self.kept_in not in (None, self.buffers[2]):
            # results that pass the vector unit do so while the next step computes; the last ones when none does
            when = self.output_tiles.last_step + (self.results_per_cycle is not None)
            moved = sum_at(when, self._complete_elements * self.problem.ofmap_bits, steps + 1)[:steps]
            traffic.ports[self.buffers[2]] += moved
            traffic.ports[str(self.kept_in)] += moved
        return traffic

    @cached_property
    def edge_traffic(self) -> EdgeTraffic:
        """What passes between buffers and array per step, and where it enters and leaves."""
        return EdgeTraffic.of(self.traffic, self.work.ports)

    @property
    def _pass_cycles(self) -> NDArray[np.int64] | None:
        if self.results_per_cycle is None:
            return None
        return np.ceil(self._complete_elements / self.results_per_cycle).astype(np.int64)

    @property
    def _complete_elements(self) -> NDArray[np.int64]:
        """Per output tile the results that it completes."""
        visits = self.blocks.visits["psum"]
        m, n = (self.blocks.block_extent(dim, visits.dims[dim]) for dim in ("m", "n"))
        complete = self.blocks.k_index(visits.last_block) == self.blocks.trips["k"] - 1
        elements: NDArray[np.int64] = m * n * self.blocks.group_extent(visits.group) * complete
        return elements

    @property
    def activity(self) -> Activity:
        """On-chip accesses: what passes between buffers and array, and what comes from and goes to DRAM."""
        work, problem, dims = self.work, self.problem, self.problem.dims
        results = dims.groups * dims.m * dims.n
        reads, writes = dict(work.read_bits), dict(work.written_bits)
        edge_bits = sum(reads.values()) + sum(writes.values())
        fills = {"weight": int(self.weight_tiles.fetch.tile_bytes.sum()) * BITS_PER_BYTE}
        fills["ifmap"] = int(self.ifmap_tiles.fetch.tile_bytes.sum()) * BITS_PER_BYTE if self.ifmap_tiles else 0
        fills["psum"] = int(self.output_tiles.tiles.fetch.tile_bytes.sum()) * BITS_PER_BYTE
        drained = int(self.output_tiles.drain.tile_bytes.sum()) * BITS_PER_BYTE
        for operand, bits in fills.items():
            writes[operand] = writes.get(operand, 0) + bits
        moved = results * problem.ofmap_bits if self.kept_in not in (None, self.buffers[2]) else 0
        reads["psum"] = reads.get("psum", 0) + drained + moved
        written = self._by_buffer(writes)
        if self.kept_in is not None:
            written[self.kept_in] = written.get(self.kept_in, 0) + moved
        return Activity(
            macs=work.macs,
            gated_macs=work.gated_macs,
            operand_bits=(problem.ifmap_bits, problem.weight_bits),
            array_operations=work.operations,
            sram_read_bits=self._by_buffer(reads),
            sram_write_bits=written,
            register_file_bits=work.register_file_bits,
            interconnect_bits=edge_bits + sum(fills.values()) + drained + moved,
        )

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
            "blocks": len(self.work.cycles),
            "steps": len(self.compute_cycles),
            **self.work.description,
        }
