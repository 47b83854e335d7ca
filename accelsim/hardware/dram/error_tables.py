"""Tables of bit-error rate against operating point: what is in them, and how they are read.

The tables lie in hw_configs/dram/errors: a YAML file each with source, licence, derivation and assumptions, and a CSV
file with the figures, which `accelsim.hardware.dram.derive_error_tables` makes.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from accelsim.config.model import Record, validate
from accelsim.errors import ConfigError
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping, read_text

if TYPE_CHECKING:
    from pathlib import Path

Axis = Literal["vdd_v", "trcd_ps", "trp_ps"]
Stored = Literal["any", "zeros", "ones"]

_Rate = Annotated[float, Field(ge=0.0, le=1.0)]
_Positive = Annotated[float, Field(gt=0.0)]


class Settings(Record):
    """Values of some of the axes."""

    vdd_v: _Positive | None = None
    trcd_ps: _Positive | None = None
    trp_ps: _Positive | None = None


class ErrorTableFile(Record):
    """The YAML file of a table; what its keys mean to a user."""

    description: str
    source: str
    """What was measured or published, and where."""
    license: str
    derivation: str
    """How the table follows from the source."""
    assumptions: tuple[str, ...]
    quantity: Literal["bit_error_rate", "faulty_line_fraction"]
    """What the table holds; fractions of lines are converted on loading."""
    line_bits: Annotated[int, Field(ge=1)] | None = None
    """Bits of a line, for fractions of lines."""
    nominal: Settings
    """Settings without errors, from which reductions count."""
    fixed: Settings
    """Settings at which axes without a column were held; slower or higher ones make the rates upper bounds."""
    least_rate: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Rate (in `quantity`) that is interpolated to where the next setting had no errors."""
    data: str
    """CSV file beside this one."""


class _TableRow(Record):
    vendor: str
    axis: Axis
    stored: Stored
    setting: _Positive
    modules: Annotated[int, Field(ge=0)]
    low: _Rate
    typical: _Rate
    high: _Rate


@dataclass(frozen=True)
class RatePoint:
    """Bit-error rates at one setting: of the best, the median and the worst module, or bounds and what lies between."""

    setting: float
    modules: int
    low: float
    typical: float
    high: float


@dataclass(frozen=True)
class ErrorTable:
    """Bit-error rates against operating point.

    Attributes
    ----------
    name
        Name of the preset.
    about
        Source, licence, derivation, assumptions; nominal and fixed settings.
    curves
        Points with rising settings, by (vendor, axis, stored value).
    least_rate
        Rate that stands for "no error seen" inside an interpolation.
    """

    name: str
    about: ErrorTableFile
    curves: dict[tuple[str, Axis, Stored], tuple[RatePoint, ...]]
    least_rate: float

    @property
    def vendors(self) -> tuple[str, ...]:
        """Vendors whose modules are in the table."""
        return tuple(sorted({vendor for vendor, _, _ in self.curves}))

    def reductions(self, axis: Axis, vendor: str) -> tuple[float, ...]:
        """How far below nominal an axis was measured, rising, none included; none alone where it was not varied."""
        nominal: float | None = getattr(self.about.nominal, axis)
        points = self.curves.get((vendor, axis, "any"), ())
        if nominal is None:
            return (0.0,)
        return tuple(sorted({0.0, *(round(nominal - point.setting, 9) for point in points if point.setting < nominal)}))

    def measured_range(self, axis: Axis, vendor: str) -> tuple[float, float] | None:
        """Lowest and highest setting of an axis; None where it was not varied."""
        points = self.curves.get((vendor, axis, "any"))
        return (points[0].setting, points[-1].setting) if points else None


def error_table_names() -> list[str]:
    """List the tables that ship with accelsim."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


@cache
def load_error_table(name: str) -> ErrorTable:
    """Load a table that ships with accelsim.

    Raises
    ------
    ConfigError
        When there is no such table.
    """
    if name not in error_table_names():
        raise ConfigError("no such table of bit-error rates", value=name, allowed=", ".join(error_table_names()))
    return read_error_table(_folder() / f"{name}.yaml")


def read_error_table(path: Path) -> ErrorTable:
    """Read a table from its YAML file and the CSV file that this names.

    Raises
    ------
    ConfigError
        When one of the files is wrong.
    """
    about = validate(ErrorTableFile, load_mapping(path, ConfigError), path, ConfigError)
    if (about.quantity == "faulty_line_fraction") != (about.line_bits is not None):
        raise ConfigError("goes with quantity: faulty_line_fraction", where=path, key="line_bits")
    data = path.parent / about.data
    curves: dict[tuple[str, Axis, Stored], list[RatePoint]] = {}
    reader = csv.DictReader(io.StringIO(read_text(data, ConfigError)))
    for number, cells in enumerate(reader, start=2):
        row = validate(_TableRow, _numbers(cells), f"{data} line {number}", ConfigError)
        if not row.low <= row.typical <= row.high:
            raise ConfigError("low, typical and high do not rise", where=f"{data} line {number}")
        rates = (_as_bit_error_rate(rate, about.line_bits) for rate in (row.low, row.typical, row.high))
        points = curves.setdefault((row.vendor, row.axis, row.stored), [])
        if points and points[-1].setting >= row.setting:
            raise ConfigError("settings of a curve do not rise", where=f"{data} line {number}", value=row.setting)
        points.append(RatePoint(row.setting, row.modules, *rates))
    frozen = {key: tuple(points) for key, points in curves.items()}
    return ErrorTable(path.stem, about, frozen, _as_bit_error_rate(about.least_rate, about.line_bits))


def _as_bit_error_rate(fraction: float, line_bits: int | None) -> float:
    """Rate of independent flips at which this fraction of lines has at least one."""
    if line_bits is None or fraction == 1.0:
        return fraction
    return -math.expm1(math.log1p(-fraction) / line_bits)


def _numbers(cells: dict[str | None, str | None]) -> dict[str, object]:
    row: dict[str, object] = {}
    for key, text in cells.items():
        if key in ("vendor", "axis", "stored") or text is None:
            row[str(key)] = text
            continue
        try:
            row[str(key)] = int(text) if key == "modules" else float(text)
        except (TypeError, ValueError):
            row[str(key)] = text
    return row


def _folder() -> Path:
    return resource_folder("hw_configs") / "dram" / "errors"
