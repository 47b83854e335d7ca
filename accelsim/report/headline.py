"""The figures one asks for first, as the terminal summary and the page show them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.report import quantities
from accelsim.report.layer_figures import HZ_PER_MHZ, dram_bits_read

if TYPE_CHECKING:
    from accelsim.result import AccuracyResult, RunResult

NS_PER_S = 1_000_000_000
OPERATIONS_PER_MAC = 2


@dataclass(frozen=True)
class Headline:
    """One headline figure.

    Parameters
    ----------
    name
        What it is.
    value
        The figure with its unit.
    detail
        One line that puts it into proportion.
    """

    name: str
    value: str
    detail: str


def headline(result: RunResult) -> tuple[Headline, ...]:
    """Latency, throughput, energy, power, utilisation, stalls, DRAM figures, and accuracy where it was measured."""
    figures = [*_speed_and_energy(result), *_use(result), *_traffic(result), _macs(result), *_dram(result)]
    if result.accuracy is not None:
        figures.append(_accuracy(result.accuracy))
    return tuple(figures)


def _speed_and_energy(result: RunResult) -> list[Headline]:
    totals, frames = result.totals, result.run.batch
    seconds, joules = totals.latency_ns / NS_PER_S, totals.energy_pj * 1e-12
    rate = quantities.ratio(totals.effective_macs, seconds)
    per_watt = quantities.ratio(OPERATIONS_PER_MAC * totals.effective_macs, joules) * 1e-12
    return [
        Headline(
            "Latency",
            quantities.duration(totals.latency_ns),
            f"{totals.total_cycles:,} cycles at {result.machine.clock_mhz:g} MHz",
        ),
        Headline(
            "Throughput",
            f"{quantities.significant(quantities.ratio(frames, seconds))} frames/s",
            f"batch {frames:,}, {quantities.si(rate, 'MAC/s')}",
        ),
        Headline(
            "Energy",
            quantities.energy(totals.energy_pj),
            f"{quantities.energy(totals.energy_pj / max(frames, 1))} per frame"
            if frames > 1
            else f"DRAM {quantities.share(quantities.ratio(totals.dram_energy_pj, totals.energy_pj))}",
        ),
        Headline(
            "Average power",
            quantities.si(quantities.ratio(joules, seconds), "W"),
            f"{quantities.significant(per_watt, 3)} TOPS/W",
        ),
    ]


def _use(result: RunResult) -> list[Headline]:
    totals, machine = result.totals, result.machine
    peak = machine.peak_macs_per_cycle * machine.clock_mhz * HZ_PER_MHZ
    return [
        Headline(
            "PE utilisation", quantities.share(totals.compute_utilization), f"of {quantities.si(peak, 'MAC/s')} peak"
        ),
        Headline(
            "Stalled",
            quantities.share(quantities.ratio(totals.stall_cycles, totals.total_cycles)),
            f"{totals.stall_cycles:,} cycles",
        ),
    ]


def _traffic(result: RunResult) -> list[Headline]:
    totals = result.totals
    size = totals.dram_read_bytes + totals.dram_write_bytes
    mean_gb_per_s = quantities.ratio(size, totals.latency_ns)
    return [
        Headline(
            "DRAM traffic",
            quantities.traffic(size),
            f"{quantities.traffic(totals.dram_read_bytes)} read, {quantities.traffic(totals.dram_write_bytes)} written",
        ),
        Headline(
            "DRAM bandwidth",
            f"{quantities.significant(mean_gb_per_s)} GB/s",
            _of_peak(mean_gb_per_s, result.machine.peak_dram_gb_per_s),
        ),
    ]


def _macs(result: RunResult) -> Headline:
    done, dense = result.totals.effective_macs, result.totals.dense_macs
    detail = "all of the dense network" if done == dense else f"of {quantities.si(dense, 'MAC')} dense"
    return Headline("MACs", quantities.si(done, "MAC"), detail)


def _dram(result: RunResult) -> list[Headline]:
    """What is known of DRAMs whose commands are simulated, and of those with bit errors."""
    dram, figures = result.dram, []
    accesses = dram.row_hits + dram.row_misses + dram.row_conflicts
    if accesses:
        figures.append(
            Headline(
                "Row-buffer hits",
                quantities.share(dram.row_hits / accesses),
                f"{accesses:,} DRAM bursts, {dram.refreshes:,} refreshes",
            )
        )
    if dram.bits_flipped:
        figures.append(
            Headline(
                "DRAM bits flipped",
                f"{quantities.counted(dram.bits_flipped, 'bit')}",
                f"{quantities.ratio(dram.bits_flipped, dram_bits_read(result)):.2e} of the bits read",
            )
        )
    return figures


def _accuracy(accuracy: AccuracyResult) -> Headline:
    name = {"top1": "Accuracy"}.get(accuracy.metric, accuracy.metric)
    modules = f", {accuracy.seeds:,} modules" if accuracy.seeds > 1 else ""
    interval = f"95 % {100 * accuracy.ci95_low:.1f} to {100 * accuracy.ci95_high:.1f} %"
    detail = f"{interval}, {accuracy.samples:,} images{modules}; {100 * accuracy.baseline:.2f} % unimpaired"
    return Headline(name, f"{100 * accuracy.value:.2f} %", detail)


def _of_peak(gb_per_s: float, peak_gb_per_s: float) -> str:
    if math.isinf(peak_gb_per_s):
        return "ideal memory, no limit"
    peak = quantities.significant(peak_gb_per_s)
    return f"{quantities.share(quantities.ratio(gb_per_s, peak_gb_per_s))} of {peak} GB/s peak"
