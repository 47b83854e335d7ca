"""A systolic array whose elements hold their stationary operand twice, so that the next tile shifts in during a fold.

The matrix unit of the first TPU (Jouppi et al., "In-datacenter performance analysis of a tensor processing unit", ISCA
2017, section 2): one tile is used while another is shifted in, row after row. The shift follows the wave of the operand
that streams: an element takes over its new weight when the first datum of the next fold reaches it, and from then on
the chain of weights may move on. A fold therefore follows the one before after as many cycles as data stream, or as
rows shift, whichever is more. The closed forms here are those of a stepper in the tests, exactly.

Groups of a layer that are small enough share a tile: they lie along its diagonal, with zeros around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from accelsim.config.pe_array import PeArrayConfig
from accelsim.mapping.array_costs import PLAIN, ArrayWork, Loading, Ports, StoredForm
from accelsim.mapping.dataflow import DATAFLOWS, DIMS
from accelsim.units import ceil_div
from accelsim.workload.operators import Conv, MatMul

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer, Folding
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dataflow, Dim
    from accelsim.workload.operand_data import OperandData


class DoubleBufferedSystolicConfig(PeArrayConfig):
    """A two-dimensional array that computes with one copy of the stationary operand and shifts in the next."""

    kind: Literal["double_buffered_systolic"] = "double_buffered_systolic"
    rows: int = Field(ge=1, le=65_536)
    """Processing elements along the side that the k dimension enters; a shift takes as many cycles."""
    cols: int = Field(ge=1, le=65_536)
    """Processing elements along the other side."""
    dataflow: Literal["WS", "IS"] = "WS"
    """Which operand stays in the elements: weight or input stationary."""
    multiplier_bits: int | None = Field(default=None, ge=1, le=64)
    """Bits of an operand that a multiplier takes; wider operands pass in parts. Left out: all `operand_bits`."""
    whole_weight_tiles: bool = False
    """Whether weights lie in DRAM and travel in tiles of the whole array, filled up with zeros; needs WS."""

    @model_validator(mode="after")
    def _tiles_are_of_weights(self) -> DoubleBufferedSystolicConfig:
        if self.whole_weight_tiles and self.dataflow != "WS":
            message = f"whole_weight_tiles = true needs dataflow = WS, not {self.dataflow}"
            raise ValueError(message)
        return self

    @property
    def elements(self) -> int:
        """Processing elements, each of which multiplies and accumulates once a cycle."""
        return self.rows * self.cols

    def build(self, hardware: HardwareConfig) -> DoubleBufferedSystolic:  # noqa: ARG002 - the rest does not matter
        """Build the array."""
        return DoubleBufferedSystolic(self)


@dataclass(frozen=True)
class DoubleBufferedSystolic:
    """The array."""

    config: DoubleBufferedSystolicConfig

    def costs(self, layer: ArrayLayer) -> DoubleBufferedCosts:
        """What a layer costs."""
        config, flow = self.config, DATAFLOWS[self.config.dataflow]
        narrow = config.multiplier_bits or config.operand_bits
        parts = {"ifmap": ceil_div(layer.ifmap_bits, narrow), "weight": ceil_div(layer.weight_bits, narrow)}
        stationary, streaming = ("weight", "ifmap") if flow.stream_dim == "m" else ("ifmap", "weight")
        return DoubleBufferedCosts(
            layer=layer,
            flow=flow,
            rows=config.rows,
            cols=config.cols,
            stationary=stationary,
            stationary_parts=parts[stationary],
            streaming_parts=parts[streaming],
            whole_weight_tiles=config.whole_weight_tiles and not isinstance(layer.operator, MatMul),
        )

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:  # noqa: ARG002 - nothing is compressed
        """Feature maps are stored as they are."""
        return PLAIN


@dataclass(frozen=True)
class DoubleBufferedCosts:
    """Costs of a layer; they depend on its extents and widths alone.

    Parameters
    ----------
    layer
        What is computed.
    flow, rows, cols
        What lies where, on how many elements.
    stationary
        Operand that stays: ``weight`` or ``ifmap``.
    stationary_parts, streaming_parts
        Parts that an operand is cut into where it is wider than a multiplier: those of the stationary one are folds of
        their own, those of the streaming one stream one after the other.
    whole_weight_tiles
        Whether weights are stored in tiles of the whole array.
    """

    layer: ArrayLayer
    flow: Dataflow
    rows: int
    cols: int
    stationary: str
    stationary_parts: int
    streaming_parts: int
    whole_weight_tiles: bool

    @property
    def folding(self) -> Folding | None:
        """Not the array that the compiled search knows: that one does not overlap its loads."""
        return None

    @property
    def completes_sums(self) -> bool:
        """All sums pass through the accumulators, at their width."""
        return False

    @property
    def weight_form(self) -> StoredForm:
        """Weights are stored as they are, or with the zeros that fill their tiles up."""
        dims = self.layer.dims
        if not self.whole_weight_tiles:
            return PLAIN
        weights = dims.groups * dims.n * dims.k
        padded = int(self.tiles(dims.groups, dims.k, dims.n)) * self.rows * self.cols
        return PLAIN if padded == weights else StoredForm(padded / weights, is_padded=True)

    def tiles(
        self, groups: NDArray[np.int64] | int, high: NDArray[np.int64] | int, wide: NDArray[np.int64] | int
    ) -> NDArray[np.int64]:
        """Tiles of so many groups of a stationary operand, each so many rows high and columns wide."""
        across = -(-high // self.rows) * -(-wide // self.cols)
        together = np.maximum(np.minimum(self.rows // high, self.cols // wide), 1)
        tiles: NDArray[np.int64] = -(-groups // together) * across
        return tiles

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Whole folds along rows and columns; also whole channels and small blocks if weights need no whole tiles."""
        if dim == self.flow.stream_dim == "m":
            return None
        extent: int = getattr(self.layer.dims, dim)
        sizes, operator = {extent}, self.layer.operator
        units = {self.flow.row_dim: {self.rows}, self.flow.col_dim: {self.cols}}.get(dim, set())
        if not self.whole_weight_tiles:
            taps = operator.window.kernel[0] * operator.window.kernel[1] if isinstance(operator, Conv) else 1
            units |= {1, taps} if dim == "k" else {1}
        for unit in units:
            size = unit
            while size < extent:
                sizes.add(size)
                size *= 2
        return sorted(sizes)

    def _folds(
        self, groups: NDArray[np.int64], extent: dict[str, NDArray[np.int64]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Folds of blocks, and the cycles in which data stream through each."""
        folds = self.tiles(groups, extent[self.flow.row_dim], extent[self.flow.col_dim])
        return folds * self.stationary_parts, extent[self.flow.stream_dim] * self.streaming_parts

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks amid a long sequence; more than exact where what the array holds is used on."""
        folds, streaming = self._folds(groups, {"m": m, "n": n, "k": k})
        cycles: NDArray[np.int64] = folds * np.maximum(streaming, self.rows)
        return cycles

    @property
    def ports(self) -> dict[str, Ports]:
        """What streams enters at the rows; what stays enters, and sums leave, at the columns."""
        streaming = "ifmap" if self.stationary == "weight" else "weight"
        return {streaming: Ports(self.rows), self.stationary: Ports(self.cols), "psum": Ports(self.cols)}

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:
        """Bits of each tile where it is filled up with zeros."""
        if self.weight_form is PLAIN:
            return None
        n, k = (blocks.block_extent(dim, np.arange(blocks.trips[dim])) for dim in ("n", "k"))
        groups = blocks.group_extent(np.arange(blocks.group_trips))
        bits: NDArray[np.int64] = self.tiles(groups[:, None, None], k, n[:, None]) * self.rows * self.cols
        return bits * self.layer.weight_bits

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Each operand passes the array's edge once per fold of the dimension that it lacks."""
        return _Unrolled(self, blocks).work()


@dataclass(frozen=True)
class _Unrolled:
    """A layer, cut into blocks."""

    costs: DoubleBufferedCosts
    blocks: BlockSequence

    @cached_property
    def _folds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.costs._folds(self.blocks.block_groups, self.blocks.extents_per_block)  # noqa: SLF001 - its other half

    @cached_property
    def _goes_on(self) -> NDArray[np.bool_]:
        """Per block whether it uses the very tile that the block before has left in the array."""
        flow, index, folds = self.costs.flow, self.blocks.index_per_block, self._folds[0]
        same = np.zeros(len(folds), bool)
        keys = (self.blocks.group_per_block, index[flow.row_dim], index[flow.col_dim])
        same[1:] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
        goes_on: NDArray[np.bool_] = same & (folds == 1)
        return goes_on

    @property
    def _loading(self) -> Loading:
        folds, streaming = self._folds
        between: NDArray[np.int64] = np.maximum(streaming, self.costs.rows)
        return Loading(
            operand=self.costs.stationary,
            lead_cycles=np.where(self._goes_on, 0, self.costs.rows),
            handover_cycles=(folds - 1) * between,
            exposed_cycles=(folds - 1) * (between - streaming),
        )

    def work(self) -> ArrayWork:
        """What the array does."""
        costs, layer, loading = self.costs, self.costs.layer, self._loading
        streaming = self._folds[1]
        drain = costs.flow.epilogue_cycles(costs.rows, costs.cols)
        bits = {"ifmap": layer.ifmap_bits, "weight": layer.weight_bits, "psum": layer.psum_bits}
        passes = {operand: per_block * bits[operand] for operand, per_block in self._passes.items()}
        reads, writes = passes | {"psum": passes["psum"] - self._first_sums * layer.psum_bits}, {"psum": passes["psum"]}
        return ArrayWork(
            cycles=loading.handover_cycles + streaming,
            cycles_behind=np.full(len(streaming), drain),
            macs=layer.dims.macs,
            efficiency=self._efficiency,
            read_bits={operand: int(per_block.sum()) for operand, per_block in reads.items()},
            written_bits={operand: int(per_block.sum()) for operand, per_block in writes.items()},
            register_file_bits=layer.dims.macs * self._register_bits_per_mac,
            busy_cycles=self._busy_cycles,
            loading=loading,
            drain_cycles=drain,
            ports=costs.ports,
            block_read_bits=reads,
            block_written_bits=writes,
        )

    @property
    def _first_sums(self) -> NDArray[np.int64]:
        """Per block the sums that it begins, which are written but not read before."""
        extent, groups = self.blocks.extents_per_block, self.blocks.block_groups
        first: NDArray[np.int64] = groups * extent["m"] * extent["n"] * (self.blocks.index_per_block["k"] == 0)
        return first

    @cached_property
    def _passes(self) -> dict[str, NDArray[np.int64]]:
        """Per block the elements of each operand that pass the edge of the array."""
        extent, groups = self.blocks.extents_per_block, self.blocks.block_groups
        along = {self.costs.flow.row_dim: self.costs.rows, self.costs.flow.col_dim: self.costs.cols}
        folds = {dim: -(-extent[dim] // along[dim]) if dim in along else np.ones_like(groups) for dim in DIMS}
        passes = {
            "ifmap": groups * extent["m"] * extent["k"] * folds["n"],
            "weight": groups * extent["n"] * extent["k"] * folds["m"],
            "psum": groups * extent["m"] * extent["n"] * folds["k"],
        }
        if self.costs.whole_weight_tiles:
            passes["weight"] = self.costs.tiles(groups, extent["k"], extent["n"]) * self.costs.rows * self.costs.cols
        passes[self.costs.stationary] = passes[self.costs.stationary] * ~self._goes_on
        return passes

    @property
    def _efficiency(self) -> float:
        """Share of the cycles times elements in which data stream that some product uses."""
        folds, streaming = self._folds
        held = int((folds * streaming).sum()) * self.costs.rows * self.costs.cols
        return self.costs.layer.dims.macs * self.costs.stationary_parts * self.costs.streaming_parts / held

    @property
    def _busy_cycles(self) -> NDArray[np.float64]:
        """Each element works in as many cycles as data stream past it, in the folds that reach it."""
        blocks, flow = self.blocks, self.costs.flow
        extents = (
            blocks.group_extent(np.arange(blocks.group_trips)),
            *(blocks.block_extent(dim, np.arange(blocks.trips[dim])) for dim in (flow.row_dim, flow.col_dim)),
        )
        sizes = (zip(*(found.tolist() for found in np.unique(along, return_counts=True)), strict=True)
                 for along in extents)  # fmt: skip
        folds = np.zeros((self.costs.rows, self.costs.cols))
        for (groups, times), (high, along_rows), (wide, along_cols) in product(*sizes):
            folds += times * along_rows * along_cols * self._folds_reaching(groups, high, wide)
        streamed = blocks.extents[flow.stream_dim] * self.costs.stationary_parts * self.costs.streaming_parts
        return folds * float(streamed)

    def _folds_reaching(self, groups: int, high: int, wide: int) -> NDArray[np.int64]:
        """Folds of a block that reach each element: groups that share a tile lie along its diagonal."""
        rows, cols = np.arange(self.costs.rows), np.arange(self.costs.cols)
        together = min(len(rows) // high, len(cols) // wide)
        if together < 2:
            return groups * np.outer(_folds_along(high, rows), _folds_along(wide, cols))
        place = rows[:, None] // high
        shared = (place == cols // wide) & (place < together)
        reached: NDArray[np.int64] = np.where(shared, (groups - place + together - 1) // together, 0)
        return reached

    @property
    def _register_bits_per_mac(self) -> int:
        """The operand that passes and the sum are read and written, the stationary one is read."""
        layer = self.costs.layer
        passing = layer.ifmap_bits if self.costs.stationary == "weight" else layer.weight_bits
        staying = layer.weight_bits if self.costs.stationary == "weight" else layer.ifmap_bits
        return 2 * passing + 2 * layer.psum_bits + staying


def _folds_along(extent: int, side: NDArray[np.int64]) -> NDArray[np.int64]:
    """Folds of an extent that reach each place of a side of the array."""
    folds: NDArray[np.int64] = extent // len(side) + (extent % len(side) > side)
    return folds
