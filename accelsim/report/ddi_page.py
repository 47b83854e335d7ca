"""What skipping saves, as a page and in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from accelsim.report import palette, quantities
from accelsim.report.labels import plain_text
from accelsim.report.page import Cell, Column, build_page, plot, section, subsection, table
from accelsim.report.plots import MUTED, Figure, compact, figure, value_axis
from accelsim.report.tables import fitted_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from accelsim.validation.ddi_study import DdiResult, SkipCase

_POLICIES = {
    "wait": "nothing is fetched ahead",
    "speculate_weights": "weights are fetched ahead",
    "speculate": "all is fetched ahead",
}
_SAVED = {
    "kept": ("computation", palette.GREY),
    "latency": ("latency", palette.BLUE),
    "energy": ("energy", palette.GREEN),
}
_COLOURS = (palette.BLUE, palette.ORANGE, palette.GREEN, palette.GREY)
PJ_PER_UJ = 1_000_000


def render_ddi(result: DdiResult) -> str:
    """Write the page."""
    figures: dict[str, Figure] = {}
    machines = list(dict.fromkeys(case.machine for case in result.cases))
    heading = "Dual dynamic inference: what skipping saves"
    words = "computation that papers count, latency and energy that machines see"
    body = [f"<header><h1>{heading}</h1><p>{words}</p></header>"]
    families = _families(result.cases)
    if families:
        curves = []
        for number, (family, cases) in enumerate(families.items()):
            figures[f"accuracy{number}"] = draw_accuracy(cases)
            curves.append(subsection(family, plot(f"accuracy{number}")))
        note = (
            "Gated networks on the CIFAR-10 test set, trained for the share of the computation in their names, and the"
            " same network without gates; weights are fetched ahead of decisions. The dotted line has the energy that"
            " there would be if it followed the computation: the budget."
        )
        body.append(section("Accuracy against energy", *curves, note=note))
    bars = []
    for number, machine in enumerate(machines):
        figures[f"saved{number}"] = draw_saved([case for case in result.cases if case.machine == machine])
        bars.append(subsection(plain_text(machine), plot(f"saved{number}")))
    note = (
        "Beside the same network without gates; gates and their waiting included. Published networks run with the share"
        " of the computation that SkipNet keeps; its blocks are taken to run equally often."
    )
    body.append(section("Saved", *bars, note=note))
    if families:
        shares = []
        for number, (family, cases) in enumerate(families.items()):
            figures[f"rates{number}"] = draw_rates(cases)
            shares.append(subsection(family, plot(f"rates{number}")))
        body.append(section("Which blocks ran", *shares, note="Share of the test images, by block."))
    if result.combined:
        body.append(section("With sparse powers of two and approximate DRAM", _combined(result), note=_COMBINED))
    body.append(section("All runs", _table(result.cases)))
    return build_page("DDI - accelsim", body, figures)


def _families(cases: Sequence[SkipCase]) -> dict[str, list[SkipCase]]:
    """Cases of the project's own networks, together those that differ in their budget alone."""
    families: dict[str, list[SkipCase]] = {}
    for case in cases:
        if not case.published:
            families.setdefault(plain_text(case.network.rpartition("_")[0]), []).append(case)
    return families


_COMBINED = (
    "ResNet-20; skipping by the decisions of resnet20_gated_50, weights of resnet20_cifar_pot, DRAM at the reductions"
    " that EDEN gives for ResNet-101 in int8."
)


def draw_accuracy(cases: Sequence[SkipCase]) -> Figure:
    """Draw accuracy against energy for each machine, as shares of the energy without gates."""
    traces: list[dict[str, Any]] = []
    machines = list(dict.fromkeys(case.machine for case in cases))
    for machine, colour in zip(machines, _COLOURS, strict=False):
        chosen = [case for case in cases if case.machine == machine and case.policy == "speculate_weights"]
        points = [("without gates", 1.0, chosen[0].base_accuracy)]
        points += [(case.network, case.energy, case.accuracy) for case in chosen]
        traces.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": plain_text(machine),
                "x": [compact(100 * energy) for _, energy, _ in points],
                "y": [compact(100 * accuracy) for _, _, accuracy in points],
                "customdata": [plain_text(name) for name, _, _ in points],
                "line": {"color": colour, "width": 1.5}, "marker": {"color": colour, "size": 8},
                "hovertemplate": "<b>%{customdata}</b><br>%{x:.1f} % of the energy, %{y:.2f} % right<extra></extra>",
            }
        )  # fmt: skip
    first = [case for case in cases if case.machine == machines[0] and case.policy == "speculate_weights"]
    traces.append(
        {
            "type": "scatter", "mode": "lines+markers", "name": "as the computation",
            "x": [100, *(compact(100 * case.kept) for case in first)],
            "y": [compact(100 * first[0].base_accuracy), *(compact(100 * case.accuracy) for case in first)],
            "line": {"color": MUTED, "width": 1.5, "dash": "dot"}, "marker": {"color": MUTED, "size": 6},
            "hovertemplate": "%{x:.1f} % of the computation, %{y:.2f} % right<extra></extra>",
        }
    )  # fmt: skip
    axis = {"title": {"text": "energy, % of that without gates"}, "automargin": True}
    return figure(traces, 380, xaxis=axis, yaxis=value_axis("right answers, %") | {"rangemode": "normal"})


