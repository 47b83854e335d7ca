"""Systolic arrays: weight, output or input stationary, in the closed form of SCALE-Sim 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelsim.config.pe_array import PeArrayConfig
from accelsim.mapping.array_costs import PLAIN, ArrayWork, Folding, Ports, StoredForm
from accelsim.mapping.dataflow import DATAFLOWS, DIMS
from accelsim.mapping.tiling import streams_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.mapping.tiling import TilingProblem
    from accelsim.workload.operand_data import OperandData

DataflowName = Literal["WS", "OS", "IS"]


class SystolicConfig(PeArrayConfig):
    """A two-dimensional array whose elements hand operands on to their neighbours."""

    kind: Literal["systolic"] = "systolic"
    rows: int = Field(ge=1, le=65_536)
    """Processing elements along the side that the k dimension enters (WS, IS) or the m dimension (OS)."""
    cols: int = Field(ge=1, le=65_536)
    """Processing elements along the other side."""
    dataflow: DataflowName
    """Which operand stays in the elements: weight, output or input stationary."""

    @property
    def elements(self) -> int:
        """Processing elements, each of which multiplies and accumulates once a cycle."""
        return self.rows * self.cols

    def build(self, hardware: HardwareConfig) -> Systolic:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return Systolic(Folding(DATAFLOWS[self.dataflow], self.rows, self.cols))


@dataclass(frozen=True)
class Systolic:
    """A systolic array; `folding` is its dataflow and size."""

    folding: Folding

    def costs(self, layer: ArrayLayer) -> SystolicCosts:  # noqa: ARG002 - the costs follow from the tiling problem
        """What a layer costs."""
        return SystolicCosts(self.folding)

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:  # noqa: ARG002 - nothing is compressed
        """Feature maps are stored as they are."""
        return PLAIN


@dataclass(frozen=True)
class SystolicCosts:
    """Costs of a layer; they depend on its extents alone."""

    folding: Folding

    @property
    def completes_sums(self) -> bool:
        """Left to the folding: a sum is complete where a fold holds all of k, or k streams."""
        return False

    @property
    def weight_form(self) -> StoredForm:
        """Weights are stored as they are."""
        return PLAIN

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:  # noqa: ARG002 - any size may be best
        """Try the usual sizes."""
        return None

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks that do not continue each other's streams."""
        flow, rows, cols = self.folding.dataflow, self.folding.rows, self.folding.cols
        extent = {"m": m, "n": n, "k": k}
        folds = -(-extent[flow.row_dim] // rows) * -(-extent[flow.col_dim] // cols)
        cycles: NDArray[np.int64] = groups * folds * (extent[flow.stream_dim] + flow.fold_overhead_cycles(rows, cols))
        return cycles

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:  # noqa: ARG002 - as weight_form says
        """No tile differs from the others."""
        return None

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Each operand passes the array's edge once per fold of the dimension that it lacks."""
        problem, dims = blocks.problem, blocks.problem.dims
        folds = self.folds(blocks)
        passes = {
            "ifmap": dims.groups * dims.m * dims.k * folds["n"],
            "weight": dims.groups * dims.n * dims.k * folds["m"],
            "psum": dims.groups * dims.m * dims.n * folds["k"],
        }
        results = dims.groups * dims.m * dims.n
        sums = (passes["psum"] - results) * problem.psum_bits
        return ArrayWork(
            cycles=self.block_cycles(blocks),
            cycles_behind=self.cycles_behind(blocks),
            macs=dims.macs,
            efficiency=self._efficiency(blocks),
            read_bits={
                "ifmap": passes["ifmap"] * problem.ifmap_bits,
                "weight": passes["weight"] * problem.weight_bits,
                "psum": sums,
            },
            written_bits={"psum": sums + results * problem.ofmap_bits},
            register_file_bits=dims.macs * _register_bits_per_mac(problem, self.folding),
            busy_cycles=self._busy_cycles(blocks),
            ports=self._ports,
        )

    @property
    def _ports(self) -> dict[str, Ports]:
        """Rows and columns: what stays in the elements enters at the columns, as do sums that leave."""
        rows, cols = Ports(self.folding.rows), Ports(self.folding.cols)
        entering = {
            "WS": {"ifmap": rows, "weight": cols}, "IS": {"ifmap": cols, "weight": rows},
            "OS": {"ifmap": rows, "weight": cols},
        }  # fmt: skip
        return entering[self.folding.dataflow.name] | {"psum": cols}

    def block_cycles(self, blocks: BlockSequence) -> NDArray[np.int64]:
        """Cycles per block; fill and drain of a stream that goes on are counted once."""
        flow, rows, cols = self.folding.dataflow, self.folding.rows, self.folding.cols
        groups = blocks.block_groups
        if not streams_through(blocks.problem, blocks.tiling):
            return self.estimated_cycles(groups, *(blocks.extents_per_block[dim] for dim in DIMS))
        streamed = blocks.extents_per_block[flow.stream_dim]
        index = blocks.index_per_block[flow.stream_dim]
        starts, ends = index == 0, index == blocks.trips[flow.stream_dim] - 1
        cycles = streamed + starts * flow.prologue_cycles(rows) + ends * flow.epilogue_cycles(rows, cols)
        total: NDArray[np.int64] = cycles * groups
        return total

    def cycles_behind(self, blocks: BlockSequence) -> NDArray[np.int64]:
        """Cycles per block that its last results still travel through the array when the next block follows."""
        flow = self.folding.dataflow
        stream = blocks.index_per_block[flow.stream_dim]
        if flow.accumulates_in_array or not streams_through(blocks.problem, blocks.tiling):
            return np.zeros_like(stream)
        goes_on: NDArray[np.bool_] = stream < blocks.trips[flow.stream_dim] - 1
        return goes_on * flow.epilogue_cycles(self.folding.rows, self.folding.cols)

    def folds(self, blocks: BlockSequence) -> dict[str, int]:
        """Folds along the two stationary dimensions, and stream starts along the third."""
        flow = self.folding.dataflow
        folds = {}
        for dim, side in ((flow.row_dim, self.folding.rows), (flow.col_dim, self.folding.cols)):
            extents = blocks.block_extent(dim, np.arange(blocks.trips[dim]))
            folds[str(dim)] = int((-(-extents // side)).sum())
        starts = 1 if streams_through(blocks.problem, blocks.tiling) else blocks.trips[flow.stream_dim]
        folds[flow.stream_dim] = starts
        return folds

    def _efficiency(self, blocks: BlockSequence) -> float:
        """Share of the array's elements that a fold uses, on average."""
        flow, folds = self.folding.dataflow, self.folds(blocks)
        used = blocks.extents[flow.row_dim] * blocks.extents[flow.col_dim]
        return used / (folds[flow.row_dim] * folds[flow.col_dim] * self.folding.rows * self.folding.cols)

    def _busy_cycles(self, blocks: BlockSequence) -> NDArray[np.float64]:
        """Each element works in as many cycles as data stream past it, in the folds that reach it."""
        flow, dims = self.folding.dataflow, blocks.problem.dims
        reached = []
        for dim, side in ((flow.row_dim, self.folding.rows), (flow.col_dim, self.folding.cols)):
            extents = blocks.block_extent(dim, np.arange(blocks.trips[dim]))
            whole, rest = int((extents // side).sum()), extents % side
            reached.append(whole + (rest[:, None] > np.arange(side)).sum(axis=0))
        busy: NDArray[np.float64] = np.outer(*reached) * float(dims.groups * blocks.extents[flow.stream_dim])
        return busy


def _register_bits_per_mac(problem: TilingProblem, folding: Folding) -> int:
    """Registers of one element per multiply-accumulate: operands that pass are read and written, the third read."""
    stationary = {"m": "weight", "n": "ifmap", "k": "psum"}[folding.dataflow.stream_dim]
    bits = {"ifmap": problem.ifmap_bits, "weight": problem.weight_bits, "psum": problem.psum_bits}
    return sum(width * (1 if operand == stationary != "psum" else 2) for operand, width in bits.items())
