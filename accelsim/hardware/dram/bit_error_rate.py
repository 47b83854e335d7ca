"""Bit-error rate of DRAM at an operating point, from tables of what was measured.

Between two settings the logarithm of the rate is interpolated in the setting; a measured setting gives its measured
rate, and outside of the measured range nothing is guessed. Settings are absolute (volts, picoseconds), those of the
modules that were measured; `rate_at_reduction` takes reductions from nominal instead, to carry a table over to a device
with another nominal value as the EDEN paper does (assumption: equal reductions cause equal rates).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Literal

from accelsim.errors import ConfigError
from accelsim.hardware.dram.error_tables import Axis, ErrorTable, RatePoint, Stored, load_error_table

Module = Literal["low", "typical", "high"]

AXES: tuple[Axis, ...] = ("vdd_v", "trcd_ps", "trp_ps")


def bit_error_rate(
    table: str | ErrorTable,
    *,
    vdd_v: float | None = None,
    trcd_ps: float | None = None,
    trp_ps: float | None = None,
    vendor: str | None = None,
    module: Module = "typical",
    stored: Stored = "any",
) -> float:
    """Look up the bit-error rate at an operating point.

    Parameters
    ----------
    table
        Name of a preset, or a table.
    vdd_v, trcd_ps, trp_ps
        Settings; None means nominal. Errors of several axes are taken for independent: a bit comes out right if
        none of them hits it.
    vendor
        Vendor of the modules; may be left out where the table has one only.
    module
        ``low``, ``typical`` or ``high``: the best, median or worst module measured (eden_table3: lower bound, value
        taken, upper bound).
    stored
        Rate of bits that store 0 (``zeros``) or 1 (``ones``), or of test patterns all taken together (``any``).

    Returns
    -------
    float
        Fraction of bits that are read wrong, 0 to 1.

    Raises
    ------
    ConfigError
        When a setting lies outside of the measured range, or table, vendor, module or stored value do not exist.
    """
    if isinstance(table, str):
        table = load_error_table(table)
    vendor = _choose_vendor(table, vendor)
    if module not in ("low", "typical", "high"):
        raise ConfigError("not accepted", where=table.name, key="module", value=module, allowed="low, typical, high")
    total = 0.0
    for axis, setting in zip(AXES, (vdd_v, trcd_ps, trp_ps), strict=True):
        if setting is not None:
            rate = _rate_on_axis(table, vendor, axis, setting, module, stored)
            total += rate - total * rate
    return total


def rate_at_reduction(
    table: str | ErrorTable,
    *,
    vdd_reduction_v: float = 0.0,
    trcd_reduction_ps: float = 0.0,
    trp_reduction_ps: float = 0.0,
    vendor: str | None = None,
    module: Module = "typical",
    stored: Stored = "any",
) -> float:
    """Look up the bit-error rate when voltage and timings are reduced by so much from the table's nominal values.

    Parameters and errors otherwise as in `bit_error_rate`. An axis that is not reduced is nominal.
    """
    if isinstance(table, str):
        table = load_error_table(table)
    settings: dict[str, float | None] = {}
    for axis, reduction in zip(AXES, (vdd_reduction_v, trcd_reduction_ps, trp_reduction_ps), strict=True):
        nominal: float | None = getattr(table.about.nominal, axis)
        if reduction and nominal is None:
            raise ConfigError("was not varied in this table", where=table.name, key=axis, allowed="no reduction")
        # volts are decimal: 1.35 - 0.10 shall be the 1.25 of the table
        settings[axis] = round(nominal - reduction, 9) if reduction and nominal is not None else None
    return bit_error_rate(
        table,
        vdd_v=settings["vdd_v"],
        trcd_ps=settings["trcd_ps"],
        trp_ps=settings["trp_ps"],
        vendor=vendor,
        module=module,
        stored=stored,
    )


def _choose_vendor(table: ErrorTable, vendor: str | None) -> str:
    if vendor is None and len(table.vendors) == 1:
        return table.vendors[0]
    if vendor not in table.vendors:
        problem = "the vendor has to be given" if vendor is None else "no such vendor"
        raise ConfigError(problem, where=table.name, key="vendor", value=vendor, allowed=", ".join(table.vendors))
    return vendor


def _rate_on_axis(table: ErrorTable, vendor: str, axis: Axis, setting: float, module: Module, stored: Stored) -> float:
    measured = table.measured_range(axis, vendor)
    if measured is None:
        return _rate_of_fixed_axis(table, axis, setting)
    points = table.curves.get((vendor, axis, stored))
    if points is None:
        known = sorted(value for maker, name, value in table.curves if (maker, name) == (vendor, axis))
        raise ConfigError(
            f"no rates of vendor {vendor} against {axis} by this stored value",
            where=table.name,
            key="stored",
            value=stored,
            allowed=", ".join(known),
        )
    if not measured[0] <= setting <= measured[1]:
        raise ConfigError(
            f"outside of the measured range of vendor {vendor}",
            where=table.name,
            key=axis,
            value=setting,
            allowed=f"{measured[0]:g} to {measured[1]:g}",
        )
    return _interpolate(points, setting, module, table.least_rate)


def _rate_of_fixed_axis(table: ErrorTable, axis: Axis, setting: float) -> float:
    held: float | None = getattr(table.about.fixed, axis)
    if held is None or not held <= setting < math.inf:
        allowed = "leave it out" if held is None else f"{held:g} or more"
        raise ConfigError("was not varied in this table", where=table.name, key=axis, value=setting, allowed=allowed)
    return 0.0


def _interpolate(points: tuple[RatePoint, ...], setting: float, module: Module, least_rate: float) -> float:
    above = bisect_left([point.setting for point in points], setting)
    right = points[above]
    rate: float = getattr(right, module)
    if right.setting == setting:
        return rate
    left = points[above - 1]
    other: float = getattr(left, module)
    if rate == other:
        return rate
    least = min(least_rate, max(rate, other))  # of one with errors and one without, the one with errors may be rarer
    part = (setting - left.setting) / (right.setting - left.setting)
    return math.exp(math.log(max(other, least)) * (1.0 - part) + math.log(max(rate, least)) * part)
