"""Energy tables: what one action of a component costs at a technology node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from accelsim.config.loader import find_preset
from accelsim.config.model import Record, validate
from accelsim.errors import ConfigError
from accelsim.strict_yaml import load_mapping

if TYPE_CHECKING:
    from pathlib import Path

_Energy = Annotated[float, Field(ge=0)]
_Size = Annotated[int, Field(ge=1)]


class EnergyTable(Record):
    """Unit energies of one node, each with its source."""

    name: str
    description: str = ""
    node_nm: float = Field(gt=0)
    """Feature size."""
    mac_pj: dict[_Size, _Energy] = Field(min_length=1)
    """Multiply-accumulate by operand bits; other widths by a power law, the square of the width beyond the ends."""
    array_operation_pj: dict[str, _Energy] = Field(default_factory=dict)
    """Operations of special arrays by name, such as the rebuilding of a weight."""
    vector_operation_pj: _Energy
    """One element operation of the vector unit."""
    register_file_pj_per_bit: _Energy
    """Read or write of a register in an element."""
    sram_pj_per_bit: dict[_Size, _Energy] = Field(min_length=1)
    """Read or write of a buffer by the KiB of one of its banks; a power law in between, constant beyond the ends."""
    interconnect_pj_per_bit: _Energy
    """Transfer between a buffer and the array, or between the DRAM interface and a buffer."""
    interconnect_pj_per_bit_hop: _Energy | None = None
    """Transfer over one link of an interconnect between buffers and array; needed where a machine has one."""
    dram_pj_per_bit: _Energy
    """Access of a memory that is not simulated per command, interface included."""
    leakage_mw_per_sram_kib: _Energy
    """Static power of a KiB of buffer."""
    leakage_mw_per_element: _Energy
    """Static power of a processing element or a lane of the vector unit."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Where each number comes from: key to citation."""

    def mac_energy_pj(self, ifmap_bits: int, weight_bits: int) -> float:
        """Energy of a multiply-accumulate of unequal operands: that of the geometric mean of their widths."""
        return _power_law(self.mac_pj, math.sqrt(ifmap_bits * weight_bits), outside=2.0)

    def sram_energy_pj(self, capacity_kib: float) -> float:
        """Energy of reading or writing one bit of a buffer, or of a bank where it has several."""
        return _power_law(self.sram_pj_per_bit, capacity_kib, outside=0.0)


def _power_law(points: dict[int, float], at: float, outside: float) -> float:
    """Interpolate on log-log scales; beyond the ends follow a power of exponent `outside`."""
    known = sorted(points.items())
    below = max((point for point in known if point[0] <= at), default=None)
    above = min((point for point in known if point[0] >= at), default=None)
    if below is None or above is None:
        size, energy = below or above or known[0]
        return float(energy * (at / size) ** outside)
    if below[0] == above[0] or min(below[1], above[1]) == 0:
        return below[1]
    share = math.log(at / below[0]) / math.log(above[0] / below[0])
    return float(below[1] * (above[1] / below[1]) ** share)


def load_energy_table(source: str | Path) -> EnergyTable:
    """Load an energy table by preset name or path.

    Raises
    ------
    ConfigError
        When there is no such table or it is not accepted.
    """
    path = find_preset("energy", source, "energy.table")
    data = load_mapping(path, ConfigError)
    return validate(EnergyTable, {"name": path.stem} | data, path, ConfigError)
