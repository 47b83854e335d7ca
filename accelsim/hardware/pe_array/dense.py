"""What arrays have in common that store their operands as they are and skip nothing: a base for arrays of one's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.array_costs import PLAIN, ArrayWork, Folding, StoredForm
from accelsim.mapping.dataflow import DIMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.workload.operand_data import OperandData


class DenseArray(ABC):
    """An array that stores feature maps as they are."""

    @abstractmethod
    def costs(self, layer: ArrayLayer) -> DenseCosts:
        """What a layer costs."""

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:  # noqa: ARG002 - nothing is compressed
        """Feature maps are stored as they are."""
        return PLAIN


class PlainCosts:
    """What costs say of an array that is not systolic, stores its weights as they are and takes blocks of any size."""

    @property
    def folding(self) -> Folding | None:
        """No systolic array."""
        return None

    @property
    def weight_form(self) -> StoredForm:
        """Weights are stored as they are."""
        return PLAIN

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:  # noqa: ARG002 - any size may be best
        """Try the usual sizes."""
        return None

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:  # noqa: ARG002 - as weight_form says
        """No tile differs from the others."""
        return None


@dataclass(frozen=True)
class DenseCosts(PlainCosts, ABC):
    """Costs that depend on the extents of a block alone; only `estimated_cycles` is left to be written.

    Parameters
    ----------
    layer
        What is computed.
    elements
        Multiply-accumulates of the whole array per cycle.
    """

    layer: ArrayLayer
    elements: int

    @property
    def completes_sums(self) -> bool:
        """A block that holds all of k hands on results only."""
        return True

    @abstractmethod
    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks of these extents, which broadcast against each other."""

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Every block reads its operands from their buffers once; sums over several blocks of k go back and forth."""
        layer, groups = self.layer, blocks.block_groups
        m, n, k = (blocks.extents_per_block[dim] for dim in DIMS)
        cycles = self.estimated_cycles(groups, m, n, k)
        results = layer.dims.groups * layer.dims.m * layer.dims.n
        returning = int((groups * m * n).sum()) - results
        return ArrayWork(
            cycles=cycles,
            cycles_behind=np.zeros_like(cycles),
            macs=layer.dims.macs,
            efficiency=layer.dims.macs / (self.elements * max(int(cycles.sum()), 1)),
            read_bits={
                "ifmap": int((groups * m * k).sum()) * layer.ifmap_bits,
                "weight": int((groups * n * k).sum()) * layer.weight_bits,
                "psum": returning * layer.psum_bits,
            },
            written_bits={"psum": returning * layer.psum_bits + results * layer.ofmap_bits},
            register_file_bits=layer.dims.macs * (layer.ifmap_bits + layer.weight_bits + 2 * layer.psum_bits),
        )
