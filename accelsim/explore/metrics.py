"""The figures that a study minimises, maximises or bounds, each with its unit and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import Field

from accelsim.config.model import Record, validate
from accelsim.errors import ConfigError
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.config.schema import HardwareConfig
    from accelsim.result import RunResult, Totals


class AreaTable(Record):
    """Area per unit of a machine, each figure with its source."""

    description: str = ""
    mac_um2: float = Field(gt=0)
    """Multiplier with its adder and registers, at `operand_bits`."""
    sram_um2_per_kib: float = Field(gt=0)
    """Buffer."""
    vector_lane_um2: float = Field(gt=0)
    """Lane of the vector unit."""
    operand_bits: int = Field(ge=1)
    """Width of the multiplier that `mac_um2` is that of; other widths by the square of the ratio."""
    sources: dict[str, str] = Field(default_factory=dict)

    def area_mm2(self, config: HardwareConfig) -> float:
        """Area of array, buffers and vector unit: what the explored keys change, not a whole chip."""
        width = config.pe_array.operand_bits / self.operand_bits
        multipliers = config.pe_array.elements * self.mac_um2 * width**2
        buffers = sram_kib(config) * self.sram_um2_per_kib
        return (multipliers + buffers + config.vector_unit.lanes * self.vector_lane_um2) / 1e6


@cache
def area_table() -> AreaTable:
    """Load the area table that ships with accelsim."""
    path = resource_folder("hw_configs") / "area" / "tpu_v1_floorplan.yaml"
    return validate(AreaTable, load_mapping(path, ConfigError), path, ConfigError)


def sram_kib(config: HardwareConfig) -> float:
    """Capacity of all buffers."""
    return math.fsum(memory.capacity_kib * memory.instances for memory in config.on_chip.values())


@dataclass(frozen=True)
class Metric:
    """A figure of a design point.

    Parameters
    ----------
    name, unit, description
        What it is called and means.
    maximised
        Whether more is better.
    from_config
        Whether it follows from the config alone, before any simulation.
    """

    name: str
    unit: str
    description: str
    maximised: bool = False
    from_config: bool = False


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("latency_ns", "ns", "from the first fetch to the last drain, summed over the workloads"),
        Metric("total_cycles", "cycles", "cycles of the array's clock, summed over the workloads"),
        Metric("stall_cycles", "cycles", "cycles in which the compute units waited"),
        Metric("energy_pj", "pJ", "energy of machine and DRAM, summed over the workloads"),
        Metric("edp_pj_ns", "pJ ns", "energy times latency"),
        Metric("average_power_mw", "mW", "energy over latency"),
        Metric("dram_energy_pj", "pJ", "energy of the DRAM"),
        Metric("dram_bytes", "byte", "bytes read from and written to the DRAM"),
        Metric("bits_flipped", "bits", "bits read wrongly from a DRAM below specification"),
        Metric("compute_utilization", "", "executed MACs over those the array could have done", maximised=True),
        Metric("accuracy", "", "lowest measured accuracy of the workloads", maximised=True),
        Metric("accuracy_loss", "", "largest accuracy lost to the unimpaired network, as a fraction of one"),
        Metric("area_proxy_mm2", "mm2", "array, buffers and vector unit at the densities of a TPU", from_config=True),
        Metric("sram_kib", "KiB", "capacity of all buffers", from_config=True),
        Metric("pe_count", "", "processing elements of the array", from_config=True),
    )
}

ACCURACY_METRICS = ("accuracy", "accuracy_loss")


def config_metrics(config: HardwareConfig) -> dict[str, float]:
    """Figures that follow from the config alone."""
    return {
        "area_proxy_mm2": area_table().area_mm2(config),
        "sram_kib": sram_kib(config),
        "pe_count": config.pe_array.elements,
    }


def run_metrics(config: HardwareConfig, results: Sequence[RunResult]) -> dict[str, float]:
    """All figures of a design point.

    Parameters
    ----------
    config
        The machine.
    results
        One per workload. Times, energies and traffic are summed: the machine runs each workload once.

    Returns
    -------
    dict
        By the names of `METRICS`; those of accuracy only where every workload has one.
    """
    totals = [result.totals for result in results]
    latency_ns = _total(totals, lambda entry: entry.latency_ns)
    energy_pj = _total(totals, lambda entry: entry.energy_pj)
    cycles = sum(entry.total_cycles for entry in totals)
    peak_macs = sum(entry.total_cycles * result.machine.peak_macs_per_cycle
                    for entry, result in zip(totals, results, strict=True))  # fmt: skip
    figures = {
        "latency_ns": latency_ns,
        "total_cycles": cycles,
        "stall_cycles": sum(entry.stall_cycles for entry in totals),
        "energy_pj": energy_pj,
        "edp_pj_ns": energy_pj * latency_ns,
        "average_power_mw": energy_pj / latency_ns if latency_ns else 0.0,
        "dram_energy_pj": _total(totals, lambda entry: entry.dram_energy_pj),
        "dram_bytes": sum(entry.dram_read_bytes + entry.dram_write_bytes for entry in totals),
        "bits_flipped": sum(result.dram.bits_flipped for result in results),
        "compute_utilization": sum(entry.effective_macs for entry in totals) / peak_macs if peak_macs else 0.0,
    }
    accuracies = [result.accuracy for result in results if result.accuracy is not None]
    if len(accuracies) == len(results):
        figures["accuracy"] = min(entry.value for entry in accuracies)
        figures["accuracy_loss"] = max(entry.baseline - entry.value for entry in accuracies)
    return figures | config_metrics(config)


def _total(entries: Sequence[Totals], read: Callable[[Totals], float]) -> float:
    return math.fsum(read(entry) for entry in entries)
