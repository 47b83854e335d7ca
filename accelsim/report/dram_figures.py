"""Figures of the DRAM, data first: banks, row buffers, power states, energy, bit errors and partitions.

They exist for a simulated memory only; an ideal one has no banks. `accelsim.report.dram_plots` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.config.dram import DramConfig
from accelsim.config.model import validate
from accelsim.errors import ConfigError
from accelsim.hardware.dram.device import Device, load_device
from accelsim.hardware.dram.power import COMPONENTS as ENERGY_ACTIONS
from accelsim.report.layer_figures import dram_bits_read, ordered
from accelsim.report.quantities import ratio
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from accelsim.config.dram import Partition, PartitionScope
    from accelsim.result import Profile, RunResult

BIT_FLIPS = "bits_flipped"
"""The count of `Profile.dram_banks` that is there only where bit errors are configured."""
_REST = "rest of the memory"


@dataclass(frozen=True)
class BankCounts:
    """How often one thing happened in every bank.

    Parameters
    ----------
    name
        What happened, as in `Profile.dram_banks`.
    counts
        One row per rank, with one entry per bank of the rank.
    """

    name: str
    counts: tuple[tuple[int, ...], ...]

    @property
    def total(self) -> int:
        """Sum over all banks."""
        return sum(map(sum, self.counts))


@dataclass(frozen=True)
class BankMap:
    """What happened in which bank.

    Parameters
    ----------
    ranks
        Names of the ranks: through all channels, rank by rank.
    bank_groups
        Bank groups of a rank; 1 where the device has none. Banks are counted through them.
    activity
        Activates and what became of the requests.
    flips
        Bits flipped; None where no bit errors are configured.
    """

    ranks: tuple[str, ...]
    banks_per_rank: int
    bank_groups: int
    activity: tuple[BankCounts, ...]
    flips: BankCounts | None


@dataclass(frozen=True)
class Shares:
    """Parts of a whole, in a fixed order."""

    parts: dict[str, int]

    @property
    def total(self) -> int:
        """The whole."""
        return sum(self.parts.values())

    def fraction(self, part: str) -> float:
        """Fraction of the whole that a part is; zero of nothing."""
        return ratio(self.parts[part], self.total)


@dataclass(frozen=True)
class DramEnergy:
    """Energy of the DRAM by action, in picojoules; actions that took none are left out.

    Parameters
    ----------
    pj_per_bit
        All of it over the bits that crossed the data bus.
    """

    energy_pj: dict[str, float]
    total_pj: float
    pj_per_bit: float


@dataclass(frozen=True)
class BitErrorSummary:
    """Bits that flipped and those that were read, in whole bursts."""

    table: str
    model: str
    module: str
    bits_flipped: int
    bits_read: int

    @property
    def flip_rate(self) -> float:
        """Flipped bits as a fraction of those read, from whatever partition."""
        return ratio(self.bits_flipped, self.bits_read)


@dataclass(frozen=True)
class PartitionPoint:
    """A partition and the point at which it runs; a figure that is None is the device's and not known here."""

    name: str
    scope: str
    vdd_v: float | None
    rcd_ps: int | None
    rp_ps: int | None
    ras_ps: int | None
    refresh_interval_multiplier: int


def memory_config(result: RunResult) -> DramConfig:
    """Read the memory of a run from its resolved config."""
    return validate(DramConfig, result.resolved_config.get("dram", {}), "config of the run", ConfigError)


def _device(config: DramConfig) -> tuple[Device, str | None] | None:
    """Load the device and its speed bin; None where the user's own file has gone since the run."""
    try:
        return load_device(config.device, config.speed_bin)
    except ConfigError:
        return None


def bank_map(result: RunResult, profile: Profile) -> BankMap | None:
    """Counts of every bank; None for an ideal memory."""
    if not profile.dram_banks:
        return None
    config = memory_config(result)
    counts = {name: BankCounts(name, tuple(map(tuple, grid.tolist()))) for name, grid in profile.dram_banks.items()}
    ranks, banks = next(iter(profile.dram_banks.values())).shape
    loaded = _device(config)
    return BankMap(
        ranks=_rank_names(ranks, config.ranks),
        banks_per_rank=banks,
        bank_groups=loaded[0].geometry.bank_groups if loaded else 1,
        activity=tuple(entry for name, entry in counts.items() if name != BIT_FLIPS),
        flips=counts.get(BIT_FLIPS),
    )


