"""Decomposed weights as an operand of a layer: which rows a machine sees, and what each piece of them takes to store.

Rows are counted through all slices of a filter, padding behind the last weight included. A *tile* is what a machine
fetches at one time: some filters, some rows of each. It holds the bases of the slices that its rows belong to, the
index and the codes; where tiles cut through slices or through groups of 32 filters that share an index, the parts that
both sides need are in both of them. `accelsim.workload.pot.tile_bytes` says how its bits lie.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.units import ceil_div
from accelsim.workload.pot.encoding import named_rows
from accelsim.workload.pot.parameters import CODE_BITS, GROUP_FILTERS
from accelsim.workload.pot.storage import BASIS_BITS, StorageBits, index_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.workload.pot.parameters import Index
    from accelsim.workload.pot.reshaping import SliceLayout
    from accelsim.workload.pot.weights import PotLayer

    Ranges = tuple[NDArray[np.int64], NDArray[np.int64]]
    """Begins and ends."""


@dataclass(frozen=True)
class TileBits:
    """Bits of tiles, (runs of filters, runs of rows), by what they hold."""

    codes: NDArray[np.int64]
    index: NDArray[np.int64]
    basis: NDArray[np.int64]

    @property
    def total(self) -> NDArray[np.int64]:
        """All of them."""
        return self.codes + self.index + self.basis


class PotOperand(ABC):
    """Decomposed weights of one layer, known in full or by their sparsity."""

    layout: SliceLayout
    index: Index
    shared_filters: int
    """Neighbouring filters that have their zero rows in common."""

    @property
    @abstractmethod
    def row_density(self) -> float:
        """Share of the rows that the index names, padding left out."""

    @property
    @abstractmethod
    def nonzeros(self) -> int:
        """Coefficients that are not zero."""

    @abstractmethod
    def shared_row_density(self, filters: int) -> float:
        """Share of the rows that the index names in at least one of this many neighbouring filters."""

    @abstractmethod
    def _code_counts(self, filters: Ranges, rows: Ranges) -> NDArray[np.int64]:
        """Codes per tile."""

    @property
    def filter_rows(self) -> int:
        """Rows of one filter, padding included."""
        return self.layout.slices * self.layout.rows

    @property
    def rebuild_operations(self) -> int:
        """Shift-and-adds that rebuild all weights once: a row of the basis per nonzero coefficient."""
        return self.nonzeros * self.layout.basis

    def index_bits_per_row(self) -> int:
        """Bits of the index per row of one filter, or of 32 filters that share it."""
        return self.layout.basis if self.index == "element" else 1

    def tile_bits(self, filters: Ranges, rows: Ranges) -> TileBits:
        """Bits of all tiles that these runs of filters and of rows make."""
        (first, end), (begin, stop) = filters, rows
        indexed = end - first
        if self.index == "group":
            indexed = -(-end // GROUP_FILTERS) - first // GROUP_FILTERS
        slices = -(-stop // self.layout.rows) - begin // self.layout.rows
        return TileBits(
            codes=CODE_BITS * self._code_counts(filters, rows),
            index=np.outer(indexed, stop - begin) * self.index_bits_per_row(),
            basis=np.outer(end - first, slices) * (BASIS_BITS * self.layout.basis**2),
        )

    @cached_property
    def storage(self) -> StorageBits:
        """Bits of the whole layer."""
        whole = self.tile_bits(_run(self.layout.filters), _run(self.filter_rows))
        return StorageBits(int(whole.codes[0, 0]), index_bits(self.layout, self.index), int(whole.basis[0, 0]))


def _run(end: int) -> Ranges:
    return np.zeros(1, np.int64), np.full(1, end, np.int64)


@dataclass(frozen=True, eq=False)
class KnownPotOperand(PotOperand):
    """Decomposed weights that are known in full.

    Parameters
    ----------
    layer
        The weights.
    index
        What a bit of their index stands for.
    """

    layer: PotLayer
    index: Index

    @property
    def layout(self) -> SliceLayout:  # type: ignore[override]
        """How they are cut."""
        return self.layer.layout

    @cached_property
    def levels(self) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Signed levels, (filters, rows, basis)."""
        return self.layer.levels.reshape(self.layout.filters, self.filter_rows, self.layout.basis)

    @cached_property
    def named(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Rows that the index names, (filters, rows)."""
        return named_rows(self.layer.levels, self.layout, self.index)

    @cached_property
    def row_nonzeros(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Nonzero coefficients per row, (filters, rows)."""
        count = np.zeros(self.levels.shape[:2], np.uint8)
        for column in range(self.layout.basis):
            count += self.levels[..., column] != 0
        return count

    @cached_property
    def row_codes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Codes per row, (filters, rows)."""
        if self.index == "element":
            return self.row_nonzeros
        return self.named.astype(np.uint8) * np.uint8(self.layout.basis)

    @property
    def nonzeros(self) -> int:
        """Coefficients that are not zero."""
        return int(np.count_nonzero(self.layer.levels))

    @cached_property
    def shared_filters(self) -> int:  # type: ignore[override]
        """32 where so many neighbours have rather the same zero rows than independent ones, else 1."""
        alone = self.row_density
        apart = 1.0 - (1.0 - alone) ** GROUP_FILTERS
        return GROUP_FILTERS if self.shared_row_density(GROUP_FILTERS) < (alone + apart) / 2 else 1

    @cached_property
    def row_density(self) -> float:
        """Share of the rows that the index names, padding left out."""
        return self.shared_row_density(1)

    def shared_row_density(self, filters: int) -> float:
        """Share of the rows that the index names in at least one of this many neighbouring filters."""
        rows = self.named[:, : self.layout.filter_rows]
        joint = np.logical_or.reduceat(rows, np.arange(0, self.layout.filters, filters), axis=0)
        return float(joint.mean())

    def _code_counts(self, filters: Ranges, rows: Ranges) -> NDArray[np.int64]:
        bounds = np.unique(np.concatenate([*rows, [0, self.filter_rows]]))
        pieces = np.add.reduceat(self.row_codes, bounds[:-1], axis=1, dtype=np.int64)
        along = np.zeros((self.layout.filters + 1, len(bounds)), np.int64)
        along[1:, 1:] = pieces.cumsum(axis=1).cumsum(axis=0)
        by_rows = along[:, np.searchsorted(bounds, rows[1])] - along[:, np.searchsorted(bounds, rows[0])]
        counts: NDArray[np.int64] = by_rows[filters[1]] - by_rows[filters[0]]
        return counts


@dataclass(frozen=True)
class StatedPotOperand(PotOperand):
    """Decomposed weights of which only the sparsity is stated.

    Parameters
    ----------
    layout
        How they are cut.
    index
        What a bit of their index stands for.
    vector_density
        Share of the rows that are not zero as a whole.
    density
        Share of the coefficients in those that are not zero.
    shared_filters
        Neighbouring filters that have their zero rows in common, as those have that were pruned together; other
        filters have zero rows independently of each other.
    """

    layout: SliceLayout
    index: Index
    vector_density: float
    density: float
    shared_filters: int = 1

    @property
    def row_density(self) -> float:
        """Share of the rows that the index names, padding left out."""
        return self.vector_density

    @property
    def nonzeros(self) -> int:
        """Coefficients that are not zero; their number in padding is 0."""
        return round(self.vector_density * self.density * self.layout.filters * self.layout.filter_weights)

    def shared_row_density(self, filters: int) -> float:
        """Share of the rows that the index names in at least one of this many neighbouring filters."""
        apart = ceil_div(filters, self.shared_filters)
        return float(1.0 - (1.0 - self.vector_density) ** apart)

    def _code_counts(self, filters: Ranges, rows: Ranges) -> NDArray[np.int64]:
        per_row = self.vector_density * (self.density if self.index == "element" else 1.0) * self.layout.basis
        held = np.minimum(rows[1], self.layout.filter_rows) - np.minimum(rows[0], self.layout.filter_rows)
        counts: NDArray[np.int64] = np.rint(np.outer(filters[1] - filters[0], held) * per_row).astype(np.int64)
        return counts
