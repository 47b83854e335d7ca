"""Samples that skip layers of their own, on the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report import quantities, sample_plots
from accelsim.report.labels import plain_text
from accelsim.report.page import Column, plot, section, subsection, table

if TYPE_CHECKING:
    from accelsim.report.plots import Figure
    from accelsim.result import RunResult
    from accelsim.sample_result import SamplesResult

_COLUMNS = (
    Column("Per sample", "quantity", text=True),
    Column("Mean", "mean"),
    Column("Median", "p50"),
    Column("99th percentile", "p99"),
)


def sample_section(result: RunResult, figures: dict[str, Figure]) -> str:
    """Write the section and add its figures; nothing where all samples run alike."""
    samples = result.samples
    if samples is None:
        return ""
    figures["sample_rates"] = sample_plots.draw_execution_rates(samples)
    figures["sample_latencies"] = sample_plots.draw_latencies(samples)
    parts = [
        table("samples", _COLUMNS, _rows(samples)),
        '<div class="pair">',
        subsection("Latency", plot("sample_latencies"), note=f"{samples.count:,} samples."),
        subsection("Which blocks ran", plot("sample_rates"), note="Share of the samples for which each gate was open."),
        "</div>",
    ]
    skippable = [layer for layer in result.layer_results if layer.skipped_fraction and layer.dram_read_bytes]
    if skippable:
        figures["sample_wasted"] = sample_plots.draw_wasted(skippable)
        note = (
            f"{quantities.traffic(samples.wasted_dram_bytes)} per sample came for layers that then did not run: fetched"
            " ahead of the decision, dropped when it was known."
        )
        parts.append(subsection("DRAM reads of layers that may be skipped", plot("sample_wasted"), note=note))
    if samples.exits:
        parts.append(subsection("Exits", table("exits", _EXIT_COLUMNS, _exit_rows(samples)), note=_exit_note(samples)))
    note = (
        f"{samples.count:,} samples with {quantities.counted(samples.distinct, 'different row')} of decisions, each"
        " simulated once. All other figures of layers are means over the samples; those over time show the sample whose"
        " latency lies nearest the mean."
    )
    if samples.accuracy is not None:
        note += f" Of the answers {quantities.share(samples.accuracy, 2)} are right."
    return section("Samples", *parts, note=note)


_EXIT_COLUMNS = (
    Column("Exit", "exit", text=True),
    Column("Latency", "latency"),
    Column("Energy", "energy"),
    Column("Samples that leave here", "share"),
    Column("Accuracy of all at this exit", "accuracy"),
)


def _exit_rows(samples: SamplesResult) -> list[tuple[str, ...]]:
    return [
        (
            plain_text(entry.name),
            quantities.duration(entry.latency_ns),
            quantities.energy(entry.energy_pj),
            quantities.share(entry.share, 2),
            "-" if entry.accuracy is None else quantities.share(entry.accuracy, 2),
        )
        for entry in samples.exits
    ]


def _exit_note(samples: SamplesResult) -> str:
    note = "Latency and energy of an inference that leaves there, nothing being skipped before."
    if samples.stopped_at is None:
        return note
    return f"{note} The budget lets no inference go past {plain_text(samples.stopped_at)}."


def _rows(samples: SamplesResult) -> list[tuple[str, ...]]:
    return [
        (name, *(shown(value) for value in (spread.mean, spread.p50, spread.p99)))
        for name, spread, shown in (
            ("Latency", samples.latency_ns, quantities.duration),
            ("Energy", samples.energy_pj, quantities.energy),
            ("MACs", samples.effective_macs, lambda value: quantities.si(value, "MAC")),
        )
    ]
