"""What a network tolerates, as a page: accuracy against bit-error rate, tensors by tolerance, and their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report import quantities
from accelsim.report.labels import title_of
from accelsim.report.page import Cell, Column, build_page, plot, section, table, text
from accelsim.report.tolerance_figures import (
    AXES,
    DATASHEET_WORDS,
    draw_curves,
    draw_setting,
    draw_tensors,
    draw_trade,
)

if TYPE_CHECKING:
    from accelsim.report.plots import Figure
    from accelsim.tolerance_result import ToleranceResult

_POINT_NOTE = (
    "The whole memory at one operating point of the error table, everything else at the datasheet's: accuracy with its"
    " 95 % confidence interval, and the DRAM's energy for one inference. The diamond is the accepted point with the"
    " least energy."
)
_POINT_COLUMNS = (
    Column("Setting", "setting", text=True),
    Column("Bit-error rate", "rate"),
    Column("Accuracy", "accuracy"),
    Column("DRAM energy", "energy"),
    Column("Saved", "saved"),
    Column("Latency", "latency"),
    Column("Accepted", "accepted", text=True),
)
_COARSE_COLUMNS = (
    Column("Error model", "kind", text=True),
    Column("Tolerable rate", "rate"),
    Column("Accuracy there", "accuracy"),
    Column("95 % interval", "interval"),
)
_TENSOR_COLUMNS = (
    Column("Tensor", "name", text=True),
    Column("In DRAM", "size"),
    Column("Tolerable rate", "rate"),
    Column("Against coarse", "ratio"),
    Column("Partition", "partition", text=True),
)
_PARTITION_COLUMNS = (
    Column("Partition", "name", text=True),
    Column("Bit-error rate", "rate"),
    Column("Taken", "used"),
    Column("Room", "room"),
)


def render_tolerance(result: ToleranceResult) -> str:
    """Write the page."""
    figures: dict[str, Figure] = {"curves": draw_curves(result)}
    body = [
        f'<header><h1>{text(result.workload)} <span class="on">on</span> {text(result.hardware)}</h1>',
        f"<p>{_subtitle(result)}</p></header>",
        section("Accuracy against bit-error rate", plot("curves"), _coarse_table(result), note=_curve_note(result)),
    ]
    if result.tensors:
        figures["tensors"] = draw_tensors(result)
        body.append(section("Tensors", plot("tensors"), _tensor_table(result), note=_tensor_note(result)))
    if result.points:
        for axis in AXES:
            figures[f"points_{axis}"] = draw_setting(result, axis)
        figures["trade"] = draw_trade(result)
        body.append(
            section(
                "Operating points",
                '<div class="pair">', *(plot(f"points_{axis}") for axis in AXES), "</div>", plot("trade"),
                _point_table(result), note=_POINT_NOTE,
            )
        )  # fmt: skip
    if len(result.partitions) > 1:
        note = (
            "Each tensor lies where the most is saved among the partitions with room whose errors it tolerates; the"
            " most tolerant ones choose first."
        )
        body.append(section("Partitions", _partition_table(result), note=note))
    return build_page(f"{result.workload} tolerates - accelsim", body, figures)


def _subtitle(result: ToleranceResult) -> str:
    return (
        f"tolerable bit-error rates · {result.images:,} images, {quantities.counted(result.modules, 'module')} · "
        f"{100 * result.clean:.2f} % without errors, {100 * result.baseline:.2f} % as the file has it, "
        f"{100 * result.target:.2f} % accepted"
    )


def _curve_note(result: ToleranceResult) -> str:
    note = "One rate for all tensors in DRAM; mean over the modules, with its 95 % confidence interval."
    if any(entry.bounded for entry in result.coarse):
        note += " Where the highest rate that was tried still holds, the true limit lies above it."
    return note


def _tensor_note(result: ToleranceResult) -> str:
    return (
        f"Rates raised tensor by tensor under the {title_of(result.coarse[0].kind)} error model, for as long as the"
        " accuracy holds; feature maps that stay on chip have no errors."
    )


def _point_table(result: ToleranceResult) -> str:
    base = max(point.dram_energy_pj for point in result.points)
    rows = []
    for point in result.points:
        title, factor = AXES[point.axis]
        saved = 1 - quantities.ratio(point.dram_energy_pj, base)
        rows.append(
            (
                f"{title} {point.setting * factor:.4g}",
                Cell(f"{point.rate:.2e}" if point.rate else "0", point.rate),
                Cell(f"{100 * point.accuracy:.2f} % ({100 * point.low:.2f} to {100 * point.high:.2f})", point.accuracy),
                Cell(quantities.energy(point.dram_energy_pj), point.dram_energy_pj),
                Cell(quantities.share(saved), saved),
                Cell(quantities.duration(point.latency_ns), point.latency_ns),
                "yes" if point.accepted else "no",
            )
        )
    return table("points", _POINT_COLUMNS, rows)


def _coarse_table(result: ToleranceResult) -> str:
    rows = []
    for entry in result.coarse:
        there = next((point for point in entry.points if point.rate == entry.rate), None)
        rows.append(
            (
                title_of(entry.kind),
                Cell(
                    ("at least " if entry.bounded else "") + (f"{entry.rate:.2e}" if entry.rate else "none"), entry.rate
                ),
                "-" if there is None else f"{100 * there.accuracy:.2f} %",
                "-" if there is None else f"{100 * there.low:.2f} to {100 * there.high:.2f} %",
            )
        )
    return table("coarse", _COARSE_COLUMNS, rows)


def _tensor_table(result: ToleranceResult) -> str:
    start = result.coarse[0].rate
    rows = [
        (
            entry.name,
            Cell(quantities.capacity(entry.size_bytes), entry.size_bytes),
            Cell(f"{entry.rate:.2e}", entry.rate),
            Cell(f"{quantities.ratio(entry.rate, start):.1f}x", quantities.ratio(entry.rate, start)),
            entry.partition or DATASHEET_WORDS,
        )
        for entry in result.tensors
    ]
    return table("tensor_table", _TENSOR_COLUMNS, rows)


def _partition_table(result: ToleranceResult) -> str:
    rows = [
        (
            part.name or DATASHEET_WORDS,
            Cell(f"{part.rate:.2e}" if part.rate else "0", part.rate),
            Cell(quantities.capacity(part.used_bytes), part.used_bytes),
            Cell(quantities.capacity(part.capacity_bytes), part.capacity_bytes),
        )
        for part in result.partitions
    ]
    return table("partitions", _PARTITION_COLUMNS, rows)
