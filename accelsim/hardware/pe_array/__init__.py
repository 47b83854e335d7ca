"""The arrays: one file for each kind, with its part of the config and its model of cycles and accesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import PeArray


def build_array(hardware: HardwareConfig) -> PeArray:
    """Build the array that a config describes."""
    return cast("PeArray", hardware.pe_array.build(hardware))
