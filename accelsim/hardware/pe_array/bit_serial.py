"""The bit-serial array of SmartExchange: slices of lines of lanes that rebuild their weights from powers of two.

Published (Zhao et al., ISCA 2020): a slice works on one filter, the lines of a slice on different input channels, the
lanes of a line on neighbouring pixels of one output row. A line has two rebuild engines. What follows is published in
part only, and is an assumption where the papers do not say it:

*Rows.* Weights come in rows: a row of a kernel, three adjacent input channels of decomposed 1 x 1 and fully connected
layers, single weights of plain ones. A row is broadcast weight by weight to the lanes of its line; a *step* is one
weight times one activation per lane, and takes as many cycles as the lane with the most nonzero radix-4 Booth digits
has, at least one. A row takes the sum of its steps, and not less than its engine takes to rebuild the next one.

*Selection.* A row is left out, fetch and all, where all activations that it would meet are zero, or where the index of
the coefficients does not name it. `selector_slices` neighbouring slices share a selector and work in step on the rows
that any of them needs; plain layers have no index, so all their rows count as needed.

*Passes.* A pass is as many filters as there are slices (of as many groups as fit) times as many pixels as there are
lanes, over all rows of the block. Lines run on their own through a pass and wait for each other at its end, where the
adder trees, one per lane, sum over the lines while the next pass runs. Rows go to the lines by input channel in turn,
or, where a group has fewer channels than there are lines (depthwise layers above all), row by row. A pass takes no less
than the input port needs to deliver the activations, each pixel of a row once for all slices of its group.

*Rebuild engines.* The engines of a line take turns: while one multiplies with its basis the other loads the next, so a
run of rows with one basis takes at least as long as that. Blocks whose rows all have one basis load none on the way.

*Clusters.* Where a layer has no more output pixels than a cluster has lanes (fully connected, squeeze-and-excite), a
line splits into one cluster per engine, each with weights of its own; then nothing hides the load of a basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from accelsim.config.pe_array import PeArrayConfig
from accelsim.hardware.pe_array.bit_serial_estimate import Estimate
from accelsim.hardware.pe_array.bit_serial_geometry import Geometry, geometry_of
from accelsim.hardware.pe_array.bit_serial_work import array_work
from accelsim.hardware.pe_array.pot_tiles import pot_tile_bits, pot_weight_form
from accelsim.mapping.array_costs import PLAIN, ArrayWork, Folding, StoredForm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.mapping.dataflow import Dim
    from accelsim.workload.operand_data import OperandData


class BitSerialConfig(PeArrayConfig):
    """Slices of lines of bit-serial multipliers, with two rebuild engines to a line."""

    takes_encoded_weights: ClassVar[bool] = True

    sides: ClassVar[tuple[str, str]] = ("slice", "line")

    kind: Literal["bit_serial"] = "bit_serial"
    slices: int = Field(ge=1, le=4096)
    """Filters worked on at one time."""
    lines: int = Field(ge=1, le=4096)
    """Lines of a slice, which share out its input channels."""
    lanes: int = Field(ge=1, le=4096)
    """Bit-serial multipliers of a line, which share out neighbouring output pixels."""
    clusters: int = Field(default=2, ge=1, le=4096)
    """Parts with weights of their own into which a line splits for layers of few output pixels."""
    selector_slices: int = Field(default=32, ge=1, le=4096)
    """Neighbouring slices that share an index selector and work in step."""
    rebuild_cycles: int = Field(default=3, ge=0, le=1024)
    """Cycles in which a rebuild engine makes a row of weights."""
    basis_load_cycles: int = Field(default=3, ge=0, le=1024)
    """Cycles in which a rebuild engine loads a basis."""
    input_bytes_per_cycle: int = Field(ge=1, le=1_048_576)
    """Activations that the input buffer delivers to the slices in a cycle."""

    @model_validator(mode="after")
    def _clusters_have_lanes(self) -> BitSerialConfig:
        if self.clusters > self.lanes:
            message = f"clusters = {self.clusters} may not exceed lanes = {self.lanes}"
            raise ValueError(message)
        return self

    @property
    def elements(self) -> int:
        """Multipliers; each takes a cycle per nonzero digit, so this many multiply-accumulates a cycle at best."""
        return self.slices * self.lines * self.lanes

    @property
    def leaking_elements(self) -> float:
        """Multipliers of full width that take the same area: one for as many serial ones as it has bits.

        Assumption: SmartExchange compares 8 K serial multipliers with 1 K of 8 bits as equals.
        """
        return self.elements / self.operand_bits

    def build(self, hardware: HardwareConfig) -> BitSerial:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return BitSerial(self)


@dataclass(frozen=True)
class BitSerial:
    """A bit-serial array.

    Parameters
    ----------
    config
        Its size.
    """

    config: BitSerialConfig
    reassigns_channels: ClassVar[bool] = True

    @cached_property
    def _known(self) -> dict[ArrayLayer, BitSerialCosts]:
        return {}

    def costs(self, layer: ArrayLayer) -> BitSerialCosts:
        """What a layer costs; asked again for an equal layer, what has been worked out stays so."""
        if layer not in self._known:
            self._known[layer] = BitSerialCosts(self.config, layer, geometry_of(layer))
        return self._known[layer]

    def feature_map_form(self, data: OperandData, bits: int) -> StoredForm:  # noqa: ARG002 - nothing is compressed
        """Feature maps are stored as they are."""
        return PLAIN


@dataclass(frozen=True)
class BitSerialCosts:
    """What one layer costs.

    Parameters
    ----------
    config
        The array.
    layer
        The layer.
    geometry
        How it lies on the array.
    """

    config: BitSerialConfig
    layer: ArrayLayer
    geometry: Geometry

    @property
    def folding(self) -> Folding | None:
        """No systolic array."""
        return None

    @property
    def completes_sums(self) -> bool:
        """Sums stay in the lanes until all rows of a block are done."""
        return True

    @property
    def is_clustered(self) -> bool:
        """Whether lines split into clusters."""
        return self.geometry.is_flat and self.geometry.pixels <= self.config.lanes // self.config.clusters

    @property
    def lines(self) -> int:
        """Lines of a slice, or clusters of all its lines."""
        return self.config.lines * (self.config.clusters if self.is_clustered else 1)

    @property
    def lanes(self) -> int:
        """Lanes of a line or of a cluster."""
        return self.config.lanes // (self.config.clusters if self.is_clustered else 1)

    @property
    def rebuilds(self) -> bool:
        """Whether the weights are rebuilt; plain ones pass the engines by."""
        return self.layer.weight.pot is not None

    @property
    def least_row_cycles(self) -> int:
        """Cycles that a row takes at least."""
        return self.config.rebuild_cycles if self.rebuilds else 0

    @property
    def block_start_cycles(self) -> int:
        """Cycles before the first product of a block: the first row of activations, its basis, its weights.

        An array does not look ahead from one block to the next, so each begins with empty lines.
        """
        window = self.geometry.window
        span = (self.lanes - 1) * window.stride[1] + (window.kernel[1] - 1) * window.dilation[1] + 1
        span = min(span, window.kernel[1] * self.lanes)
        fill = -(-span // self.lanes)
        basis = 0 if self.is_clustered else self.config.basis_load_cycles
        return fill + (basis + self.config.rebuild_cycles if self.rebuilds else 1)

    @property
    def sum_cycles(self) -> int:
        """Cycles from the last product of a pass until the adder trees have summed over the lines."""
        return max(self.lines - 1, 0).bit_length() + 1

    def passes(self, groups: NDArray[np.int64], filters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Passes over the pixels for blocks of groups of filters: several small groups share one."""
        slices = self.config.slices
        side_by_side = np.maximum(slices // filters, 1)
        passes: NDArray[np.int64] = -(-groups // side_by_side) * -(-filters // slices)
        return passes

    @property
    def weight_form(self) -> StoredForm:
        """Decomposed weights are stored encoded, in DRAM and on chip."""
        pot = self.layer.weight.pot
        if pot is None:
            return PLAIN
        share = pot_weight_form(pot, self.layer.weight_bits)
        return StoredForm(share, share)

    def block_sizes(self, dim: Dim) -> Sequence[int] | None:
        """Whole rows of weights, whole rows of pixels or parts that divide them, as many filters as slices."""
        geometry, dims, config = self.geometry, self.layer.dims, self.config
        if dim == "n":
            return [*_doubled(1, min(config.slices, dims.n)), *_doubled(config.slices, dims.n), dims.n]
        if dim == "m":
            width = geometry.out_width
            parts = _doubled(1, geometry.pixels) if geometry.is_flat else _divisors(width)
            image = geometry.out_height * width
            return [*parts, *_doubled(width, geometry.pixels), *_doubled(image, geometry.pixels), geometry.pixels]
        row = geometry.row_length
        units = {row, row * self.lines}
        if not geometry.spans_channels:
            taps = geometry.window.kernel[0] * geometry.window.kernel[1]
            units |= {taps, taps * self.lines}
        pot = self.layer.weight.pot
        if pot is not None:
            units.add(row * pot.layout.rows)
        return [size for unit in units for size in _doubled(unit, dims.k)] + [dims.k]

    @cached_property
    def estimate(self) -> Estimate:
        """Expected cycles, by what is known of the operands."""
        return Estimate(self)

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Expected cycles; what blocks take that are known by statistics alone."""
        return self.estimate.block_cycles(self.passes(groups, n), m, k)

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:
        """Codes, index and bases of each tile of decomposed weights."""
        pot = self.layer.weight.pot
        return None if pot is None else pot_tile_bits(pot, blocks)

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Cycles from the tensors where both are known, else as expected."""
        return array_work(self, blocks)


def _doubled(unit: int, extent: int) -> list[int]:
    """A unit times powers of two, below an extent."""
    sizes = []
    while unit < extent:
        sizes.append(unit)
        unit *= 2
    return sizes


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]
