"""Claims with what came of them, and how their figures are written, for the terminal, pages and files alike."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsim import __version__
from accelsim.report import quantities
from accelsim.validation.reasons import reasons
from accelsim.validation.verdict import VERDICTS, judge, ratio, side

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.claim import Claim
    from accelsim.validation.claim_result import ClaimResult
    from accelsim.validation.verdict import Value, Verdict

_SIGNIFICANT = 3
_GROUPED = 1_000


def shown_value(value: float, unit: str) -> str:
    """A value with its unit: ``%`` of fractions of one, ``x`` of factors, others by their prefix."""
    if unit == "%":
        return f"{_number(100 * value)} %"
    if unit == "x":
        return f"{_number(value)}x"
    return f"{_number(value)} {unit}".strip()


def _number(value: float) -> str:
    """Three significant digits, grouped, without an exponent down to a thousandth."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= _GROUPED:
        return f"{value:,.0f}"
    return quantities.significant(value, _SIGNIFICANT) if abs(value) >= 1e-3 else f"{value:.1e}"


def shown_range(value: Value | None, unit: str) -> str:
    """A value or a range with its unit."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return f"{shown_value(value[0], unit).removesuffix(unit).strip()} to {shown_value(value[1], unit)}"
    return shown_value(value, unit)


def shown_claimed(claim: Claim) -> str:
    """What is claimed, with its unit and no digit more than is stated."""
    unit, target = claim.metric.unit, claim.target
    if target is None:
        return "-"
    low, high = target
    scale, sign = {"%": (100, " %"), "x": (1, "x")}.get(unit, (1, f" {unit}" if unit else ""))

    def plain(value: float) -> str:
        return f"{round(scale * value, 9):,.10g}"

    if low is None:
        return f"<= {plain(high or 0.0)}{sign}"
    if high is None or low == high:
        return f"{'>= ' if high is None else ''}{plain(low)}{sign}"
    return f"{plain(low)} to {plain(high)}{sign}"


def shown_ratio(ratio: float | None) -> str:
    """A ratio of simulated to claimed."""
    return "-" if ratio is None else f"{ratio:.2f}" if ratio >= 0.01 or ratio <= 0 else f"{ratio:.0e}"


@dataclass(frozen=True)
class Judged:
    """A claim, what came of it, and the verdict."""

    claim: Claim
    result: ClaimResult

    @property
    def verdict(self) -> Verdict:
        """By the claim's own tolerance; what could not be run is not testable."""
        return judge(self.claim, self.result.value)

    @property
    def ratio(self) -> float | None:
        """Simulated over claimed."""
        outcome = self.result.outcome
        return ratio(self.claim, self.result.value, None if outcome is None else outcome.ratio)

    @property
    def outcome_words(self) -> str:
        """The verdict, or that the experiment failed."""
        return self.verdict if self.result.error is None else "failed"

    @property
    def side_words(self) -> str:
        """Which side of the claim the figure lies on, where it is off and one side is better."""
        lies = side(self.claim, self.result.value)
        return "" if lies is None else f"{lies} than claimed"

    @property
    def simulated(self) -> str:
        """What came out, with its unit."""
        return shown_range(self.result.value, self.claim.metric.unit)

    @property
    def why(self) -> list[str]:
        """Sentences."""
        return reasons(self.claim, self.result, shown_value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        record = self.claim.model_dump(mode="json", exclude={"experiment", "reduced"})
        result = self.result.to_dict()
        outcome = result.pop("outcome") or {}
        del result["id"]
        return {
            **record,
            "system": self.claim.system,
            "simulated": outcome.get("value"),
            "ratio": self.ratio,
            "verdict": self.verdict,
            "why": self.why,
            "points": list(outcome.get("points", ())),
            "breakdowns": list(outcome.get("breakdowns", ())),
            "notes": list(outcome.get("notes", ())),
            **result,
        }


@dataclass(frozen=True)
class ClaimsRun:
    """Claims that were run, and the command that ran them."""

    judged: tuple[Judged, ...]
    folder: Path
    command: str
    date: str
    reduced: bool

    @property
    def document(self) -> dict[str, Any]:
        """The run as JSON."""
        verdicts = [entry.verdict for entry in self.judged]
        return {
            "claims_schema": 1,
            "command": self.command,
            "version": __version__,
            "date": self.date,
            "reduced": self.reduced,
            "verdicts": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
            "claims": [entry.to_dict() for entry in self.judged],
        }

    @property
    def failed(self) -> dict[str, str]:
        """By id why experiments failed."""
        return {entry.claim.id: entry.result.error for entry in self.judged if entry.result.error is not None}

    @property
    def text(self) -> str:
        """The document as files hold it."""
        return json.dumps(self.document, indent=1, allow_nan=False) + "\n"
