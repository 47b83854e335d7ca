"""The arrays: one file for each kind, with its part of the config and its model of cycles and accesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from accelsim.hardware.pe_array.pot_decoding import DecodingArray

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import PeArray


def build_array(hardware: HardwareConfig) -> PeArray:
    """Build the array that a config describes, with a decoder before it where it takes plain weights only."""
    array = hardware.pe_array.build(hardware)
    if hardware.pe_array.takes_encoded_weights or not hasattr(array, "costs"):  # some run whole stages themselves
        return cast("PeArray", array)
    decoding = hardware.mapping.pot_decoding
    return DecodingArray(cast("PeArray", array), decoding.mode == "ahead", decoding.weights_per_cycle)
