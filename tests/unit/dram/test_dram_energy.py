"""Energy by hand for one command of each kind, how it scales with voltage, and that parts add up."""

from typing import Any

import numpy as np
import pytest

from accelsim.config.dram import DramConfig, OperatingPoint, Partition, PartitionScope, VoltageExponents
from accelsim.hardware.dram.activity import ActivitySeries, DramActivity
from accelsim.hardware.dram.constraints import COMMANDS
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.power import COMPONENTS, energies_pj, energy_pj
from accelsim.hardware.dram.tables import resolve


def activity(ranks: int = 1, points: int = 1, point: int = 0, **counts: int) -> DramActivity:
    """Commands at one operating point on the first rank; times in picoseconds under their own names."""
    commands = np.zeros((ranks, points, len(COMMANDS)), np.int64)
    times = {name: np.zeros(ranks, np.int64) for name in ("active", "precharged", "active_down", "precharged_down")}
    for name, count in counts.items():
        if name in times:
            times[name][0] = count
        else:
            commands[0, point, COMMANDS.index(name)] = count
    rest: dict[str, Any] = dict.fromkeys(
        (
            "row_hits",
            "row_misses",
            "row_conflicts",
            "read_bytes",
            "write_bytes",
            "precharged_banks",
            "forwarded",
            "merged",
        ),
        0,
    )
    return DramActivity(
        time_ps=0,
        commands=commands,
        active_ps=times["active"],
        precharged_ps=times["precharged"],
        active_down_ps=times["active_down"],
        precharged_down_ps=times["precharged_down"],
        **rest,
    )


NS = 0.833  # of a cycle
BY_HAND = [  # DDR4-2400R 8 Gb x8: eight devices, 1.2 V
    ({"ACT": 1}, "activate", 8 * 1.2 * (48 * 55 - 43 * 39 - 34 * 16) * NS),
    ({"RD": 1}, "read", 8 * 1.2 * (135 - 43) * 4 * NS),
    ({"RDA": 1}, "read", 8 * 1.2 * (135 - 43) * 4 * NS),
    ({"WR": 1}, "write", 8 * 1.2 * (123 - 43) * 4 * NS),
    ({"WRA": 1}, "write", 8 * 1.2 * (123 - 43) * 4 * NS),
    ({"REF": 1}, "refresh", 8 * 1.2 * (250 - 43) * 433 * NS),
    ({"active": 1_000}, "active_standby", 8 * 1.2 * 43),
    ({"precharged": 1_000}, "precharge_standby", 8 * 1.2 * 34),
    ({"active_down": 1_000}, "power_down", 8 * 1.2 * 37),
    ({"precharged_down": 1_000}, "power_down", 8 * 1.2 * 25),
    ({"PRE": 5}, "activate", 0.0),
]


@pytest.mark.parametrize(("what", "component", "expected"), BY_HAND)
def test_by_hand(what: dict[str, int], component: str, expected: float) -> None:
    energy = energy_pj(activity(**what), resolve(DramConfig()))

    assert set(energy) == set(COMPONENTS)
    assert energy[component] == pytest.approx(expected, rel=1e-12)
    assert sum(energy.values()) == pytest.approx(expected, rel=1e-12)


def test_every_rail_counts_and_only_those_that_scale_follow_the_voltage() -> None:
    point = OperatingPoint(vdd_v=0.9)
    nominal = resolve(DramConfig(device="LPDDR3_1600_4Gb_x32"))
    lowered = resolve(
        DramConfig(device="LPDDR3_1600_4Gb_x32", partitions=(Partition(name="all", operating_point=point),))
    )

    at_nominal = energy_pj(activity(RD=1), nominal)["read"]
    at_lowered = energy_pj(activity(points=2, point=1, RD=1), lowered)["read"]

    vdd1, vdd2 = 1.8 * (5 - 2) * 4 * 1.25, 1.2 * (260 - 45) * 4 * 1.25
    assert at_nominal == pytest.approx(vdd1 + vdd2)
    assert at_lowered == pytest.approx(vdd1 + vdd2 * 0.9 / 1.2)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_exponent_of_each_component(exponent: float) -> None:
    partitions = (Partition(name="all", operating_point=OperatingPoint(vdd_v=0.9)),)
    what = {"ACT": 3, "RD": 5, "WR": 2, "REF": 1, "active": 10_000, "precharged": 20_000, "precharged_down": 700}
    nominal = energy_pj(activity(**what), resolve(DramConfig()))
    for component in COMPONENTS:
        exponents = VoltageExponents(**{component: exponent})
        spec = resolve(DramConfig(partitions=partitions, voltage_exponents=exponents))
        energy = energy_pj(activity(points=2, point=1, **what), spec)
        for other in COMPONENTS:
            factor = 0.75 ** (exponent if other == component else 1.0)
            assert energy[other] == pytest.approx(nominal[other] * factor, rel=1e-12), (component, other)


def test_standby_and_refresh_are_charged_at_the_mean_over_the_rank() -> None:
    partitions = (Partition(name="low", scope=PartitionScope(bank=0), operating_point=OperatingPoint(vdd_v=0.6)),)
    spec = resolve(DramConfig(partitions=partitions))
    what = {"REF": 2, "active": 5_000}

    lowered = energy_pj(activity(points=2, **what), spec)
    nominal = energy_pj(activity(**what), resolve(DramConfig()))

    for component in ("refresh", "active_standby"):
        assert lowered[component] == pytest.approx(nominal[component] * (15 + 0.5) / 16)


def test_energies_of_the_parts_of_a_run_add_up() -> None:
    dram = Dram(DramConfig(power_down_idle_cycles=100, ranks=2))
    dram.submit(0, 0, is_write=False, addresses=64 * np.arange(2_000), at_ps=0)
    dram.submit(1, 1, is_write=True, addresses=(1 << 24) + 64 * np.arange(2_000), at_ps=3_000_000)
    seen = []
    for time in (1_000_000, 4_000_000, 4_000_001, 20_000_000, 90_000_000):
        while dram.advance(time):
            pass
        seen.append(dram.activity(time))

    parts = energies_pj(ActivitySeries.of(seen).steps(), dram.spec)
    whole = energy_pj(seen[-1], dram.spec)

    assert {component: energy.sum() for component, energy in parts.items()} == pytest.approx(whole, rel=1e-12)
    assert all(value > 0 for value in whole.values())
