"""What a run of the compiled machine leaves behind, and how to read it off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram.controller import Dram
from accelsim.result import OCCUPANCY_DTYPE, PHASE_DTYPE
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.machine import STREAMS, StageTiming
from accelsim.simulation.trace import COMPONENTS
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.hardware.dram.activity import ActivitySeries
    from accelsim.hardware.dram.layout import Words
    from accelsim.hardware.ideal_memory import IdealMemory
    from accelsim.units import Clock

_NAMES = (
    *("ofmap drain" if name == "ofmap" else f"{name} fetch" for name in STREAMS),
    *("PE array", "vector unit", "ifmap shift", "weight shift"),
)
_COMPONENT = np.array([COMPONENTS.index(name) for name in _NAMES])
"""Components of the trace, by the numbers that the kernels give them."""


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
