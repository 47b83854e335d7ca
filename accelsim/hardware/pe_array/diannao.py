"""DianNao (Chen et al., ASPLOS 2014): adder trees, each with a row of multipliers, that all see the same inputs.

Every cycle takes one window element of as many input channels as a tree has multipliers, and a weight for each of them
and each tree from the synapse buffer. A tree adds up its products (second stage) onto the sum of its output; the third
stage applies the function of the layer. Nothing is reused between cycles but the partial sums; nothing is skipped.
DaDianNao (MICRO 2014) is sixteen such units that share the inputs: one with sixteen times the trees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from accelsim.config.pe_array import PeArrayConfig
from accelsim.hardware.pe_array.dense import DenseArray, DenseCosts
from accelsim.mapping.array_costs import broadcast_ports
from accelsim.mapping.dataflow import DIMS
from accelsim.workload.operators import Conv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer, ArrayWork
    from accelsim.mapping.blocks import BlockSequence


LATCH_BIT = "latch_bit"
"""Operation that the energy table prices: a bit that is written to, or read from, a register between two stages."""


class DianNaoConfig(PeArrayConfig):
    """A neural functional unit of three stages: multipliers, adder trees, functions."""

    sides: ClassVar[tuple[str, str]] = ("adder tree", "multiplier")

    kind: Literal["diannao"] = "diannao"
    outputs: int = Field(ge=1, le=65_536)
    """Adder trees: outputs that are computed at once (Tn)."""
    inputs: int = Field(ge=1, le=65_536)
    """Multipliers of a tree: input channels that are taken at once (Ti)."""
    pipeline_stages: int = Field(default=3, ge=1, le=64)
    """Cycles from the first product of an output to the output."""

    @property
    def elements(self) -> int:
        """Multipliers."""
        return self.outputs * self.inputs

    def build(self, hardware: HardwareConfig) -> DianNao:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return DianNao(self.outputs, self.inputs, self.pipeline_stages)


@dataclass(frozen=True)
class DianNao(DenseArray):
    """`outputs` trees of `inputs` multipliers each, and the depth of the pipeline."""

    outputs: int
    inputs: int
    pipeline_stages: int

    def costs(self, layer: ArrayLayer) -> DianNaoCosts:
        """What a layer costs."""
        return DianNaoCosts(layer, self.outputs * self.inputs, self)


@dataclass(frozen=True)
class DianNaoCosts(DenseCosts):
    """Costs of a layer; they depend on its extents alone."""

    array: DianNao

    @property
    def taps(self) -> int:
        """Window elements per input channel."""
        return window_taps(self.layer)

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of blocks that follow on each other's heels."""
        cycles: NDArray[np.int64] = groups * m * -(-n // self.array.outputs) * chunks(k, self.taps, self.array.inputs)
        return cycles

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Inputs are read once for every set of trees, weights for every product."""
        layer, groups = self.layer, blocks.block_groups
        m, n, k = (blocks.extents_per_block[dim] for dim in DIMS)
        cycles = self.estimated_cycles(groups, m, n, k)
        efficiency = layer.dims.macs / (self.elements * int(cycles.sum()))
        behind = np.full_like(cycles, self.array.pipeline_stages - 1)
        cycles[-1] += behind[-1]  # nothing follows that would hide it
        behind[-1] = 0
        plain = super().work(blocks)
        inputs_read = int((groups * m * k * -(-n // self.array.outputs)).sum())
        sums_added = int((groups * m * n * chunks(k, self.taps, self.array.inputs)).sum())
        product_bits = layer.ifmap_bits + layer.weight_bits
        return replace(
            plain,
            cycles=cycles,
            cycles_behind=behind,
            efficiency=efficiency,
            read_bits=plain.read_bits
            | {"ifmap": inputs_read * layer.ifmap_bits, "weight": layer.dims.macs * layer.weight_bits},
            register_file_bits=0,
            operations={LATCH_BIT: 2 * (layer.dims.macs * product_bits + sums_added * layer.psum_bits)},
            busy_cycles=self._busy_cycles(blocks),
            ports=broadcast_ports("ifmap", self.array.outputs),
        )

    def _busy_cycles(self, blocks: BlockSequence) -> NDArray[np.float64]:
        """Cycles in which each multiplier (tree, place in it) has a product: each block of n meets each of k."""
        dims = blocks.problem.dims
        n, k = (blocks.block_extent(dim, np.arange(blocks.trips[dim])) for dim in ("n", "k"))
        trees = lane_counts(n, self.array.outputs).sum(axis=0)
        short, long = k // self.taps, k % self.taps  # of the taps of a block, `long` have one channel more than `short`
        places = (self.taps - long) @ lane_counts(short, self.array.inputs)
        places = places + long @ lane_counts(short + 1, self.array.inputs)
        busy: NDArray[np.float64] = np.outer(trees, places) * float(dims.groups * dims.m)
        return busy


def window_taps(layer: ArrayLayer) -> int:
    """Window elements per input channel."""
    kernel = layer.operator.window.kernel if isinstance(layer.operator, Conv) else (1, 1)
    return kernel[0] * kernel[1]


def chunks(k: NDArray[np.int64], taps: int, width: int) -> NDArray[np.int64]:
    """Steps through blocks of `k` weights of a filter that take one tap of up to `width` channels at a time.

    Weights stand channel by channel, so any `taps` of them in a row hold every tap once.
    """
    short, long = k // taps, k % taps
    steps: NDArray[np.int64] = long * -(-(short + 1) // width) + (taps - long) * -(-short // width)
    return steps


def lane_counts(elements: NDArray[np.int64], lanes: int) -> NDArray[np.int64]:
    """Per entry of `elements` and lane the elements that the lane takes when lanes are filled in turn."""
    counts: NDArray[np.int64] = (elements // lanes)[:, None] + ((elements % lanes)[:, None] > np.arange(lanes))
    return counts
