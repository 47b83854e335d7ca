"""What the bit-serial array does for one layer: cycles of every block, and everything that energy is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.bit_serial_estimate import bases_loaded
from accelsim.hardware.pe_array.bit_serial_kernel import pass_cycles, row_cycles
from accelsim.mapping.array_costs import ArrayWork
from accelsim.units import ceil_div
from accelsim.workload.pot.operand import KnownPotOperand
from accelsim.workload.pot.parameters import CODE_BITS
from accelsim.workload.pot.storage import BASIS_BITS, index_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.bit_serial import BitSerialCosts
    from accelsim.hardware.pe_array.bit_serial_geometry import Geometry, PixelTiles
    from accelsim.mapping.blocks import BlockSequence


@dataclass(frozen=True, eq=False)
class RowActivity:
    """What the rows meet, summed over all tiles of pixels; (groups, rows) each.

    Parameters
    ----------
    nonzeros
        Activations that are not zero.
    digits
        Their nonzero Booth digits.
    used
        Tiles that are not skipped.
    cycles
        Cycles that these take.
    """

    nonzeros: NDArray[np.float64]
    digits: NDArray[np.float64]
    used: NDArray[np.float64]
    cycles: NDArray[np.float64]


@dataclass(frozen=True)
class Passes:
    """Passes of one block of filters.

    Parameters
    ----------
    unit_pass, unit_group
        Pass and group of each unit: the slices that work in step.
    first, end
        Its filters, counted through all groups.
    """

    unit_pass: NDArray[np.int64]
    unit_group: NDArray[np.int64]
    first: NDArray[np.int64]
    end: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of passes."""
        return int(self.unit_pass[-1]) + 1


