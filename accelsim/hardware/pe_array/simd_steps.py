"""From what the caches asked of the memory to the tile graph of a stage.

The cores run in step: the steps of each are stretched to those of the core that has most, and a step lasts as long as
the core that is furthest behind takes. Each becomes three steps of the machine: what the cores still do behind the
lines that they wait for, the wait, and the rest. Lines that prefetchers and stores ask for are on the way during that
rest, and the next step waits for them; what is written leaves at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache import layout as lo
from accelsim.mapping.address_pattern import AddressPattern, runs_of
from accelsim.mapping.tile_graph import OperandTiles, OutputTiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.cache.hierarchy import MemoryTraffic

WRITES_IN_FLIGHT = 2
"""Bundles of evicted lines that may wait for the memory at one time."""

WRITE_BUNDLE = 32
"""Evicted lines after which they are sent off together, at the end of the step that brings so many."""


@dataclass(frozen=True)
class CacheSteps:
    """Steps of all cores together.

    Parameters
    ----------
    cycles
        Per step the cycles of the cores.
    events
        What goes to memory, `layout.N_EVENT` columns, ordered by step.
    """

    cycles: NDArray[np.int64]
    events: NDArray[np.int64]


def merge_cores(traffic: MemoryTraffic) -> CacheSteps:
    """Bring the steps of all cores together."""
    counts = np.array([len(ticks) for ticks in traffic.ticks])
    steps = int(counts.max())
    ends = np.zeros(steps + 1)
    for ticks in traffic.ticks:
        own = np.concatenate([[0], np.cumsum(ticks)])
        ends = np.maximum(ends, np.interp(np.arange(steps + 1) * len(ticks) / steps, np.arange(len(own)), own))
    cycles = np.diff(np.ceil(ends / lo.TICKS)).astype(np.int64)
    events = traffic.events
    step = events[:, lo.EV_STEP] * steps // counts[events[:, lo.EV_CORE]]
    order = np.argsort(step, kind="stable")
    merged = events[order]
    merged[:, lo.EV_STEP] = step[order]
    return CacheSteps(cycles, merged)


def line_pattern(
    lines: NDArray[np.int64], step: NDArray[np.int64], line_bytes: int
) -> tuple[NDArray[np.int64], AddressPattern]:
    """Steps that touch the memory, in order, and the lines of each; lines in a row are one run."""
    if not len(lines):
        return np.empty(0, np.int64), AddressPattern.empty(0)
    later = np.ones(len(lines), bool)
    later[1:] = step[1:] != step[:-1]
    begins = later.copy()
    begins[1:] |= lines[1:] != lines[:-1] + 1
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, len(lines)))
    runs = runs_of(lines[first] * line_bytes, length * line_bytes)
    offsets = np.append(np.flatnonzero(later[first]), len(first))
    return step[later], AddressPattern(runs, offsets)


@dataclass(frozen=True)
class StageSteps:
    """The tile graph of a stage, as far as it follows from the caches.

    Parameters
    ----------
    steps
        Steps of all cores.
    line_bytes
        Size of a line.
    window_cycles
        Cycles that cores run on behind a line that they wait for.
    path_cycles
        Cycles that a miss spends in the caches.
    buffer
        Name of the last cache.
    output_pixels
        Output pixels of the stage.
    """

    steps: CacheSteps
    line_bytes: int
    window_cycles: float
    path_cycles: int
    buffer: str
    output_pixels: int

    def _of_kind(self, kind: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lines of the events of a kind, and their steps."""
        events = self.steps.events
        found = np.flatnonzero(events[:, lo.EV_KIND] == kind)
        return events[found, lo.EV_LINE], events[found, lo.EV_STEP]

    @property
    def compute_cycles(self) -> NDArray[np.int64]:
        """Cycles per step of the machine: one to begin, three per step of the cores, one to end."""
        cycles = self.steps.cycles
        waits = np.zeros(len(cycles), bool)
        waits[self._of_kind(lo.DEMAND)[1]] = True
        hidden = max(int(self.window_cycles) - self.path_cycles, 0)
        exposed = max(self.path_cycles - int(self.window_cycles), 0)
        ahead = np.where(waits, np.minimum(cycles, hidden), 0)
        inner = np.stack([ahead, np.where(waits, exposed, 0), cycles - ahead], axis=1)
        return np.concatenate([[0], inner.ravel(), [0]])

    @property
    def inputs(self) -> tuple[OperandTiles, ...]:
        """Lines that cores wait for, and lines that are fetched ahead."""
        count = len(self.steps.cycles)
        number = np.arange(count)
        tiles = []
        missed, fetch = line_pattern(*self._of_kind(lo.DEMAND), self.line_bytes)
        if len(missed):
            ends = np.concatenate([[0], 3 * number + 3])  # a step's lines are asked for when the step before has ended
            tiles.append(self._tiles("miss", missed, 3 * missed + 2, ends, fetch))
        ahead, fetch = line_pattern(*self._of_kind(lo.AHEAD), self.line_bytes)
        if len(ahead):
            ends = np.concatenate([3 * number + 2, [3 * count + 1]])  # when the step's own wait is over
            tiles.append(self._tiles("prefetch", ahead, 3 * ahead + 4, ends, fetch))
        return tuple(tiles)

    def _tiles(
        self,
        operand: str,
        step: NDArray[np.int64],
        first_step: NDArray[np.int64],
        retire_step: NDArray[np.int64],
        fetch: AddressPattern,
    ) -> OperandTiles:
        """Tiles that may be fetched once the set before theirs has retired; they take no room."""
        return OperandTiles(
            operand=operand,
            buffer=self.buffer,
            first_step=first_step,
            set_index=step + 1,
            allocated_bits=np.zeros(len(step), np.int64),
            released_bits=np.zeros(len(retire_step), np.int64),
            retire_step=retire_step,
            sets_in_flight=1,
            fetch=fetch,
        )

    @property
    def output(self) -> OutputTiles:
        """Lines that leave the last cache dirty."""
        lines, step = self._of_kind(lo.WRITE)
        bundle = np.arange(len(lines)) // WRITE_BUNDLE
        step = step[np.minimum((bundle + 1) * WRITE_BUNDLE, len(lines)) - 1]
        written, drain = line_pattern(lines, step, self.line_bytes)
        count = len(written)
        tiles = OperandTiles(
            operand="psum",
            buffer=self.buffer,
            first_step=3 * written + 3,
            set_index=np.arange(count),
            allocated_bits=np.zeros(count, np.int64),
            released_bits=np.zeros(count, np.int64),
            retire_step=3 * written + 3,
            sets_in_flight=WRITES_IN_FLIGHT,
            fetch=AddressPattern.empty(count),
        )
        return OutputTiles(
            tiles=tiles,
            last_step=3 * written + 3,
            delay_cycles=np.zeros(count, np.int64),
            drain=drain,
            spilled_before=np.zeros(count, np.int64),
            first_pixel=np.full(count, self.output_pixels),
            output_pixels=self.output_pixels,
        )
