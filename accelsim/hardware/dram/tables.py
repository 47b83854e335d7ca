"""Turns a DRAM config into the tables that the kernels read, and builds their empty state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import ConfigError
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.address_map import AddressMap, parse_address_map
from accelsim.hardware.dram.constraints import COMMANDS, LEVELS, STANDARDS, latency_cycles
from accelsim.hardware.dram.device import Device, Geometry, load_device
from accelsim.hardware.dram.operating_points import PointMap, map_points, point_timings
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from accelsim.config.dram import DramConfig

_LOG_CAPACITY = 1 << 16


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
        The address map.
    """

    config: DramConfig
    device: Device
    speed_bin: str | None
    geometry: Geometry
    points: PointMap
    timings: tuple[dict[str, int], ...]
    address_map: AddressMap

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
    widths = {
        "channel": _bits(config.channels),
        "rank": _bits(config.ranks),
        "bank_group": _bits(geometry.bank_groups),
        "bank": _bits(geometry.banks_per_group),
        "row": _bits(geometry.rows),
        "column": _bits(geometry.columns // geometry.burst_length),
    }
    address_map = parse_address_map(config.address_map, widths)
    return DramSpec(config, device, speed_bin, geometry, points, timings, address_map)


def build_tables(spec: DramSpec, streams: int, *, keep_log: bool) -> lo.Tables:
    """Compile the tables of the kernels.

    Parameters
    ----------
    spec
        The memory.
    streams
        Number of request streams.
    keep_log
        Whether issued commands are written to the log.
    """
    config, geometry = spec.config, spec.geometry
    ranks, banks = config.channels * config.ranks, spec.banks_per_rank
    bank = np.arange(ranks * banks)
    first, following, window, sibling, slot, latency = _compile_constraints(spec)
    point_first, point_row, point = _compile_points(spec)
    return lo.Tables(
        config=_config_vector(spec, streams, keep_log=keep_log),
        first=first,
        following=following,
        window=window,
        sibling=sibling,
        slot=slot,
        latency=latency,
        bank_rank=bank // banks,
        bank_group=bank // geometry.banks_per_group,
        refresh_cycles=_refresh_cycles(spec),
        row_active=np.array([timings["RAS"] for timings in spec.timings], np.int64),
        point_first=point_first,
        point_row=point_row,
        point=point,
        slices=spec.address_map.slices,
        xors=spec.address_map.xors,
    )


def build_state(spec: DramSpec, tables: lo.Tables, *, keep_log: bool) -> lo.State:
    """Build the state at power-up: all banks closed, first refresh due after one interval."""
    config = spec.config
    channels, ranks = config.channels, config.channels * config.ranks
    banks = ranks * spec.banks_per_rank
    channel_banks = banks // channels
    entries = int(tables.config[lo.CF_ENTRIES])
    slots = max(1, int(tables.slot.max(initial=-1)) + 1)
    state = lo.State(
        channel=_zeros(channels, lo.N_CHANNEL),
        rank=_zeros(ranks, lo.N_RANK),
        bank=_zeros(banks, lo.N_BANK),
        queue=np.full((banks * 2, lo.N_QUEUE), -1, np.int64),
        entry=_zeros(channels * entries, lo.N_ENTRY),
        transfer=_zeros(16, lo.N_TRANSFER),
        common=_zeros(lo.N_COMMON),
        free=np.arange(channels * entries, dtype=np.int64).reshape(channels, entries),
        pending=_zeros(channels * 2, channel_banks),
        opened=_zeros(channels, channel_banks),
        ready_channel=_zeros(channels, lo.N_COMMANDS),
        ready_rank=_zeros(ranks, lo.N_COMMANDS),
        ready_group=_zeros(ranks * spec.geometry.bank_groups, lo.N_COMMANDS),
        ready_bank=_zeros(banks, lo.N_COMMANDS),
        history=_zeros(ranks, slots, lo.WINDOW_SLOTS),
        history_at=_zeros(ranks, slots),
        write_filter=_zeros(channels, lo.FILTER_SLOTS),
        offers=_zeros(channels * int(tables.config[lo.CF_STREAMS]), 64, lo.N_OFFER),
        offer_first=_zeros(channels * int(tables.config[lo.CF_STREAMS])),
        offer_count=_zeros(channels * int(tables.config[lo.CF_STREAMS])),
        counts=_zeros(ranks, len(spec.timings), lo.N_COMMANDS),
        latencies=_zeros(lo.LATENCY_BINS),
        traffic=_zeros(2, lo.TRAFFIC_BINS),
        done=_zeros(16),
        log=_zeros(_LOG_CAPACITY if keep_log else 1, lo.N_LOG),
    )
    state.bank[:, [lo.BK_ROW, lo.BK_ACTIVE]] = -1
    state.channel[:, lo.CH_FREE] = entries
    state.channel[:, lo.CH_CAND_TIME] = lo.NEVER
    state.common[lo.G_BIN_CYCLES] = 64
    state.rank[:, lo.RK_REFRESH_AT] = _first_refresh(spec, tables)
    state.channel[:, lo.CH_REFRESH_AT] = state.rank[:, lo.RK_REFRESH_AT].reshape(channels, -1).min(axis=1)
    state.channel[:, lo.CH_NEXT] = state.channel[:, lo.CH_REFRESH_AT]
    if config.power_down_idle_cycles is not None:
        state.channel[:, lo.CH_NEXT] = 0
    return state


def _config_vector(spec: DramSpec, streams: int, *, keep_log: bool) -> lo.Words:
    config, geometry, nominal = spec.config, spec.geometry, spec.timings[0]
    vector = _zeros(lo.N_CONFIG)
    values = {
        lo.CF_CHANNELS: config.channels,
        lo.CF_RANKS: config.ranks,
        lo.CF_GROUPS: geometry.bank_groups,
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
        lo.CF_OPS: len(spec.timings),
        lo.CF_STREAMS: streams,
        lo.CF_ROUND_ROBIN: int(config.scheduler == "bank_round_robin"),
        lo.CF_HIT_LIMIT: config.row_hit_limit,
        lo.CF_ENTRIES: config.read_queue_entries + config.write_queue_entries + config.ranks * spec.banks_per_rank,
        lo.CF_OFFSET_BITS: _bits(spec.burst_bytes),
        lo.CF_READ_TO_PRECHARGE: nominal["RTP"],
        lo.CF_WRITE_TO_PRECHARGE: nominal["CWL"] + nominal["DQSS"] + nominal["BL"] + nominal["WR"],
        lo.CF_REFRESH_CYCLES: nominal["RFC"],
        lo.CF_BANK_REFRESH_CYCLES: nominal["RFCPB"],
    }
    for index, value in values.items():
        vector[index] = value
    return vector


def _compile_constraints(spec: DramSpec) -> tuple[lo.Words, ...]:
    rows: list[tuple[int, int, int, int, tuple[int, ...]]] = []
    for constraint in STANDARDS[spec.device.standard]:
        level = LEVELS.index(constraint.level)
        latency = tuple(latency_cycles(constraint.latency, timings) for timings in spec.timings)
        if max(latency) <= 0:
            continue
        rows += [
            (COMMANDS.index(before) * 4 + level, COMMANDS.index(after), constraint.window, int(constraint.sibling), latency)
            for before in constraint.preceding
            for after in constraint.following
        ]
    rows.sort()
    keys = np.array([row[0] for row in rows])
    windowed = [index for index, row in enumerate(rows) if row[2] > 1]
    slot = np.full(len(rows), -1, np.int64)
    slot[windowed] = np.arange(len(windowed))
    return (
        np.searchsorted(keys, np.arange(lo.N_COMMANDS * 4 + 1)).astype(np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.int64),
        slot,
        np.array([row[4] for row in rows], np.int64),
    )


def _compile_points(spec: DramSpec) -> tuple[lo.Words, lo.Words, lo.Words]:
    first, row, point = [0], [], []
    for subarrays in spec.points.by_subarray:
        starts = np.flatnonzero(np.diff(subarrays, prepend=-1))
        row += list(starts * spec.geometry.rows_per_subarray)
        point += list(subarrays[starts])
        first.append(len(row))
    return np.array(first, np.int64), np.array(row, np.int64), np.array(point, np.int64)


def _refresh_cycles(spec: DramSpec) -> lo.Words:
    ranks = spec.config.channels * spec.config.ranks
    if spec.config.refresh == "none":
        return np.full(ranks, lo.NEVER, np.int64)
    interval = spec.timings[0]["REFIPB" if spec.config.refresh == "per_bank" else "REFI"]
    shares = spec.points.rank_shares(ranks) > 0
    multipliers = np.array([point.refresh_interval_multiplier for point in spec.points.points])
    rarest = np.where(shares, multipliers, np.iinfo(np.int64).max).min(axis=1)
    return np.maximum(1, interval * rarest // spec.config.refresh_rate).astype(np.int64)


def _first_refresh(spec: DramSpec, tables: lo.Tables) -> lo.Words:
    every = tables.refresh_cycles
    if not spec.config.refresh_staggered or spec.config.refresh == "none":
        return every.copy()
    rank = np.arange(every.size) % spec.config.ranks
    return every * (rank + 1) // spec.config.ranks


def _zeros(*shape: int) -> lo.Words:
    return np.zeros(shape, np.int64)


def _bits(size: int) -> int:
    return size.bit_length() - 1
