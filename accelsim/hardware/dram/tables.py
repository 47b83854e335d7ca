"""Turns a DRAM config into the tables that the kernels read, and builds their empty state."""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import ConfigError
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.address_map import build_decoder, parse_address_map
from accelsim.hardware.dram.constraints import COMMANDS, LEVELS, STANDARDS, latency_cycles
from accelsim.hardware.dram.device import Device, Geometry, load_device
from accelsim.hardware.dram.operating_points import PointMap, map_points, point_timings
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from accelsim.config.dram import DramConfig

_LOG_CAPACITY = 1 << 16
_FIRST_BIN_BITS = 6
_FIRST_OFFERS = 64


@dataclass(frozen=True)
class DramSpec:
    """A DRAM config worked out.

    Parameters
    ----------
    config, device, speed_bin
        What was asked for.
    geometry
        Geometry of the device on the bus in use.
    points
        Operating points by place.
    timings
        Timings in cycles at each operating point.
    address_map
        The address map, as `layout` lays it out.
    """

    config: DramConfig
    device: Device
    speed_bin: str | None
    geometry: Geometry
    points: PointMap
    timings: tuple[dict[str, int], ...]
    address_map: lo.Words

    @property
    def banks_per_rank(self) -> int:
        """Banks of a rank."""
        return self.geometry.bank_groups * self.geometry.banks_per_group

    @property
    def devices_per_rank(self) -> int:
        """Devices that make up the bus."""
        return self.geometry.bus_width_bits // self.geometry.device_width_bits

    @property
    def burst_bytes(self) -> int:
        """Bytes of one read or write."""
        return self.geometry.bus_width_bits * self.geometry.burst_length // BITS_PER_BYTE

    @property
    def row_bytes(self) -> int:
        """Bytes of a row over all devices of a rank."""
        return self.geometry.columns * self.geometry.bus_width_bits // BITS_PER_BYTE

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels and ranks."""
        return self.row_bytes * self.geometry.rows * self.banks_per_rank * self.config.ranks * self.config.channels


def resolve(config: DramConfig) -> DramSpec:
    """Work a config out.

    Raises
    ------
    ConfigError
        When device, bin, address map, refresh or a partition do not exist or do not fit together.
    """
    device, speed_bin = load_device(config.device, config.speed_bin)
    geometry = device.geometry
    if config.bus_width_bits is not None:
        width = config.bus_width_bits
        if width % geometry.device_width_bits or width & (width - 1):
            allowed = f"a power of two, multiple of {geometry.device_width_bits}"
            raise ConfigError("does not fit the device", key="bus_width_bits", value=width, allowed=allowed)
        geometry = geometry.model_copy(update={"bus_width_bits": width})
    if config.refresh == "per_bank" and not device.has_bank_refresh:
        raise ConfigError(
            "the device cannot refresh a single bank", key="refresh", value=config.refresh, allowed="all_bank, none"
        )
    points = map_points(config, device)
    nominal = device.timing_cycles(speed_bin)
    timings = tuple(point_timings(point, nominal, device.clock_ps) for point in points.points)
    address_map = parse_address_map(config.address_map, _field_widths(config, geometry))
    return DramSpec(config, device, speed_bin, geometry, points, timings, address_map)


def _field_widths(config: DramConfig, geometry: Geometry) -> dict[str, int]:
    """Bits of each field of an address; columns count bursts."""
    return {
        "channel": _bits(config.channels),
        "rank": _bits(config.ranks),
        "bank_group": _bits(geometry.bank_groups),
        "bank": _bits(geometry.banks_per_group),
        "row": _bits(geometry.rows),
        "column": _bits(geometry.columns // geometry.burst_length),
    }


def build_memory(spec: DramSpec, *, keep_log: bool, following: frozenset[str] | None = None) -> lo.Memory:
    """Build the arrays of a memory at power-up: all banks closed, the first refresh due after one interval.

    Parameters
    ----------
    spec
        The memory.
    keep_log
        Whether issued commands are written to the log.
    following
        Commands whose ready times are kept; those that the controller asks for under this config where left out.
    """
    channels = spec.config.channels
    first, rules = _compile_constraints(spec, following or _asked_for(spec))
    config = _config_vector(spec, first, keep_log=keep_log)
    entries = int(config[lo.CF_ENTRIES])
    bank_points, points = _compile_points(spec)
    channel = _zeros(channels, lo.N_CHANNEL)
    channel[:, lo.CH_FREE] = entries
    channel[:, lo.CH_CAND_TIME] = lo.NEVER
    rank = _build_ranks(spec)
    bank = _build_banks(spec, bank_points)
    channel[:, lo.CH_REFRESH_AT] = rank[:, lo.RK_REFRESH_AT].reshape(channels, -1).min(axis=1)
    if spec.config.power_down_idle_cycles is None:
        channel[:, lo.CH_NEXT] = channel[:, lo.CH_REFRESH_AT]
    entry = _zeros(channels * entries, lo.N_ENTRY)
    entry[:, lo.E_LIST_FREE] = np.arange(channels * entries)
    stats = _zeros(lo.N_STATS)
    stats[lo.G_BIN_BITS] = _FIRST_BIN_BITS
    return lo.Memory(
        config=config,
        rules=rules,
        points=points,
        decoder=build_decoder(spec.address_map, _field_widths(spec.config, spec.geometry)),
        channel=channel,
        rank=rank,
        bank=bank,
        entry=entry,
        ready=_zeros(lo.N_COMMANDS, bank.shape[0]),
        waiting=np.full((lo.N_WAITING, bank.shape[0]), lo.NEVER, np.int64),
        offers=_zeros(channels, _FIRST_OFFERS, lo.N_OFFER),
        ring=_zeros(channels, lo.N_RING),
        transfer=_zeros(16, lo.N_TRANSFER),
        stats=stats,
        log=_zeros(_LOG_CAPACITY if keep_log else 1, lo.N_LOG),
    )


def _build_ranks(spec: DramSpec) -> lo.Words:
    count = spec.config.channels * spec.config.ranks
    rank = _zeros(count, lo.N_RANK + lo.N_COMMANDS * len(spec.timings))
    every = _refresh_cycles(spec)
    rank[:, lo.RK_REFRESH_EVERY] = every
    rank[:, lo.RK_REFRESH_AT] = every
    if spec.config.refresh_staggered and spec.config.refresh != "none":
        rank[:, lo.RK_REFRESH_AT] = every * (np.arange(count) % spec.config.ranks + 1) // spec.config.ranks
    return rank


def _build_banks(spec: DramSpec, bank_points: lo.Words) -> lo.Words:
    index = np.arange(spec.config.channels * spec.config.ranks * spec.banks_per_rank)
    bank = _zeros(index.size, lo.N_BANK)
    bank[:, lo.BK_RANK] = index // spec.banks_per_rank
    bank[:, lo.BK_GROUP] = index // spec.geometry.banks_per_group
    bank[:, lo.BK_POINTS] = bank_points
    bank[:, [lo.BK_ROW, lo.BK_OPENER]] = -1
    bank[:, lo.BK_QUEUE :] = -1
    return bank


def _config_vector(spec: DramSpec, first: lo.Words, *, keep_log: bool) -> lo.Words:
    config, geometry, nominal = spec.config, spec.geometry, spec.timings[0]
    vector = _zeros(lo.N_CONFIG + 2 * len(spec.timings))
    values = {
        lo.CF_CHANNELS: config.channels,
        lo.CF_RANKS: config.ranks,
        lo.CF_BANKS: spec.banks_per_rank,
        lo.CF_GROUP_BANKS: geometry.banks_per_group,
        lo.CF_READ_SIZE: config.read_queue_entries,
        lo.CF_WRITE_SIZE: config.write_queue_entries,
        lo.CF_WRITE_HIGH: math.floor(config.write_drain_high * config.write_queue_entries),
        lo.CF_WRITE_LOW: math.ceil(config.write_drain_low * config.write_queue_entries),
        lo.CF_READ_LATENCY: nominal["CL"] + nominal["DQSCK"] + nominal["BL"],
        lo.CF_WRITE_LATENCY: nominal["CWL"] + nominal["DQSS"] + nominal["BL"],
        lo.CF_CLOSED: int(config.page_policy == "closed"),
        lo.CF_PER_BANK: int(config.refresh == "per_bank"),
        lo.CF_POWER_DOWN: config.power_down_idle_cycles or 0,
        lo.CF_LOG: int(keep_log),
        lo.CF_POINTS: len(spec.timings),
        lo.CF_STREAMS: 1,
        lo.CF_ROUND_ROBIN: int(config.scheduler == "bank_round_robin"),
        lo.CF_HIT_LIMIT: config.row_hit_limit,
        lo.CF_ENTRIES: config.read_queue_entries + config.write_queue_entries + config.ranks * spec.banks_per_rank,
        lo.CF_OFFSET_BITS: _bits(spec.burst_bytes),
        lo.CF_READ_TO_PRECHARGE: nominal["RTP"],
        lo.CF_WRITE_TO_PRECHARGE: nominal["CWL"] + nominal["DQSS"] + nominal["BL"] + nominal["WR"],
        lo.CF_REFRESH_CYCLES: nominal["RFC"],
        lo.CF_BANK_REFRESH_CYCLES: nominal["RFCPB"],
        lo.CF_BANK_BITS: _bits(config.channels * config.ranks * spec.banks_per_rank),
        lo.CF_CHANNEL_SHIFT: _bits(config.ranks * spec.banks_per_rank),
    }
    for index, value in values.items():
        vector[index] = value
    vector[lo.CF_FIRST : lo.CF_ROW_ACTIVE] = first
    vector[lo.CF_ROW_ACTIVE :] = [timings[name] for name in ("RAS", "RPAB") for timings in spec.timings]
    return vector


def _asked_for(spec: DramSpec) -> frozenset[str]:
    # An access with auto-precharge is bound by what binds the plain one, so its own ready times are never asked for.
    names = {"ACT", "PRE", "RD", "WR"}
    names |= {"all_bank": {"PREA", "REF"}, "per_bank": {"REFB"}, "none": set()}[spec.config.refresh]
    if spec.config.power_down_idle_cycles is not None:
        names |= {"PDE", "PDX"}
    return frozenset(names)


def _compile_constraints(spec: DramSpec, following: frozenset[str]) -> tuple[lo.Words, lo.Words]:
    """Rules by command and level; of several that bind the same the longest latency at each point counts."""
    latencies: dict[tuple[int, ...], tuple[int, ...]] = {}
    windowed_keys = itertools.count(1)
    for constraint in STANDARDS[spec.device.standard]:
        level = LEVELS.index(constraint.level)
        latency = tuple(latency_cycles(constraint.latency, timings) for timings in spec.timings)
        if max(latency) <= 0:
            continue
        if spec.config.ranks == 1:
            if constraint.sibling:
                continue
            level = max(level, LEVELS.index("rank"))  # what binds the channel binds its only rank
        for before, after in itertools.product(constraint.preceding, constraint.following):
            if after in following:
                number = next(windowed_keys) if constraint.window > 1 else 0  # each keeps a history of its own
                bound = COMMANDS.index(before) * 4 + level, COMMANDS.index(after)
                key = (*bound, constraint.window, int(constraint.sibling), number)
                latencies[key] = tuple(map(max, latency, latencies.get(key, latency)))
    rows = sorted((*key[:-1], 0, *latency) for key, latency in latencies.items() if not _is_implied(key, latencies))
    table = np.array(rows, np.int64)
    windowed = table[:, 1 + lo.R_WINDOW] > 1
    table[windowed, 1 + lo.R_SLOT] = np.arange(windowed.sum())
    first = np.searchsorted(table[:, 0], np.arange(4 * lo.N_COMMANDS + 1))
    return first, np.ascontiguousarray(table[:, 1:])


def _is_implied(key: tuple[int, ...], latencies: dict[tuple[int, ...], tuple[int, ...]]) -> bool:
    """Whether a rule for a wider level than a rule's own keeps the same command back for as long at least."""
    before, *rest = key
    for wider in range(before - before % len(LEVELS), before):
        found = latencies.get((wider, *rest))
        if found is not None and all(map(operator.ge, found, latencies[key])):
            return True
    return False


