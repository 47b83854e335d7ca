"""Prices activity: counts times unit energies, DRAM commands, and leakage over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from accelsim.errors import ConfigError
from accelsim.result import ENERGY_COMPONENTS
from accelsim.units import milliwatts_to_pj

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.config.schema import HardwareConfig
    from accelsim.energy.table import EnergyTable
    from accelsim.mapping.tile_graph import Activity

EnergyByAction = dict[str, dict[str, float]]
"""``{component: {action: pJ}}`` with every component of `ENERGY_COMPONENTS`."""

RESOLUTION_PJ = 2.0**-8
"""Energies are whole multiples of this, so that sums of them are exact in any order up to 35 J."""


@dataclass(frozen=True)
class EnergyModel:
    """The unit energies of one machine.

    Parameters
    ----------
    hardware
        The machine.
    table
        Its energy table.
    """

    hardware: HardwareConfig
    table: EnergyTable

    @cached_property
    def _sram_pj_per_bit(self) -> dict[str, float]:
        memories, energy_pj = self.hardware.on_chip, self.table.sram_energy_pj
        return {name: energy_pj(memory.capacity_kib / memory.banks) for name, memory in memories.items()}

    @cached_property
    def leakage_mw(self) -> dict[str, float]:
        """Power that leaks, by what leaks it."""
        memories, element_mw = self.hardware.on_chip.values(), self.table.leakage_mw_per_element
        capacity_kib = sum(memory.capacity_kib * memory.instances for memory in memories)
        return {
            "pe_array": element_mw * self.hardware.pe_array.leaking_elements,
            "vector_unit": element_mw * self.hardware.vector_unit.lanes,
            "sram": self.table.leakage_mw_per_sram_kib * capacity_kib,
        }

    def stage_energy(self, activity: Activity, dram_pj: Mapping[str, float], duration_ps: int) -> EnergyByAction:
        """Energy of one stage.

        Parameters
        ----------
        activity
            What happened on chip.
        dram_pj
            Energy of the DRAM by action.
        duration_ps
            How long the stage took; leakage counts over it.
        """
        table, per_bit = self.table, self._sram_pj_per_bit
        energy: EnergyByAction = {
            "pe_array": self._array_energy(activity),
            "vector_unit": {"operation": activity.vector_operations * table.vector_operation_pj},
            "register_file": {"access": activity.register_file_bits * table.register_file_pj_per_bit},
            "sram": {
                "read": sum(bits * per_bit[name] for name, bits in activity.sram_read_bits.items()),
                "write": sum(bits * per_bit[name] for name, bits in activity.sram_write_bits.items()),
            },
            "interconnect": self._interconnect_energy(activity),
            "dram": dict(dram_pj),
            "leakage": {name: milliwatts_to_pj(power_mw, duration_ps) for name, power_mw in self.leakage_mw.items()},
        }
        return {name: {action: rounded(pj) for action, pj in actions.items()} for name, actions in energy.items()}

    def _interconnect_energy(self, activity: Activity) -> dict[str, float]:
        """Energy of transfers at a price per bit, and of the links of an interconnect, where the machine has one."""
        energy = {"transfer": activity.interconnect_bits * self.table.interconnect_pj_per_bit}
        if self.hardware.interconnect.kind == "none":
            return energy
        per_bit = self.table.interconnect_pj_per_bit_hop
        if per_bit is None:
            raise ConfigError(
                f"has no price for the links of a {self.hardware.interconnect.kind}",
                where=f"energy table {self.table.name}",
                key="interconnect_pj_per_bit_hop",
                allowed="an energy in pJ per bit and hop",
            )
        return energy | {"hop": activity.interconnect_bit_hops * per_bit}

    def _array_energy(self, activity: Activity) -> dict[str, float]:
        """Energy of the multiply-accumulates that were not gated, and of the other operations of the array."""
        macs, prices = activity.macs - activity.gated_macs, self.table.array_operation_pj
        energy = {"mac": macs * self.table.mac_energy_pj(*activity.operand_bits) if macs else 0.0}
        for name, count in activity.array_operations.items():
            if name not in prices:
                known = ", ".join(sorted(prices)) or "none"
                raise ConfigError(
                    f"has no price for {name!r}, which this array needs",
                    where=f"energy table {self.table.name}",
                    key="array_operation_pj",
                    allowed=f"an energy in pJ beside those it has ({known})",
                )
            energy[name] = count * prices[name]
        return energy

    def vector_energy(self, operations: int) -> EnergyByAction:
        """Energy of a layer that rides on another's drain: its operations alone."""
        energy: EnergyByAction = {name: {} for name in ENERGY_COMPONENTS}
        energy["vector_unit"]["operation"] = rounded(operations * self.table.vector_operation_pj)
        return energy


def rounded(energy_pj: float) -> float:
    """Round to a whole multiple of `RESOLUTION_PJ`."""
    return round(energy_pj / RESOLUTION_PJ) * RESOLUTION_PJ


def component_totals(energy: EnergyByAction) -> dict[str, float]:
    """Sum the actions of each component."""
    return {component: sum(actions.values()) for component, actions in energy.items()}


def add_energies(parts: list[EnergyByAction]) -> EnergyByAction:
    """Sum energies action by action."""
    total: EnergyByAction = {component: {} for component in ENERGY_COMPONENTS}
    for part in parts:
        for component, actions in part.items():
            for action, pj in actions.items():
                total[component][action] = total[component].get(action, 0.0) + pj
    return total
