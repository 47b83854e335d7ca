"""What a trace of decisions says, in the terminal and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.workload.decision_trace import DecisionTrace


def trace_record(trace: DecisionTrace) -> dict[str, Any]:
    """Plain data, for JSON: images, right answers, and per block its share of the work and how often it ran."""
    rates = trace.execution_rates().tolist()
    return {
        "network": trace.network,
        "images": len(trace.right),
        "right": int(trace.right.sum()),
        "executed_share": float(trace.executed_shares().mean()),
        "blocks": [
            {"name": block.name, "share": block.share, "channels": block.channels, "execution_rate": rate}
            for block, rate in zip(trace.blocks, rates, strict=True)
        ],
    }


def trace_rows(trace: DecisionTrace) -> tuple[str, list[tuple[str, bool]], list[tuple[str, ...]]]:
    """Title, headings and rows of a table of the blocks."""
    record = trace_record(trace)
    title = (
        f"{trace.network}: {record['right']:,} of {record['images']:,} images right,"
        f" {100 * record['executed_share']:.2f} % of the multiply-accumulates"
    )
    rows: list[tuple[str, ...]] = [
        (entry["name"], f"{100 * entry['share']:.2f}", f"{100 * entry['execution_rate']:.2f}")
        for entry in record["blocks"]
    ]
    return title, [("block", True), ("share of the work, %", False), ("ran, % of the images", False)], rows