def _rank_names(count: int, ranks_per_channel: int) -> tuple[str, ...]:
    if ranks_per_channel == 1:
        return tuple(f"channel {index}" for index in range(count))
    if count == ranks_per_channel:
        return tuple(f"rank {index}" for index in range(count))
    return tuple(f"channel {index // ranks_per_channel}, rank {index % ranks_per_channel}" for index in range(count))


def row_buffer(result: RunResult) -> Shares:
    """What the requests found in the row buffer of their bank."""
    dram = result.dram
    return Shares({"row_hits": dram.row_hits, "row_misses": dram.row_misses, "row_conflicts": dram.row_conflicts})


def power_states(profile: Profile) -> Shares:
    """Picoseconds in each power state, over all ranks; those never entered are left out."""
    return Shares({state: time for state, time in profile.dram_state_ps.items() if time})


def dram_energy(result: RunResult, profile: Profile) -> DramEnergy:
    """Energy by action, in the order in which the power model names them."""
    energies = result.energy_pj["dram"]
    total = sum(energies.values())
    traffic = profile.dram_traffic
    moved = int(traffic["read_bytes"].sum() + traffic["write_bytes"].sum())
    return DramEnergy(
        energy_pj={action: energies[action] for action in ordered(energies, ENERGY_ACTIONS) if energies[action]},
        total_pj=total,
        pj_per_bit=ratio(total, moved * BITS_PER_BYTE),
    )


def bit_errors(result: RunResult, profile: Profile) -> BitErrorSummary | None:
    """How many of the bits read had flipped; None where no bit errors are configured."""
    config = memory_config(result)
    if config.bit_errors is None or BIT_FLIPS not in profile.dram_banks:
        return None
    return BitErrorSummary(
        table=config.bit_errors.table,
        model=config.bit_errors.model,
        module=config.bit_errors.module,
        bits_flipped=result.dram.bits_flipped,
        bits_read=dram_bits_read(result),
    )


def partition_points(result: RunResult) -> tuple[PartitionPoint, ...]:
    """Partitions of the memory after what the datasheet says; empty where the memory has none."""
    config = memory_config(result)
    if not config.partitions:
        return ()
    loaded = _device(config)
    if loaded is None:
        nominal = PartitionPoint("", _REST, None, None, None, None, 1)
    else:
        device, speed_bin = loaded
        cycles = device.timing_cycles(speed_bin)
        rcd, rp, ras = (cycles[name] * device.clock_ps for name in ("RCD", "RP", "RAS"))
        nominal = PartitionPoint("", _REST, device.nominal_v, rcd, rp, ras, 1)
    return (nominal, *(_partition_point(partition, nominal) for partition in config.partitions))


def _partition_point(partition: Partition, nominal: PartitionPoint) -> PartitionPoint:
    point = partition.operating_point
    return PartitionPoint(
        name=partition.name,
        scope=_scope_words(partition.scope),
        vdd_v=nominal.vdd_v if point.vdd_v is None else point.vdd_v,
        rcd_ps=nominal.rcd_ps if point.tRCD_ps is None else point.tRCD_ps,
        rp_ps=nominal.rp_ps if point.tRP_ps is None else point.tRP_ps,
        ras_ps=nominal.ras_ps if point.tRAS_ps is None else point.tRAS_ps,
        refresh_interval_multiplier=point.refresh_interval_multiplier,
    )


def _scope_words(scope: PartitionScope) -> str:
    """Say which part of the memory a partition covers."""
    places = {"channel": scope.channel, "rank": scope.rank, "bank": scope.bank}
    words = [f"{name} {number}" for name, number in places.items() if number is not None]
    if scope.first_subarray is not None:
        words.append(f"subarrays {scope.first_subarray} to {scope.last_subarray}")
    return ", ".join(words) or "whole memory"
