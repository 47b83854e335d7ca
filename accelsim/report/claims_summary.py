"""Claims in the terminal: a table of what was claimed and what was simulated, then why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from accelsim.report.claims_figures import shown_claimed, shown_range, shown_ratio
from accelsim.report.tables import fitted_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from accelsim.report.claims_command import ClaimsRun

_HEADINGS = [("claim", True), ("claimed", False), ("simulated", False), ("ratio", False), ("verdict", True)]
_STYLES = {"reproduced": "green", "partly": "yellow", "not reproduced": "red", "not testable": "dim"}


def claims_summary(done: ClaimsRun, width: int) -> RenderableType:
    """What the terminal shows."""
    rows = [
        (
            entry.claim.id,
            shown_claimed(entry.claim),
            shown_range(entry.result.value, entry.claim.metric.unit),
            shown_ratio(entry.ratio),
            "failed" if entry.result.error is not None else entry.verdict,
        )
        for entry in done.judged
    ]
    parts: list[RenderableType] = [fitted_table(_HEADINGS, rows, width), Text()]
    for entry in done.judged:
        parts.append(Text.assemble((entry.claim.id, "bold"), f" {entry.claim.metric.name}: {entry.claim.says}"))
        parts.append(Text(f"  {entry.verdict}", style=_STYLES[entry.verdict]))
        parts += [Text(f"  {sentence}", overflow="fold") for sentence in entry.why]
        parts.append(Text())
    counts = ", ".join(f"{count} {verdict}" for verdict, count in done.document["verdicts"].items() if count)
    size = "reduced experiments" if done.reduced else "full experiments"
    parts.append(Text(f"{len(done.judged)} claims ({size}): {counts}.", style="bold"))
    parts.append(Text(f"Folder: {done.folder} (open claims.html)", overflow="fold"))
    return Group(*parts)
