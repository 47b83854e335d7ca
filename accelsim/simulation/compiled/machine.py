"""Runs stages on the compiled machine, and reads off what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.controller import Dram
from accelsim.result import OCCUPANCY_DTYPE, PHASE_DTYPE
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.events import run_events
from accelsim.simulation.compiled.graph import StageGraph
from accelsim.simulation.compiled.start import set_up
from accelsim.simulation.machine import STREAMS, StageTiming
from accelsim.simulation.trace import COMPONENTS
from accelsim.units import BITS_PER_BYTE, BYTES_PER_GB, BYTES_PER_KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.hardware.dram.activity import ActivitySeries
    from accelsim.hardware.dram.layout import Words
    from accelsim.hardware.ideal_memory import IdealMemory
    from accelsim.mapping.tile_graph import StageTiles
    from accelsim.units import Clock

_NAMES = (
    *("ofmap drain" if name == "ofmap" else f"{name} fetch" for name in STREAMS),
    *("PE array", "vector unit", "ifmap shift", "weight shift"),
)
_COMPONENT = np.array([COMPONENTS.index(name) for name in _NAMES])
"""Components of the trace, by the numbers that the kernels give them."""

_FEWEST_BURSTS = 64
_BUFFERS_OFFERED = 8
_MOST_FIRST_BURSTS = 2**18
_MOST_BYTES_PER_S = 9 * 10**12
"""Of an ideal memory; beyond that the time of a transfer could leave 64 bits."""


@dataclass(frozen=True, eq=False)
class RunEnd:
    """How a run ended.

    Parameters
    ----------
    cycle, time_ps
        When the last drain had left.
    activity
        What the DRAM had done when each stage ended, and at the very end; None for an ideal memory.
    reads, writes
        Bursts moved.
    """

    cycle: int
    time_ps: int
    activity: ActivitySeries | None
    reads: int
    writes: int


@dataclass(frozen=True, eq=False)
class CompiledRun:
    """A run of the compiled machine; its arrays are written over by the next one of the same machine.

    Parameters
    ----------
    state
        The machine as it stands at the end.
    stages
        Number of stages.
    causes
        Names of the causes of stalls.
    """

    state: Words
    stages: int
    causes: Sequence[str]

    def _table(self, place: int, rows: int, columns: int) -> Words:
        first = int(self.state[place])
        return self.state[first : first + rows * columns].reshape(rows, columns)

    @property
    def end_cycles(self) -> Words:
        """Cycle in which each stage ended."""
        return self._table(la.PLACE, self.stages, la.N_PLACE)[:, la.PL_END]

    @property
    def compute_cycles(self) -> Words:
        """Cycles in which each stage computed."""
        return self._table(la.PLACE, self.stages, la.N_PLACE)[:, la.PL_COMPUTE]

    @property
    def stalls(self) -> Words:
        """Cycles of waiting, by stage and cause."""
        return self._table(la.STALLS, self.stages, len(self.causes))

    @property
    def wasted_bytes(self) -> Words:
        """Bytes fetched in vain, by stage and stream."""
        return self._table(la.WASTED, self.stages, la.CODES)

    def end(self, clock: Clock, memory: Dram | IdealMemory) -> RunEnd:
        """Let the memory finish, and work out when all has left."""
        last_cycle = int(self.end_cycles[-1])
        end_ps = max(clock.ps_of(last_cycle), int(self.state[la.WD_NOW]), memory.finish())
        end_cycle = max(last_cycle, clock.cycle_at(end_ps))
        if not isinstance(memory, Dram):
            return RunEnd(end_cycle, end_ps, None, memory.reads, memory.writes)
        memory.advance(end_ps)
        activity = self._activities(memory, end_ps)
        reads, writes = (int(moved[-1]) // memory.burst_bytes for moved in (activity.read_bytes, activity.write_bytes))
        return RunEnd(end_cycle, end_ps, activity, reads, writes)

    def wasted_of(self, stage: int) -> dict[str, int]:
        """Bytes fetched in vain for a stage, by operand, in the order in which they were first asked for."""
        return _in_order(self.wasted_bytes[stage], self._table(la.WASTED_ORDER, self.stages, la.CODES)[stage], STREAMS)

    @property
    def stall_order(self) -> Words:
        """By stage and cause, when the cause was first met: numbers that grow; 0 for never."""
        return self._table(la.STALL_ORDER, self.stages, len(self.causes))

    def timings(self) -> list[StageTiming]:
        """What each stage took; causes in the order in which they were first met."""
        stall_order, stalls = self.stall_order, self.stalls
        return [
            StageTiming(
                end_cycle=end,
                compute_cycles=compute,
                wasted_bytes=self.wasted_of(stage),
                stalls=_in_order(stalls[stage], stall_order[stage], self.causes),
            )
            for stage, (end, compute) in enumerate(
                zip(self.end_cycles.tolist(), self.compute_cycles.tolist(), strict=True)
            )
        ]

    def _activities(self, memory: Dram, end_ps: int) -> ActivitySeries:
        """What the DRAM had done at the end of each stage, and at the very end, up to which it has run."""
        ranks, columns = memory.rank_shape
        snapshot = self._table(la.SNAPSHOT, self.stages, la.N_SNAPSHOT)
        times_ps, totals = snapshot[:, la.SN_TIME_PS].copy(), snapshot[:, la.SN_HITS :].copy()
        kept = self._table(la.SNAPSHOT_RANK, self.stages, ranks * columns).reshape(-1, ranks, columns).copy()
        times_ps[-1] = end_ps
        kept[-1], totals[-1] = memory.counters()
        return memory.activities(times_ps, kept, totals)

    def phases(self, burst_bytes: int) -> NDArray[np.void]:
        """Phases in the order in which they ended, as `PHASE_DTYPE`, with stages for layers."""
        rows = self._table(la.PHASE, int(self.state[la.WD_PHASES]), la.N_PHASE)
        phases = np.empty(len(rows), PHASE_DTYPE)
        phases["component"] = _COMPONENT[rows[:, la.PH_COMPONENT]]
        phases["layer"], phases["step"] = rows[:, la.PH_STAGE], rows[:, la.PH_STEP]
        phases["start_ps"], phases["end_ps"] = rows[:, la.PH_BEGIN_PS], rows[:, la.PH_END_PS]
        phases["bytes"] = rows[:, la.PH_BURSTS] * burst_bytes
        return phases

    def occupancy(self, buffer: int) -> NDArray[np.void]:
        """Bytes held by a buffer over time, as `OCCUPANCY_DTYPE`, one entry per change."""
        rows = self._table(la.CHANGE, int(self.state[la.WD_CHANGES]), la.N_CHANGE)
        rows = rows[rows[:, la.CG_BUFFER] == buffer]
        occupancy = np.empty(len(rows), OCCUPANCY_DTYPE)
        occupancy["time_ps"] = rows[:, la.CG_TIME_PS]
        occupancy["bytes"] = -(-rows[:, la.CG_BITS] // BITS_PER_BYTE)
        return occupancy


def _in_order(values: Words, order: Words, names: Sequence[str]) -> dict[str, int]:
    met = np.flatnonzero(order)
    return {names[place]: int(values[place]) for place in met[np.argsort(order[met])].tolist()}


class CompiledMachine:
    """A machine that may run many networks, one after the other.

    Parameters
    ----------
    hardware
        The machine; one that `supports` allows.
    burst_bytes
        Bytes of a burst of its memory.
    logged
        Whether to note phases and what the buffers hold.
    """

    def __init__(self, hardware: HardwareConfig, burst_bytes: int, *, logged: bool) -> None:
        self._hardware = hardware
        self._logged = logged
        self._graph = StageGraph(list(hardware.on_chip), burst_bytes)
        self._state: Words | None = None
        self._arrays: la.MemoryArrays | None = None
        self._ring_bursts = 0

    def run(
        self,
        stages: Sequence[StageTiles],
        memory: Dram | IdealMemory,
        progress: Callable[[float], None] | None = None,
    ) -> CompiledRun | None:
        """Run the stages of a network; None where they block each other.

        Parameters
        ----------
        stages
            Tile graphs in order of execution.
        memory
            The memory, on which nothing has happened.
        progress
            Called with the share of the stages that have ended.
        """
        order = self._graph.rows_of(stages)
        graph = self._graph.words
        sizes = _Sizes.of(graph, order, len(self._hardware.on_chip))
        while True:
            arrays = self._lend(memory, stages, sizes)
            state = self._prepared(sizes, order, memory)
            state[la.WD_STOPS] = progress is not None
            while (status := run_events(graph, state, arrays)) == la.STAGE_ENDED:
                if progress:
                    ended = state[la.COUNTER] + la.N_COUNTER * (state[la.WD_STREAMS] + len(stages) + 2) + la.CN_VALUE
                    progress(int(state[ended]) / len(stages))
            if status != la.RINGS_FULL or not isinstance(memory, Dram):
                break
            self._ring_bursts *= 4  # what was done is lost, and all of it is done again
            memory.reset()
        if status != la.DONE:
            message = "a table of the compiled machine is too small for this network"
            raise RuntimeError(message)
        if not state[la.WD_FINISHED] or state[la.WD_OUTSTANDING]:
            return None
        if not isinstance(memory, Dram):
            memory.take_over(*(int(state[place]) for place in (la.WD_READS, la.WD_WRITES, la.WD_LAST_DATA_PS)))
        return CompiledRun(state, len(stages), self._graph.causes)

    def _lend(self, memory: Dram | IdealMemory, stages: Sequence[StageTiles], sizes: _Sizes) -> la.MemoryArrays:
        """Arrays of the memory, with tables that hold all that can be on its way; none of use for an ideal one."""
        if not isinstance(memory, Dram):
            return _NO_DRAM
        known, rings = self._arrays, memory.spec.config.channels * la.CODES
        self._ring_bursts = self._ring_bursts or self._first_ring(stages, memory.burst_bytes)
        if known is None or known.offers.shape[1] < self._ring_bursts or len(known.transfer) < sizes.transfers:
            offers = np.zeros((rings, self._ring_bursts, lo.N_OFFER), np.int64)
            ring, transfer = (
                np.zeros((rings, lo.N_RING), np.int64),
                np.zeros((sizes.transfers, lo.N_TRANSFER), np.int64),
            )
            lent = memory.lend(offers, ring, transfer)
        else:
            lent = memory.lend(known.offers, known.ring, known.transfer)
        self._arrays = la.MemoryArrays(**{name: getattr(lent, name) for name in la.MemoryArrays._fields})
        return self._arrays

    def _first_ring(self, stages: Sequence[StageTiles], burst_bytes: int) -> int:
        """Bursts that a stream probably never has offered at one time: several buffers full, or all there are."""
        largest = max(memory.capacity_kib for memory in self._hardware.on_chip.values()) * BYTES_PER_KIB / burst_bytes
        patterns = [tiles.fetch for stage in stages for tiles in (*stage.inputs, stage.output.tiles)]
        patterns += [stage.output.drain for stage in stages]
        moved = sum(int(pattern.burst_counts(burst_bytes).sum()) for pattern in patterns)
        wanted = max(min(_BUFFERS_OFFERED * largest, moved, _MOST_FIRST_BURSTS), _FEWEST_BURSTS)
        return int(2 ** np.ceil(np.log2(wanted)))

    def _prepared(self, sizes: _Sizes, order: Words, memory: Dram | IdealMemory) -> Words:
        """State of a machine that has not begun."""
        shape = memory.rank_shape if isinstance(memory, Dram) else (0, 0)
        widths = sizes.tables(len(self._graph.causes), shape, logged=self._logged)
        needed = la.N_WORD + sum(widths.values())
        if self._state is None or len(self._state) < needed:
            self._state = np.zeros(needed, np.int64)
        state, place = self._state, la.N_WORD
        for number, name in enumerate(la.TABLES):
            state[number] = place
            place += widths[name]
        rows = {
            la.WD_EVENT_ROWS: widths["event"] // la.N_EVENT,
            la.WD_WAITER_ROWS: widths["waiter"] // la.N_WAITER,
            la.WD_REQUEST_ROWS: widths["request"] // la.N_REQUEST,
            la.WD_TRANSFER_ROWS: sizes.transfers,
            la.WD_PHASE_ROWS: widths["phase"] // la.N_PHASE,
            la.WD_CHANGE_ROWS: widths["change"] // la.N_CHANGE,
            la.WD_BUFFERS: sizes.buffers,
            la.WD_CAUSES: len(self._graph.causes),
            la.WD_STAGES: sizes.stages,
        }
        for number, value in rows.items():
            state[number] = value
        state[state[la.ORDER] : state[la.ORDER] + sizes.stages] = order
        self._set_constants(state, memory)
        set_up(self._graph.words, state)
        return state

    def _set_constants(self, state: Words, memory: Dram | IdealMemory) -> None:
        hardware = self._hardware
        clock = hardware.pe_array.clock
        state[la.WD_KHZ] = clock.frequency_khz
        state[la.WD_DECISION_PS] = clock.ps_of(hardware.control.decision_cycles)
        state[la.WD_SPECULATES] = sum(1 << STREAMS.index(name) for name in hardware.control.speculates)
        state[la.WD_BURST_BYTES] = memory.burst_bytes
        state[la.WD_CLOCK_PS] = 0
        if isinstance(memory, Dram):
            state[la.WD_CLOCK_PS] = memory.clock_ps
        else:
            state[la.WD_RATE], state[la.WD_LATENCY_PS] = memory.bytes_per_s or 0, memory.latency_ps
        for number, chip in enumerate(hardware.on_chip.values()):
            capacity = state[la.BUFFER] + la.N_BUFFER * number + la.BF_CAPACITY
            state[capacity] = int(chip.capacity_kib * BYTES_PER_KIB) * BITS_PER_BYTE


@dataclass(frozen=True)
class _Sizes:
    """Rows that the tables of a run need at most."""

    stages: int
    closed: int
    streams: int
    tiles: int
    sets: int
    steps: int
    loads: int
    buffers: int

    @classmethod
    def of(cls, graph: Words, order: Words, buffers: int) -> _Sizes:
        columns = (la.SG_CLOSED, la.SG_INPUTS, la.SG_TILES, la.SG_SETS, la.SG_STEPS, la.SG_LOADS)
        totals = graph[order[:, None] + np.array(columns)].sum(axis=0).tolist()
        closed, inputs, tiles, sets, steps, loads = totals
        return cls(len(order), closed, inputs + len(order), tiles, sets, steps, loads, buffers)

    @property
    def transfers(self) -> int:
        """Every tile is on its way once at one time."""
        return self.tiles + 1

    def tables(self, causes: int, ranks: tuple[int, int], *, logged: bool) -> dict[str, int]:
        """Words that the tables need."""
        waiters = la.CODES * self.closed + 2 * la.N_PROCESSES
        phases = 2 * self.tiles + self.steps + self.loads + 1  # every tile comes and goes
        changes = 3 * self.tiles + self.sets + 4 * self.stages + self.buffers  # and takes room and gives it back
        return {
            "order": self.stages,
            "event": (3 * self.tiles + 4 * self.stages + 4 * la.N_PROCESSES) * la.N_EVENT,
            "process": la.N_PROCESSES * la.N_PROCESS,
            "stream": self.streams * la.N_STREAM,
            "place": self.stages * la.N_PLACE,
            "counter": (self.streams + self.stages + 3) * la.N_COUNTER,
            "waiter": waiters * la.N_WAITER,
            "buffer": self.buffers * la.N_BUFFER,
            "request": waiters * la.N_REQUEST,
            "transfer": self.transfers * la.N_TRANSFER,
            "phase": phases * la.N_PHASE if logged else 0,
            "change": changes * la.N_CHANGE if logged else 0,
            "flags": self.tiles + self.sets + 2 * (self.streams + self.stages + self.loads) + 3,
            "arrived": self.tiles,
            "open_tiles": self.sets,
            "to_come": self.buffers * self.stages,
            "loaded_from": self.loads,
            "stalls": self.stages * causes,
            "stall_order": self.stages * causes,
            "wasted": self.stages * la.CODES,
            "wasted_order": self.stages * la.CODES,
            "snapshot": self.stages * la.N_SNAPSHOT,
            "snapshot_rank": self.stages * ranks[0] * ranks[1],
        }


_NO_DRAM = la.MemoryArrays(
    **{
        name: np.zeros((1,) * {"config": 1, "stats": 1, "offers": 3}.get(name, 2), np.int64)
        for name in la.MemoryArrays._fields
    }
)
"""What the kernels are given where the memory is an ideal one: arrays of the right dimensions, never looked at."""


def supports(hardware: HardwareConfig) -> bool:
    """Whether the compiled machine can run a machine: one without limits to its DMA and without a link to a host."""
    rate = hardware.dram.ideal_bandwidth_gb_per_s
    is_narrow = hardware.dram.kind == "command" or rate is None or rate * BYTES_PER_GB < _MOST_BYTES_PER_S
    return not hardware.dma.is_limited and hardware.host.bandwidth_gb_per_s is None and is_narrow
