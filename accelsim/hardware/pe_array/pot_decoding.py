"""A decoder between decomposed weights and an array that multiplies plain ones, whichever array it is.

Weights travel from DRAM encoded: codes, index, bases. Decoded *on the fly* they lie so in the weight buffer, too, and
become weights at the edge of the array, every time that they enter it. Decoded *ahead* they become weights once per
fetch, before they enter the buffer, which holds them as the array keeps plain ones. The array sees the decoded weights
in 8 bits; a machine that skips zeros finds those of the rows that are left out.

A decoder of limited speed works beside the array: a block takes no less than the weights that enter the array in it
(on the fly) or that are fetched for it (ahead). The search for a tiling sees that limit only where it asks the array
for cycles, so not for systolic arrays in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.pot_tiles import pot_tile_bits, pot_weight_form
from accelsim.mapping.array_costs import StoredForm, reassigns_channels
from accelsim.mapping.dataflow import DIMS
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import ArrayLayer, ArrayWork, BlockCosts, Folding, PeArray
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.workload.operand_data import OperandData
    from accelsim.workload.pot.operand import PotOperand


@dataclass(frozen=True)
class DecodingArray:
    """An array with a decoder before it.

    Parameters
    ----------
    array
        The array.
    ahead
        Whether weights are decoded before they enter their buffer.
    weights_per_cycle
        Weights that the decoder makes in a cycle; None for as many as are asked for.
    """

    array: PeArray
    ahead: bool
    weights_per_cycle: int | None

    @property
    def reassigns_channels(self) -> bool:
        """Whether the array deals out the channels of a convolution anew where some are skipped."""
        return reassigns_channels(self.array)

    def costs(self, layer: ArrayLayer) -> BlockCosts:
        """What a layer costs; one of plain weights has nothing to decode."""
        costs, pot = self.array.costs(layer), layer.weight.pot
        if pot is None:
            return costs
        return DecodingCosts(costs, pot, layer.weight_bits, self.ahead, self.weights_per_cycle)

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:
        """Feature maps are stored as the array stores them."""
        return self.array.feature_map_form(data, bits)


@dataclass(frozen=True)
class DecodingCosts:
    """What a layer of decomposed weights costs behind a decoder.

    Parameters
    ----------
    costs
        What it costs with plain weights.
    pot
        The weights.
    weight_bits
        Bits of a decoded one.
    ahead, weights_per_cycle
        See `DecodingArray`.
    """

    costs: BlockCosts
    pot: PotOperand
    weight_bits: int
    ahead: bool
    weights_per_cycle: int | None

    @property
    def folding(self) -> Folding | None:
        """That of the array."""
        return self.costs.folding

    @property
    def completes_sums(self) -> bool:
        """Whether the array does."""
        return self.costs.completes_sums

    @cached_property
    def encoded_share(self) -> float:
        """Bits of the encoded weights, as a share of plain ones."""
        return pot_weight_form(self.pot, self.weight_bits)

    @property
    def weight_form(self) -> StoredForm:
        """Encoded in DRAM, and on chip until they are decoded."""
        return StoredForm(self.encoded_share, self.costs.weight_form.buffer_share if self.ahead else self.encoded_share)

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Those of the array; along k whole slices, too, so that a basis need not lie in two tiles."""
        sizes, layout = self.costs.block_sizes(dim), self.pot.layout
        if dim != "k" or sizes is None:
            return sizes
        return [*sizes, layout.rows * layout.basis]

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of the array, or of the decoder where that is slower."""
        cycles = self.costs.estimated_cycles(groups, m, n, k)
        if self.weights_per_cycle is None:
            return cycles
        slower: NDArray[np.int64] = np.maximum(cycles, -(-groups * n * k // self.weights_per_cycle))
        return slower

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:
        """Codes, index and bases of each tile."""
        return pot_tile_bits(self.pot, blocks)

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """What array and decoder do."""
        work = self.costs.work(blocks)
        n, k = (blocks.extents_per_block[dim] for dim in DIMS[1:])
        held = blocks.block_groups * n * k
        dims = blocks.problem.dims
        weights = dims.groups * dims.n * dims.k
        plain = self.costs.weight_form.buffer_share * self.weight_bits
        read, written = dict(work.read_bits), dict(work.written_bits)
        visits = blocks.visits["weight"].first_block
        if self.ahead:
            decoded = np.zeros_like(held)
            decoded[visits] = held[visits]
            fetched = float(blocks.stored_runs("weight", 0)["run_bytes"].sum()) * BITS_PER_BYTE
            written["weight"] = written.get("weight", 0) + round(float(decoded.sum()) * plain - fetched)
        else:
            entering = read.get("weight", 0) / plain  # as many as the array takes, which keeps some of them
            decoded = np.ceil(held * (entering / held.sum())).astype(np.int64)
            read["weight"] = round(read.get("weight", 0) * self.encoded_share / self.costs.weight_form.buffer_share)
        cycles = work.cycles
        if self.weights_per_cycle is not None:
            cycles = np.maximum(cycles, -(-decoded // self.weights_per_cycle))
        rebuilds = round(self.pot.rebuild_operations * (float(decoded.sum()) / weights))
        return replace(
            work,
            cycles=cycles,
            read_bits=read,
            written_bits=written,
            operations=work.operations | {"rebuild": work.operations.get("rebuild", 0) + rebuilds},
            description=work.description | {"decoded": "ahead" if self.ahead else "on the fly"},
        )
