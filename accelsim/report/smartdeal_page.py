"""SmartExchange's comparison and SmartDeal's training, published and simulated, as a page and in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from accelsim.report import palette, quantities
from accelsim.report.labels import plain_text
from accelsim.report.page import Cell, Column, build_page, plot, section, table
from accelsim.report.plots import Figure, compact, figure, value_axis
from accelsim.report.tables import fitted_table
from accelsim.units import BITS_PER_BYTE
from accelsim.validation.aggregates import geometric_mean
from accelsim.validation.smartdeal_study import (
    ABLATIONS,
    DIANNAO,
    MACHINES,
    SMARTEXCHANGE,
    summarise,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from accelsim.validation.smartdeal_study import NetworkResult, TrainingResult

_CLAIMS = {
    "energy_efficiency_max": ("Energy efficiency, maximum", "any of the four machines"),
    "speedup_max": ("Speedup, maximum", "any of the four machines"),
    "inference_energy_efficiency_max": ("Inference efficiency, maximum", "plain weights, same array"),
    "training_storage": ("Storage in training, maximum", "SGD, momentum, 32 bits"),
    "training_energy": ("Energy of training, maximum", "SGD, momentum, same array"),
}
"""What is claimed, and what is simulated for comparison; of the last three the papers do not say."""
_METHODS = {"sgd": "SGD with momentum", "smartdeal": "SmartDeal", "e2train": "E2-Train"}
_ASSUMED = (
    "Batch 1, 8 bits. SmartExchange: decomposed weights at the published sparsity. Cambricon-X and SCNN: plain weights"
    " of the same density. DianNao and Bit-pragmatic: all weights. Half of the activations zero, 1.36 nonzero Booth"
    " digits each. DRAM bandwidth is not published: 19.2 GB/s unless changed above."
)
_DRIVERS = (
    "What drives it: where arrays wait for DRAM (Waiting, in the table) a faster one gains nothing but what its weights"
    " are smaller. DianNao takes one channel per tree in depthwise layers, so that most of its multipliers idle. SCNN"
    " alone keeps feature maps on chip; the others write and read each."
)
_PAPERS = "Zhao et al., 2020, and Chen et al., 2021"
_FEATURES = "PoT only: weights decoded before DianNao, nothing zero. Sparsity only: Cambricon-X, plain pruned weights."


def render_smartdeal(
    results: Sequence[NetworkResult], training: Sequence[TrainingResult], overrides: Sequence[str] = ()
) -> str:
    """Write the page."""
    figures: dict[str, Figure] = {}
    body = [
        f"<header><h1>SmartExchange and SmartDeal</h1><p>{_PAPERS}: published and simulated</p></header>",
        section("Claims", _claims(results, training), note=_came_out(overrides)),
    ]
    if results:
        figures |= {
            "efficiency": draw_factors(results, "x DianNao", lambda result, name: result.efficiency(name)),
            "speedup": draw_factors(results, "x DianNao", lambda result, name: result.speedup(name)),
            "dram": draw_factors(results, "x SmartExchange", lambda result, name: result.dram_accesses(name)),
            "energy": draw_energy(results),
            "features": draw_features(results),
        }
        body += [
            section("Energy efficiency", plot("efficiency"), note=_ASSUMED),
            section("Speedup", plot("speedup"), note=_DRIVERS),
            section("DRAM accesses", plot("dram"), note="Bytes read and written, over those of SmartExchange."),
            section("Energy by component", plot("energy"), note="As a share of what DianNao takes for the network."),
            section("One feature alone", plot("features"), note=f"Energy efficiency over DianNao. {_FEATURES}"),
            section("Networks", _networks(results)),
        ]
    if training:
        note = "Per batch offered. Gradients and kept activations have 8 bits, with E2-Train the latter 4; states 32."
        body.append(section("Training", _training(training), note=note))
    return build_page("SmartDeal - accelsim", body, figures)


def _came_out(overrides: Sequence[str]) -> str:
    changed = f" All machines changed by {', '.join(overrides)}." if overrides else ""
    return f"Each as it comes out under the assumptions below.{changed}"


def draw_factors(results: Sequence[NetworkResult], unit: str, factor: Callable[[NetworkResult, str], float]) -> Figure:
    """Draw a factor of every machine for every network."""
    names = [plain_text(result.network) for result in results]
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": machine.name,
            "x": names,
            "marker": {"color": palette.SERIES[position]},
            "y": [compact(factor(result, machine.name)) for result in results],
            "hovertemplate": f"<b>%{{x}}</b><br>{machine.name}: %{{y:.2f}} {unit}<extra></extra>",
        }
        for position, machine in enumerate(MACHINES)
    ]
    return figure(traces, 340, barmode="group", xaxis={"type": "category", "automargin": True}, yaxis=value_axis(unit))


def draw_energy(results: Sequence[NetworkResult]) -> Figure:
    """Stacked bars for every machine and network: energy by component, as a share of DianNao's."""
    places = [(result, machine.name) for result in results for machine in MACHINES]
    axis = [[plain_text(result.network) for result, _ in places], [name for _, name in places]]
    components = list(dict.fromkeys(part for result, name in places for part in _energy(result, name)))
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": plain_text(component.replace("_", " ")),
            "x": axis,
            "marker": {"color": palette.colour(component, palette.COMPONENTS, position)},
            "y": [
                compact(100 * _energy(result, name).get(component, 0.0) / result.machines[DIANNAO].energy_pj)
                for result, name in places
            ],
        }
        for position, component in enumerate(components)
    ]
    return figure(
        traces, 500, barmode="stack",
        xaxis={"type": "multicategory", "automargin": True, "tickfont": {"size": 10}, "tickangle": -90},
        yaxis=value_axis("% of DianNao"),
    )  # fmt: skip


