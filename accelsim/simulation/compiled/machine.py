"""Runs stages on the compiled machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.controller import Dram
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.events import run_events
from accelsim.simulation.compiled.graph import StageGraph
from accelsim.simulation.compiled.run import CompiledRun
from accelsim.simulation.compiled.sizes import Sizes
from accelsim.simulation.compiled.start import set_up
from accelsim.simulation.machine import STREAMS
from accelsim.units import BITS_PER_BYTE, BYTES_PER_GB, BYTES_PER_KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accelsim.config.schema import HardwareConfig
    from accelsim.hardware.dram.layout import Words
    from accelsim.hardware.ideal_memory import IdealMemory
    from accelsim.mapping.tile_graph import StageTiles

_FEWEST_BURSTS = 64
_BUFFERS_OFFERED = 8
_MOST_FIRST_BURSTS = 2**18
_SKEWED_BURSTS = 13
"""More in each ring, so that the first bursts of all rings do not lie in the same set of the processor's cache."""
_MOST_BYTES_PER_S = 9 * 10**12
"""Of an ideal memory; beyond that the time of a transfer could leave 64 bits."""


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
        sizes = Sizes.of(graph, order, len(self._hardware.on_chip))
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

    def _lend(self, memory: Dram | IdealMemory, stages: Sequence[StageTiles], sizes: Sizes) -> la.MemoryArrays:
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
        return int(2 ** np.ceil(np.log2(wanted))) + _SKEWED_BURSTS

    def _prepared(self, sizes: Sizes, order: Words, memory: Dram | IdealMemory) -> Words:
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
