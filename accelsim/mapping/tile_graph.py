"""The tile graph of one stage: compute steps, and the tiles that must have come or gone around them.

A *step* is the stretch of compute between two points where a tile has to arrive or leaves. A *tile* is a piece of one
operand. Tiles are grouped into *sets*: a set is what an operand keeps at one time, and at most two sets are in the
buffer where it is a double buffer. Everything is arrays, one entry per step or tile, in the order of the schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from accelsim.mapping.address_pattern import AddressPattern
    from accelsim.mapping.traffic import StepLimit


@dataclass(frozen=True)
class Dependence:
    """Tiles that can be fetched only after another stage has drained its results.

    Parameters
    ----------
    stage
        Index of the stage that makes the data.
    drained
        Per tile the number of output tiles that must have left, in the order in which they leave.
    """

    stage: int
    drained: NDArray[np.int64]


@dataclass(frozen=True)
class OperandTiles:
    """The tiles of one operand, in the order in which they are first needed.

    Parameters
    ----------
    operand
        ``ifmap``, ``weight`` or ``psum``; the latter are the output tiles, results included.
    buffer
        Name of the buffer that holds them.
    first_step
        Step that first needs the tile.
    set_index
        Set that the tile belongs to; never decreases.
    allocated_bits
        Buffer space, in bits, taken when the tile is fetched.
    released_bits
        Per set the space given back when it is retired; less than was taken where the next set keeps a part.
    retire_step
        Per set the last step that uses it.
    sets_in_flight
        Sets that may be in the buffer at one time: 2 for a double buffer.
    fetch
        Where the data lies in DRAM; tiles of no runs are already on chip.
    dependences
        What must have been drained before.
    """

    operand: str
    buffer: str
    first_step: NDArray[np.int64]
    set_index: NDArray[np.int64]
    allocated_bits: NDArray[np.int64]
    released_bits: NDArray[np.int64]
    retire_step: NDArray[np.int64]
    sets_in_flight: int
    fetch: AddressPattern
    dependences: tuple[Dependence, ...] = ()

    def __len__(self) -> int:
        return len(self.first_step)

    def after(self, *dependences: Dependence) -> OperandTiles:
        """Return the same tiles, to be fetched once these dependences hold."""
        return replace(self, dependences=dependences)


@dataclass(frozen=True)
class OutputTiles:
    """The tiles of a stage's output: partial sums that may return, and results that leave.

    Parameters
    ----------
    tiles
        Space and, for partial sums that were spilled, the fetch; sets retire when their tiles have been drained.
    last_step
        Per tile the step after which it is drained.
    delay_cycles
        Per tile the cycles from the end of that step until its last result has left the array: not 0 where the next
        block follows on its heels, so that the results travel while that one computes.
    pass_cycles
        Per tile the cycles that its results then take to pass the vector unit, one tile after the other.
    drain
        Where it goes in DRAM; tiles of no runs stay on chip.
    spilled_before
        Per tile the number of drains of this stage that must be over before it is fetched again; 0 for a first visit.
    first_pixel
        Per tile its first output pixel, by which readers know what they wait for; `output_pixels` for partial sums,
        which nobody reads.
    output_pixels
        Output pixels of the stage.
    """

    tiles: OperandTiles
    last_step: NDArray[np.int64]
    delay_cycles: NDArray[np.int64]
    drain: AddressPattern
    spilled_before: NDArray[np.int64]
    first_pixel: NDArray[np.int64]
    output_pixels: int
    pass_cycles: NDArray[np.int64] | None = None

    @property
    def drain_order(self) -> NDArray[np.int64]:
        """Tile numbers in the order in which they leave."""
        return np.argsort(self.last_step, kind="stable")

    def drains_until(self, fraction: NDArray[np.float64]) -> NDArray[np.int64]:
        """Drains after which the leading `fraction` of the output pixels is complete, per entry of `fraction`."""
        order = self.drain_order
        by_pixel = np.argsort(self.first_pixel[order], kind="stable")
        latest = np.maximum.accumulate(by_pixel) + 1
        pixels = np.minimum(np.ceil(fraction * self.output_pixels), self.output_pixels)
        found = np.searchsorted(self.first_pixel[order][by_pixel], pixels, side="left")
        return np.concatenate([[0], latest])[found]


@dataclass(frozen=True)
class Activity:
    """What a stage does on chip; priced by the energy model.

    Parameters
    ----------
    macs
        Multiply-accumulates executed.
    gated_macs
        Those of them that took their cycle but no energy.
    array_operations
        Other operations of the array by name.
    operand_bits
        Widths of the two operands of a multiply-accumulate.
    vector_operations
        Element operations of the vector unit, fused layers left out.
    sram_read_bits, sram_write_bits
        Per buffer, fills and drains included.
    register_file_bits
        Bits read or written in the registers of the processing elements.
    interconnect_bits
        Bits moved between buffers and array, and between DRAM and buffers, at a price per bit.
    interconnect_bit_hops
        Bits that an interconnect between buffers and array moves, times the links that they charge.
    """

    macs: int = 0
    gated_macs: int = 0
    array_operations: dict[str, int] = field(default_factory=dict)
    operand_bits: tuple[int, int] = (0, 0)
    vector_operations: int = 0
    sram_read_bits: dict[str, int] = field(default_factory=dict)
    sram_write_bits: dict[str, int] = field(default_factory=dict)
    register_file_bits: int = 0
    interconnect_bits: int = 0
    interconnect_bit_hops: float = 0.0


@dataclass(frozen=True)
class StepLoads:
    """Loads of the stationary operand into the second copy that the array holds; a step begins with one at most.

    Parameters
    ----------
    operand
        ``weight`` or ``ifmap``.
    lead_cycles
        Per step the cycles of the load that it begins with; 0 where it goes on with what the array holds.
    handover_cycles
        Per step the cycles from its begin until the second copy is free for the load of a later one.
    exposed_cycles
        Per step those of its cycles in which the array waits for loads.
    made_on_chip
        Whether earlier stages make the operand and leave it on chip, so that their end is to be waited for.
    """

    operand: str
    lead_cycles: NDArray[np.int64]
    handover_cycles: NDArray[np.int64]
    exposed_cycles: NDArray[np.int64]
    made_on_chip: bool = False

    def shown(self, cycles: NDArray[np.int64]) -> int:
        """Cycles in which an array waits for loads between its steps, where these last so many cycles each.

        The first load is taken to be over when the stage begins, unless what it loads is made on chip until then.
        """
        loading = np.flatnonzero(self.lead_cycles)
        begins = np.cumsum(cycles) - cycles
        free = begins[loading[:-1]] + self.handover_cycles[loading[:-1]]
        shown = np.maximum(self.lead_cycles[loading[1:]] - (begins[loading[1:]] - free), 0).sum()
        return int(shown) + (int(self.lead_cycles[loading[0]]) if self.made_on_chip and len(loading) else 0)


@dataclass(frozen=True)
class StageTiles:
    """Everything that the simulation needs to know of one stage.

    Parameters
    ----------
    index
        Position in the order of execution.
    name
        Layer that gives the stage its name.
    on_array
        Whether the PE array computes; the vector unit otherwise.
    compute_cycles
        Per step the cycles of the compute unit.
    inputs
        Operands that are fetched.
    output
        Result tiles.
    kept_bits, kept_in
        Space that the stage's result takes where it stays on chip, and the buffer in which it does.
    kept_until
        Index of the last stage that reads an output kept on chip.
    activity
        Counts for the energy model.
    mapping_efficiency
        Share of the array's elements that the folds use, averaged over folds.
    mapping
        How the stage was tiled, for the report.
    busy_cycles
        Cycles in which each part of the array did useful work, (rows, columns) as it is drawn.
    decided_by
        Stage at whose end it is known whether this one runs; None where that is known from the start.
    closed
        Whether it does not run; what was fetched for it before that was known is wasted.
    waits
        Whether nothing is fetched for it before the decision, for that says what to fetch, too.
    loads
        Loads of the stationary operand that overlap with compute; None where they are part of the compute cycles.
    drain_cycles
        Cycles after the last step until its results have left the array, where they are no part of the step.
    limits
        What a step may have to wait for beside the compute unit.
    """

    index: int
    name: str
    on_array: bool
    compute_cycles: NDArray[np.int64]
    inputs: tuple[OperandTiles, ...]
    output: OutputTiles
    kept_bits: int
    kept_in: str
    kept_until: int
    activity: Activity
    mapping_efficiency: float
    mapping: dict[str, object]
    busy_cycles: NDArray[np.float64] | None = None
    decided_by: int | None = None
    closed: bool = False
    waits: bool = False
    loads: StepLoads | None = None
    drain_cycles: int = 0
    limits: tuple[StepLimit, ...] = ()

    @property
    def own_stalls(self) -> dict[str, int]:
        """Cycles by cause that the stage waits even where all tiles are in their buffers as it begins.

        The passing of results through the vector unit is left out, but for that of the last ones.
        """
        stalls: dict[str, int] = {}
        cycles = self.compute_cycles
        for limit in self.limits:
            wider = np.maximum(cycles, limit.cycles)
            stalls[limit.cause] = stalls.get(limit.cause, 0) + int((wider - cycles).sum()) + limit.latency_cycles
            cycles = wider
        drain = self.drain_cycles
        passing = self.output.pass_cycles
        if passing is not None and len(passing):
            drain += int(passing[self.output.drain_order[-1]])
        stalls["array_drain"] = drain
        if self.loads is not None:
            stalls[f"{self.loads.operand}_shift"] = int(self.loads.exposed_cycles.sum()) + self.loads.shown(cycles)
        return {cause: count for cause, count in stalls.items() if count}


@dataclass(frozen=True)
class TileRead:
    """One fetch of a tile from DRAM.

    Parameters
    ----------
    access
        Number of the fetch in a pass through the network, `ACCESSES_OF_STAGE` to a stage.
    stage
        Index of the stage that fetches.
    fetch
        Addresses of the operand's tiles.
    tile
        Which of them.
    """

    access: int
    stage: int
    fetch: AddressPattern
    tile: int


ACCESSES_OF_STAGE = 1 << 24
"""Numbers that each stage has for its fetches, so that those of a stage are the same whatever ran before it."""


def tile_reads(stages: Sequence[StageTiles]) -> Iterator[TileRead]:
    """All fetches of tiles from DRAM in a pass through a network, numbered; nothing that is on chip or at a host."""
    for stage in stages:
        if stage.closed:
            continue
        access = stage.index * ACCESSES_OF_STAGE
        for tiles in (*stage.inputs, stage.output.tiles):
            fetch = tiles.fetch.in_dram
            for tile in np.flatnonzero(fetch.tile_bytes).tolist():
                yield TileRead(access, stage.index, fetch, tile)
                access += 1
