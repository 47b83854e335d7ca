"""Makes the tables of bit-error rate against operating point in hw_configs/dram/errors, from what was published.

Usage, from the root of a checkout::

    python -m accelsim.hardware.dram.derive_error_tables eden_table3 > hw_configs/dram/errors/eden_table3.csv
    python -m accelsim.hardware.dram.derive_error_tables flydram data_latvar_sigmetrics2016.csv > .../flydram.csv
    python -m accelsim.hardware.dram.derive_error_tables voltron dimm_faulty_cachelines_out.csv > .../voltron.csv

The inputs are the files of those names in the repositories CMU-SAFARI/DRAM-Latency-Variation-Study and
CMU-SAFARI/DRAM-Voltage-Study. The YAML file beside each table tells its source, its licence and what was assumed.

A table has one row per vendor, axis (``vdd_v``, ``trcd_ps``, ``trp_ps``), stored value (``any``, ``zeros``, ``ones``)
and setting, with the number of modules behind it and the ``low``, ``typical`` and ``high`` rate.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from pathlib import Path
from statistics import mean, median

COLUMNS = ("vendor", "axis", "stored", "setting", "modules", "low", "typical", "high")
_USAGE = "usage: python -m accelsim.hardware.dram.derive_error_tables eden_table3 | flydram CSV | voltron CSV"

Row = tuple[str, str, str, float, int, float, float, float]

# EDEN (MICRO 2019), table 3, vendor A: tolerable bit-error rate, VDD in volts and tRCD in ps chosen for it on a grid of
# 0.05 V and 0.5 ns, after the reductions were taken from 1.35 V and 12.5 ns.
EDEN_CHOICES = (
    (0.005, 1.25, 11_500),
    (0.010, 1.10, 11_500),
    (0.015, 1.10, 10_500),
    (0.030, 1.05, 8_000),
    (0.035, 1.05, 7_500),
    (0.040, 1.05, 7_000),
    (0.050, 1.00, 6_500),
)
_EDEN_GRIDS: dict[str, list[float]] = {
    "vdd_v": [round(1.25 - 0.05 * step, 2) for step in range(6)],
    "trcd_ps": [float(setting) for setting in range(11_500, 6_000, -500)],
}
_EDEN_NOMINAL: dict[str, float] = {"vdd_v": 1.35, "trcd_ps": 12_500}
_BANKS = [f"Bank{bank}" for bank in range(8)]
_PATTERNS = {"any": None, "zeros": "0x0", "ones": "0xff"}


def derive_eden_table3() -> list[Row]:
    """Turn the operating points that the paper chose per tolerable rate into bounds on the rate at each point.

    The paper takes the lowest setting whose rate does not exceed what the network tolerates. The rate at a setting is
    therefore at most the least tolerable rate for which it, or a lower one, was chosen, and above the greatest for
    which a higher one was.
    """
    rows: list[Row] = []
    for column, (axis, grid) in enumerate(_EDEN_GRIDS.items(), start=1):
        chosen = [(float(choice[column]), choice[0]) for choice in EDEN_CHOICES]
        anchors = {setting: min(rate for at, rate in chosen if at <= setting) for setting, _ in chosen}
        rows.append(("A", axis, "any", _EDEN_NOMINAL[axis], 0, 0.0, 0.0, 0.0))
        for setting in grid:
            low = max((rate for at, rate in chosen if at > setting), default=0.0)
            high = min(rate for at, rate in chosen if at <= setting)
            rows.append(("A", axis, "any", setting, 0, low, _typical(setting, anchors, low, high), high))
    return sorted(rows, key=_order)


def _typical(setting: float, anchors: dict[float, float], low: float, high: float) -> float:
    """Take the upper bound where the paper chose the setting; between such settings go straight in the logarithm.

    Where that leaves the bounds, take their geometric mean.
    """
    if setting in anchors:
        return anchors[setting]
    below = max(anchor for anchor in anchors if anchor < setting)
    above = min(anchor for anchor in anchors if anchor > setting)
    part = (setting - below) / (above - below)
    rate = math.exp(math.log(anchors[below]) * (1 - part) + math.log(anchors[above]) * part)
    return rate if low < rate <= high else math.sqrt(low * high)


def derive_flydram(text: str) -> list[Row]:
    """Average the bit-error rate per module at 20 degC and take minimum, median and maximum over the modules.

    tRCD is varied at tRP 12.5 ns and the other way round. Rows where bank 0 has no error and another bank has are taken
    for rows whose bank 0 was not tested; their rate is the mean of the other seven banks.
    """
    measured = [row for row in csv.DictReader(io.StringIO(text)) if float(row["Temperature"]) == 20.0]
    rows: list[Row] = []
    for axis, column, other in (("trcd_ps", "tRCD", "tRP"), ("trp_ps", "tRP", "tRCD")):
        for stored, pattern in _PATTERNS.items():
            rates: dict[tuple[str, float], dict[str, list[float]]] = {}
            for row in measured:
                if float(row[other]) == 12.5 and pattern in (None, row["Pattern"]):
                    modules = rates.setdefault((row["VendorMask"], float(row[column]) * 1000), {})
                    modules.setdefault(row["Label"], []).append(_module_rate(row))
            for (vendor, setting), modules in rates.items():
                spread = [mean(values) for values in modules.values()]
                rows.append((vendor, axis, stored, setting, len(spread), min(spread), median(spread), max(spread)))
    return sorted(rows, key=_order)


def _module_rate(row: dict[str, str]) -> float:
    banks = [float(row[bank]) for bank in _BANKS]
    untested = banks[0] == 0.0 and any(banks[1:])
    return mean(banks[1:] if untested else banks)


def derive_voltron(text: str) -> list[Row]:
    """Take minimum, median and maximum over modules of the fraction of 64-byte lines with an error."""
    lines: dict[tuple[str, float], list[float]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        fraction = float(row["error_cacheline_percent"]) / 100
        lines.setdefault((row["vendor"], float(row["vdd"])), []).append(fraction)
    rows: list[Row] = [
        (vendor, "vdd_v", "any", setting, len(values), min(values), median(values), max(values))
        for (vendor, setting), values in lines.items()
    ]
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[str, str, str, float]:
    return row[:4]


def format_table(rows: list[Row]) -> str:
    """Write rows as CSV text; rates with six significant digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for vendor, axis, stored, setting, modules, *rates in rows:
        writer.writerow([vendor, axis, stored, f"{setting:g}", modules, *(f"{rate:.6g}" for rate in rates)])
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """Derive one table and print it."""
    match arguments:
        case ["eden_table3"]:
            rows = derive_eden_table3()
        case ["flydram", path]:
            rows = derive_flydram(Path(path).read_text(encoding="utf-8"))
        case ["voltron", path]:
            rows = derive_voltron(Path(path).read_text(encoding="utf-8"))
        case _:
            sys.stderr.write(_USAGE + "\n")
            return 2
    sys.stdout.write(format_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
