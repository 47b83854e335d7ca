"""Claims in the terminal: a table of what was claimed and what was simulated, then why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from accelsim.report.judged_claims import shown_claimed, shown_ratio
from accelsim.report.labels import printable
from accelsim.report.tables import fitted_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from accelsim.report.judged_claims import ClaimsRun, Judged

_HEADINGS = [("claim", True), ("claimed", False), ("simulated", False), ("ratio", False), ("verdict", True)]
_STYLES = {"reproduced": "green", "partly": "yellow", "not reproduced": "red", "not testable": "dim"}
_EXPLAINED = 12
"""Claims up to which the terminal says why; the page does of all."""


def claims_summary(done: ClaimsRun, width: int) -> RenderableType:
    """What the terminal shows."""
    rows = [
        (
            entry.claim.id,
            shown_claimed(entry.claim),
            entry.simulated,
            shown_ratio(entry.ratio),
            entry.outcome_words,
        )
        for entry in done.judged
    ]
    parts: list[RenderableType] = [fitted_table(_HEADINGS, rows, width), Text()]
    if len(done.judged) <= _EXPLAINED:
        for entry in done.judged:
            parts += _explained(entry)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in done.document["verdicts"].items() if count)
    size = "reduced experiments" if done.reduced else "full experiments"
    parts.append(Text(f"{len(done.judged)} claims ({size}): {counts}.", style="bold"))
    why = "" if len(done.judged) <= _EXPLAINED else "; `accelsim claims ID` says why"
    parts.append(Text(f"Folder: {done.folder} (open claims.html{why})", overflow="fold"))
    return Group(*parts)


def _explained(entry: Judged) -> list[RenderableType]:
    words = ", ".join(part for part in (entry.side_words, printable(entry.claim.metric.name)) if part)
    lines: list[RenderableType] = [
        Text.assemble((entry.claim.id, "bold"), f": {printable(entry.claim.says)}", overflow="fold"),
        Text.assemble("  ", (entry.verdict, _STYLES[entry.verdict]), f", {words}"),
    ]
    lines += [Text(f"  {printable(sentence)}", overflow="fold") for sentence in entry.why]
    return [*lines, Text()]
