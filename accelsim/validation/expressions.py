"""Expressions of claim files over the figures of runs: ``baseline.latency_ns / candidate.latency_ns``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.errors import ConfigError
from accelsim.explore.expression import parse_expression
from accelsim.validation.figures import figure_names, is_figure

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def check_expression(text: str | float, sides: Collection[str], where: object, key: str) -> None:
    """Refuse an expression that names what no run has.

    Raises
    ------
    ConfigError
        When it is no expression, or a name in it is no figure.
    """
    for name in parse_expression(text, where, key).names:
        side, _, figure = name.partition(".")
        if side not in sides:
            allowed = ", ".join(f"{entry}.<figure>" for entry in sides)
            raise ConfigError("names no run of the experiment", where=where, key=key, value=name, allowed=allowed)
        if not is_figure(figure):
            raise ConfigError("is no figure of a run", where=where, key=key, value=name, allowed=figure_names())


def evaluate(text: str | float, sides: Mapping[str, Mapping[str, float]], where: object, key: str) -> float:
    """Value of an expression, given the figures of each run.

    Raises
    ------
    ConfigError
        When a run does not have a figure, or the value cannot be computed.
    """
    expression = parse_expression(text, where, key)
    values = {}
    for name in expression.names:
        side, _, figure = name.partition(".")
        if figure not in sides[side]:
            problem = f"was not measured by the run {side!r}"
            near = ", ".join(sorted(known for known in sides[side] if known.startswith(figure.partition(".")[0])))
            raise ConfigError(problem, where=where, key=key, value=figure, allowed=near or figure_names())
        values[name] = sides[side][figure]
    return float(expression.value(values))


def check_finish(text: str | None, where: object, key: str) -> None:
    """Refuse an expression over anything but `value`.

    Raises
    ------
    ConfigError
        When it is no such expression.
    """
    if text is None:
        return
    for name in parse_expression(text, where, key).names:
        if name != "value":
            raise ConfigError("is not known here", where=where, key=key, value=name, allowed="value")


def finish(text: str | None, value: float, where: object, key: str) -> float:
    """What an expression over `value` makes of a number."""
    return value if text is None else float(parse_expression(text, where, key).value({"value": value}))
