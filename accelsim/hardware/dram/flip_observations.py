"""Flips seen when DRAM cells are written and read back: the records that error models are fitted to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.hardware.dram.bit_flips import ByteArray, draw_flips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.hardware.dram.cell_region import CellRegion
    from accelsim.hardware.dram.error_model import ErrorModel

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FlipObservations:
    """What was read from each tested cell; one entry a cell, in all arrays.

    Attributes
    ----------
    bank, row, column
        Address of the cell; `column` counts bits within the row.
    reads_of_one, flips_of_one
        How often the cell was read while it stored 1, and how often it came out as 0.
    reads_of_zero, flips_of_zero
        How often the cell was read while it stored 0, and how often it came out as 1.
    """

    bank: IntArray
    row: IntArray
    column: IntArray
    reads_of_one: IntArray
    flips_of_one: IntArray
    reads_of_zero: IntArray
    flips_of_zero: IntArray

    def __post_init__(self) -> None:
        for field in fields(self):
            values = np.asarray(getattr(self, field.name), dtype=np.int64)
            if values.shape != (len(self.bank),):
                raise ConfigError("is no list as long as the others", where="flip observations", key=field.name)
            if len(values) and values.min() < 0:
                raise ConfigError(
                    "not accepted", where="flip observations", key=field.name, value=int(values.min()), allowed=">= 0"
                )
            object.__setattr__(self, field.name, values)
        for value in ("one", "zero"):
            more = np.flatnonzero(getattr(self, f"flips_of_{value}") > getattr(self, f"reads_of_{value}"))
            if len(more):
                raise ConfigError(
                    "a cell flipped more often than it was read",
                    where="flip observations",
                    key=f"flips_of_{value}[{more[0]}]",
                )


@dataclass(frozen=True, eq=False)
class FlipStatistics:
    """Sufficient statistics of the observations, per group of cells and per class of cells that never flipped.

    Attributes
    ----------
    cells, flipped_cells
        Number of cells of each group, and of those that flipped at least once.
    flips_of_one, holds_of_one, flips_of_zero, holds_of_zero
        Reads of the cells that flipped at least once, by stored value and by what came out; sums over each group.
    silent_group, silent_cells, silent_reads_of_one, silent_reads_of_zero
        Classes of cells that never flipped: their group, their number, and how often each of them was read.
    """

    cells: FloatArray
    flipped_cells: FloatArray
    flips_of_one: FloatArray
    holds_of_one: FloatArray
    flips_of_zero: FloatArray
    holds_of_zero: FloatArray
    silent_group: IntArray
    silent_cells: FloatArray
    silent_reads_of_one: IntArray
    silent_reads_of_zero: IntArray


def group_flips(observations: FlipObservations, group: IntArray, *, by_value: bool) -> FlipStatistics:
    """Sum up the observations by group.

    Parameters
    ----------
    observations
        One entry a cell.
    group
        Number of each cell's group, 0 to groups - 1, none of them empty.
    by_value
        Keep reads of ones apart from reads of zeros; otherwise all reads count as reads of zeros.
    """
    seen = observations
    none = np.zeros_like(seen.bank)
    reads_one, flips_one = (seen.reads_of_one, seen.flips_of_one) if by_value else (none, none)
    reads_zero = seen.reads_of_zero if by_value else seen.reads_of_one + seen.reads_of_zero
    flips_zero = seen.flips_of_zero if by_value else seen.flips_of_one + seen.flips_of_zero
    groups = int(group.max()) + 1
    flipped = flips_one + flips_zero > 0

    def total(values: IntArray) -> FloatArray:
        return np.bincount(group[flipped], values[flipped], groups).astype(np.float64)

    silent = ~flipped
    radix_one, radix_zero = int(reads_one.max()) + 1, int(reads_zero.max()) + 1
    key = (group[silent] * radix_one + reads_one[silent]) * radix_zero + reads_zero[silent]
    classes, count = np.unique(key, return_counts=True)
    return FlipStatistics(
        cells=np.bincount(group, minlength=groups).astype(np.float64),
        flipped_cells=total(np.ones_like(seen.bank)),
        flips_of_one=total(flips_one),
        holds_of_one=total(reads_one - flips_one),
        flips_of_zero=total(flips_zero),
        holds_of_zero=total(reads_zero - flips_zero),
        silent_group=classes // radix_zero // radix_one,
        silent_cells=count.astype(np.float64),
        silent_reads_of_one=classes // radix_zero % radix_one,
        silent_reads_of_zero=classes % radix_zero,
    )


def observe_flips(
    model: ErrorModel,
    region: CellRegion,
    patterns: Sequence[ByteArray],
    *,
    reads_per_pattern: int,
    seed: int,
    first_access: int = 0,
) -> FlipObservations:
    """Characterise a simulated module: write each pattern, read it back several times, count the flips of each cell.

    Parameters
    ----------
    model, region, seed
        The module, as in `draw_flips`.
    patterns
        What is written in turn, each of shape (region.total_bytes,).
    reads_per_pattern
        Reads of each pattern.
    first_access
        Number of the first read; reads are numbered on from there, pattern after pattern.
    """
    shape = (2, 8 * region.total_bytes)
    reads, flips = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for index, pattern in enumerate(patterns):
        stored = np.unpackbits(pattern, bitorder="little").astype(bool)
        came_out_wrong = np.zeros(shape[1], np.int64)
        for read in range(reads_per_pattern):
            access = first_access + index * reads_per_pattern + read
            mask = draw_flips(model, region, pattern, seed=seed, access=access)
            came_out_wrong += np.unpackbits(mask, bitorder="little")
        for value in (0, 1):
            reads[value] += reads_per_pattern * (stored == value)
            flips[value] += came_out_wrong * (stored == value)
    bank, row, column = _addresses(region)
    return FlipObservations(bank, row, column, reads[1], flips[1], reads[0], flips[0])


def _addresses(region: CellRegion) -> tuple[IntArray, IntArray, IntArray]:
    """List bank, row and bit column of every cell of a region."""
    begin = np.cumsum(region.size_bytes) - region.size_bytes
    run = np.repeat(np.arange(len(begin)), region.size_bytes)
    byte_column = region.byte_column[run] + np.arange(region.total_bytes) - begin[run]
    column = (8 * byte_column[:, None] + np.arange(8)).ravel()
    return np.repeat(region.bank[run], 8), np.repeat(region.row[run], 8), column
