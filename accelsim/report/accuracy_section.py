"""Accuracy on the page of a run, and the flips that each layer computed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.report import palette, quantities
from accelsim.report.labels import axis_labels, plain_text
from accelsim.report.page import Column, plot, section, subsection, table
from accelsim.report.plots import Figure, compact, figure, layer_axis, value_axis

if TYPE_CHECKING:
    from accelsim.result import AccuracyResult, RunResult

_COLUMNS = (Column("", "what", text=True), Column("Top-1", "top1"), Column("95 % interval", "interval"))
_PARTS = {"weights": palette.VERMILLION, "feature maps": palette.BLUE}


def accuracy_section(result: RunResult, figures: dict[str, Figure]) -> str:
    """Write the section and add its figure; nothing where accuracy was not measured."""
    accuracy = result.accuracy
    if accuracy is None:
        return ""
    parts = [table("accuracy", _COLUMNS, _rows(accuracy))]
    if any(count for tensors in accuracy.flips_per_pass.values() for count in tensors.values()):
        figures["flips"] = draw_flips(result, accuracy)
        note = (
            "Bits that flipped in what a layer computed with, mean over the modules, in one pass through the network."
        )
        parts.append(subsection("Flips per layer", plot("flips"), note=note))
    note = f"{accuracy.samples:,} images, {quantities.counted(accuracy.seeds, 'DRAM module')}."
    if accuracy.top5 is not None:
        note += f" The label is among the five highest scores for {quantities.share(accuracy.top5, 2)}."
    return section("Accuracy", *parts, note=note)


def _rows(accuracy: AccuracyResult) -> list[tuple[str, str, str]]:
    rows = [("Unimpaired network", _percent(accuracy.baseline), "-")]
    if accuracy.clean is not None:
        rows.append(("Number formats only", _percent(accuracy.clean), "-"))
    interval = f"{100 * accuracy.ci95_low:.2f} to {100 * accuracy.ci95_high:.2f} %"
    return [*rows, ("With bit errors, too", _percent(accuracy.value), interval)]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def draw_flips(result: RunResult, accuracy: AccuracyResult) -> Figure:
    """Draw the flips of every layer, those in weights and those in feature maps."""
    order = [layer.name for layer in result.layer_results if layer.name in accuracy.flips_per_pass]
    labels = axis_labels(order)
    counts: dict[str, list[float]] = {part: [] for part in _PARTS}
    for name in order:
        tensors = accuracy.flips_per_pass[name]
        weights = sum(count for tensor, count in tensors.items() if tensor.endswith(".weight"))
        counts["weights"].append(weights)
        counts["feature maps"].append(sum(tensors.values()) - weights)
    traces: list[dict[str, Any]] = [
        {
            "type": "bar", "name": part, "x": labels, "y": [compact(value) for value in counts[part]],
            "marker": {"color": colour}, "customdata": [plain_text(name) for name in order],
            "hovertemplate": f"<b>%{{customdata}}</b><br>%{{y:,.4g}} bits of {part}<extra></extra>",
        }
        for part, colour in _PARTS.items()
    ]  # fmt: skip
    return figure(traces, 300, barmode="stack", xaxis=layer_axis(labels), yaxis=value_axis("bits flipped"))