def _energy(result: NetworkResult, machine: str) -> dict[str, float]:
    return result.machines[machine].energy_by_component_pj


def draw_features(results: Sequence[NetworkResult]) -> Figure:
    """Draw the energy efficiency of each feature alone, and of all together."""
    names = [plain_text(result.network) for result in results]
    features = [("sparsity only", "Cambricon-X"), *((entry.name, entry.name) for entry in ABLATIONS)]
    features.append(("all", SMARTEXCHANGE))
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": words,
            "x": names,
            "marker": {"color": palette.SERIES[position]},
            "y": [compact(result.efficiency(machine)) for result in results],
        }
        for position, (words, machine) in enumerate(features)
    ]
    axis = {"type": "category", "automargin": True}
    return figure(traces, 340, barmode="group", xaxis=axis, yaxis=value_axis("x DianNao"))


def _claims(results: Sequence[NetworkResult], training: Sequence[TrainingResult]) -> str:
    columns = (
        Column("Claim", "claim", text=True),
        Column("Here over", "over", text=True),
        Column("Published", "published"),
        Column("Simulated", "simulated"),
        Column("Reached by", "where", text=True),
    )
    rows = [
        (
            *_CLAIMS[name],
            Cell(f"{entry['published']:.2f}x", entry["published"]),
            "-" if entry["simulated"] is None else Cell(f"{entry['simulated']:.2f}x", entry["simulated"]),
            entry["where"] or "-",
        )
        for name, entry in summarise(results, training).items()
    ]
    return table("claims", columns, rows)


def _networks(results: Sequence[NetworkResult]) -> str:
    columns = (
        Column("Network", "network", text=True),
        Column("Machine", "machine", text=True),
        Column("Zero weights", "sparsity"),
        Column("Energy", "energy"),
        Column("Latency", "latency"),
        Column("DRAM", "dram"),
        Column("Busy", "busy"),
        Column("Waiting", "waiting"),
        Column("Efficiency", "efficiency"),
        Column("Speedup", "speedup"),
    )
    rows = [
        (
            result.network,
            name,
            Cell(quantities.share(result.sparsity), result.sparsity),
            Cell(quantities.energy(entry.energy_pj), entry.energy_pj),
            Cell(f"{entry.latency_ns / 1e6:.3f} ms", entry.latency_ns),
            Cell(f"{entry.dram_bytes / 1e6:.2f} MB", entry.dram_bytes),
            Cell(quantities.share(entry.compute_utilization), entry.compute_utilization),
            Cell(quantities.share(entry.waiting_share), entry.waiting_share),
            Cell(f"{result.efficiency(name):.2f}x", result.efficiency(name)),
            Cell(f"{result.speedup(name):.2f}x", result.speedup(name)),
        )
        for result in results
        for name, entry in (result.machines | result.ablations).items()
    ]
    return table("networks", columns, rows)


def _training(training: Sequence[TrainingResult]) -> str:
    columns = (
        Column("Network", "network", text=True),
        Column("Method", "method", text=True),
        Column("Machine", "machine", text=True),
        Column("Energy", "energy"),
        Column("Latency", "latency"),
        Column("DRAM", "dram"),
        Column("Weights and state", "state"),
        Column("Kept activations", "kept"),
    )
    rows = [
        (
            entry.network,
            _METHODS[entry.method],
            entry.hardware,
            Cell(quantities.energy(entry.energy_pj), entry.energy_pj),
            Cell(f"{entry.latency_ns / 1e6:.2f} ms", entry.latency_ns),
            Cell(f"{entry.dram_bytes / 1e6:.1f} MB", entry.dram_bytes),
            Cell(f"{entry.state_bits / BITS_PER_BYTE / 1e6:.2f} MB", entry.state_bits),
            Cell(f"{entry.kept_bits / BITS_PER_BYTE / 1e6:.2f} MB", entry.kept_bits),
        )
        for entry in training
    ]
    return table("training", columns, rows)


def smartdeal_summary(
    results: Sequence[NetworkResult], training: Sequence[TrainingResult], width: int, folder: str
) -> RenderableType:
    """What the terminal shows: each network on each machine, their means, and the claims."""
    others = [machine.name for machine in MACHINES if machine.name != DIANNAO]
    rows = [
        (result.network, *(f"{result.efficiency(name):.2f} / {result.speedup(name):.2f}" for name in others))
        for result in results
    ]
    if len(results) > 1:
        means = [
            f"{geometric_mean([result.efficiency(name) for result in results]):.2f} / "
            f"{geometric_mean([result.speedup(name) for result in results]):.2f}"
            for name in others
        ]
        rows.append(("geometric mean", *means))
    claims = [
        (
            name.replace("_", " "),
            f"{entry['published']:.2f}",
            "-" if entry["simulated"] is None else f"{entry['simulated']:.2f}",
            entry["where"] or "-",
        )
        for name, entry in summarise(results, training).items()
    ]
    parts: list[RenderableType] = []
    if results:
        parts.append(Text("Energy efficiency / speedup over DianNao"))
        parts.append(fitted_table([("network", True), *((name, False) for name in others)], rows, width))
    parts.append(
        fitted_table([("claim", True), ("published", False), ("simulated", False), ("by", True)], claims, width)
    )
    return Group(*parts, Text(f"Folder: {folder} (open report.html)", overflow="fold"))
