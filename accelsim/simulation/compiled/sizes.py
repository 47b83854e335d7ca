"""How large the tables of a run have to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.simulation.compiled import layout as la

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@dataclass(frozen=True)
class Sizes:
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
    def of(cls, graph: Words, order: Words, buffers: int) -> Sizes:
        """Add up what the stages of a run have, whose places in the graph `order` lists."""
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
