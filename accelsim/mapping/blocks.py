"""Unrolls a tiling into the sequence of blocks, and finds where each operand's tiles come and go in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.address_pattern import runs_of
from accelsim.mapping.dataflow import DIMS, RELEVANT_DIMS
from accelsim.mapping.element_order import WeightOrder
from accelsim.mapping.tiling import passing_share_bits, streams_through
from accelsim.units import BITS_PER_BYTE, ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import ArrayWork
    from accelsim.mapping.tiling import Tiling, TilingProblem


@dataclass(frozen=True)
class TileVisits:
    """Where the tiles of one operand stand in the sequence of blocks.

    Parameters
    ----------
    first_block, last_block
        Per tile the blocks between which it is in use.
    set_index
        Per tile its set.
    set_last_block
        Per set the last block that uses it.
    group, dims
        Per tile its group index, and per dimension its index (0 where the dimension does not index the operand).
    """

    first_block: NDArray[np.int64]
    last_block: NDArray[np.int64]
    set_index: NDArray[np.int64]
    set_last_block: NDArray[np.int64]
    group: NDArray[np.int64]
    dims: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class BlockSequence:
    """All blocks of a tiling in the order in which the array works on them."""

    problem: TilingProblem
    tiling: Tiling

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Elements of a whole block per dimension."""
        return {"m": self.tiling.m, "n": self.tiling.n, "k": self.tiling.k}

    @cached_property
    def extents(self) -> dict[str, int]:
        """Elements of the layer per dimension."""
        dims = self.problem.dims
        return {"m": dims.m, "n": dims.n, "k": dims.k}

    @cached_property
    def trips(self) -> dict[str, int]:
        """Blocks per dimension."""
        return {dim: ceil_div(self.extents[dim], self.sizes[dim]) for dim in DIMS}

    @property
    def group_trips(self) -> int:
        """Blocks along the groups."""
        return ceil_div(self.problem.dims.groups, self.tiling.groups)

    @cached_property
    def _indices(self) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
        order = self.tiling.order
        shape = (self.group_trips, *(self.trips[dim] for dim in order))
        group, *loops = np.unravel_index(np.arange(np.prod(shape)), shape)
        return group, dict(zip(order, loops, strict=True))

    def block_extent(self, dim: str, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Elements along `dim` of the blocks with these indices: the last one may be cut."""
        return np.minimum(self.sizes[dim], self.extents[dim] - index * self.sizes[dim])

    def group_extent(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Groups in the blocks with these group indices."""
        return np.minimum(self.tiling.groups, self.problem.dims.groups - index * self.tiling.groups)

    @property
    def index_per_block(self) -> dict[str, NDArray[np.int64]]:
        """Per dimension the index of each block along it, in the order of the blocks."""
        return self._indices[1]

    @cached_property
    def extents_per_block(self) -> dict[str, NDArray[np.int64]]:
        """Per dimension the elements of each block along it, in the order of the blocks."""
        return {dim: self.block_extent(dim, index) for dim, index in self.index_per_block.items()}

    @property
    def group_per_block(self) -> NDArray[np.int64]:
        """Index of each block along the groups."""
        return self._indices[0]

    @cached_property
    def block_groups(self) -> NDArray[np.int64]:
        """Groups in each block."""
        return self.group_extent(self.group_per_block)

    @cached_property
    def work(self) -> ArrayWork:
        """What the array does."""
        return self.problem.costs.work(self)

    @cached_property
    def visits(self) -> dict[str, TileVisits]:
        """Tiles of each operand under its retention level."""
        levels = zip(RELEVANT_DIMS, self.tiling.retention, strict=True)
        return {operand: self._visits(operand, level) for operand, level in levels}

    def _visits(self, operand: str, level: int) -> TileVisits:
        """Tiles of an operand that keeps what the loops from position `level` on visit."""
        group, index = self._indices
        order = self.tiling.order
        relevant = RELEVANT_DIMS[operand]
        outside = [p for p in range(level) if order[p] in relevant and self.trips[order[p]] > 1]
        counted = order[: outside[-1] + 1] if outside else ()
        set_key = group.copy()
        for dim in counted:
            set_key = set_key * self.trips[dim] + index[dim]
        tile_key = set_key
        for dim in (dim for dim in order if dim in relevant and dim not in counted):
            tile_key = tile_key * self.trips[dim] + index[dim]
        _, first = np.unique(tile_key, return_index=True)
        _, last = np.unique(tile_key[::-1], return_index=True)
        by_time = np.argsort(first, kind="stable")
        first, last = first[by_time], len(tile_key) - 1 - last[by_time]
        _, set_last = np.unique(set_key[::-1], return_index=True)
        return TileVisits(
            first_block=first,
            last_block=last,
            set_index=set_key[first],
            set_last_block=len(set_key) - 1 - set_last,
            group=group[first],
            dims={dim: index[dim][first] if dim in relevant else np.zeros_like(first) for dim in DIMS},
        )

    def k_index(self, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index along k of the given blocks: 0 where a visit to an output block begins its sum."""
        return self._indices[1]["k"][blocks]

    def sets_in_flight(self, operand: int) -> int:
        """Sets of an operand (by number) that may be in its buffer at one time."""
        visits = self.visits[tuple(RELEVANT_DIMS)[operand]]
        return min(self.problem.space.copies[operand], len(visits.set_last_block))

    def room(self, operand: int, tile_bits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bits that tiles of an operand (by number) take of its buffer: all, or a share where they pass through it."""
        share = passing_share_bits(self.problem, self.tiling, operand, self.sets_in_flight(operand))
        return tile_bits if share is None else np.minimum(tile_bits, share)

    @property
    def sums_in_array(self) -> bool:
        """Whether every sum over k is completed inside the array, so that the buffer holds results alone."""
        whole, folding = self.trips["k"] == 1, self.problem.folding
        if folding is not None and folding.dataflow.accumulates_in_array:
            return whole or streams_through(self.problem, self.tiling)
        return whole and self.problem.one_fold_sums

    @cached_property
    def weight_order(self) -> WeightOrder:
        """How the weights lie in DRAM, every element at its full width."""
        dims, tiling, costs = self.problem.dims, self.tiling, self.problem.costs
        order = WeightOrder(dims.groups, dims.n, dims.k, tiling.groups, tiling.n, tiling.k, self.problem.weight_bits)
        tile_bits = costs.weight_tile_bits(self) if costs.weight_form.is_padded else None
        if tile_bits is None:
            return order
        return replace(order, stored_bytes=tuple((-(-tile_bits.ravel() // BITS_PER_BYTE)).tolist()))

    @property
    def has_plain_weights(self) -> bool:
        """Whether weights lie in DRAM as `weight_order` says, and not in an encoding of the array's own."""
        costs = self.problem.costs
        form = costs.weight_form
        return form.is_padded or (form.dram_share == 1.0 and costs.weight_tile_bits(self) is None)

    def stored_runs(self, operand: str, address: int) -> NDArray[np.void]:
        """Runs of weights or partial sums, which lie tile by tile from `address` on, each tile in one piece."""
        visits, dims = self.visits[operand], RELEVANT_DIMS[operand]
        if operand == "weight" and self.has_plain_weights:
            shape = (self.group_trips, self.trips["n"], self.trips["k"])
            tile = np.ravel_multi_index((visits.group, visits.dims["n"], visits.dims["k"]), shape)
            starts = self.weight_order.tile_starts
            return runs_of(address + starts[tile], starts[tile + 1] - starts[tile])
        extents = [self.block_extent(dim, np.arange(self.trips[dim])) for dim in dims]
        groups = self.group_extent(np.arange(self.group_trips))
        elements = groups[:, None, None] * extents[0][:, None] * extents[1]
        tile_bytes = -(-self._stored_bits(operand, elements) // BITS_PER_BYTE)
        starts = address + (np.cumsum(tile_bytes) - tile_bytes.ravel()).reshape(tile_bytes.shape)
        place = (visits.group, visits.dims[dims[0]], visits.dims[dims[1]])
        return runs_of(starts[place], tile_bytes[place])

    def _stored_bits(self, operand: str, elements: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bits in DRAM of all tiles of weights or partial sums."""
        if operand != "weight":
            return elements * self.problem.psum_bits
        exact = self.problem.costs.weight_tile_bits(self)
        return shared_bits(elements * self.problem.weight_bits, self.problem.costs.weight_form.dram_share, exact)

    @property
    def stored_weight_bytes(self) -> int:
        """Bytes of the weights as they lie in DRAM, every tile rounded up to whole bytes."""
        runs = self.stored_runs("weight", 0)
        return int((runs["base"] + runs["run_bytes"]).max())

    @property
    def spilled_bytes(self) -> int:
        """Bytes that spilled partial sums need in DRAM; 0 where none leaves the chip."""
        last_k = self.k_index(self.visits["psum"].last_block)
        if not (last_k < self.trips["k"] - 1).any():
            return 0
        runs = self.stored_runs("psum", 0)
        return int((runs["base"] + runs["run_bytes"]).max())


def shared_bits(bits: NDArray[np.int64], share: float, exact: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Bits that tensors of `bits` bits take where they are stored as a share of that; `exact` where that is known."""
    if exact is not None:
        return exact
    return bits if share == 1.0 else np.ceil(bits * share).astype(np.int64)


def sum_per_set(values: NDArray[np.int64], set_index: NDArray[np.int64], sets: int) -> NDArray[np.int64]:
    """Add up values of tiles over their sets."""
    total = np.zeros(sets, np.int64)
    np.add.at(total, set_index, values)
    return total


def repeat_per_matrix(
    blocks: BlockSequence,
    visits: TileVisits,
    owner: NDArray[np.int64],
    runs: NDArray[np.void],
    starts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """Repeat the runs of one matrix for every group of their tile, each moved to where its matrix starts."""
    counts = blocks.group_extent(visits.group)[owner]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    group = np.repeat(visits.group[owner] * blocks.tiling.groups, counts) + within
    owner, runs = np.repeat(owner, counts), np.repeat(runs, counts)
    runs["base"] += starts[group]
    return owner, runs
