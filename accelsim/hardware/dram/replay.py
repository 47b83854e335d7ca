"""Replays a memory trace through the DRAM controller and reports what happened."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.atomic_file import written_whole
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.power import energy_pj
from accelsim.hardware.dram.trace_file import MemoryTrace, read_trace
from accelsim.units import bandwidth_gb_per_s, ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.dram import DramConfig
    from accelsim.hardware.dram.activity import DramActivity
    from accelsim.hardware.dram.controller import BankActivity, DramTraffic
    from accelsim.hardware.dram.tables import DramSpec


@dataclass(frozen=True)
class LatencyCycles:
    """Read latency from acceptance into the queue to the last data beat, in clock cycles."""

    mean: float
    p50: int
    p99: int
    max: int


@dataclass(frozen=True)
class ReplayResult:
    """What a trace did to a memory.

    Parameters
    ----------
    cycles_accepted
        Cycle in which the last request entered a queue.
    cycles
        Cycle in which the last one was completed.
    requests
        Requests of the trace.
    row_hits, row_misses, row_conflicts
        Requests by the state of their bank at their first command; requests answered or merged by a queued write are
        none.
    forwarded, merged
        Reads answered by a queued write, writes merged into one.
    commands
        Commands issued; ``PRE`` counts banks closed by a command or with an access, ``REF`` refreshes of ranks or
        banks.
    energy_pj
        By component, and ``total``.
    bandwidth_gb_per_s
        Bytes of all requests over the time until the last one was completed.
    kernel_s
        Wall time of the simulation alone, kernels compiled before.
    activity, banks, traffic, command_log, spec
        The data behind it; not part of the JSON form.
    """

    cycles_accepted: int
    cycles: int
    requests: int
    row_hits: int
    row_misses: int
    row_conflicts: int
    forwarded: int
    merged: int
    read_latency_cycles: LatencyCycles
    commands: dict[str, int]
    energy_pj: dict[str, float]
    bandwidth_gb_per_s: float
    clock_ps: int
    kernel_s: float
    activity: DramActivity = field(repr=False, compare=False)
    banks: BankActivity = field(repr=False, compare=False)
    traffic: DramTraffic = field(repr=False, compare=False)
    spec: DramSpec = field(repr=False, compare=False)
    command_log: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        hidden = ("activity", "banks", "traffic", "spec", "command_log")
        record = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in hidden}
        return record | {"read_latency_cycles": asdict(self.read_latency_cycles)}


def replay_trace(
    trace: MemoryTrace | Path | str, config: DramConfig, *, commands_path: Path | str | None = None
) -> ReplayResult:
    """Replay a trace: requests are offered in order, one per cycle and channel, as long as the queues have room.

    Parameters
    ----------
    trace
        The requests, or a file of them.
    config
        The memory.
    commands_path
        Where to write the issued commands as CSV in DRAMPower's form (see `write_commands`).

    Raises
    ------
    InputError
        When the trace or the config is wrong.
    """
    if not isinstance(trace, MemoryTrace):
        trace = read_trace(Path(trace))
    dram = Dram(config, keep_commands=commands_path is not None)
    dram.prepare()
    start = time.perf_counter()
    end_ps = _serve(dram, trace)
    kernel_s = time.perf_counter() - start
    result = _summarise(dram, trace, end_ps, kernel_s)
    if commands_path is not None and result.command_log is not None:
        write_commands(Path(commands_path), result.command_log, dram.spec.banks_per_rank)
    return result


def _serve(dram: Dram, trace: MemoryTrace) -> int:
    """Serve a trace, a piece at a time so that it stays in the cache; return the time of the last data beat.

    A channel accepts one request per cycle, so a piece of `n` requests cannot run out within `n - 1` cycles, and the
    next one comes as if it had been there from the start. With several channels one of them might run out before: then
    the whole trace is one piece.
    """
    size = trace.addresses.size
    piece = _PIECE if dram.spec.config.channels == 1 else size
    now = 0
    for first in range(0, size, piece):
        part = slice(first, first + piece)
        cycles = np.array([now]) if trace.cycles is None else np.maximum(now, trace.cycles[part])
        dram.submit(first, 0, trace.is_write[part], trace.addresses[part], cycles * dram.clock_ps)
        if first + piece < size:
            now = max(now + dram.offered - 1, int(cycles[-1]))
            while dram.advance(now * dram.clock_ps):
                pass
    return dram.finish()


def write_commands(path: Path, log: NDArray[np.int64], banks_per_rank: int) -> None:
    """Write issued commands as DRAMPower reads them, ``cycle,command,bank``, banks counted through all ranks.

    With more than one channel a file per channel is written, the channel's number before the suffix. Commands to a
    whole rank name its first bank. The files appear whole, and only once all of them are written.

    Raises
    ------
    InputError, RunError
        When they cannot be written, through the user's choice of `path` or for want of space.
    """
    names = np.array(_DRAMPOWER_NAMES)
    channels = np.unique(log[:, lo.L_CHANNEL])
    with ExitStack() as files:
        for channel in channels:
            rows = log[log[:, lo.L_CHANNEL] == channel]
            bank = rows[:, lo.L_RANK] * banks_per_rank + np.maximum(rows[:, lo.L_BANK], 0)
            columns = (rows[:, 0].tolist(), names[rows[:, lo.L_COMMAND]].tolist(), bank.tolist())
            name = path if len(channels) == 1 or path.is_dir() else path.with_stem(f"{path.stem}.{channel}")
            part = files.enter_context(written_whole(name))
            part.write_text("".join(f"{c},{w},{b}\n" for c, w, b in zip(*columns, strict=True)), encoding="ascii")


_PIECE = 1 << 13
_DRAMPOWER_NAMES = ("ACT", "PRE", "PREA", "RD", "WR", "RDA", "WRA", "REF", "REFB", "PDN", "PUP")


def _summarise(dram: Dram, trace: MemoryTrace, end_ps: int, kernel_s: float) -> ReplayResult:
    channel = dram.channel_counters()
    activity = dram.activity(end_ps)
    energy = energy_pj(activity, dram.spec)
    log = dram.commands()
    return ReplayResult(
        cycles_accepted=int(channel[:, lo.CH_LAST_ACCEPT].max()),
        cycles=ceil_div(end_ps, dram.clock_ps),
        requests=trace.addresses.size,
        row_hits=activity.row_hits,
        row_misses=activity.row_misses,
        row_conflicts=activity.row_conflicts,
        forwarded=activity.forwarded,
        merged=activity.merged,
        read_latency_cycles=_latency(dram.read_latencies(), channel),
        commands={
            "ACT": activity.activates,
            "PRE": activity.precharged_banks,
            "RD": activity.reads,
            "WR": activity.writes,
            "REF": activity.refreshes,
        },
        energy_pj=energy | {"total": sum(energy.values())},
        bandwidth_gb_per_s=bandwidth_gb_per_s(trace.addresses.size * dram.burst_bytes, end_ps),
        clock_ps=dram.clock_ps,
        kernel_s=kernel_s,
        activity=activity,
        banks=dram.bank_activity(),
        traffic=dram.traffic(),
        spec=dram.spec,
        command_log=log if log.size else None,
    )


def _latency(histogram: NDArray[np.int64], channel: NDArray[np.int64]) -> LatencyCycles:
    count = int(channel[:, lo.CH_LATENCY_COUNT].sum())
    if count == 0:
        return LatencyCycles(0.0, 0, 0, 0)
    cumulative = np.cumsum(histogram)
    p50, p99 = (int(np.searchsorted(cumulative, ceil_div(count * part, 100))) for part in (50, 99))
    return LatencyCycles(
        int(channel[:, lo.CH_LATENCY_SUM].sum()) / count, p50, p99, int(channel[:, lo.CH_LATENCY_MAX].max())
    )
