"""``report.html``: one run on one page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import yaml

from accelsim.report import layer_figures, plots, quantities, time_figures, time_plots
from accelsim.report.accuracy_section import accuracy_section
from accelsim.report.array_section import array_section
from accelsim.report.dram_section import dram_section
from accelsim.report.headline import Headline, headline
from accelsim.report.labels import title_of
from accelsim.report.page import Cell, Column, build_page, plot, section, table, text
from accelsim.report.sample_section import sample_section

if TYPE_CHECKING:
    from accelsim.report.plots import Figure
    from accelsim.result import LayerResult, Profile, RunResult

_FEW_CARDS = 10
"""Headline figures that fill two rows of five."""
_LAYER_COLUMNS = (
    Column("#", "index"),
    Column("Layer", "name", text=True),
    Column("Op", "op", text=True),
    Column("Cycles", "total_cycles"),
    Column("Share", "share_of_cycles"),
    Column("Compute", "compute_cycles"),
    Column("Stalled", "stall_cycles"),
    Column("Main cause", "main_stall_cause", text=True),
    Column("Utilisation", "utilization"),
    Column("Mapping eff.", "mapping_efficiency"),
    Column("MACs", "effective_macs"),
    Column("DRAM read", "dram_read_bytes"),
    Column("DRAM written", "dram_write_bytes"),
    Column("Energy", "energy_pj"),
)


def render_report(result: RunResult) -> str:
    """Write the page of a run; a run without a profile lacks the figures over time."""
    run = result.run
    figures: dict[str, Figure] = {}
    body = [
        f'<header><h1>{text(run.workload)} <span class="on">on</span> {text(run.hardware)}</h1>',
        f"<p>{_subtitle(result)}</p></header>",
        _cards(result),
        accuracy_section(result, figures),
        sample_section(result, figures),
        _cycles(result, figures),
        _energy(result, figures),
        _roofline(result, figures),
        *_over_time(result, figures),
        _layers(result),
        _config(result),
        _provenance(result),
    ]
    return build_page(f"{run.workload} on {run.hardware} - accelsim", body, figures)


def _subtitle(result: RunResult) -> str:
    run = result.run
    return " · ".join(
        [
            f"batch {run.batch:,}",
            f"{len(result.layer_results):,} layers",
            f"run {text(run.run_id)}",
            f"accelsim {text(run.version)}",
        ]
    )


def _cards(result: RunResult) -> str:
    figures = headline(result)
    many = " many" if len(figures) > _FEW_CARDS else ""
    return f'<div class="cards{many}">\n' + "\n".join(_card(entry) for entry in figures) + "\n</div>"


def _card(entry: Headline) -> str:
    number, _, unit = entry.value.partition(" ")
    shown = f'{text(number)} <span class="unit">{text(unit)}</span>' if unit else text(number)
    return (
        f'<div class="card"><div class="name">{text(entry.name)}</div><div class="value">{shown}</div>'
        f'<div class="detail">{text(entry.detail)}</div></div>'
    )


def _cycles(result: RunResult, figures: dict[str, Figure]) -> str:
    data = layer_figures.cycles_per_layer(result)
    figures["cycles"] = plots.draw_cycles(data)
    note = (
        "Cycles of the array's clock from the end of the layer before to the end of the layer,"
        " split into compute and what it waited for."
    )
    if data.layers_without_time:
        note += f" {data.layers_without_time:,} layers that ride on another one (fused) or move no data are left out."
    return section("Cycles per layer", plot("cycles"), note=note)


def _energy(result: RunResult, figures: dict[str, Figure]) -> str:
    actions = layer_figures.energy_actions(result)
    figures["energy_layers"] = plots.draw_energy_per_layer(layer_figures.energy_per_layer(result))
    figures["energy_actions"] = plots.draw_energy_actions(actions)
    columns = (
        Column("Component", "component", text=True),
        Column("Action", "action", text=True),
        Column("Energy", "energy_pj"),
        Column("Share", "share"),
    )
    rows = [
        (
            title_of(part),
            title_of(action),
            Cell(quantities.energy(value), value),
            Cell(
                quantities.share(quantities.ratio(value, actions.total_pj)), quantities.ratio(value, actions.total_pj)
            ),
        )
        for part, entries in actions.energy_pj.items()
        for action, value in entries.items()
    ]
    per_layer = section(
        "Energy per layer",
        plot("energy_layers"),
        note="Energy of each layer by component; fused layers are counted with the one they ride on.",
    )
    whole = section(
        "Energy by component and action",
        '<div class="pair">', plot("energy_actions"), table("energy_table", columns, rows), "</div>",
        note="Activity counts times the energy table of the config; DRAM from its commands and currents.",
    )  # fmt: skip
    return per_layer + "\n" + whole


def _roofline(result: RunResult, figures: dict[str, Figure]) -> str:
    data = layer_figures.roofline(result)
    figures["roofline"] = plots.draw_roofline(data)
    notes = ["Each point is a layer, its area the share of the run's cycles."]
    on_chip = sum(math.isinf(point.macs_per_byte) for point in data.points)
    if on_chip:
        notes.append(f"{on_chip:,} without DRAM traffic stand at the right edge (triangles).")
    if data.layers_without_macs:
        notes.append(f"{data.layers_without_macs:,} without MACs (vector unit) are left out.")
    if any(point.macs_per_cycle > data.bound(point.macs_per_byte) for point in data.points):
        notes.append("A layer whose data came while the one before still ran can lie above the slope.")
    return section("Roofline", plot("roofline"), note=" ".join(notes))


def _over_time(result: RunResult, figures: dict[str, Figure]) -> list[str]:
    profile = result.profile
    if profile is None:
        return []
    parts = [
        array_section(result, profile, figures),
        _timeline(result, profile, figures),
        _occupancy(result, profile, figures),
        dram_section(result, profile, figures),
    ]
    return [part for part in parts if part]


def _timeline(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    data = time_figures.timeline(result, profile)
    figures["timeline"] = time_plots.draw_timeline(data)
    note = "Fetch, compute and drain per component. Drag to zoom; the figures over time move together. "
    if data.merged_gap_ps is None:
        note += f"All {data.phases:,} phases are shown."
    else:
        apart = (
            f"at most {quantities.duration(data.merged_gap_ps / 1_000)} apart"
            if data.merged_gap_ps
            else "without a gap"
        )
        note += (
            f"{data.phases:,} phases are shown as {len(data.segments):,} bars: those of one layer {apart} are merged,"
            " paler where partly idle; trace.json has every one."
        )
    return section("Timeline", plot("timeline", time_axis=True), note=note)


def _occupancy(result: RunResult, profile: Profile, figures: dict[str, Figure]) -> str:
    data = time_figures.buffer_occupancies(result, profile)
    if not data:
        return ""
    figures["occupancy"] = time_plots.draw_occupancy(data, time_figures.latency_ps(result))
    interval = max(entry.interval_ps for entry in data)
    note = "Bytes held by each buffer; the dashed line is its capacity."
    if interval:
        note += f" Each point is the maximum of {quantities.duration(interval / 1_000)}."
    return section("Buffer occupancy over time", plot("occupancy", time_axis=True), note=note)


def _layers(result: RunResult) -> str:
    totals = result.totals
    rows = [
        _layer_row(index, layer, result) if layer.total_cycles else _idle_row(index, layer)
        for index, layer in enumerate(result.layer_results)
    ]
    footer = (
        "", "Total", "",
        f"{totals.total_cycles:,}", "100.0%", f"{totals.compute_cycles:,}",
        quantities.share(quantities.ratio(totals.stall_cycles, totals.total_cycles)), "",
        quantities.share(totals.compute_utilization), "",
        quantities.si(totals.effective_macs, ""),
        quantities.traffic(totals.dram_read_bytes), quantities.traffic(totals.dram_write_bytes),
        quantities.energy(totals.energy_pj),
    )  # fmt: skip
    name = f"layers-{result.run.run_id}"
    idle = {index for index, layer in enumerate(result.layer_results) if not layer.total_cycles}
    note = "Click a heading to sort. The export holds the plain numbers (cycles, bytes, pJ) of the rows shown."
    return section("Layers", table("layer_table", _LAYER_COLUMNS, rows, name=name, footer=footer, idle=idle), note=note)


def _layer_row(index: int, layer: LayerResult, result: RunResult) -> tuple[str | Cell, ...]:
    share = quantities.ratio(layer.total_cycles, result.totals.total_cycles)
    stalled = quantities.ratio(layer.stall_cycles, layer.total_cycles)
    used = layer_figures.utilization(layer, result.machine.peak_macs_per_cycle)
    return (
        Cell(str(index), index),
        layer.name,
        layer.op,
        Cell(f"{layer.total_cycles:,}", layer.total_cycles),
        Cell(quantities.share(share), share),
        Cell(f"{layer.compute_cycles:,}", layer.compute_cycles),
        Cell(quantities.share(stalled), layer.stall_cycles),
        title_of(layer_figures.main_stall_cause(layer) or ""),
        Cell(quantities.share(used), used),
        Cell(quantities.share(layer.mapping_efficiency), layer.mapping_efficiency),
        Cell(quantities.si(layer.effective_macs, ""), layer.effective_macs),
        Cell(quantities.traffic(layer.dram_read_bytes), layer.dram_read_bytes),
        Cell(quantities.traffic(layer.dram_write_bytes), layer.dram_write_bytes),
        Cell(quantities.energy(layer.energy_pj), layer.energy_pj),
    )


def _idle_row(index: int, layer: LayerResult) -> tuple[str | Cell, ...]:
    """Row of a layer that takes no time of its own: its energy, and why."""
    nothing = Cell("", 0)
    reason = "fused" if "fused_into" in layer.mapping else "no data moved"
    energy = Cell(quantities.energy(layer.energy_pj), layer.energy_pj) if layer.energy_pj else nothing
    return (Cell(str(index), index), layer.name, layer.op, *[nothing] * 4, reason, *[nothing] * 5, energy)


def _config(result: RunResult) -> str:
    shown = text(config_yaml(result))
    return f"<section><details><summary>Resolved hardware config</summary>\n<pre>{shown}</pre></details></section>"


def config_yaml(result: RunResult) -> str:
    """Write the resolved hardware config of a run as YAML (``config.resolved.yaml``)."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumped: str = yaml.dump(result.resolved_config, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    return dumped


def _provenance(result: RunResult) -> str:
    run = result.run
    entries = {
        "Run": run.run_id, "Hardware": run.hardware, "Workload": run.workload, "Batch": f"{run.batch:,}",
        "Seed": run.seed, "Config hash": run.config_hash, "accelsim": run.version,
        "More": "manifest.json beside this page has the versions of all libraries, the command line and the wall time.",
    }  # fmt: skip
    rows = "".join(f"<dt>{text(key)}</dt><dd>{text(value)}</dd>" for key, value in entries.items())
    return section("Provenance", f"<dl>{rows}</dl>")
