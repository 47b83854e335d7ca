"""The DRAM on the page of a run: bandwidth, banks, energy, power states, bit errors and partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report import dram_figures, dram_plots, quantities, time_figures, time_plots
from accelsim.report.labels import title_of
from accelsim.report.page import Column, plot, section, subsection, switch, table

if TYPE_CHECKING:
    from accelsim.report.dram_figures import BankMap, PartitionPoint
    from accelsim.report.plots import Figure
    from accelsim.result import Profile, RunResult

_PARTITION_COLUMNS = (
    Column("Partition", "name", text=True),
    Column("Scope", "scope", text=True),
    Column("VDD", "vdd_v"),
    Column("tRCD", "tRCD_ps"),
    Column("tRP", "tRP_ps"),
    Column("tRAS", "tRAS_ps"),
    Column("Refresh interval", "refresh_interval_multiplier"),
)


def dram_section(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    """Write the section and add its figures; nothing for an ideal memory, which has no banks."""
    banks = dram_figures.bank_map(result, profile)
    if banks is None:
        return ""
    parts = [
        _bandwidth(result, profile, figures),
        _banks(banks, figures),
        '<div class="pair">', _energy(result, profile, figures), _shares(result, profile, figures), "</div>",
        _bit_errors(result, profile, banks, figures),
        _partitions(result),
    ]  # fmt: skip
    return section("DRAM", *(part for part in parts if part), note=_memory_words(result, banks))


def _memory_words(result: RunResult, banks: BankMap) -> str:
    config = dram_figures.memory_config(result)
    groups = f" in {banks.bank_groups} bank groups" if banks.bank_groups > 1 else ""
    refresh = "no" if config.refresh == "none" else config.refresh.replace("_", "-")
    down = config.power_down_idle_cycles
    saving = f"power-down after {quantities.counted(down, 'idle cycle')}" if down else "no power-down"
    channels, ranks = quantities.counted(config.channels, "channel"), quantities.counted(config.ranks, "rank")
    return (
        f"{config.device}: {channels} of {ranks} of {banks.banks_per_rank} banks{groups}. "
        f"Address map {config.address_map}, {config.page_policy} page, {refresh} refresh, {saving}."
    )


def _bandwidth(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    data = time_figures.bandwidth_over_time(result, profile)
    if data is None:
        return ""
    figures["bandwidth"] = time_plots.draw_bandwidth(data)
    note = f"Mean over bins of {quantities.duration((data.time_ps[1] - data.time_ps[0]) / 1_000)}."
    return subsection("Bandwidth over time", plot("bandwidth", time_axis=True), note=note)


def _banks(data: BankMap, figures: dict[str, Figure]) -> str:
    figures["dram_banks"] = dram_plots.draw_banks(data, data.activity)
    names = [f"{title_of(counts.name)} ({counts.total:,})" for counts in data.activity]
    note = (
        "A hit finds its row open; a miss finds the bank closed and activates; a conflict has to precharge another row"
        " first."
    )
    return subsection("Banks", switch("dram_banks", names), plot("dram_banks"), note=note)


def _energy(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    data = dram_figures.dram_energy(result, profile)
    figures["dram_energy"] = dram_plots.draw_dram_energy(data)
    note = f"{quantities.energy(data.total_pj)} in all, {quantities.significant(data.pj_per_bit, 3)} pJ per bit moved."
    return subsection("Energy by action", plot("dram_energy"), note=note)


def _shares(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    requests, states = dram_figures.row_buffer(result), dram_figures.power_states(profile)
    figures["dram_rows"] = dram_plots.draw_row_buffer(requests)
    figures["dram_states"] = dram_plots.draw_power_states(states)
    rows = subsection(
        "Row buffer", plot("dram_rows"), note=f"State of the bank for each of {requests.total:,} requests."
    )
    time = subsection(
        "Power states", plot("dram_states"), note="Time of all ranks; active: a row is open, or a refresh runs."
    )
    return f"<div>\n{rows}\n{time}\n</div>"


def _bit_errors(result: RunResult, profile: Profile, banks: BankMap, figures: dict[str, Figure]) -> str:
    data = dram_figures.bit_errors(result, profile)
    if data is None:
        return ""
    source = f"Error table {data.table} ({data.module} module), {title_of(data.model)} error model."
    read = quantities.si(data.bits_read, "bit")
    if not data.bits_flipped or banks.flips is None:
        return subsection("Bit errors", note=f"No bit flipped in the {read} read. {source}")
    figures["dram_flips"] = dram_plots.draw_banks(banks, (banks.flips,))
    note = (
        f"{quantities.counted(data.bits_flipped, 'bit')} flipped of the {read} read, one in "
        f"{quantities.significant(1 / data.flip_rate, 3)} ({data.flip_rate:.2e}). {source}"
    )
    return subsection("Bit errors", plot("dram_flips"), note=note)


def _partitions(result: RunResult) -> str:
    rows = [_partition_row(point) for point in dram_figures.partition_points(result)]
    if not rows:
        return ""
    note = "Where partitions overlap, the later one holds. Refresh in multiples of the device's interval."
    return subsection("Partitions", table("dram_partitions", _PARTITION_COLUMNS, rows), note=note)


def _partition_row(point: PartitionPoint) -> tuple[str, ...]:
    def nanoseconds(time_ps: int | None) -> str:
        return "datasheet" if time_ps is None else f"{time_ps / 1_000:.4g} ns"

    return (
        point.name or "-",
        point.scope,
        "datasheet" if point.vdd_v is None else f"{point.vdd_v:g} V",
        *(nanoseconds(time_ps) for time_ps in (point.rcd_ps, point.rp_ps, point.ras_ps)),
        f"{point.refresh_interval_multiplier}x",
    )
