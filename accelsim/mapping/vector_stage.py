"""Builds the tile graph of a stage that the vector unit runs: every input streams in once, every output out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.address_pattern import AddressPattern, runs_of
from accelsim.mapping.tile_graph import Activity, Dependence, OperandTiles, OutputTiles
from accelsim.mapping.traffic import StepTraffic
from accelsim.units import BITS_PER_BYTE, ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_TILES = 8
"""Tiles into which a stage is cut even where it would fit in fewer, so that fetch, compute and drain overlap."""

SMALLEST_TILE_BYTES = 2_048
"""Inputs are not cut finer than this only for the sake of overlap."""


@dataclass(frozen=True)
class StreamedInput:
    """A feature map in DRAM that the vector unit reads.

    Parameters
    ----------
    address, size_bytes
        Where it lies.
    producer
        Output of the stage that makes it, with that stage's index; None for an input of the graph.
    in_order
        Whether its pixels come in the order in which the producer makes them.
    """

    address: int
    size_bytes: int
    producer: tuple[int, OutputTiles] | None
    in_order: bool = True


@dataclass(frozen=True)
class VectorStage:
    """One layer on the vector unit.

    Parameters
    ----------
    operations
        Element operations; a copy has none.
    elements
        Elements of the output, each of which takes a lane for a cycle even if it is only copied.
    lanes
        Operations per cycle.
    inputs
        What is read from DRAM; inputs on chip are left out.
    input_bits, output_bits
        Bits read from and written to buffers, on-chip inputs included.
    output_bytes
        Bytes of the output in DRAM.
    output_address
        Where the output goes; None where it stays on chip.
    output_pixels
        Pixels of the output.
    buffers
        Names of the buffers of inputs and output.
    free_bits
        Room in those buffers; one number twice where they are the same.
    copies
        2 where a buffer is double, per buffer.
    """

    operations: int
    elements: int
    lanes: int
    inputs: tuple[StreamedInput, ...]
    input_bits: int
    output_bits: int
    output_bytes: int
    output_address: int | None
    output_pixels: int
    buffers: tuple[str, str]
    free_bits: tuple[int, int]
    copies: tuple[int, int]

    @property
    def _fetched_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.inputs)

    @cached_property
    def tiles(self) -> int:
        """Number of tiles: as many as the buffers ask for, and enough to overlap."""
        number = self._wanted_tiles
        while number < self._most_tiles and not self._fit(self.held_bits(number)):
            number = min(number + max(number // 8, 1), self._most_tiles)
        return number

    @property
    def fits(self) -> bool:
        """Whether the tiles fit into the buffers; where not, no smaller ones would."""
        return self._fit(self.held_bits(self.tiles))

    @property
    def _most_tiles(self) -> int:
        """Tiles beyond which none gets smaller."""
        return max(self._wanted_tiles, self.output_bits, *(entry.size_bytes for entry in self.inputs))

    def held_bits(self, tiles: int) -> tuple[int, int]:
        """Most bits that inputs and output hold when cut into so many tiles."""
        largest = sum(ceil_div(entry.size_bytes, tiles) for entry in self.inputs) * BITS_PER_BYTE
        return min(self.copies[0], tiles) * largest, min(self.copies[1], tiles) * ceil_div(self.output_bits, tiles)

    def _fit(self, held: tuple[int, int]) -> bool:
        if self.buffers[0] == self.buffers[1]:
            return sum(held) <= self.free_bits[0]
        return held[0] <= self.free_bits[0] and held[1] <= self.free_bits[1]

    @property
    def _wanted_tiles(self) -> int:
        """Tiles by the total sizes alone, rounding of the single tile left out."""
        fetched, made = self._fetched_bytes * BITS_PER_BYTE, self.output_bits
        if self.buffers[0] == self.buffers[1]:
            needed = ceil_div(self.copies[0] * fetched + self.copies[1] * made, max(self.free_bits[0], 1))
        else:
            needed = max(
                ceil_div(self.copies[0] * fetched, max(self.free_bits[0], 1)),
                ceil_div(self.copies[1] * made, max(self.free_bits[1], 1)),
            )
        largest = max(self._fetched_bytes, self.output_bits // BITS_PER_BYTE)
        return max(needed + (needed > 1), min(FEWEST_TILES, ceil_div(largest, SMALLEST_TILE_BYTES)), 1)

    def _cuts(self, total: int) -> NDArray[np.int64]:
        """Boundaries of `total` things dealt out evenly over the tiles."""
        return np.arange(self.tiles + 1) * total // self.tiles

    @property
    def compute_cycles(self) -> NDArray[np.int64]:
        """Cycles of the vector unit per tile."""
        return np.diff(self._cuts(ceil_div(max(self.operations, self.elements), self.lanes)))

    def _tiles(self, operand: str, number: int, bits: NDArray[np.int64], fetch: AddressPattern) -> OperandTiles:
        steps = np.arange(self.tiles)
        return OperandTiles(
            operand=operand,
            buffer=self.buffers[number],
            first_step=steps,
            set_index=steps,
            allocated_bits=bits,
            released_bits=bits,
            retire_step=steps,
            sets_in_flight=self.copies[number],
            fetch=fetch,
        )

    @cached_property
    def input_tiles(self) -> OperandTiles | None:
        """Tiles of all inputs that come from DRAM; None where there are none."""
        if not self.inputs:
            return None
        owner = np.arange(self.tiles)
        total = np.zeros(self.tiles, np.int64)
        parts = []
        dependences: dict[int, Dependence] = {}
        ready = (owner + 1) / self.tiles
        for entry in self.inputs:
            cuts = self._cuts(entry.size_bytes)
            parts.append((owner, runs_of(entry.address + cuts[:-1], np.diff(cuts))))
            total += np.diff(cuts)
            if entry.producer:
                stage, output = entry.producer
                drained = output.drains_until(ready if entry.in_order else np.ones(self.tiles))
                if stage in dependences:
                    drained = np.maximum(drained, dependences[stage].drained)
                dependences[stage] = Dependence(stage, drained)
        tiles = self._tiles("ifmap", 0, total * BITS_PER_BYTE, AddressPattern.gather(parts, self.tiles))
        return tiles.after(*dependences.values())

    @cached_property
    def output_tiles(self) -> OutputTiles:
        """Tiles of the output."""
        owner = np.arange(self.tiles)
        bits = np.diff(self._cuts(self.output_bits))
        drain = AddressPattern.empty(self.tiles)
        if self.output_address is not None:
            cuts = self._cuts(self.output_bytes)
            drain = AddressPattern.gather(
                [(owner, runs_of(self.output_address + cuts[:-1], np.diff(cuts)))], self.tiles
            )
        return OutputTiles(
            tiles=self._tiles("psum", 1, bits, AddressPattern.empty(self.tiles)),
            last_step=owner,
            delay_cycles=np.zeros(self.tiles, np.int64),
            drain=drain,
            spilled_before=np.zeros(self.tiles, np.int64),
            first_pixel=self._cuts(self.output_pixels)[:-1],
            output_pixels=self.output_pixels,
        )

    @property
    def traffic(self) -> StepTraffic:
        """On-chip accesses per tile."""
        reads, writes = np.diff(self._cuts(self.input_bits)), np.diff(self._cuts(self.output_bits))
        ports = {name: np.zeros(self.tiles, np.int64) for name in self.buffers}
        ports[self.buffers[0]] += reads
        ports[self.buffers[1]] += writes
        return StepTraffic({"ifmap": reads}, {"psum": writes}, ports)

    @property
    def activity(self) -> Activity:
        """On-chip accesses: inputs read, output written, what came from and goes to DRAM once more each."""
        fetched = self._fetched_bytes * BITS_PER_BYTE
        drained = self.output_bytes * BITS_PER_BYTE if self.output_address is not None else 0
        reads, writes = dict.fromkeys(self.buffers, 0), dict.fromkeys(self.buffers, 0)
        reads[self.buffers[0]] += self.input_bits
        reads[self.buffers[1]] += drained
        writes[self.buffers[0]] += fetched
        writes[self.buffers[1]] += self.output_bits
        return Activity(
            vector_operations=self.operations,
            sram_read_bits=reads,
            sram_write_bits=writes,
            interconnect_bits=self.input_bits + self.output_bits + fetched + drained,
        )