def draw_saved(cases: Sequence[SkipCase]) -> Figure:
    """Draw computation, latency and energy saved, by network; latency and energy for each policy."""
    networks = list(dict.fromkeys(case.network for case in cases))
    traces = []
    for quantity, (words, colour) in _SAVED.items():
        for policy, opacity in zip(_POLICIES, (1.0, 0.7, 0.4), strict=True):
            if quantity == "kept" and policy != "wait":
                continue
            chosen = {case.network: case for case in cases if case.policy == policy}
            name = words if quantity == "kept" else f"{words}, {policy.replace('_', ' ')}"
            traces.append(
                {
                    "type": "bar", "name": name, "x": [plain_text(network) for network in networks],
                    "y": [compact(100 * (1 - getattr(chosen[network], quantity))) for network in networks],
                    "marker": {"color": palette.faded(colour, opacity)},
                    "hovertemplate": f"<b>%{{x}}</b><br>{name}: %{{y:.2f}} % saved<extra></extra>",
                }
            )  # fmt: skip
    return figure(
        traces, 320, barmode="group", bargap=0.25, margin={"l": 64, "r": 44, "t": 64, "b": 40},
        xaxis={"type": "category", "automargin": True}, yaxis=value_axis("saved, %"),
    )  # fmt: skip


def draw_rates(cases: Sequence[SkipCase]) -> Figure:
    """Draw how often each block of the gated networks ran."""
    networks = {case.network: case.execution_rates for case in cases}
    traces = [
        {
            "type": "bar", "name": plain_text(network), "x": [plain_text(name) for name in rates],
            "y": [compact(100 * rate) for rate in rates.values()], "marker": {"color": colour},
            "hovertemplate": f"<b>%{{x}}</b><br>{plain_text(network)}: %{{y:.2f}} % of the images<extra></extra>",
        }
        for (network, rates), colour in zip(networks.items(), _COLOURS, strict=False)
    ]  # fmt: skip
    return figure(
        traces, 280, barmode="group", xaxis={"type": "category", "automargin": True},
        yaxis=value_axis("ran, % of the images") | {"range": [0, 103]},
    )  # fmt: skip


def _combined(result: DdiResult) -> str:
    columns = (
        Column("Machine", "machine", text=True),
        Column("Techniques", "techniques", text=True),
        Column("Latency", "latency"),
        Column("Energy", "energy"),
        Column("of that DRAM", "dram"),
        Column("Energy saved", "saved"),
        Column("Accuracy", "accuracy"),
    )
    base = {case.machine: case.energy_pj for case in result.combined if case.techniques == "none"}
    rows = [
        (
            plain_text(case.machine),
            case.techniques,
            Cell(quantities.duration(case.latency_ns), case.latency_ns),
            Cell(quantities.energy(case.energy_pj), case.energy_pj),
            Cell(quantities.energy(case.dram_energy_pj), case.dram_energy_pj),
            Cell(quantities.share(1 - case.energy_pj / base[case.machine]), 1 - case.energy_pj / base[case.machine]),
            "not measured" if case.accuracy is None else Cell(f"{100 * case.accuracy:.2f} %", case.accuracy),
        )
        for case in result.combined
    ]
    return table("combined", columns, rows)


def _table(cases: Sequence[SkipCase]) -> str:
    columns = (
        Column("Network", "network", text=True),
        Column("Machine", "machine", text=True),
        Column("Prefetch", "policy", text=True),
        Column("Computation kept, stated", "implied"),
        Column("executed", "kept"),
        Column("Latency saved", "latency"),
        Column("Energy saved", "energy"),
        Column("Gates: latency", "gate_latency"),
        Column("energy", "gate_energy"),
        Column("Fetched in vain", "wasted"),
        Column("Accuracy", "accuracy"),
    )
    rows: list[tuple[str | Cell, ...]] = []
    for case in cases:
        shares = (case.implied, case.kept, 1 - case.latency, 1 - case.energy, case.gate_latency, case.gate_energy)
        rows.append(
            (
                plain_text(case.network),
                plain_text(case.machine),
                case.policy,
                *(Cell(f"{100 * share:.2f} %", share) for share in shares),
                Cell(quantities.traffic(case.wasted_bytes), case.wasted_bytes),
                Cell(f"{100 * case.accuracy:.2f} %", case.accuracy),
            )
        )
    return table("cases", columns, rows)


def ddi_summary(result: DdiResult, width: int, folder: str) -> RenderableType:
    """What the terminal shows."""
    rows = []
    for case in result.cases:
        shares = (1 - case.kept, 1 - case.latency, 1 - case.energy, case.gate_latency)
        rows.append((case.network, case.machine, case.policy, *(f"{100 * share:.1f} %" for share in shares)))
    headings = [("network", True), ("machine", True), ("prefetch", True), ("computation saved", False),
                ("latency", False), ("energy", False), ("gates' latency", False)]  # fmt: skip
    return Group(fitted_table(headings, rows, width), Text(f"Folder: {folder} (open report.html)", overflow="fold"))
