"""Cycles of the blocks of a layer on the bit-serial array: counted in the tensors, or expected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.bit_serial_estimate import bases_loaded
from accelsim.hardware.pe_array.bit_serial_geometry import occurrences
from accelsim.hardware.pe_array.bit_serial_kernel import pass_cycles, row_cycles
from accelsim.units import ceil_div
from accelsim.workload.pot.operand import KnownPotOperand

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


class LayerCycles:
    """Cycles of one layer cut into blocks, and what its rows meet; everything is computed once.

    Parameters
    ----------
    costs
        The layer on its array.
    blocks
        How it is cut.
    """

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
        lanes = occurrences(self.tiles.count)
        used = sum(times * estimate.row_share(size) for size, times in lanes.items())
        taken = sum(times * estimate.row(size).mean for size, times in lanes.items())
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
        known: dict[tuple[int, ...], tuple[NDArray[np.int64], float]] = {}
        for i, group in enumerate(range(0, geometry.groups, group_size)):
            groups = range(group, min(group + group_size, geometry.groups))
            for j, first in enumerate(range(0, geometry.filters, filter_size)):
                filters = range(first, min(first + filter_size, geometry.filters))
                alike = self._alike(groups, filters)
                for number in range(len(self.row_ranges)):
                    if (*alike, number) not in known:
                        known[*alike, number] = self._of_block(groups, filters, number)
                    cycles[i, j, number], moved = known[*alike, number]
                    delivered += moved
        return cycles, delivered

    def _alike(self, groups: range, filters: range) -> tuple[int, ...]:
        """What the cycles of a block depend on beside its rows and pixels."""
        if self.named is not None:
            return groups.start, groups.stop, filters.start, filters.stop
        if self.is_exact:
            return groups.start, groups.stop, len(filters)  # all filters need all rows
        return len(groups), len(filters)

    def _of_block(self, groups: range, filters: range, number: int) -> tuple[NDArray[np.int64], float]:
        """Cycles of blocks of filters and rows, one per block of pixels, and bytes that the input delivers."""
        config = self.costs.config
        passes = passes_of(groups, filters, self.geometry.filters, config.slices, config.selector_slices)
        return self._counted(passes, number) if self.is_exact else self._expected(passes, number)

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
            key = float((joint @ channels).sum()) * by_pass, tuple(occurrences(np.concatenate(per_line)).items())
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
