"""Whether what was simulated is what was claimed: by the claim's own tolerance and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from accelsim.validation.aggregates import geometric_mean

if TYPE_CHECKING:
    from accelsim.validation.claim import Claim, ToleranceRecord

Verdict = Literal["reproduced", "partly", "not reproduced", "not testable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

Value = float | tuple[float, float]
"""A figure, or both ends of a range."""
Interval = tuple[float | None, float | None]
"""Least and most value, None at an end that is open."""


def judge(claim: Claim, simulated: Value | None) -> Verdict:
    """Compare what was simulated with what is claimed.

    A figure lies within a range, or a range has its two ends where they are claimed, give or take the tolerance.
    """
    target = claim.target
    if simulated is None or target is None or claim.tolerance is None or claim.not_testable is not None:
        return "not testable"
    if _within(target, claim.tolerance, simulated):
        return "reproduced"
    partly = claim.partly
    if partly is None:
        return "not reproduced"
    if partly.tolerance is not None:
        return "partly" if _within(target, partly.tolerance, simulated) else "not reproduced"
    return "partly" if _share_of_effect(claim, simulated) >= (partly.same_direction or 1.0) else "not reproduced"


def side(claim: Claim, simulated: Value | None) -> Literal["better", "worse"] | None:
    """Which way a figure, or a whole range, lies outside of what counts as reproduced; None where no way is better.

    It says what a figure that is off means, and never makes a verdict: one that is too good is no less off.
    """
    limits = accepted(claim)
    if simulated is None or limits is None or claim.metric.better == "equal":
        return None
    low, high = limits
    ends = simulated if isinstance(simulated, tuple) else (simulated, simulated)
    above = high is not None and min(ends) > high
    if not above and (low is None or max(ends) >= low):
        return None
    return "better" if above == (claim.metric.better == "higher") else "worse"


def accepted(claim: Claim) -> Interval | None:
    """Interval that counts as reproduced, open where a bound is claimed; None where nothing is."""
    if claim.target is None or claim.tolerance is None:
        return None
    return _limits(claim.target, claim.tolerance)


def lies_within(limits: Interval, value: float) -> bool:
    """Whether a value lies in an interval."""
    low, high = limits
    return (low is None or value >= low) and (high is None or value <= high)


def ratio(claim: Claim, simulated: Value | None, own: float | None = None) -> float | None:
    """Simulated over claimed; of ranges, the geometric mean of the ratios of both ends.

    Parameters
    ----------
    claim
        The claim.
    simulated
        What came out.
    own
        The ratio that the experiment itself tells.
    """
    if own is not None:
        return own
    target = claim.target
    if simulated is None or target is None:
        return None
    low, high = target
    bounds = (low if low is not None else high or 0.0, high if high is not None else low or 0.0)
    ends = simulated if isinstance(simulated, tuple) else (simulated, simulated)
    if not isinstance(simulated, tuple) and bounds[0] != bounds[1]:  # a figure against a range: its nearest end
        nearest = min(max(simulated, bounds[0]), bounds[1])
        bounds = nearest, nearest
    ratios = [end / claimed for end, claimed in zip(ends, bounds, strict=True) if claimed]
    if not ratios or min(ratios) <= 0:
        return ratios[0] if len(ratios) == 1 or (ratios and ratios[0] == ratios[-1]) else None
    return geometric_mean(ratios)


def _limits(target: Interval, tolerance: ToleranceRecord) -> Interval:
    low, high = target
    return None if low is None else tolerance.around(low)[0], None if high is None else tolerance.around(high)[1]


def _within(target: Interval, tolerance: ToleranceRecord, simulated: Value) -> bool:
    if not isinstance(simulated, tuple):
        return lies_within(_limits(target, tolerance), simulated)
    pairs = zip(simulated, target, strict=True)
    return all(claimed is None or lies_within(tolerance.around(claimed), end) for end, claimed in pairs)


def _share_of_effect(claim: Claim, simulated: Value) -> float:
    """Least share of the claimed effect that is there, counted from the value that means none."""
    low, high = claim.target or (None, None)
    neutral = claim.metric.neutral
    if neutral is None or low is None or high is None:
        return 0.0
    ends = simulated if isinstance(simulated, tuple) else (simulated, simulated)
    if not isinstance(simulated, tuple):
        low = high = min((low, high), key=lambda end: abs(end - simulated))
    shares = [
        (end - neutral) / (claimed - neutral)
        for end, claimed in zip(ends, (low, high), strict=True) if claimed != neutral
    ]  # fmt: skip
    return min(shares, default=0.0)
