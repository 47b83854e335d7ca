"""Lays the tile graphs of stages out as words; what stages share is laid out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.compute import FIRST_CAUSE
from accelsim.simulation.compiled.phases import PE_ARRAY, VECTOR_UNIT
from accelsim.simulation.machine import STALL_OF_OPERAND, STREAMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.hardware.dram.layout import Words
    from accelsim.mapping.address_pattern import AddressPattern
    from accelsim.mapping.tile_graph import Dependence, OperandTiles, OutputTiles, StageTiles

_FIRST_WORDS = 2**12
_CAUSES = (
    *(STALL_OF_OPERAND.get(name, "ofmap_drain" if name == "ofmap" else f"{name}_fetch") for name in STREAMS),
    "decision",
    "array_drain",
)


class StageGraph:
    """The graph of all stages that have been seen; a stage is known again by its identity.

    Parameters
    ----------
    buffers
        Names of the buffers, in the order of their numbers.
    burst_bytes
        Bytes of a burst.
    """

    def __init__(self, buffers: Sequence[str], burst_bytes: int) -> None:
        self._burst_bytes = burst_bytes
        self._buffers = {name: number for number, name in enumerate(buffers)}
        self.causes: list[str] = list(_CAUSES)
        self._stages: dict[int, tuple[int, StageTiles]] = {}
        self._known: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._words = np.zeros(_FIRST_WORDS, np.int64)
        self._laid = 1  # nothing lies at place 0
        self._size = 1
        self._to_lay: list[NDArray[np.int64]] = []

    @property
    def words(self) -> Words:
        """The graph, with room behind it."""
        if self._size > len(self._words):
            grown = np.empty(max(self._size, 2 * len(self._words)), np.int64)
            grown[: self._laid] = self._words[: self._laid]
            self._words = grown
        for rows in self._to_lay:
            self._words[self._laid : self._laid + rows.size] = rows.reshape(-1)
            self._laid += rows.size
        self._to_lay.clear()
        return self._words

    def _append(self, rows: NDArray[np.int64]) -> int:
        """Append words or rows of them, which lie there from the next look at `words` on; returns the place."""
        first, self._size = self._size, self._size + rows.size
        self._to_lay.append(rows)
        return first

    def rows_of(self, stages: Sequence[StageTiles]) -> Words:
        """Place of each stage; those that are new are appended."""
        known = self._stages
        places = [known[id(stage)][0] if id(stage) in known else self._append_stage(stage) for stage in stages]
        return np.array(places, np.int64)

    def _keep(self, key: tuple[Any, ...], row: Any, alive: Any) -> Any:  # noqa: ANN401 - whatever the key stands for
        """Remember what was laid out; `alive` are the objects whose identities make up the key."""
        self._known[key] = row, alive
        return row

    def _append_stage(self, stage: StageTiles) -> int:
        row = np.zeros(la.N_STAGE, np.int64)
        inputs = list({tiles.operand: tiles for tiles in stage.inputs}.values())
        output = stage.output.tiles
        placed = [(tiles, *self._tiles(tiles, None)) for tiles in inputs]
        placed.append((output, *self._tiles(output, stage.output)))
        operands = [self._operand(*entry) for entry in placed]
        row[la.SG_OPERAND] = self._append(np.array(operands, np.int64))
        row[la.SG_INPUTS] = len(inputs)
        row[la.SG_OUTPUT] = row[la.SG_OPERAND] + la.N_OPERAND * len(inputs)
        row[la.SG_TILES] = sum(len(entry[0]) for entry in placed)
        row[la.SG_SETS] = sum(len(entry[0].retire_step) for entry in placed)
        row[la.SG_UNIT] = PE_ARRAY if stage.on_array else VECTOR_UNIT
        row[la.SG_KEPT_BITS], row[la.SG_KEPT_UNTIL] = stage.kept_bits, stage.kept_until
        row[la.SG_KEPT_IN] = self._buffers[stage.kept_in] if stage.kept_bits else 0
        row[la.SG_DRAIN_CYCLES] = stage.drain_cycles
        row[la.SG_DECIDED_BY] = -1 if stage.decided_by is None else stage.decided_by
        row[la.SG_CLOSED], row[la.SG_WAITS] = stage.closed, stage.waits
        row[la.SG_LOADED] = -1
        if not stage.closed:
            row[la.SG_STEP] = self._steps(stage)
            row[la.SG_STEPS] = len(stage.compute_cycles)
            self._lay_limits(stage, row)
            self._lay_loads(stage, row)
        place = self._append(row)
        self._stages[id(stage)] = place, stage
        return place

    # -- operands -------------------------------------------------------------------------------------------------

    def _operand(self, tiles: OperandTiles, first_tile: int, first_set: int, requests: int) -> list[int]:
        row = [0] * la.N_OPERAND
        row[la.OP_CODE], row[la.OP_BUFFER] = STREAMS.index(tiles.operand), self._buffers[tiles.buffer]
        row[la.OP_TILE], row[la.OP_TILES] = first_tile, len(tiles)
        row[la.OP_SET], row[la.OP_SETS], row[la.OP_FLIGHT] = first_set, len(tiles.retire_step), tiles.sets_in_flight
        row[la.OP_DEPENDENCE], row[la.OP_DEPENDENCES] = self._dependences(tiles.dependences), len(tiles.dependences)
        row[la.OP_REQUESTS] = requests
        return row

    def _dependences(self, dependences: tuple[Dependence, ...]) -> int:
        key = ("dependences", *(item for entry in dependences for item in (entry.stage, id(entry.drained))))
        if key in self._known:
            return int(self._known[key][0])
        rows = np.empty((len(dependences), la.N_DEPENDENCE), np.int64)
        for number, entry in enumerate(dependences):
            rows[number] = entry.stage, self._values(entry.drained)
        return int(self._keep(key, self._append(rows), dependences))

    def _values(self, values: NDArray[np.int64]) -> int:
        """Place of an array of numbers."""
        found = self._known.get(("values", id(values)))
        return int(self._keep(("values", id(values)), self._append(values), values) if found is None else found[0])

    def _tiles(self, tiles: OperandTiles, output: OutputTiles | None) -> tuple[int, int, int]:
        """First tile and first set of an operand, and how many of its tiles take room."""
        sizes = tiles.allocated_bits, tiles.released_bits
        parts = (tiles.first_step, tiles.set_index, *sizes, tiles.retire_step, tiles.fetch, output)
        key = ("tiles", *(id(part) for part in parts))
        if key in self._known:
            found: tuple[int, int, int] = self._known[key][0]
            return found
        rows = np.zeros((len(tiles), la.N_TILE), np.int64)
        rows[:, la.TL_STEP], rows[:, la.TL_SET], rows[:, la.TL_BITS] = (
            tiles.first_step, tiles.set_index, tiles.allocated_bits,
        )  # fmt: skip
        rows[:, la.TL_RUN], rows[:, la.TL_RUN_END] = self._runs(tiles.fetch)
        rows[:, la.TL_BURSTS] = tiles.fetch.burst_counts(self._burst_bytes)
        sets = np.zeros((len(tiles.retire_step), la.N_SET), np.int64)
        sets[:, la.SE_RELEASED], sets[:, la.SE_RETIRE_STEP] = tiles.released_bits, tiles.retire_step
        if output is None:
            rows[:, la.TL_BYTES] = tiles.fetch.in_dram.tile_bytes
        else:
            self._lay_output(output, rows)
            sets[:, la.SE_TILES] = np.bincount(tiles.set_index, minlength=len(sets))
        requests = int((tiles.allocated_bits > 0).sum())
        found = self._append(rows), self._append(sets), requests
        self._keep(key, found, parts)
        return found

    def _lay_output(self, output: OutputTiles, rows: NDArray[np.int64]) -> None:
        """What only output tiles have."""
        order = output.drain_order
        rows[:, la.TL_DELAY] = output.delay_cycles
        rows[:, la.TL_PASS] = -1 if output.pass_cycles is None else output.pass_cycles
        rows[:, la.TL_SPILLED] = output.spilled_before
        rows[order, la.TL_RANK] = np.arange(len(order))
        rows[:, la.TL_LEAVES] = order
        rows[:, la.TL_DRAIN], rows[:, la.TL_DRAIN_END] = self._runs(output.drain)
        rows[:, la.TL_DRAIN_BURSTS] = output.drain.burst_counts(self._burst_bytes)

    def _runs(self, pattern: AddressPattern) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per tile the place of its first run and that behind its last."""
        runs = np.ascontiguousarray(pattern.runs).view(np.int64).reshape(-1, la.N_RUN)
        offsets = la.N_RUN * pattern.offsets + self._append(runs)
        return offsets[:-1], offsets[1:]

    # -- steps ----------------------------------------------------------------------------------------------------

    def _steps(self, stage: StageTiles) -> int:
        parts = (stage.compute_cycles, stage.output, stage.loads)
        key = ("steps", *(id(part) for part in parts))
        if key in self._known:
            return int(self._known[key][0])
        steps = np.arange(len(stage.compute_cycles))
        rows = np.zeros((len(steps), la.N_STEP), np.int64)
        rows[:, la.SP_CYCLES] = stage.compute_cycles
        leaving = stage.output.last_step[stage.output.drain_order]
        rows[:, la.SP_LEAVE] = np.searchsorted(leaving, steps, side="left")
        rows[:, la.SP_LEAVE_END] = np.searchsorted(leaving, steps, side="right")
        rows[:, la.SP_LOAD] = -1
        if stage.loads is not None:
            loading = np.flatnonzero(stage.loads.lead_cycles)
            rows[:, la.SP_LEAD], rows[:, la.SP_HANDOVER] = stage.loads.lead_cycles, stage.loads.handover_cycles
            rows[:, la.SP_EXPOSED] = stage.loads.exposed_cycles
            rows[loading, la.SP_LOAD] = np.arange(len(loading))
        return int(self._keep(key, self._append(rows), parts))

    def _cause(self, name: str) -> int:
        if name not in self.causes:
            self.causes.append(name)
        return self.causes.index(name)

    def _lay_limits(self, stage: StageTiles, row: NDArray[np.int64]) -> None:
        """What a step may have to wait for beside the compute unit."""
        limits = np.empty((len(stage.limits), la.N_LIMIT), np.int64)
        for number, limit in enumerate(stage.limits):
            limits[number] = self._cause(limit.cause), self._values(limit.cycles)
        row[la.SG_LIMIT], row[la.SG_LIMITS] = self._append(limits), len(limits)
        slowest = max(stage.limits, key=lambda limit: limit.latency_cycles, default=None)
        if slowest is not None:
            row[la.SG_LATENCY], row[la.SG_LATENCY_CAUSE] = slowest.latency_cycles, self._cause(slowest.cause)

    def _lay_loads(self, stage: StageTiles, row: NDArray[np.int64]) -> None:
        """Loads of the stationary operand that overlap with compute."""
        if stage.loads is None:
            return
        loading = np.flatnonzero(stage.loads.lead_cycles)
        row[la.SG_LOADED] = STREAMS.index(stage.loads.operand)
        row[la.SG_LOAD] = self._append(loading)
        row[la.SG_LOADS] = len(loading)
        row[la.SG_MADE_ON_CHIP] = stage.loads.made_on_chip
        row[la.SG_SHIFT_CAUSE] = self._cause(f"{stage.loads.operand}_shift")


assert len(_CAUSES) == FIRST_CAUSE  # noqa: S101 - the kernels number them
