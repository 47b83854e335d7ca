"""Numbers as a person reads them: grouped, rounded to what carries meaning, with their unit."""

from __future__ import annotations

import math

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_SMALLEST, _LARGEST = min(_PREFIXES), max(_PREFIXES)
_PJ_EXPONENT = -12
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_KIB = 1024
_KILO = 1000


def si(value: float, unit: str, digits: int = 4) -> str:
    """Write a quantity with the SI prefix that leaves one to three digits before the point.

    Parameters
    ----------
    value
        The quantity in `unit`.
    unit
        Unit without prefix, such as ``J``.
    digits
        Significant digits shown.
    """
    if not math.isfinite(value):
        return "unlimited" if value > 0 else "n/a"
    if value == 0:
        return f"0 {unit}"
    magnitude = _magnitude(value, digits)
    exponent = _suited(magnitude)
    return f"{value / 10.0**exponent:,.{max(digits - 1 - magnitude + exponent, 0)}f} {_PREFIXES[exponent]}{unit}"


def prefix_exponent(value: float, digits: int = 4) -> int:
    """Power of ten, a multiple of three, of the SI prefix that suits `value`; zero for zero."""
    if value == 0:
        return 0
    return _suited(_magnitude(value, digits))


def _suited(magnitude: int) -> int:
    """Power of ten of the SI prefix for a number whose first digit stands for that power of ten."""
    return min(max(magnitude // 3 * 3, _SMALLEST), _LARGEST)


def prefix(exponent: int) -> str:
    """SI prefix of a power of ten that is a multiple of three."""
    return _PREFIXES[exponent]


def significant(value: float, digits: int = 4) -> str:
    """Write a number with `digits` significant digits, grouped, never in scientific notation."""
    if value == 0:
        return "0"
    return f"{value:,.{max(digits - 1 - _magnitude(value, digits), 0)}f}"


def _magnitude(value: float, digits: int) -> int:
    """Power of ten of the first digit, after rounding."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def energy(energy_pj: float) -> str:
    """Write an energy given in picojoules."""
    return si(energy_pj * 10.0**_PJ_EXPONENT, "J")


def duration(duration_ns: float) -> str:
    """Write a time given in nanoseconds."""
    return si(duration_ns * 1e-9, "s")


def traffic(size_bytes: float) -> str:
    """Write an amount of data in decimal multiples of a byte, the convention of bandwidths."""
    return f"{size_bytes:.0f} B" if abs(size_bytes) < _KILO else si(size_bytes, "B")


def capacity(size_bytes: int) -> str:
    """Write the size of a memory in binary multiples of a byte."""
    value, step = float(size_bytes), 0
    while value >= _KIB and step < len(_BINARY) - 1:
        value, step = value / _KIB, step + 1
    return f"{value:,.1f}".removesuffix(".0") + f" {_BINARY[step]}"


def share(fraction: float, decimals: int = 1) -> str:
    """Write a fraction of one in per cent."""
    return f"{fraction:.{decimals}%}"


def counted(count: int, noun: str) -> str:
    """Write a number of things whose plural takes an s."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def ratio(numerator: float, denominator: float) -> float:
    """Divide, or return zero where there is nothing to divide by."""
    return numerator / denominator if denominator else 0.0
