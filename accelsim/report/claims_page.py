"""The page of claims: what was claimed, what was simulated, verdicts and why; self-contained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report.claims_figures import shown_claimed, shown_range, shown_ratio
from accelsim.report.page import Column, build_page, section, table

if TYPE_CHECKING:
    from accelsim.report.claims_command import ClaimsRun


def render_claims(done: ClaimsRun) -> str:
    """Write the page."""
    columns = (
        Column("Claim", "claim", text=True),
        Column("Claimed", "claimed"),
        Column("Simulated", "simulated"),
        Column("Ratio", "ratio"),
        Column("Verdict", "verdict", text=True),
    )
    rows = [
        (
            entry.claim.id,
            shown_claimed(entry.claim),
            shown_range(entry.result.value, entry.claim.metric.unit),
            shown_ratio(entry.ratio),
            entry.verdict,
        )
        for entry in done.judged
    ]
    body = ["<header><h1>Claims</h1></header>", section("Verdicts", table("claims", columns, rows, name="claims"))]
    return build_page("Claims - accelsim", body, {})
