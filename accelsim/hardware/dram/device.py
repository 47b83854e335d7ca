"""DRAM devices as data: geometry, timings in picoseconds and currents per rail, read from hw_configs/dram."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.model import Record, validate
from accelsim.errors import ConfigError
from accelsim.hardware.dram.constraints import STANDARDS
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping
from accelsim.units import ceil_div

_Positive = Annotated[int, Field(ge=1)]
_NonNegative = Annotated[int, Field(ge=0)]
_Current = Annotated[float, Field(ge=0.0)]

_JEDEC_GUARD_PERMILLE = 974
"""JEDEC divides a time by the clock period and rounds up only what exceeds a whole number by more than 2.6 %."""


class Geometry(Record):
    """Shape of a device and of the channel that devices are put on; sizes that an address selects are powers of two."""

    bank_groups: _Positive
    """1 where the device has none."""
    banks_per_group: _Positive
    rows: _Positive
    """Rows of a bank."""
    columns: _Positive
    """Columns of a row, each `device_width_bits` wide."""
    rows_per_subarray: _Positive
    device_width_bits: _Positive
    bus_width_bits: _Positive
    """Data bits of a channel: devices of a rank times their width."""
    burst_length: _Positive
    """Transfers of one read or write."""
    transfers_per_clock: _Positive
    """2 for double data rate, 4 for GDDR5, whose data clock runs at twice the command clock."""

    @model_validator(mode="after")
    def _is_addressable(self) -> Self:
        for name in ("bank_groups", "banks_per_group", "rows", "columns", "burst_length", "bus_width_bits"):
            if getattr(self, name) & (getattr(self, name) - 1):
                message = f"{name} has to be a power of two"
                raise ValueError(message)
        if self.rows % self.rows_per_subarray:
            raise ValueError("rows have to be a multiple of rows_per_subarray")
        if self.bus_width_bits % self.device_width_bits:
            raise ValueError("bus_width_bits has to be a multiple of device_width_bits")
        return self


class Timing(Record):
    """A timing parameter: the longer of a time and a number of clock cycles."""

    ps: _NonNegative = 0
    cycles: _NonNegative = 0


class Currents(Record):
    """Datasheet currents of one device on one rail, in milliampere."""

    IDD0: _Current
    """One bank, activate to precharge over and over."""
    IDD2P: _Current
    """Precharge power-down."""
    IDD2N: _Current
    """Precharge standby."""
    IDD3P: _Current
    """Active power-down."""
    IDD3N: _Current
    """Active standby."""
    IDD4R: _Current
    """Reading burst after burst."""
    IDD4W: _Current
    """Writing burst after burst."""
    IDD5: _Current
    """All-bank refresh, distributed bursts of it back to back."""
    IDD5PB: _Current | None = None
    """Per-bank refresh; None where the device has none or none is published."""


class Rail(Record):
    """A supply rail of the device."""

    voltage_v: Annotated[float, Field(gt=0.0)]
    scales: bool
    """Whether the voltage of an operating point replaces that of this rail."""
    currents_ma: Currents


_OPTIONAL = {"DQSCK": 0, "DQSS": 0, "PPD": 0, "RTRS": 0, "TURNAROUND": 2, "RREFD": 0}
"""Timings that a device file may leave out, and what that means in cycles (2: the data bus idles between a read and a
write for preamble and postamble)."""

_ALIASES = {
    "RCDWR": "RCD",
    "RPAB": "RP",
    "CCD_L": "CCD_S",
    "RRD_L": "RRD_S",
    "WTR_L": "WTR_S",
}
"""Timings that equal another one where a device does not tell them apart."""

_REQUIRED = frozenset(
    {"CL", "CWL", "RCD", "RP", "RAS", "WR", "RTP", "CCD_S", "RRD_S", "WTR_S", "FAW", "RFC", "REFI", "CKE", "XP"}
)
_BANK_REFRESH = frozenset({"RFCPB", "REFIPB"})
_KNOWN = _REQUIRED | _BANK_REFRESH | frozenset(_OPTIONAL) | frozenset(_ALIASES)


class Device(Record):
    """A DRAM device file; `bins` override `timings`."""

    description: str
    standard: Literal["DDR3", "DDR4", "LPDDR3", "LPDDR4", "GDDR5", "HBM2"]
    geometry: Geometry
    clock_ps: _Positive
    """Period of the command clock."""
    rounding: Literal["jedec", "up"]
    """How a time becomes cycles: with JEDEC's guard band of 2.6 %, or simply up."""
    timings: dict[str, Timing]
    default_bin: str | None = None
    bins: dict[str, dict[str, Timing]] = Field(default_factory=dict)
    rails: dict[str, Rail]
    sources: dict[str, str]
    """Dotted path of a value, or the start of one, and where the value comes from."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if bool(self.bins) != (self.default_bin is not None) or (self.bins and self.default_bin not in self.bins):
            raise ValueError("default_bin has to name one of bins, and only then")
        for bin_name, overrides in self.bins.items() if self.bins else [("", {})]:
            names = set(self.timings) | set(overrides)
            if unknown := sorted(names - _KNOWN):
                message = f"unknown timing {unknown[0]}; known: {', '.join(sorted(_KNOWN))}"
                raise ValueError(message)
            if missing := sorted(_REQUIRED - names):
                message = f"timing {missing[0]} is missing" + (f" in bin {bin_name}" if bin_name else "")
                raise ValueError(message)
        if not any(rail.scales for rail in self.rails.values()):
            raise ValueError("no rail scales with the operating point")
        return self

    @property
    def nominal_v(self) -> float:
        """Nominal voltage of the rails that scale."""
        return next(rail.voltage_v for rail in self.rails.values() if rail.scales)

    @property
    def has_bank_refresh(self) -> bool:
        """Whether the device can refresh one bank at a time."""
        return set(self.timings) >= _BANK_REFRESH

    def to_cycles(self, timing: Timing) -> int:
        """Clock cycles of a timing of the datasheet."""
        if self.rounding == "jedec":
            cycles = (timing.ps * 1_000 // self.clock_ps + _JEDEC_GUARD_PERMILLE) // 1_000
        else:
            cycles = ceil_div(timing.ps, self.clock_ps)
        return max(cycles, timing.cycles)

    def timing_cycles(self, speed_bin: str | None) -> dict[str, int]:
        """All timings in clock cycles, with ``BL`` (a burst) and ``RC`` (activate to activate) worked out.

        Parameters
        ----------
        speed_bin
            Name of a bin; None for the default one.
        """
        chosen = self.bins[speed_bin or self.default_bin or ""] if self.bins else {}
        cycles = _OPTIONAL | {name: self.to_cycles(timing) for name, timing in (self.timings | chosen).items()}
        for name, other in _ALIASES.items():
            cycles.setdefault(name, cycles[other])
        cycles["BL"] = self.geometry.burst_length // self.geometry.transfers_per_clock
        cycles["RC"] = cycles["RAS"] + cycles["RP"]
        for name in _BANK_REFRESH:
            cycles.setdefault(name, 0)
        return cycles


def list_devices() -> tuple[str, ...]:
    """Names of the presets, one per speed bin where a device has bins."""
    names: list[str] = []
    for path in sorted(_folder().glob("*.yaml")):
        device = _load_file(path)
        names += [_with_bin(path.stem, name) for name in device.bins] if device.bins else [path.stem]
    return tuple(names)


def load_device(name: str, speed_bin: str | None = None) -> tuple[Device, str | None]:
    """Load a device file.

    Parameters
    ----------
    name
        Preset, such as ``DDR4_2400_8Gb_x8`` or with its bin ``DDR4_2400R_8Gb_x8``, or path of a YAML file.
    speed_bin
        Bin to use; wins over one in the name.

    Returns
    -------
    device, bin
        The device, and the name of the bin in use (None where it has none).

    Raises
    ------
    ConfigError
        When there is no such device or bin, or the file is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        device = _load_file(Path(name))
    else:
        path = _folder() / f"{name}.yaml"
        if not path.is_file():
            match = re.fullmatch(r"([A-Z]+\d*[A-Z]?_\d+)([A-Z]+)(_.+)", name)
            path = _folder() / (f"{match[1]}{match[3]}.yaml" if match else "")
            if not match or not path.is_file() or match[2] not in _load_file(path).bins:
                raise ConfigError("no such DRAM device", key="device", value=name, allowed=", ".join(list_devices()))
            speed_bin = speed_bin or match[2]
        device = _load_file(path)
    if speed_bin is not None and speed_bin not in device.bins:
        allowed = ", ".join(device.bins) or "none, the device has no bins"
        raise ConfigError(f"no such speed bin of {name}", key="speed_bin", value=speed_bin, allowed=allowed)
    return device, speed_bin or device.default_bin


def _with_bin(stem: str, bin_name: str) -> str:
    standard, rate, rest = stem.split("_", 2)
    return f"{standard}_{rate}{bin_name}_{rest}"


def _folder() -> Path:
    return resource_folder("hw_configs") / "dram"


@cache
def _load_file(path: Path) -> Device:
    device = validate(Device, load_mapping(path, ConfigError), path, ConfigError)
    if device.standard not in STANDARDS:
        raise ConfigError("has no constraint list", where=path, key="standard", value=device.standard)
    return device
