"""Energy of a DRAM from what it did: commands and time per state, currents per rail, voltage of the operating point.

Per device and rail, with times in the clock of the device, in the sense of Micron's system power calculator and
DRAMPower:

- activate ``V (IDD0 tRC - IDD3N tRAS - IDD2N tRP)`` per ACT, its precharge included;
- read and write ``V (IDD4x - IDD3N) tBURST``; refresh ``V (IDD5 - IDD3N) tRFC``;
- standby ``V IDD3N`` while a row is open or a refresh runs, ``V IDD2N`` otherwise; power-down ``V IDD3P`` and ``V
IDD2P``.

A current step that comes out negative counts as zero. A rank is all devices of its bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram.activity import ActivitySeries
from accelsim.hardware.dram.constraints import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from accelsim.hardware.dram.activity import DramActivity
    from accelsim.hardware.dram.device import Rail
    from accelsim.hardware.dram.tables import DramSpec

COMPONENTS = ("activate", "read", "write", "refresh", "active_standby", "precharge_standby", "power_down")


@dataclass(frozen=True)
class RailPrices:
    """What a rail of a memory charges.

    Parameters
    ----------
    command_pj
        Energy of each command at nominal voltage.
    standby_mw
        Power of a rank in each state at nominal voltage.
    factors
        By component, the factor at each operating point.
    shares
        Part of each rank that runs at each point.
    """

    command_pj: Mapping[str, float]
    standby_mw: Mapping[str, float]
    factors: Mapping[str, NDArray[np.float64]]
    shares: NDArray[np.float64]


def rail_prices(spec: DramSpec, ranks: int) -> tuple[RailPrices, ...]:
    """What the rails of a memory charge; whoever prices many activities works it out once."""
    shares = spec.points.rank_shares(ranks)
    return tuple(
        RailPrices(command_energy_pj(rail, spec), standby_power_mw(rail, spec), voltage_factors(rail, spec), shares)
        for rail in spec.device.rails.values()
    )


def energy_pj(activity: DramActivity, spec: DramSpec) -> dict[str, float]:
    """Energy of an activity.

    Parameters
    ----------
    activity
        Commands and time per state.
    spec
        Device, operating points and voltage exponents.

    Returns
    -------
    dict
        Picojoules by each of `COMPONENTS`; linear in the activity, so that energies of parts add up.

    Notes
    -----
    Commands to a row are charged at the voltage of the row's partition. What belongs to a whole rank (standby,
    power-down, refresh) is charged at the mean over the rank's subarrays, as if each drew an equal share.
    """
    series = ActivitySeries.of([activity])
    return {component: float(energies[0]) for component, energies in energies_pj(series, spec).items()}


def energies_pj(
    series: ActivitySeries, spec: DramSpec, prices: tuple[RailPrices, ...] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Energies of many activities, an array each; `prices` is what `rail_prices` makes of the device, where known."""
    totals = {component: np.zeros(len(series)) for component in COMPONENTS}
    for rail in prices or rail_prices(spec, series.commands.shape[1]):
        steps, factors, shares, power_mw = rail.command_pj, rail.factors, rail.shares, rail.standby_mw
        for component, commands in _COMMANDS.items():
            by_rank = component == "refresh"
            for command in commands:
                counts = series.commands[:, :, :, COMMANDS.index(command)]
                if by_rank:
                    scaled = counts.sum(axis=2) @ (shares @ factors[component])
                else:
                    scaled = (counts @ factors[component]).sum(axis=1)
                totals[component] += scaled * steps[command]
        for state, component in _STATES.items():
            weights = shares @ factors[component]
            totals[component] += getattr(series, state) @ weights / 1_000 * power_mw[state.removesuffix("_ps")]
    return totals


def command_energy_pj(rail: Rail, spec: DramSpec) -> dict[str, float]:
    """Energy that each command adds to standby on a rail of one rank, at nominal voltage, in picojoules."""
    amps, timings = rail.currents_ma, spec.timings[0]
    activate = amps.IDD0 * timings["RC"] - amps.IDD3N * timings["RAS"] - amps.IDD2N * timings["RP"]
    bank_refresh = (amps.IDD5 if amps.IDD5PB is None else amps.IDD5PB) - amps.IDD3N
    if amps.IDD5PB is None:  # a bank's share of the charge of an all-bank refresh
        bank_refresh *= timings["RFC"] / max(1, timings["RFCPB"]) / spec.banks_per_rank
    charge = {
        "ACT": activate,
        "RD": (amps.IDD4R - amps.IDD3N) * timings["BL"],
        "WR": (amps.IDD4W - amps.IDD3N) * timings["BL"],
        "REF": (amps.IDD5 - amps.IDD3N) * timings["RFC"],
        "REFB": bank_refresh * timings["RFCPB"],
    }
    charge |= {"RDA": charge["RD"], "WRA": charge["WR"]}
    per_milliampere_cycle = rail.voltage_v * spec.device.clock_ps / 1_000 * spec.devices_per_rank
    return {command: max(0.0, value) * per_milliampere_cycle for command, value in charge.items()}


def standby_power_mw(rail: Rail, spec: DramSpec) -> dict[str, float]:
    """Power of a rail of one rank in each state, at nominal voltage, in milliwatts."""
    amps = rail.currents_ma
    scale = rail.voltage_v * spec.devices_per_rank
    return {
        "active": amps.IDD3N * scale,
        "precharged": amps.IDD2N * scale,
        "active_down": amps.IDD3P * scale,
        "precharged_down": amps.IDD2P * scale,
    }


def voltage_factors(rail: Rail, spec: DramSpec) -> Mapping[str, NDArray[np.float64]]:
    """By component, the factor on the energy of a rail at each operating point."""
    voltages = np.array([point.vdd_v or spec.device.nominal_v for point in spec.points.points])
    ratio = voltages / spec.device.nominal_v if rail.scales else np.ones_like(voltages)
    exponents = spec.config.voltage_exponents
    return {component: ratio ** getattr(exponents, component) for component in COMPONENTS}


_COMMANDS = {"activate": ("ACT",), "read": ("RD", "RDA"), "write": ("WR", "WRA"), "refresh": ("REF", "REFB")}
_STATES = {
    "active_ps": "active_standby",
    "precharged_ps": "precharge_standby",
    "active_down_ps": "power_down",
    "precharged_down_ps": "power_down",
}
