"""SCNN (Parashar et al., ISCA 2017): nonzero activations times nonzero weights, all with all.

The input plane is tiled over the elements, which keep their tiles compressed (input stationary). Per input channel each
element multiplies every vector of `map_lanes` nonzero activations by every vector of `weight_lanes` nonzero weights of
an output-channel group, so that no index has to be matched; a crossbar carries the products to banks of accumulators,
where products for the same bank wait for each other. Weights are broadcast through a FIFO that lets elements run apart
by what it holds; at the end of an output-channel group all wait for the last, while the sums of the group before are
still handed to neighbours (halos), rectified, compressed and written back.

Strides split activations and weights into phases that only meet their like. Matrix products have no pixels to share
out: elements take filters of their own and multiply up to `map_lanes` positions, so a single vector reaches a share
``1 / map_lanes`` of the peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from accelsim.config.pe_array import PeArrayConfig
from accelsim.hardware.pe_array.scnn_estimate import estimated_cycles, useful_block_sizes
from accelsim.hardware.pe_array.scnn_kernels import MOST_QUEUED
from accelsim.hardware.pe_array.scnn_operands import LayerOperands, entries_per_element
from accelsim.hardware.pe_array.scnn_work import Block, BlockWork, ScnnLayer
from accelsim.mapping.array_costs import PLAIN, ArrayWork, StoredForm, broadcast_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.workload.operand_data import OperandData

Sparse = Literal["ifmap", "weight"]


class ScnnConfig(PeArrayConfig):
    """Elements with a Cartesian-product multiplier array and banked accumulators."""

    kind: Literal["scnn"]
    pe_rows: int = Field(ge=1, le=256)
    """Rows of elements, which share out the rows of the input plane."""
    pe_cols: int = Field(ge=1, le=256)
    """Columns of elements."""
    map_lanes: int = Field(default=4, ge=1, le=32)
    """Activations that an element multiplies at a time."""
    weight_lanes: int = Field(default=4, ge=1, le=8)
    """Weights that it multiplies them by."""
    accumulator_banks: int = Field(default=32, ge=1, le=64)
    """Banks of accumulators of an element; each adds up one product per cycle."""
    bank_entries: int = Field(default=32, ge=1, le=65_536)
    """Sums per bank, of which there is a second set that is drained meanwhile."""
    bank_queue: int = Field(default=4, ge=0, le=62)
    """Products that may wait in front of a bank before the multipliers stall."""
    weight_fifo_vectors: int = Field(default=50, ge=0, le=65_536)
    """Weight vectors that an element can hold of those broadcast; 0 lets elements run apart until the barrier."""
    index_bits: int = Field(default=4, ge=1, le=16)
    """Bits with each stored value that count the zeros before it."""
    drain_lanes: int = Field(default=4, ge=1, le=1024)
    """Sums that an element hands on, rectifies and compresses per cycle."""
    sparse: tuple[Sparse, ...] = ("ifmap", "weight")
    """Operands that are stored without their zeros."""

    @model_validator(mode="after")
    def _queues_can_be_counted(self) -> ScnnConfig:
        most = self.bank_queue + self.map_lanes * self.weight_lanes
        if most > MOST_QUEUED:
            message = f"bank_queue + map_lanes * weight_lanes is {most}, of which at most {MOST_QUEUED} can be counted"
            raise ValueError(message)
        return self

    @property
    def pes(self) -> int:
        """Elements, each a multiplier array."""
        return self.pe_rows * self.pe_cols

    @property
    def elements(self) -> int:
        """Multipliers."""
        return self.pes * self.map_lanes * self.weight_lanes

    @property
    def accumulators(self) -> int:
        """Sums that an element can hold."""
        return self.accumulator_banks * self.bank_entries

    @property
    def longest_run(self) -> int:
        """Zeros that an index can bridge."""
        return (1 << self.index_bits) - 1

    def build(self, hardware: HardwareConfig) -> Scnn:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return Scnn(self)


@dataclass(frozen=True)
class Scnn:
    """The array."""

    config: ScnnConfig

    def costs(self, layer: ArrayLayer) -> ScnnCosts:
        """What a layer costs."""
        return ScnnCosts(self.config, layer)

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:
        """Feature maps are stored without their zeros, each other value with an index."""
        return _form(self.config, "ifmap", data.density, bits)


def _form(config: ScnnConfig, operand: Sparse, density: float, bits: int) -> StoredForm:
    if operand not in config.sparse:
        return PLAIN
    share = entries_per_element(density, config.longest_run) * (bits + config.index_bits) / bits
    return StoredForm(share, share)


@dataclass(frozen=True)
class ScnnCosts:
    """Costs of one layer."""

    config: ScnnConfig
    layer: ArrayLayer

    @cached_property
    def _operands(self) -> LayerOperands:
        return LayerOperands(self.layer, frozenset(self.config.sparse))

    @cached_property
    def _scnn_layer(self) -> ScnnLayer:
        return ScnnLayer(self.config, self._operands)

    @property
    def folding(self) -> None:
        """No systolic array."""

    @property
    def completes_sums(self) -> bool:
        """Sums are complete when they leave the accumulators, if all of k was there."""
        return True

    @property
    def weight_form(self) -> StoredForm:
        """Weights are stored without their zeros, each other value with an index."""
        return _form(self.config, "weight", self.layer.weight.density, self.layer.weight_bits)

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Whole rows and whole channels, and what fits into the accumulators."""
        return useful_block_sizes(self.config, self._operands, dim)

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Expected cycles, bank conflicts and the wait for the slowest element left out."""
        return estimated_cycles(self.config, self._operands, (groups, m, n, k))

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:  # noqa: ARG002 - as weight_form says
        """No tile is counted by itself."""
        return None

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """What the array does: exact where both operands are known, else with numbers drawn from their densities."""
        cycles, total = self._all_blocks(blocks)
        layer, operands = self.layer, self._operands
        config, dims = self.config, layer.dims
        useful = operands.useful_products
        m, n = blocks.extents_per_block["m"], blocks.extents_per_block["n"]
        results = dims.groups * dims.m * dims.n
        returning = int((blocks.block_groups * m * n).sum()) - results
        index = {operand: config.index_bits * (operand in config.sparse) for operand in ("ifmap", "weight")}
        written = (
            results * layer.ofmap_bits * _form(config, "ifmap", layer.ofmap.density, layer.ofmap_bits).buffer_share
        )
        discarded = total.products - useful  # their place is outside of the output
        fifo_bits = total.pairs * config.weight_lanes * (layer.weight_bits + index["weight"])
        return ArrayWork(
            cycles=cycles,
            cycles_behind=np.zeros_like(cycles),
            macs=useful,
            efficiency=useful / (config.elements * max(int(cycles.sum()), 1)),
            read_bits={
                "ifmap": round(total.map_entries * (layer.ifmap_bits + index["ifmap"])),
                "weight": round(total.weight_entries * (layer.weight_bits + index["weight"])),
                "psum": returning * layer.psum_bits,
            },
            written_bits={"psum": returning * layer.psum_bits + round(written)},
            register_file_bits=round(fifo_bits + (2 * total.products + total.sums) * layer.psum_bits),
            operations={
                "crossbar_product": round(total.products),
                "discarded_multiply_8b": max(round(discarded * layer.ifmap_bits * layer.weight_bits / 64), 0),
            },
            busy_cycles=total.busy.reshape(config.pe_rows, config.pe_cols),
            ports=broadcast_ports("weight", config.pes),
            description={"operands": {"ifmap": layer.ifmap.known, "weight": layer.weight.known}},
        )

    def _all_blocks(self, blocks: BlockSequence) -> tuple[NDArray[np.int64], BlockWork]:
        """Cycles of each block, and what all of them do together."""
        tiling, dims = blocks.tiling, blocks.problem.dims
        sizes = (tiling.groups, tiling.m, tiling.k, tiling.n)
        extents = (dims.groups, dims.m, dims.k, dims.n)
        places = (
            blocks.group_per_block, *(blocks.index_per_block[dim] for dim in ("m", "k", "n"))
        )  # fmt: skip
        cycles = np.empty([-(-extent // size) for extent, size in zip(extents, sizes, strict=True)], np.int64)
        total = BlockWork(np.zeros(self.config.pes))
        for place in np.ndindex(cycles.shape):  # filters fastest, so that the lists of activations are made once
            groups, pixels, reduction, filters = (
                (index * size, min((index + 1) * size, extent))
                for index, size, extent in zip(place, sizes, extents, strict=True)
            )
            work = self._scnn_layer.block_work(Block(groups, pixels, filters, reduction))
            cycles[place] = work.total_cycles
            total.include(work)
        per_block: NDArray[np.int64] = cycles[places]
        return per_block, total