def passes_of(groups: range, filters: range, per_group: int, slices: int, together: int) -> Passes:
    """Passes over some filters of some groups.

    Parameters
    ----------
    groups, filters
        Groups of the block, and filters of each.
    per_group
        Filters of a whole group.
    slices, together
        Slices of the array, and how many work in step.
    """
    units: list[tuple[int, int, int, int]] = []
    side_by_side = max(slices // len(filters), 1)
    turns = ceil_div(len(filters), slices)
    for place, group in enumerate(groups):
        for turn in range(turns):
            begin = filters.start + turn * slices
            stop = min(begin + slices, filters.stop)
            number = place // side_by_side * turns + turn
            units += [
                (number, group, group * per_group + first, group * per_group + min(first + together, stop))
                for first in range(begin, stop, together)
            ]
    unit_pass, unit_group, first, end = np.array(units, np.int64).T
    return Passes(unit_pass, unit_group, first, end)


def array_work(costs: BitSerialCosts, blocks: BlockSequence) -> ArrayWork:
    """What the array does, block by block."""
    return _Worker(costs, blocks).work()


class _Worker:
    """One layer cut into blocks; everything is computed once."""

    def __init__(self, costs: BitSerialCosts, blocks: BlockSequence) -> None:
        self.costs, self.blocks = costs, blocks
        self.pot = costs.layer.weight.pot
        self.known_rows = self.pot if isinstance(self.pot, KnownPotOperand) else None
        self.is_exact = costs.estimate.activation_digits is not None and (
            self.pot is None or self.known_rows is not None
        )

    @property
    def geometry(self) -> Geometry:
        """How the layer lies on the array."""
        return self.costs.geometry

    @cached_property
    def tiles(self) -> PixelTiles:
        """Pixels that the lanes take at one time."""
        return self.geometry.tiles(self.blocks.sizes["m"], self.costs.lanes)

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """Input pixels of one row of one channel per tile."""
        return self.geometry.columns(self.tiles)

    @cached_property
    def row_ranges(self) -> list[tuple[int, int]]:
        """Rows of each block along k."""
        size, extent = self.blocks.sizes["k"], self.blocks.extents["k"]
        return [self.geometry.row_range(begin, min(begin + size, extent)) for begin in range(0, extent, size)]

    @cached_property
    def lines(self) -> list[NDArray[np.int64]]:
        """Line of each row, by block along k."""
        return [self.geometry.lines_of(first, end, self.costs.lines) for first, end in self.row_ranges]

    @cached_property
    def named(self) -> NDArray[np.bool_] | None:
        """Rows that the index names, (filters of all groups, rows); None where all are or none is known."""
        return None if self.known_rows is None else self.known_rows.named[:, : self.geometry.rows]

    # -- cycles ---------------------------------------------------------------------------------------------------

    @cached_property
    def _exact_rows(self) -> tuple[NDArray[np.int32], RowActivity]:
        digits = self.costs.estimate.activation_digits
        geometry, tiles = self.geometry, self.tiles
        cycles, *sums = row_cycles(  # type: ignore[no-untyped-call]
            digits, geometry.groups, *geometry.elements, geometry.corners(), tiles.first, tiles.count,
            geometry.window.dilation, self.costs.least_row_cycles,
        )  # fmt: skip
        shape = (geometry.groups, geometry.rows)
        nonzeros, found, used = (part.astype(np.float64).reshape(shape) for part in sums)
        taken = cycles.sum(axis=1, dtype=np.float64).reshape(shape)
        return cycles, RowActivity(nonzeros, found, used, taken)

    @cached_property
    def activity(self) -> RowActivity:
        """What the rows meet, counted or expected."""
        if self.is_exact:
            return self._exact_rows[1]
        estimate, geometry = self.costs.estimate, self.geometry
        each = np.broadcast_to(geometry.row_elements * float(geometry.pixels), (geometry.groups, geometry.rows))
        lanes, times = np.unique(self.tiles.count, return_counts=True)
        used = sum(count * estimate.row_share(size) for size, count in zip(lanes.tolist(), times.tolist(), strict=True))
        taken = sum(count * estimate.row(size).mean for size, count in zip(lanes.tolist(), times.tolist(), strict=True))
        return RowActivity(
            each * estimate.density, each * estimate.digits.mean, np.full(each.shape, used), np.full(each.shape, taken)
        )

    @cached_property
    def block_cycles(self) -> tuple[NDArray[np.int64], float]:
        """Cycles (groups, n, k, m in blocks), and bytes that the input delivers."""
        blocks, geometry = self.blocks, self.geometry
        group_size, filter_size = blocks.tiling.groups, blocks.sizes["n"]
        shape = (blocks.group_trips, blocks.trips["n"], blocks.trips["k"], blocks.trips["m"])
        cycles, delivered = np.zeros(shape, np.int64), 0.0
        for i, group in enumerate(range(0, geometry.groups, group_size)):
            groups = range(group, min(group + group_size, geometry.groups))
            for j, first in enumerate(range(0, geometry.filters, filter_size)):
                filters = range(first, min(first + filter_size, geometry.filters))
                config = self.costs.config
                passes = passes_of(groups, filters, geometry.filters, config.slices, config.selector_slices)
                for number in range(len(self.row_ranges)):
                    cycles[i, j, number], moved = (
                        self._counted(passes, number) if self.is_exact else self._expected(passes, number)
                    )
                    delivered += moved
        return cycles, delivered

    def _unit_rows(self, passes: Passes) -> NDArray[np.bool_]:
        """Rows that any filter of a unit has, (units, rows)."""
        if self.named is None:
            return np.ones((len(passes.first), self.geometry.rows), np.bool_)
        return np.array(
            [self.named[first:end].any(axis=0) for first, end in zip(passes.first, passes.end, strict=True)]
        )

    def _counted(self, passes: Passes, number: int) -> tuple[NDArray[np.int64], float]:
        """Cycles per block along m of block `number` along k, from the tensors."""
        costs, geometry = self.costs, self.geometry
        first, end = self.row_ranges[number]
        rows = np.arange(first, end)
        basis = rows // self.pot.layout.rows if self.pot is not None else np.zeros_like(rows)
        load = costs.config.basis_load_cycles if self.pot is not None else 0
        if not costs.is_clustered and basis[0] == basis[-1]:
            load = 0
        machine = (costs.lines, load, not costs.is_clustered, costs.config.input_bytes_per_cycle)
        per_pass, delivered = pass_cycles(  # type: ignore[no-untyped-call]
            self._exact_rows[0], geometry.rows, self._unit_rows(passes), passes.unit_pass, passes.unit_group,
            first, end, self.lines[number], basis, geometry.row_channels[first:end], self.columns, machine,
        )  # fmt: skip
        starts = np.searchsorted(self.tiles.block, np.arange(self.blocks.trips["m"]))
        cycles = np.add.reduceat(per_pass.sum(axis=0), starts) + costs.block_start_cycles
        return cycles, float(delivered)

    def _expected(self, passes: Passes, number: int) -> tuple[NDArray[np.int64], float]:
        """The same from statistics of the activations, and of the weights where their rows are not known."""
        costs, estimate = self.costs, self.costs.estimate
        first, end = self.row_ranges[number]
        by_selector, by_pass = self._stated_shares(passes)
        rows = self._unit_rows(passes)[:, first:end]
        channels = self.geometry.row_channels[first:end]
        alike: dict[tuple[float, tuple[tuple[int, int], ...]], int] = {}  # passes with equal loads, by what they do
        for turn in range(passes.count):
            units = np.flatnonzero(passes.unit_pass == turn)
            groups = passes.unit_group[units]
            starts = np.flatnonzero(np.diff(groups, prepend=-1))
            joint = np.logical_or.reduceat(rows[units], starts, axis=0)
            per_line = [np.bincount(self.lines[number][row], minlength=costs.lines) for row in rows[units]]
            sizes, times = np.unique(np.concatenate(per_line), return_counts=True)
            key = float((joint @ channels).sum()) * by_pass, tuple(zip(sizes.tolist(), times.tolist(), strict=True))
            alike[key] = alike.get(key, 0) + 1
        kinds, table = estimate.lanes_per_block(self.tiles)
        cycles, moved = np.zeros(self.blocks.trips["m"]), 0.0
        for column, lanes in enumerate(kinds):
            bytes_per_row = estimate.row_share(lanes) * estimate.columns(lanes)
            for (delivered, on_lines), equal in alike.items():
                bases = bases_loaded(costs, first, end)
                one = estimate.pass_cycles(lanes, dict(on_lines), by_selector, bases, delivered)
                cycles += equal * one * table[:, column]
                moved += float(equal * delivered * bytes_per_row * table[:, column].sum())
        return estimate.rounded(cycles), moved

    def _stated_shares(self, passes: Passes) -> tuple[float, float]:
        """Share of the rows that the filters of a selector need, and those of a pass; 1 where rows are known."""
        if self.pot is None or self.known_rows is not None:
            return 1.0, 1.0
        together = int((passes.end - passes.first).max())
        filters = min(self.costs.config.slices, int(passes.end.max() - passes.first.min()), self.geometry.filters)
        return self.pot.shared_row_density(together), self.pot.shared_row_density(filters)

    # -- everything that is counted -------------------------------------------------------------------------------

    @cached_property
    def row_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Filters that need each row, nonzero coefficients and stored bits of it in all of them; (groups, rows)."""
        geometry, layer = self.geometry, self.costs.layer
        shape: tuple[int, ...] = (geometry.groups, geometry.rows)
        whole = np.full(shape, float(geometry.filters))
        if self.pot is None:
            bits: NDArray[np.float64] = whole * geometry.row_elements.astype(np.float64) * layer.weight_bits
            return whole, np.zeros(shape), bits
        if self.known_rows is None:
            share = whole * self.pot.row_density
            tile = self.pot.tile_bits((np.zeros(1, np.int64), np.full(1, geometry.filters)),
                                      (np.zeros(1, np.int64), np.full(1, geometry.rows)))  # fmt: skip
            per_row = self.pot.nonzeros / (geometry.groups * geometry.rows)
            return share, np.full(shape, per_row), np.full(shape, float(tile.codes[0, 0]) / geometry.rows)
        by_group = (geometry.groups, geometry.filters, geometry.rows)
        known = self.known_rows

        def summed(part: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.float64]:
            total: NDArray[np.float64] = part[:, : geometry.rows].reshape(by_group).sum(axis=1, dtype=np.float64)
            return total

        return summed(known.named), summed(known.row_nonzeros), CODE_BITS * summed(known.row_codes)

    def _index_bits(self) -> int:
        """Bits of the coefficients' index and of the activations' that the selectors read."""
        geometry, config = self.geometry, self.costs.config
        selectors = geometry.groups * ceil_div(geometry.filters, config.selector_slices)
        own = index_bits(self.pot.layout, self.pot.index) if self.pot is not None else 0
        return len(self.tiles) * (own + selectors * geometry.rows)

    def _basis_bits(self) -> int:
        """Bits of bases that the engines load: once a block, or in every pass where a block has several."""
        if self.pot is None:
            return 0
        per_basis = BASIS_BITS * self.pot.layout.basis**2 * self.pot.layout.filters
        total = 0
        for first, end in self.row_ranges:
            bases = ceil_div(end, self.pot.layout.rows) - first // self.pot.layout.rows
            total += bases * (len(self.tiles) if bases > 1 or self.costs.is_clustered else self.blocks.trips["m"])
        return per_basis * total

    def work(self) -> ArrayWork:
        """What the array does."""
        costs, layer, blocks = self.costs, self.costs.layer, self.blocks
        cycles, delivered = self.block_cycles
        index = blocks.index_per_block
        ordered = cycles[blocks.group_per_block, index["n"], index["k"], index["m"]]
        named, nonzeros, code_bits = self.row_weights
        activity, elements = self.activity, self.geometry.row_elements
        dims = layer.dims
        results = dims.groups * dims.m * dims.n
        returning = results * (blocks.trips["k"] - 1)
        macs = round(float((named * activity.nonzeros).sum()))
        read_rows = named * activity.used
        lanes = self.geometry.pixels / len(self.tiles)
        weights = float((code_bits * activity.used).sum()) + self._basis_bits()
        rebuilt = float((nonzeros * activity.used).sum()) * self.geometry.row_length
        fifo = float((read_rows * self.geometry.row_channels).sum() * self.columns.mean())
        operations = {"booth_step": round(float((named * activity.digits).sum())), "index_bit": self._index_bits()}
        if self.pot is not None:
            operations["rebuild"] = round(rebuilt)
        return ArrayWork(
            cycles=ordered,
            cycles_behind=np.full_like(ordered, costs.sum_cycles),
            macs=macs,
            gated_macs=macs,  # priced by their digits
            efficiency=self._efficiency(),
            read_bits={
                "ifmap": round(delivered) * layer.ifmap_bits,
                "weight": round(weights),
                "psum": returning * layer.psum_bits,
            },
            written_bits={"psum": returning * layer.psum_bits + results * layer.ofmap_bits},
            register_file_bits=round(
                fifo * layer.ifmap_bits
                + float((read_rows * elements).sum()) * (lanes * layer.ifmap_bits + 2 * layer.weight_bits)
            ),
            operations=operations,
            busy_cycles=self._busy_cycles(),
            description=self._description(),
        )

    def _description(self) -> dict[str, object]:
        weight = "nothing" if self.pot is None else "statistics" if self.known_rows is None else "tensor"
        return {
            "operands": {"ifmap": self.costs.layer.ifmap.known, "weight": weight},
            "weights": "plain" if self.pot is None else "rebuilt",
            "clusters": self.costs.config.clusters if self.costs.is_clustered else 1,
        }

    def _efficiency(self) -> float:
        """Share of the multipliers that have an output and rows to work on, on average over the passes."""
        blocks, config, geometry = self.blocks, self.costs.config, self.geometry
        filter_blocks = blocks.block_extent("n", np.arange(blocks.trips["n"]))
        group_blocks = blocks.group_extent(np.arange(blocks.group_trips))
        turns = int(self.costs.passes(group_blocks[:, None], filter_blocks).sum())
        slices = geometry.groups * geometry.filters / (turns * config.slices)
        lanes = geometry.pixels / (len(self.tiles) * self.costs.lanes)
        slots = sum(-(-(end - first) // self.costs.lines) for first, end in self.row_ranges) * self.costs.lines
        return float(slices * lanes * geometry.rows / slots)

    def _busy_cycles(self) -> NDArray[np.float64]:
        """Cycles in which each line of each slice multiplied, (slices, lines)."""
        blocks, config, geometry = self.blocks, self.costs.config, self.geometry
        line = np.concatenate(self.lines) % config.lines
        per_group, size = geometry.filters, blocks.sizes["n"]
        number = np.arange(geometry.groups * per_group)
        group, own = np.divmod(number, per_group)
        place = own % size % config.slices
        if blocks.tiling.groups > 1:
            side_by_side = max(config.slices // per_group, 1)
            place = (group % blocks.tiling.groups % side_by_side * per_group + own) % config.slices
        busy = np.zeros((config.slices, config.lines))
        share = self.pot.row_density if self.pot is not None and self.known_rows is None else 1.0
        for slot in np.unique(place):
            mine = place == slot
            if self.named is None:
                times = np.bincount(group[mine], minlength=geometry.groups) * share
                taken = times @ self.activity.cycles
            else:
                taken = (self.named[mine] * self.activity.cycles[group[mine]]).sum(axis=0)
            busy[slot] = np.bincount(line, weights=taken, minlength=config.lines)
        return busy / (config.clusters if self.costs.is_clustered else 1)
