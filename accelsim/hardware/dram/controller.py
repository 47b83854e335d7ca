"""The DRAM of a machine, as the simulator sees it: transfers go in, completion times come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.activity import ActivitySeries, DramActivity
from accelsim.hardware.dram.kernel import run
from accelsim.hardware.dram.offers import offer
from accelsim.hardware.dram.tables import DramSpec, build_memory, resolve
from accelsim.units import PS_PER_S, ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.dram import DramConfig

MAX_STREAMS = 16
TOTALS = (lo.CH_HITS, lo.CH_MISSES, lo.CH_CONFLICTS, lo.CH_FORWARDED, lo.CH_MERGED)
"""Columns of the channels that a record of activity sums."""
RANK_STATES = lo.RK_ACTIVE_DOWN_SUM + 1
"""Columns of a rank, from the first on, that a record of activity needs beside the counts of commands."""


@dataclass(frozen=True)
class DramTraffic:
    """Bytes over time: bin `i` covers ``[i * bin_ps, (i + 1) * bin_ps)``."""

    bin_ps: int
    read_bytes: NDArray[np.int64]
    write_bytes: NDArray[np.int64]


@dataclass(frozen=True)
class BankActivity:
    """Counts per bank, each ``(channels * ranks, banks)``, for a heat map."""

    activates: NDArray[np.int64]
    row_hits: NDArray[np.int64]
    row_misses: NDArray[np.int64]
    row_conflicts: NDArray[np.int64]


class Dram:
    """A memory of one or more channels, simulated command by command.

    Parameters
    ----------
    config
        Device, policy and partitions.
    keep_commands
        Keep every issued command for `commands`.

    Notes
    -----
    A transfer is a list of bursts that one stream reads or writes. Transfers of a stream are accepted in their order,
    streams take turns, and a channel accepts one request per clock cycle as long as its queue has room. Time is
    picoseconds outside and cycles of the command clock inside; an event between two clock edges counts at the later
    one.
    """

    def __init__(self, config: DramConfig, *, keep_commands: bool = False) -> None:
        self.spec: DramSpec = resolve(config)
        self.clock_ps: int = self.spec.device.clock_ps
        self.burst_bytes: int = self.spec.burst_bytes
        self.capacity_bytes: int = self.spec.capacity_bytes
        self._keep_commands = keep_commands
        self._memory = build_memory(self.spec, keep_log=keep_commands)
        self._names: list[int] = [-1] * self._memory.transfer.shape[0]
        self._free_slots = list(range(len(self._names) - 1, -1, -1))
        self._at_power_up: lo.Memory | None = None
        self._simulated = 0
        self._log: list[NDArray[np.int64]] = []

    @property
    def peak_bandwidth_gb_per_s(self) -> float:
        """Bytes of the data buses of all channels at full rate, in 10^9 bytes per second."""
        burst_ps = self.spec.timings[0]["BL"] * self.clock_ps
        return self.spec.config.channels * self.burst_bytes * (PS_PER_S / 1e9) / burst_ps

    @property
    def busy(self) -> bool:
        """Whether any request is offered, queued or being served."""
        waiting = (lo.CH_OFFERED, lo.CH_READS, lo.CH_WRITES, lo.CH_OPENED)
        return bool(self._memory.channel[:, waiting].any())

    @property
    def offered(self) -> int:
        """Requests that have not been accepted into a queue yet."""
        return int(self._memory.channel[:, lo.CH_OFFERED].sum())

    def reset(self) -> None:
        """Begin anew, as if nothing had happened."""
        if self._at_power_up is None:
            self._at_power_up = build_memory(self.spec, keep_log=self._keep_commands)
        first = self._at_power_up
        state = {name: getattr(first, name).copy() for name in lo.STATE}
        self._memory = replace(first, **state)
        self._names = [-1] * self._memory.transfer.shape[0]
        self._free_slots = list(range(len(self._names) - 1, -1, -1))
        self._simulated = 0
        self._log = []

    def lend(self, offers: NDArray[np.int64], ring: NDArray[np.int64], transfer: NDArray[np.int64]) -> lo.Memory:
        """Hand the state to somebody who calls the kernels himself, before any transfer has been offered.

        Parameters
        ----------
        offers, ring, transfer
            Tables to be used instead of the small ones that this memory has to begin with.
        """
        memory = self._memory
        memory.offers, memory.ring, memory.transfer = offers, ring, transfer
        ring[:] = 0
        self._names = [-1] * len(transfer)
        return memory

    def prepare(self) -> None:
        """Compile the kernels, or load them from the cache, so that what follows takes only the time of simulating."""
        memory = self._memory
        nothing, never = np.zeros(0, np.int64), np.zeros(1, np.int64)
        offer(
            memory.config, memory.decoder, memory.channel, memory.offers, memory.ring, memory.transfer.copy(),
            memory.stats.copy(), nothing, never, 0, 0, never,
        )  # fmt: skip
        self._run(0, stop=False, drain=False)

    def submit(
        self,
        transfer: int,
        stream: int,
        is_write: bool | NDArray[np.bool_],  # noqa: FBT001 - reads and writes differ in nothing else
        addresses: NDArray[np.int64],
        at_ps: int | NDArray[np.int64],
    ) -> None:
        """Offer a transfer.

        Parameters
        ----------
        transfer
            Number by which `advance` reports the completion.
        stream
            Stream, below `MAX_STREAMS`, whose transfers are accepted in order.
        is_write
            Whether the bursts are written; one value, or one per burst.
        addresses
            Byte addresses of the bursts in their order, aligned to `burst_bytes`; at least one.
        at_ps
            Time from which the bursts are offered, not before what has been simulated; one time, or one per burst.

        Raises
        ------
        ValueError
            When the transfer is empty, its stream unknown or its time has been simulated already.
        """
        if addresses.size == 0 or not 0 <= stream < MAX_STREAMS:
            message = f"transfer {transfer} of stream {stream} with {addresses.size} bursts"
            raise ValueError(message)
        start = -(-np.atleast_1d(np.asarray(at_ps, np.int64)) // self.clock_ps)
        if start[0] < self._simulated:
            message = f"transfer {transfer} at {at_ps} ps, but cycle {self._simulated} is next"
            raise ValueError(message)
        self._reserve(stream, addresses.size)
        slot = self._take_slot(transfer)
        memory = self._memory
        offer(
            memory.config, memory.decoder, memory.channel, memory.offers, memory.ring, memory.transfer, memory.stats,
            np.ascontiguousarray(addresses, np.int64), start, stream, slot, np.atleast_1d(is_write).astype(np.int64),
        )  # fmt: skip

    def advance(self, until_ps: int) -> list[tuple[int, int]]:
        """Simulate the cycles that begin before `until_ps`, or fewer: none from which on a transfer is complete.

        Returns
        -------
        list of (transfer, completion_ps)
            In the order in which their completions were known. A read completes when its last data has arrived, which
            may lie beyond the simulated cycles; a write when its last burst has been accepted into the write queue.
        """
        self._run(ceil_div(until_ps, self.clock_ps), stop=True, drain=False)
        return self._collect()

    def finish(self) -> int:
        """Serve everything that has been offered; return the time of the last data beat in picoseconds."""
        self._run(lo.NEVER, stop=False, drain=True)
        self._collect()
        return int(self._memory.channel[:, lo.CH_LAST_DATA].max()) * self.clock_ps

    def activity(self, at_ps: int) -> DramActivity:
        """What has happened until `at_ps`, a time that has been simulated."""
        ranks, totals = self.counters()
        return self.activities(np.array([at_ps]), ranks[None], totals[None])[0]

    def counters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """State of the ranks and totals at present, as `activities` takes them for one time."""
        memory = self._memory
        totals = memory.channel[:, list(TOTALS)].sum(axis=0)
        return memory.rank[:, self._kept_columns], np.append(totals, memory.bank[:, lo.BK_ACTS].sum())

    @property
    def _kept_columns(self) -> list[int]:
        return [*range(RANK_STATES), *range(lo.RK_COUNTS, self._memory.rank.shape[1])]

    @property
    def rank_shape(self) -> tuple[int, int]:
        """Ranks, and the columns of each that `activities` asks for."""
        return len(self._memory.rank), len(self._kept_columns)

    def activities(
        self, times_ps: NDArray[np.int64], ranks: NDArray[np.int64], totals: NDArray[np.int64]
    ) -> ActivitySeries:
        """What has happened until each of several times.

        Parameters
        ----------
        times_ps
            Times up to which the memory had been simulated when the rest was noted.
        ranks
            The ranks then, ``(times, ranks, columns)``: the first `RANK_STATES` columns and the counts of commands.
        totals
            Sums of the columns `TOTALS` over the channels, and behind them the activates of all banks.
        """
        clock, at_ps = self.clock_ps, times_ps[:, None]
        is_open = ranks[:, :, lo.RK_OPEN] > 0
        end = np.where(is_open, at_ps, np.minimum(at_ps, ranks[:, :, lo.RK_ACTIVE_TO] * clock))
        active = ranks[:, :, lo.RK_ACTIVE_SUM] * clock + np.maximum(0, end - ranks[:, :, lo.RK_ACTIVE_FROM] * clock)
        state = ranks[:, :, lo.RK_DOWN]
        down = np.where(state > 0, np.maximum(0, at_ps - ranks[:, :, lo.RK_DOWN_FROM] * clock), 0)
        precharged_down = ranks[:, :, lo.RK_DOWN_SUM] * clock + np.where(state == 1, down, 0)
        active_down = ranks[:, :, lo.RK_ACTIVE_DOWN_SUM] * clock + np.where(state == 2, down, 0)
        commands = ranks[:, :, RANK_STATES:].reshape(*ranks.shape[:2], -1, lo.N_COMMANDS).copy()
        moved = commands.sum(axis=(1, 2)) * self.burst_bytes
        return ActivitySeries(
            time_ps=times_ps,
            commands=commands,
            active_ps=active - active_down,
            precharged_ps=at_ps - active - precharged_down,
            active_down_ps=active_down,
            precharged_down_ps=precharged_down,
            row_hits=totals[:, 0],
            row_misses=totals[:, 1],
            row_conflicts=totals[:, 2],
            read_bytes=moved[:, lo.RD] + moved[:, lo.RDA],
            write_bytes=moved[:, lo.WR] + moved[:, lo.WRA],
            precharged_banks=totals[:, 5] - ranks[:, :, lo.RK_OPEN].sum(axis=1),
            forwarded=totals[:, 3],
            merged=totals[:, 4],
        )

    def traffic(self) -> DramTraffic:
        """Bytes over time; the bins double in width when the run outgrows them."""
        stats = self._memory.stats
        read, write = stats[lo.G_TRAFFIC :].reshape(2, lo.TRAFFIC_BINS) * self.burst_bytes
        return DramTraffic(self.clock_ps << int(stats[lo.G_BIN_BITS]), read, write)

    def bank_activity(self) -> BankActivity:
        """Activates, hits, misses and conflicts of every bank."""
        columns = (lo.BK_ACTS, lo.BK_HITS, lo.BK_MISSES, lo.BK_CONFLICTS)
        shape = (-1, self.spec.banks_per_rank)
        return BankActivity(*(self._memory.bank[:, column].reshape(shape).copy() for column in columns))

    def read_latencies(self) -> NDArray[np.int64]:
        """Number of reads by latency in cycles, from acceptance to the last data beat; the last bin holds all above."""
        return self._memory.stats[lo.G_LATENCIES : lo.G_TRAFFIC].copy()

    def commands(self) -> NDArray[np.int64]:
        """Issued commands, ``(commands, layout.N_LOG)``, in order of their cycles."""
        self._flush_log()
        return np.concatenate(self._log) if self._log else np.zeros((0, lo.N_LOG), np.int64)

    def channel_counters(self) -> NDArray[np.int64]:
        """Raw counters of the channels, ``(channels, layout.N_CHANNEL)``."""
        return self._memory.channel.copy()

    def _run(self, until: int, *, stop: bool, drain: bool) -> None:
        memory = self._memory
        while run(
            memory.config, memory.rules, memory.points, memory.channel, memory.rank, memory.bank, memory.entry,
            memory.ready, memory.waiting, memory.offers, memory.ring, memory.transfer, memory.stats, memory.log,
            until, int(stop), int(drain),
        ) == lo.LOG_FULL:  # fmt: skip
            self._flush_log()
        done = memory.transfer[: memory.stats[lo.G_DONE], lo.T_LIST_DONE]
        if stop and done.size:
            until = min(until, int(memory.transfer[done, lo.T_END].min()))
        self._simulated = max(self._simulated, min(until, int(memory.channel[:, lo.CH_NEXT].min())))

    def _flush_log(self) -> None:
        logged = int(self._memory.stats[lo.G_LOGGED])
        if logged:
            self._log.append(self._memory.log[:logged].copy())
        self._memory.stats[lo.G_LOGGED] = 0

    def _collect(self) -> list[tuple[int, int]]:
        memory = self._memory
        count = int(memory.stats[lo.G_DONE])
        if not count:
            return []
        memory.stats[lo.G_DONE] = 0
        slots = memory.transfer[:count, lo.T_LIST_DONE].tolist()
        self._free_slots += slots
        times = (memory.transfer[slots, lo.T_END] * self.clock_ps).tolist()
        return [(self._names[slot], time) for slot, time in zip(slots, times, strict=True)]

    def _take_slot(self, transfer: int) -> int:
        memory = self._memory
        if not self._free_slots:
            size = len(self._names)
            memory.transfer = np.concatenate([memory.transfer, np.zeros_like(memory.transfer)])
            self._names += [-1] * size
            self._free_slots = list(range(2 * size - 1, size - 1, -1))
        slot = self._free_slots.pop()
        self._names[slot] = transfer
        return slot

    def _reserve(self, stream: int, bursts: int) -> None:
        """Make room for more requests of a stream, and for the stream itself where it is a new one."""
        memory = self._memory
        channels, streams = self.spec.config.channels, int(memory.config[lo.CF_STREAMS])
        if stream < streams:
            needed = int(memory.ring[stream::streams, lo.RG_COUNT].max()) + bursts
        else:
            needed = max(bursts, memory.offers.shape[1])
        capacity = memory.offers.shape[1]
        if stream < streams and needed <= capacity:
            return
        while capacity < needed:
            capacity *= 2
        grown = np.zeros((channels, max(streams, stream + 1), capacity, lo.N_OFFER), np.int64)
        ring = np.zeros((channels, grown.shape[1], lo.N_RING), np.int64)
        for index, (first, count) in enumerate(memory.ring.tolist()):
            place = divmod(index, streams)
            kept = np.take(memory.offers[index], np.arange(first, first + count), axis=0, mode="wrap")
            grown[place][:count] = kept
            ring[place] = (0, count)
        memory.config[lo.CF_STREAMS] = grown.shape[1]
        memory.offers = grown.reshape(-1, capacity, lo.N_OFFER)
        memory.ring = ring.reshape(-1, lo.N_RING)