def _compile_points(spec: DramSpec) -> tuple[lo.Words, lo.Words]:
    first: list[int] = []
    runs: list[tuple[int, int]] = []
    for subarrays in spec.points.by_subarray:
        starts = np.flatnonzero(np.diff(subarrays, prepend=-1))
        first.append(len(runs))
        runs += [(int(start) * spec.geometry.rows_per_subarray, int(subarrays[start])) for start in starts]
    return np.array(first, np.int64), np.array([*runs, (0, 0)], np.int64)


def _refresh_cycles(spec: DramSpec) -> lo.Words:
    ranks = spec.config.channels * spec.config.ranks
    if spec.config.refresh == "none":
        return np.full(ranks, lo.NEVER, np.int64)
    interval = spec.timings[0]["REFIPB" if spec.config.refresh == "per_bank" else "REFI"]
    shares = spec.points.rank_shares(ranks) > 0
    multipliers = np.array([point.refresh_interval_multiplier for point in spec.points.points])
    rarest = np.where(shares, multipliers, np.iinfo(np.int64).max).min(axis=1)
    cycles: lo.Words = np.maximum(1, interval * rarest // spec.config.refresh_rate).astype(np.int64)
    return cycles


def _zeros(*shape: int) -> lo.Words:
    return np.zeros(shape, np.int64)


def _bits(size: int) -> int:
    return size.bit_length() - 1
