"""One dimension of a design space: a key of the config and the values that it may take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsim.config.model import Record, validate
from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = str | int | float | bool | None
Point = dict[str, Scalar]
"""A design point: the value of every parameter, by dotted path."""

MOST_VALUES = 100_000
"""Values that a stepped range may have and still count as finite."""
_LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Choice:
    """A parameter that takes one of several values.

    Parameters
    ----------
    path
        Dotted path in the config, or ``workload`` or ``batch``.
    values
        In the order of the file.
    """

    path: str
    values: tuple[Scalar, ...]

    @property
    def examples(self) -> tuple[Scalar, ...]:
        """Values to check before a study."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A parameter that takes any number of a range, ends included.

    Parameters
    ----------
    path
        Dotted path in the config, or ``batch``.
    low, high
        Ends; `high` is one that a whole number of steps reaches.
    step
        Distance of neighbouring values; None for a continuous range.
    log
        Whether equal ratios are equally likely instead of equal differences.
    """

    path: str
    low: float
    high: float
    step: float | None
    log: bool

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int)

    @property
    def values(self) -> tuple[Scalar, ...] | None:
        """All values where they can be listed, else None."""
        if self.step is None:
            return None
        steps = round((self.high - self.low) / self.step)
        if steps >= MOST_VALUES:
            return None
        return tuple(self.low + index * self.step for index in range(steps + 1))

    @property
    def examples(self) -> tuple[Scalar, ...]:
        """Values to check before a study: the ends."""
        return (self.low, self.high)


Parameter = Choice | Range


class _RangeFile(Record):
    low: int | float
    """Least value."""
    high: int | float
    """Largest value."""
    step: int | float | None = None
    """Distance of neighbouring values; whole numbers have 1, other numbers none where left out."""
    log: bool = False
    """Whether equal ratios are equally likely."""


def parse_parameter(path: str, entry: object, where: object) -> Parameter:
    """Read a parameter of a space file.

    Parameters
    ----------
    path
        Key under ``parameters``.
    entry
        A list of values, or a mapping with ``low`` and ``high``.
    where
        The file.

    Raises
    ------
    ConfigError
        When it is neither, holds no value, holds one twice, or its ends are in the wrong order.
    """
    key = f"parameters.{path}"
    if isinstance(entry, list):
        return Choice(path, _values(entry, where, key))
    if isinstance(entry, dict):
        return _range(path, entry, where, key)
    raise ConfigError(
        "is neither values nor a range", where=where, key=key, value=entry,
        allowed="a list of values, or {low: ..., high: ..., step: ... or log: true}",
    )  # fmt: skip


def _values(entry: list[Any], where: object, key: str) -> tuple[Scalar, ...]:
    if not entry:
        raise ConfigError("is empty: no value to choose", where=where, key=key, value=entry, allowed="a value or more")
    seen: set[tuple[type, Any]] = set()
    for value in entry:
        if not isinstance(value, Scalar) or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError("holds a value that is no number, text, true, false or null",
                              where=where, key=key, value=value)  # fmt: skip
        kind = float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
        if (kind, value) in seen:
            raise ConfigError("holds a value twice", where=where, key=key, value=value)
        seen.add((kind, value))
    return tuple(entry)


def _range(path: str, entry: Mapping[str, Any], where: object, key: str) -> Range:
    try:
        record = validate(_RangeFile, entry, where, ConfigError)
    except ConfigError as error:
        raise ConfigError(error.problem, where=where, key=f"{key}.{error.key}" if error.key else key,
                          value=error.value, allowed=error.allowed) from None  # fmt: skip
    low, high, step = record.low, record.high, record.step
    whole = all(isinstance(value, int) for value in (low, high, step) if value is not None)
    shown = {name: value for name, value in entry.items() if name in ("low", "high", "step")}
    if low > high:
        raise ConfigError("is an empty range: low is above high", where=where, key=key, value=shown)
    if max(abs(low), abs(high)) > _LARGEST_WHOLE:
        raise ConfigError("is too wide", where=where, key=key, value=shown, allowed="numbers up to 2^53")
    if record.log and (low <= 0 or step is not None):
        allowed = "low above 0, and no step"
        raise ConfigError("cannot be spaced by ratios", where=where, key=key, value=shown, allowed=allowed)
    if step is not None and step <= 0:
        raise ConfigError("not accepted", where=where, key=f"{key}.step", value=step, allowed="a number above 0")
    if whole and step is None:
        step = 1
    if not whole:
        low, high = float(low), float(high)
    if step is not None:
        high = low + math.floor((high - low) / step + 1e-9) * step
    return Range(path, low, high, step, record.log)
