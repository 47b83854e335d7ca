"""A bit-serial array stepped cycle by cycle, plain and slow: real Booth digits, real rebuilding, real waiting.

One block after the other, one pass after the other; in each cycle every lane of every line adds at most one digit times
its weight to its sum. Nothing here is shared with the model under test but the records that describe the layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def booth_form(value: int) -> list[tuple[int, int]]:
    """Nonzero radix-4 Booth digits of a number, each with its power of four."""
    digits, place = [], 0
    below = 0
    while value not in (0, -1) or (value == -1) != bool(below):
        low, high = value & 1, value >> 1 & 1
        digit = low + below - 2 * high
        if digit:
            digits.append((digit, place))
        below, value, place = high, value >> 2, place + 1
    return digits


def rebuild(levels: Ints, basis: Ints) -> tuple[list[int], int]:
    """A row of weights from a row of coefficients, one shifted row of the basis after the other: (weights, shifts)."""
    weights, operations = [0] * basis.shape[1], 0
    for level, row in zip(levels.tolist(), basis.tolist(), strict=True):
        if level:
            for column, entry in enumerate(row):
                shifted = entry << (abs(level) - 1)
                weights[column] += shifted if level > 0 else -shifted
                operations += 1
    return weights, operations


@dataclass(frozen=True)
class Size:
    """The array."""

    slices: int
    lines: int
    lanes: int
    clusters: int
    together: int
    rebuild_cycles: int
    load_cycles: int
    port: int


@dataclass(frozen=True, eq=False)
class Task:
    """A layer as convolutions; weights plain (filters, weights) or as coefficients and bases."""

    ifmap: Ints
    """(images, channels, height, width)."""
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    out: tuple[int, int]
    plain: Ints | None = None
    levels: Ints | None = None
    """(filters, rows, basis)."""
    named: NDArray[np.bool_] | None = None
    """(filters, rows)."""
    basis: Ints | None = None
    """(filters, slices, basis, basis)."""
    slice_rows: int = 0

    @property
    def filters(self) -> int:
        held = self.plain if self.plain is not None else self.levels
        assert held is not None
        return len(held) // self.groups

    @property
    def depth(self) -> int:
        channels: int = self.ifmap.shape[1] // self.groups
        return channels * self.kernel[0] * self.kernel[1]

    @property
    def row_length(self) -> int:
        return self.kernel[1] if self.plain is not None else 3


@dataclass
class Counts:
    """What happened."""

    cycles: int = 0
    digits: int = 0
    macs: int = 0
    rebuilds: int = 0
    delivered: int = 0


@dataclass
class Row:
    """A row of weights in the queue of a line: per slice its weights, None where that slice has none; per weight the
    digits of each lane."""

    basis: int
    weights: list[list[int] | None]
    operations: int
    digits: list[list[list[tuple[int, int]]]]


@dataclass
class Line:
    """A line of all slices that work in step."""

    queue: list[Row]
    sums: list[list[int]]
    load: int
    takes_turns: bool
    least: int
    counts: Counts
    step: int = 0
    waiting: list[list[tuple[int, int]]] = field(default_factory=list)
    current: int | None = None
    loading: int = 0
    rebuilding: int = 0
    in_row: bool = False

    def is_done(self) -> bool:
        return not self.queue and (not self.takes_turns or self.loading == 0)

    def tick(self) -> None:
        """One cycle."""
        if not self.queue:
            self.loading -= 1
            return
        row = self.queue[0]
        if not self.in_row and self.current != row.basis:
            if self.takes_turns:
                if self.current is not None and self.loading:
                    self.loading -= 1
                    return  # both engines load
                self.current, self.loading = row.basis, self.load
            else:
                if self.current is None or self.loading == 0:
                    self.loading = self.load + 1
                    self.current = None
                self.loading -= 1
                if self.loading:
                    self.current = -1
                    return
                self.current = row.basis
        if not self.in_row:
            self.in_row, self.step, self.rebuilding = True, 0, self.least
            self.waiting = [list(digits) for digits in row.digits[0]]
            self.counts.rebuilds += row.operations
            self._count_macs(row)
        self._advance(row)
        if self.takes_turns and self.loading:
            self.loading -= 1

    def _count_macs(self, row: Row) -> None:
        for weights in row.weights:
            if weights is not None:
                self.counts.macs += sum(bool(digits) for lanes in row.digits for digits in lanes)

    def _advance(self, row: Row) -> None:
        self.rebuilding = max(self.rebuilding - 1, 0)
        if self.step < len(row.digits):
            for lane, digits in enumerate(self.waiting):
                if digits:
                    digit, place = digits.pop(0)
                    for number, weights in enumerate(row.weights):
                        if weights is not None:
                            self.sums[number][lane] += digit * weights[self.step] * 4**place
                            self.counts.digits += 1
            if not any(self.waiting):
                self.step += 1
                if self.step < len(row.digits):
                    self.waiting = [list(digits) for digits in row.digits[self.step]]
        if self.step == len(row.digits) and not self.rebuilding:
            self.queue.pop(0)
            self.in_row = False


def run_block(
    task: Task, size: Size, groups: range, filters: range, depth: range, pixels: range, result: Ints, counts: Counts
) -> None:
    """One block: its cycles go to `counts`, its sums are added to `result` (images * rows * columns, filters)."""
    clustered = is_clustered(task, size)
    lanes = size.lanes // (size.clusters if clustered else 1)
    counts.cycles += start_cycles(task, size, lanes, clustered)
    for tile in pixel_tiles(task, lanes, pixels):
        for turn in filter_turns(size.slices, groups, filters):
            counts.cycles += run_pass(task, size, clustered, turn, depth, tile, result, counts)


def is_clustered(task: Task, size: Size) -> bool:
    flat = task.kernel == (1, 1) and not any(task.padding)
    return flat and len(task.ifmap) * task.out[0] * task.out[1] <= size.lanes // size.clusters


def start_cycles(task: Task, size: Size, lanes: int, clustered: bool) -> int:  # noqa: FBT001
    span = (lanes - 1) * task.stride[1] + (task.kernel[1] - 1) * task.dilation[1] + 1
    fill = -(-min(span, task.kernel[1] * lanes) // lanes)
    if task.plain is not None:
        return fill + 1
    return fill + size.rebuild_cycles + (0 if clustered else size.load_cycles)


def pixel_tiles(task: Task, lanes: int, pixels: range) -> list[list[int]]:
    """Output pixels that the lanes take at one time: neighbours in a row, or anywhere where no window slides."""
    flat = task.kernel == (1, 1) and not any(task.padding)
    tiles: list[list[int]] = []
    for pixel in pixels:
        new_row = not flat and pixel % task.out[1] == 0
        if not tiles or len(tiles[-1]) == lanes or new_row:
            tiles.append([])
        tiles[-1].append(pixel)
    return tiles


def filter_turns(slices: int, groups: range, filters: range) -> list[list[tuple[int, list[int]]]]:
    """What a pass holds: per group its filters."""
    if len(filters) > slices:
        return [
            [(group, list(filters[first : first + slices]))]
            for group in groups
            for first in range(0, len(filters), slices)
        ]
    several = max(slices // len(filters), 1)
    return [
        [(group, list(filters)) for group in groups[first : first + several]]
        for first in range(0, len(groups), several)
    ]


def run_pass(
    task: Task, size: Size, clustered: bool, turn: list[tuple[int, list[int]]], depth: range, tile: list[int],  # noqa: FBT001
    result: Ints, counts: Counts,
) -> int:  # fmt: skip
    """One pass: lines on their own, until all are done and the input has delivered what they need."""
    rows = range(depth.start // task.row_length, -(-depth.stop // task.row_length))
    several = task.plain is None and rows[0] // task.slice_rows != rows[-1] // task.slice_rows
    load = size.load_cycles if task.plain is None and (several or clustered) else 0
    least = size.rebuild_cycles if task.plain is None else 0
    lines, to_deliver = [], 0
    for group, filters in turn:
        fetched: set[tuple[int, int, int, int]] = set()
        for first in range(0, len(filters), size.together):
            unit = [group * task.filters + filter_ for filter_ in filters[first : first + size.together]]
            queues: dict[int, list[Row]] = {}
            for row in rows:
                made, read = row_of(task, group, unit, row, tile)
                if made is not None:
                    fetched |= read
                    queues.setdefault(line_of(task, size, clustered, rows, row), []).append(made)
            for queue in queues.values():
                sums = [[0] * len(tile) for _ in unit]
                lines.append((unit, Line(queue, sums, load, not clustered, least, counts)))
        to_deliver += len(fetched)
    cycles, delivered = 0, 0
    while delivered < to_deliver or not all(line.is_done() for _, line in lines):
        delivered = min(delivered + size.port, to_deliver)
        for _, line in lines:
            if not line.is_done():
                line.tick()
        cycles += 1
    counts.delivered += to_deliver
    for unit, line in lines:  # the adder trees
        for filter_, lanes in zip(unit, line.sums, strict=True):
            for pixel, value in zip(tile, lanes, strict=True):
                result[pixel, filter_] += value
    return cycles


def line_of(task: Task, size: Size, clustered: bool, rows: range, row: int) -> int:  # noqa: FBT001
    lines = size.lines * (size.clusters if clustered else 1)
    if task.kernel != (1, 1):
        taps = task.kernel[0] * task.kernel[1]
        channels = [place * task.row_length // taps for place in (rows[0], row, rows[-1])]
        if channels[2] - channels[0] + 1 >= lines:
            return (channels[1] - channels[0]) % lines
    return (row - rows[0]) % lines


def row_of(
    task: Task, group: int, unit: list[int], row: int, tile: list[int]
) -> tuple[Row | None, set[tuple[int, int, int, int]]]:
    """A row as the selector hands it to a line, with the activations it reads; None where it is left out."""
    weights: list[list[int] | None] = []
    operations, basis = 0, 0
    for filter_ in unit:
        if task.plain is not None:
            first = row * task.row_length
            weights.append(task.plain[filter_, first : first + task.row_length].tolist())
            continue
        assert task.levels is not None
        assert task.named is not None
        assert task.basis is not None
        basis = row // task.slice_rows
        if not task.named[filter_, row]:
            weights.append(None)
            continue
        made, added = rebuild(task.levels[filter_, row], task.basis[filter_, basis])
        weights.append(made)
        operations += added
    if all(part is None for part in weights):
        return None, set()
    read: set[tuple[int, int, int, int]] = set()
    digits, meets = [], False
    for place in range(row * task.row_length, min((row + 1) * task.row_length, task.depth)):
        lanes = []
        for pixel in tile:
            source = source_of(task, group, place, pixel)
            value = int(task.ifmap[source]) if source is not None else 0
            if source is not None:
                read.add(source)
            meets = meets or value != 0
            lanes.append(booth_form(value))
        digits.append(lanes)
    return (Row(basis, weights, operations, digits), read) if meets else (None, set())


def source_of(task: Task, group: int, place: int, pixel: int) -> tuple[int, int, int, int] | None:
    """The activation that a weight meets at an output pixel; None in the padding."""
    taps = task.kernel[0] * task.kernel[1]
    channel = place // taps + group * (task.ifmap.shape[1] // task.groups)
    down, right = divmod(place % taps, task.kernel[1])
    image, within = divmod(pixel, task.out[0] * task.out[1])
    row, col = divmod(within, task.out[1])
    y = row * task.stride[0] - task.padding[0] + down * task.dilation[0]
    x = col * task.stride[1] - task.padding[1] + right * task.dilation[1]
    inside = 0 <= y < task.ifmap.shape[2] and 0 <= x < task.ifmap.shape[3]
    return (image, channel, y, x) if inside else None
