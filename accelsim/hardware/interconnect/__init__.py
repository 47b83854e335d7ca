"""What lies between buffers and array: one file for each kind, with its cycles and its hops.

A word of an operand is what a link takes in one cycle. The words of a step are dealt out over the ports of the array,
or over groups of ports that all want the same word, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.interconnect.bus import Bus
from accelsim.hardware.interconnect.mesh import Mesh
from accelsim.hardware.interconnect.multicast_tree import MulticastTree

if TYPE_CHECKING:
    from accelsim.config.interconnect import InterconnectConfig
    from accelsim.mapping.traffic import Interconnect


def build_interconnect(config: InterconnectConfig) -> Interconnect | None:
    """Build the interconnect that a config describes; None where there is nothing to wait for."""
    bits, hop_cycles = config.bits_per_cycle or 0, config.hop_cycles or 1
    if config.kind == "bus":
        return Bus(bits, hop_cycles)
    if config.kind == "multicast_tree":
        return MulticastTree(bits, hop_cycles, config.radix or 2)
    if config.kind == "mesh":
        return Mesh(bits, hop_cycles, config.rows or 1, config.cols or 1)
    return None
