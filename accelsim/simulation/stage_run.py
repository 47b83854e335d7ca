"""A stage while it runs: which tiles of its operands are there, which sets of them are gone, what has been drained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.simulation.progress_counter import ProgressCounter

if TYPE_CHECKING:
    import simpy

    from accelsim.hardware.sram import Buffer
    from accelsim.mapping.tile_graph import OperandTiles, StageTiles


class TileStream:
    """One operand of one stage while it runs: which tiles are there, which sets are gone."""

    __slots__ = (
        "_next", "_waiter", "arrived_ps", "buffer", "dropped", "first_step", "held_bits", "retire_step", "retired",
        "tiles",
    )  # fmt: skip

    def __init__(self, env: simpy.Environment, tiles: OperandTiles, buffer: Buffer) -> None:
        self.tiles = tiles
        self.buffer = buffer
        self.first_step: list[int] = tiles.first_step.tolist()
        self.retire_step: list[int] = tiles.retire_step.tolist()
        self.arrived_ps: list[int] = [-1] * len(tiles)
        self.retired = ProgressCounter(env)
        self.held_bits = 0
        self.dropped = False
        self._next = 0
        self._waiter: tuple[int, simpy.Event] | None = None

    def arrive(self, tile: int, now: int) -> None:
        """Note that a tile is there, and wake the compute process if it waits for it."""
        self.arrived_ps[tile] = now
        if self._waiter is not None and self._waiter[0] == tile:
            event = self._waiter[1]
            self._waiter = None
            event.succeed()

    def hold(self, tile: int) -> None:
        """Note what has arrived for a stage that does not run, or give it back where that is known already."""
        bits = int(self.tiles.allocated_bits[tile])
        if self.dropped and bits:
            self.buffer.give_back(bits)
        elif not self.dropped:
            self.held_bits += bits

    def drop(self) -> None:
        """Give back what has arrived, for the stage does not run; what is on its way goes when it comes."""
        self.dropped = True
        if self.held_bits:
            self.buffer.give_back(self.held_bits)
        self.held_bits = 0

    def missing_tile(self, step: int) -> int | None:
        """Next tile that `step` needs and that is not there yet; steps are asked for in order."""
        while self._next < len(self.first_step) and self.first_step[self._next] <= step:
            if self.arrived_ps[self._next] < 0:
                return self._next
            self._next += 1
        return None

    def wait_for(self, tile: int, event: simpy.Event) -> simpy.Event:
        """Let `event` happen when a tile arrives."""
        self._waiter = (tile, event)
        return event

    def last_arrival(self, step: int) -> tuple[int, int]:
        """Time and number of the tile that arrived last among those that `step` was the first to need."""
        tile = self._next - 1
        latest = (-1, -1)
        while tile >= 0 and self.first_step[tile] == step:
            latest = max(latest, (self.arrived_ps[tile], tile))
            tile -= 1
        return latest


class StageRun:
    """One stage while it runs."""

    __slots__ = (
        "awaited", "drain_rank", "drained", "inputs", "loaded_from_ps", "loaded_operand", "open_in_set", "output",
        "stage", "streams",
    )  # fmt: skip

    def __init__(self, env: simpy.Environment, stage: StageTiles, buffers: dict[str, Buffer]) -> None:
        self.stage = stage
        self.inputs = {tiles.operand: TileStream(env, tiles, buffers[tiles.buffer]) for tiles in stage.inputs}
        output = stage.output.tiles
        self.output = TileStream(env, output, buffers[output.buffer])
        self.loaded_operand = stage.loads.operand if stage.loads else None
        self.loaded_from_ps: dict[int, int] = {}
        self.streams = [*self.inputs.values(), self.output]
        self.awaited = [stream for stream in self.streams if stream.tiles.operand != self.loaded_operand]
        self.drained = ProgressCounter(env)
        order = stage.output.drain_order.tolist()
        self.drain_rank = [0] * len(order)
        for rank, tile in enumerate(order):
            self.drain_rank[tile] = rank
        self.open_in_set = [0] * len(output.retire_step)
        for set_index in output.set_index.tolist():
            self.open_in_set[set_index] += 1
