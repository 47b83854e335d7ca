"""A weight-stationary systolic array without multipliers: each element looks products up in a table of its weight.

The table holds the weight times every value of a digit of the input. A product is as many look-ups as the input has
digits, shifted and added; with all digits looked up at once an element still takes an input per cycle, and the array
has the cycles of a systolic one. When a weight enters, its multiples are added up and written; a second copy of the
table hides the time of that, not its energy. After the programmable look-up arithmetic that cuts wide operands into
narrow ones (Sen et al., "Look-up table based neural network hardware", 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from accelsim.hardware.pe_array.systolic import Systolic, SystolicConfig, SystolicCosts
from accelsim.mapping.array_costs import Folding
from accelsim.mapping.dataflow import DATAFLOWS
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer, ArrayWork
    from accelsim.mapping.blocks import BlockSequence


class LookupConfig(SystolicConfig):
    """A systolic array of tables."""

    kind: Literal["lookup"] = "lookup"  # type: ignore[assignment]
    dataflow: Literal["WS"] = "WS"
    """Weights stay in the elements, for it is them that the tables are made of."""
    digit_bits: int = Field(default=4, ge=1, le=16)
    """Bits of an input that choose an entry of a table."""

    def build(self, hardware: HardwareConfig) -> Lookup:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return Lookup(Folding(DATAFLOWS[self.dataflow], self.rows, self.cols), self.digit_bits)


@dataclass(frozen=True)
class Lookup(Systolic):
    """The array; `digit_bits` bits choose an entry."""

    digit_bits: int

    def costs(self, layer: ArrayLayer) -> LookupCosts:  # noqa: ARG002 - the costs follow from the tiling problem
        """What a layer costs."""
        return LookupCosts(self.folding, self.digit_bits)


@dataclass(frozen=True)
class LookupCosts(SystolicCosts):
    """Costs of a layer; they depend on its extents and widths alone."""

    digit_bits: int

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """As a systolic array, but for the products: look-ups, and tables that are written when weights enter."""
        plain, problem = super().work(blocks), blocks.problem
        digits = ceil_div(problem.ifmap_bits, self.digit_bits)
        entry_bits = problem.weight_bits + min(self.digit_bits, problem.ifmap_bits)
        entries = 2 ** min(self.digit_bits, problem.ifmap_bits)
        entered = plain.read_bits["weight"] // problem.weight_bits
        operations = {
            "table_bit": (plain.macs * digits + entered * entries) * entry_bits,
            "shift_add": plain.macs * digits + entered * (entries - 2),  # 0 and 1 times the weight are there already
        }
        description = {"look_ups_per_product": digits, "table_entries": entries}
        return replace(plain, gated_macs=plain.macs, operations=operations, description=description)
