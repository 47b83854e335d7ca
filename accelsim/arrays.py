"""What an array of one's own is made of: records, protocols and a base with defaults.

The README shows a worked example. An array needs a config record (`PeArrayConfig`), a class that returns the costs of a
layer (`PeArray`), and the costs (`BlockCosts`); `DenseArray` and `DenseCosts` leave only the cycles of a block to be
written. `register_array` makes the kind known.
"""

from __future__ import annotations

from accelsim.config.pe_array import PeArrayConfig, array_kinds, register_array
from accelsim.hardware.pe_array.dense import DenseArray, DenseCosts
from accelsim.mapping.array_costs import PLAIN, ArrayLayer, ArrayWork, BlockCosts, PeArray, StoredForm
from accelsim.mapping.blocks import BlockSequence
from accelsim.workload.operand_data import OperandData, OperandStatistics

__all__ = [
    "PLAIN",
    "ArrayLayer",
    "ArrayWork",
    "BlockCosts",
    "BlockSequence",
    "DenseArray",
    "DenseCosts",
    "OperandData",
    "OperandStatistics",
    "PeArray",
    "PeArrayConfig",
    "StoredForm",
    "array_kinds",
    "register_array",
]
