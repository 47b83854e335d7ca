"""Why a claim came out as it did, in sentences: what the figure is made of, which cases pull, what assumptions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.validation.verdict import accepted, lies_within

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.validation.claim import Claim
    from accelsim.validation.claim_result import ClaimResult, Sweep
    from accelsim.validation.experiment import Breakdown, Outcome
    from accelsim.validation.verdict import Interval

_LARGE = 0.1
"""Share of an energy or a time that is worth a word."""
_FEW = 3
_NOTICEABLE = 0.01


def reasons(claim: Claim, result: ClaimResult, shown_in: Callable[[float, str], str]) -> list[str]:
    """Sentences that explain a result.

    Parameters
    ----------
    claim
        The claim.
    result
        What came of it.
    shown_in
        Writes a value with its unit.
    """
    found = []

    def shown(value: float) -> str:
        return shown_in(value, claim.metric.unit)

    if claim.not_testable is not None:
        found.append(f"Not testable: {claim.not_testable}")
    if result.reason is not None:
        found.append(f"Not testable here: {result.reason}.")
    if result.error is not None:
        found.append(f"The experiment failed: {result.error}.")
    outcome = result.outcome
    if outcome is not None:
        unit = claim.metric.unit if outcome.point_unit is None else outcome.point_unit
        found += _spread(outcome, lambda value: shown_in(value, unit))
        for breakdown in outcome.breakdowns:
            found += _composition(breakdown)
        found += outcome.notes
    found += _sensitivity(claim, result, shown)
    return found


def _spread(outcome: Outcome, shown: Callable[[float], str]) -> list[str]:
    points = outcome.points
    told = [point for point in points if point.claimed is not None]
    found = []
    if told:
        worst = sorted(told, key=lambda point: -abs(point.value - (point.claimed or 0.0)))[:_FEW]
        parts = ", ".join(f"{one.name} {shown(one.value)} ({shown(one.claimed or 0.0)})" for one in worst)
        found.append(f"Farthest from what is published (in brackets): {parts}.")
    elif len(points) > 1:
        low, high = min(points, key=lambda point: point.value), max(points, key=lambda point: point.value)
        found.append(
            f"Of {len(points)} cases the lowest is {low.name} with {shown(low.value)}, "
            f"the highest {high.name} with {shown(high.value)}."
        )
    return found


def _composition(breakdown: Breakdown) -> list[str]:
    """The largest parts of each side, and the part that differs most between the first two."""
    parts = []
    for side, shares in breakdown.shares.items():
        largest = sorted(shares.items(), key=lambda entry: -entry[1])[:_FEW]
        words = ", ".join(f"{_word(part)} {share:.0%}" for part, share in largest if share >= _LARGE)
        if words:
            parts.append(f"{side}: {words}")
    return [f"Shares of {breakdown.title}: {'; '.join(parts)}."] if parts else []


def _word(part: str) -> str:
    return part.replace("_", " ").replace("ofmap", "result").replace("ifmap", "input")


def _sensitivity(claim: Claim, result: ClaimResult, shown: Callable[[float], str]) -> list[str]:
    limits = accepted(claim)
    found = []
    for sweep in sorted(result.sweeps, key=lambda sweep: -(sweep.spread[1] - sweep.spread[0])):
        low, high = sweep.spread
        if high - low <= _NOTICEABLE * max(abs(sweep.reference), 1e-12):
            found.append(f"It hardly matters: {sweep.text}")
            continue
        points = ", ".join(f"{value}: {'-' if came is None else shown(came)}" for value, came in sweep.points)
        reduced = " (reduced experiment)" if sweep.size == "reduced" else ""
        sentence = f"It matters{reduced}: {sweep.text} {shown(sweep.reference)} as stated; {points}."
        found.append(sentence + _within(sweep, limits))
    return found


def _within(sweep: Sweep, limits: Interval | None) -> str:
    """Whether the claim would be reproduced somewhere on the way."""
    if limits is None or sweep.size == "reduced":
        return ""
    for value, came in sweep.points:
        if came is not None and lies_within(limits, came):
            return f" With {value} it would be reproduced."
    return ""
