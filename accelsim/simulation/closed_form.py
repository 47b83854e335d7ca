"""Estimates a run without simulating it: a closed form per stage, for searches that look at many machines.

Per stage the array or vector unit computes for as long as the mapping says, while the DRAM moves the stage's bursts at
its peak bandwidth, less what refreshes take; the longer of the two counts. Before it lies what nothing can overlap: the
first tile of what the stage before has made, and the latency of the memory; behind the last stage lies its last drain.
What is left out is what events decide: row conflicts, turns of the bus, full queues and buffers, drains that wait. The
error of all that is measured per study, never assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram.activity import ActivitySeries, DramActivity
from accelsim.hardware.dram.constraints import COMMANDS
from accelsim.hardware.dram.controller import Dram
from accelsim.simulation.machine import STALL_OF_OPERAND, StageTiming
from accelsim.simulation.simulator import Simulation, build_memory
from accelsim.simulation.trace import Trace
from accelsim.units import BYTES_PER_GB, PS_PER_NS, PS_PER_S, ceil_div

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.hardware.dram.tables import DramSpec
    from accelsim.hardware.ideal_memory import IdealMemory
    from accelsim.mapping.address_pattern import AddressPattern
    from accelsim.mapping.tile_graph import StageTiles


def estimate_stages(stages: Sequence[StageTiles], hardware: HardwareConfig) -> Simulation:
    """Estimate a run of the stages of a network.

    Parameters
    ----------
    stages
        Tile graphs in order of execution.
    hardware
        The machine.

    Returns
    -------
    Simulation
        With times, stalls and DRAM activity; without phases and occupancies, which only events have.
    """
    memory = build_memory(hardware)
    pipe = _Pipe.of(memory, hardware)
    clock = hardware.pe_array.clock
    timings, traffic = [], []
    cycle = 0
    for number, stage in enumerate(stages):
        moved = _Traffic.of(stage, memory)
        own = stage.own_stalls
        compute = int(stage.compute_cycles.sum())
        if stage.loads is not None:
            compute -= int(stage.loads.exposed_cycles.sum())
        busy = compute + sum(own.values())
        dram = clock.cycle_at(max(pipe.time_ps(moved.bursts), _link_ps(moved.host_bytes, hardware)))
        first_ps = pipe.time_ps(moved.first_bursts) + (pipe.latency_ps if moved.first_bursts else 0)
        begin = clock.cycle_at(max(first_ps, _link_ps(moved.first_host_bytes, hardware)))
        last_ps = max(pipe.time_ps(moved.last_bursts), _link_ps(moved.last_host_bytes, hardware))
        end = clock.cycle_at(last_ps) if number == len(stages) - 1 else 0
        stall = max(dram - busy, 0)
        # the first tile is part of the traffic: where the DRAM is the longer of the two, it has been counted
        wait = max(begin - stall, 0)
        causes = own | ({moved.cause: stall + wait} if stall + wait else {})
        cycle += busy + stall + wait
        timings.append(StageTiming(end_cycle=cycle, compute_cycles=compute, stalls=causes))
        traffic.append(moved)
        cycle_at_end = cycle + end
    end_ps = clock.ps_of(cycle_at_end)
    return Simulation(
        timings=tuple(timings),
        end_cycle=cycle_at_end,
        end_ps=end_ps,
        dram_activity=_activities(
            [clock.ps_of(entry.end_cycle) for entry in timings[:-1]] + [end_ps], traffic, memory.spec
        )
        if isinstance(memory, Dram)
        else None,
        reads=sum(entry.read_bursts for entry in traffic),
        writes=sum(entry.written_bursts for entry in traffic),
        trace=Trace(memory.burst_bytes),
        occupancy={},
        memory=memory,
    )


@dataclass(frozen=True)
class _Pipe:
    """The memory as a bandwidth and a latency."""

    bytes_per_s: float
    burst_bytes: int
    latency_ps: int

    @classmethod
    def of(cls, memory: Dram | IdealMemory, hardware: HardwareConfig) -> _Pipe:
        if not isinstance(memory, Dram):
            config = hardware.dram
            rate = np.inf if config.ideal_bandwidth_gb_per_s is None else config.ideal_bandwidth_gb_per_s * BYTES_PER_GB
            return cls(float(rate), memory.burst_bytes, round(config.ideal_latency_ns * PS_PER_NS))
        spec = memory.spec
        timings = spec.timings[0]
        rate = memory.peak_bandwidth_gb_per_s * BYTES_PER_GB * (1 - _refreshing_share(spec))
        latency = (timings["RCD"] + timings["CL"] + timings["BL"]) * memory.clock_ps
        return cls(rate, memory.burst_bytes, latency)

    def time_ps(self, bursts: int) -> int:
        """Time that bursts take at full rate."""
        return round(bursts * self.burst_bytes / self.bytes_per_s * PS_PER_S)


def _link_ps(size_bytes: int, hardware: HardwareConfig) -> int:
    """Time that bytes take over the link to a host."""
    rate = hardware.host.bandwidth_gb_per_s
    if not size_bytes or rate is None:
        return 0
    return round((size_bytes / (rate * BYTES_PER_GB)) * PS_PER_S + (hardware.host.latency_ns or 0) * PS_PER_NS)


def _refreshing_share(spec: DramSpec) -> float:
    """Share of the time in which refreshes of whole ranks keep a rank from serving."""
    if spec.config.refresh != "all_bank":
        return 0.0
    timings = spec.timings[0]
    return timings["RFC"] * spec.config.refresh_rate / timings["REFI"]


@dataclass(frozen=True)
class _Traffic:
    """What a stage moves between DRAM and chip, in bursts.

    Parameters
    ----------
    read_bursts, written_bursts
        All of it.
    activates
        Rows opened, if every run of bytes opens each of its rows once.
    first_bursts
        Its first feature-map tile, which has to wait for the stage before.
    last_bursts
        Its last result.
    host_bytes, first_host_bytes, last_host_bytes
        The same for what a host has; of all, what goes into the busier direction.
    cause
        Stream that moves most, to which waiting is charged.
    """

    read_bursts: int
    written_bursts: int
    activates: int
    first_bursts: int
    last_bursts: int
    host_bytes: int
    first_host_bytes: int
    last_host_bytes: int
    cause: str

    @classmethod
    def of(cls, stage: StageTiles, memory: Dram | IdealMemory) -> _Traffic:
        burst = memory.burst_bytes
        row = memory.spec.row_bytes * memory.spec.config.channels if isinstance(memory, Dram) else burst
        whole = {
            STALL_OF_OPERAND.get(tiles.operand, f"{tiles.operand}_fetch"): tiles.fetch
            for tiles in (*stage.inputs, stage.output.tiles)
        }
        whole["ofmap_drain"] = stage.output.drain
        patterns = {cause: pattern.in_dram for cause, pattern in whole.items()}
        at_host = {cause: pattern.host_tile_bytes for cause, pattern in whole.items()}
        sent = int(at_host["ofmap_drain"].sum())
        received = sum(int(sizes.sum()) for sizes in at_host.values()) - sent
        bursts = {cause: int(_pieces_of(pattern, burst).sum()) for cause, pattern in patterns.items()}
        rows = sum(int(_pieces_of(pattern, row).sum()) for pattern in patterns.values())
        written = bursts["ofmap_drain"]
        first = patterns.get("ifmap_fetch")
        return cls(
            read_bursts=sum(bursts.values()) - written,
            written_bursts=written,
            activates=min(rows, sum(bursts.values())),
            first_bursts=0 if first is None else _bursts_of_tile(first, 0, burst),
            last_bursts=_bursts_of_tile(patterns["ofmap_drain"], -1, burst),
            host_bytes=max(sent, received),
            first_host_bytes=int(at_host["ifmap_fetch"][:1].sum()) if "ifmap_fetch" in at_host else 0,
            last_host_bytes=int(at_host["ofmap_drain"][-1:].sum()),
            cause=max(bursts, key=lambda cause: bursts[cause] + int(at_host[cause].sum()) // burst),
        )

    @property
    def bursts(self) -> int:
        """All bursts."""
        return self.read_bursts + self.written_bursts


def _pieces_of(pattern: AddressPattern, size: int) -> NDArray[np.int64]:
    """Per run the pieces of `size` bytes that carry it, if it begins at one; runs closer than that share pieces."""
    runs = pattern.runs
    span = (runs["inner_count"] - 1) * runs["inner_stride"] + runs["run_bytes"]
    close = runs["inner_stride"] < size
    separate = runs["inner_count"] * -(-runs["run_bytes"] // size)
    pieces: np.ndarray[tuple[int], np.dtype[np.int64]] = runs["outer_count"] * np.where(
        close, -(-span // size), separate
    )
    return pieces


def _bursts_of_tile(pattern: AddressPattern, tile: int, burst: int) -> int:
    tiles = len(pattern.offsets) - 1
    if not tiles:
        return 0
    number = tile % tiles
    begin, end = int(pattern.offsets[number]), int(pattern.offsets[number + 1])
    return int(_pieces_of(pattern, burst)[begin:end].sum())


def _activities(ends_ps: Sequence[int], traffic: Sequence[_Traffic], spec: DramSpec) -> ActivitySeries:
    """What the DRAM has done by the end of each stage: counts by operating point, time by state."""
    ranks = spec.config.channels * spec.config.ranks
    shares = spec.points.rank_shares(ranks) / ranks
    interval_ps = spec.timings[0]["REFI"] * spec.device.clock_ps
    activities = []
    read = written = opened = 0
    for end_ps, moved in zip(ends_ps, traffic, strict=True):
        read, written, opened = read + moved.read_bursts, written + moved.written_bursts, opened + moved.activates
        commands = np.zeros((*shares.shape, len(COMMANDS)), np.int64)
        for command, count in (("ACT", opened), ("PRE", opened), ("RD", read), ("WR", written)):
            commands[:, :, COMMANDS.index(command)] = np.rint(shares * count)
        if spec.config.refresh != "none":
            per_bank = spec.config.refresh == "per_bank"
            refreshes = end_ps * spec.config.refresh_rate // interval_ps * (spec.banks_per_rank if per_bank else 1)
            commands[:, 0, COMMANDS.index("REFB" if per_bank else "REF")] = refreshes
        is_open = np.full(ranks, end_ps if spec.config.page_policy == "open" else 0, np.int64)
        if spec.config.page_policy == "closed":
            busy_ps = (read + written) * spec.timings[0]["BL"] * spec.device.clock_ps
            is_open[:] = min(ceil_div(busy_ps, spec.config.channels), end_ps)
        none = np.zeros(ranks, np.int64)
        activities.append(
            DramActivity(
                time_ps=end_ps, commands=commands, active_ps=is_open, precharged_ps=end_ps - is_open,
                active_down_ps=none, precharged_down_ps=none,
                row_hits=read + written - opened, row_misses=opened, row_conflicts=0,
                read_bytes=read * spec.burst_bytes, write_bytes=written * spec.burst_bytes,
                precharged_banks=opened, forwarded=0, merged=0,
            )
        )  # fmt: skip
    return ActivitySeries.of(activities)
