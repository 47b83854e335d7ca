"""Figures of the page of claims: claimed beside simulated, what figures are made of, how much assumptions matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report import quantities

if TYPE_CHECKING:
    from accelsim.validation.claim import Claim
    from accelsim.validation.verdict import Value

_SIGNIFICANT = 3


def shown_value(value: float, unit: str) -> str:
    """A value with its unit: ``%`` of fractions of one, ``x`` of factors, others by their prefix."""
    if unit == "%":
        return f"{100 * value:.{_SIGNIFICANT}g} %"
    if unit == "x":
        return f"{value:.{_SIGNIFICANT}g}x"
    number = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.{_SIGNIFICANT}g}"
    return f"{number} {unit}".strip()


def shown_range(value: Value | None, unit: str) -> str:
    """A value or a range with its unit."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return f"{shown_value(value[0], unit).removesuffix(unit).strip()} to {shown_value(value[1], unit)}"
    return shown_value(value, unit)


def shown_claimed(claim: Claim) -> str:
    """What is claimed, with its unit."""
    unit, target = claim.metric.unit, claim.target
    if target is None:
        return "-"
    low, high = target
    if low is None:
        return f"<= {shown_value(high or 0.0, unit)}"
    if high is None:
        return f">= {shown_value(low, unit)}"
    return shown_value(low, unit) if low == high else shown_range((low, high), unit)


def shown_ratio(ratio: float | None) -> str:
    """A ratio of simulated to claimed."""
    return "-" if ratio is None else quantities.si(ratio, "").strip() if ratio >= 1_000 else f"{ratio:.2f}"
