"""Pragmatic, cycle by cycle: lanes that add their weight once for every term, columns, synapse set registers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from small_layers import Block, Matrix, SmallLayer

Terms = deque[tuple[int, int]]
"""Shift and sign of each term of one activation, lowest shift first."""


@dataclass(frozen=True)
class Machine:
    """Sizes, and whether activations are worked through in Booth digits rather than one bits."""

    filters: int
    lanes: int
    columns: int
    reach: int
    registers: int
    stages: int
    booth: bool = False


@dataclass(frozen=True)
class Run:
    """Cycles, results, all terms, and cycles in which each filter of each column worked."""

    cycles: int
    product: Matrix
    terms: int
    busy: Matrix


def terms_of(value: int, *, booth: bool) -> Terms:
    """The powers of two that add up to a number."""
    if not booth:
        sign = -1 if value < 0 else 1
        return deque((place, sign) for place in range(abs(value).bit_length()) if abs(value) >> place & 1)
    terms: Terms = deque()
    place, below = 0, 0
    while value >> place not in (0, -1) or (value >> place & 1) != below:
        low, high = value >> place & 1, value >> place + 1 & 1
        digit = below + low - 2 * high
        if digit:
            terms.append((place + (abs(digit) == 2), 1 if digit > 0 else -1))
        below, place = high, place + 2
    return terms


@dataclass
class Step:
    """A brick for each active column: its pixels, its weights by filter, and the inputs of each column."""

    group: int
    m: list[int]
    n: list[int]
    weights: Matrix
    inputs: list[list[int]]


@dataclass
class Column:
    """What a column is at."""

    step: int = -1
    lanes: list[Terms] = field(default_factory=list)
    idle_cycle: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it can begin another brick."""
        return not any(self.lanes) and not self.idle_cycle


def steps_of(small: SmallLayer, block: Block, group: int, machine: Machine) -> Iterator[Step]:
    """Filters outside, then windows, then taps, then channels."""
    for begin_n in range(block.n.start, block.n.stop, machine.filters):
        n = list(range(begin_n, min(begin_n + machine.filters, block.n.stop)))
        for begin_m in range(block.m.start, block.m.stop, machine.columns):
            m = list(range(begin_m, min(begin_m + machine.columns, block.m.stop)))
            for tap in range(small.taps):
                channels = [k for k in block.k if k % small.taps == tap]
                for begin in range(0, len(channels), machine.lanes):
                    brick = channels[begin : begin + machine.lanes]
                    inputs = [[int(small.left[group, pixel, k]) for k in brick] for pixel in m]
                    yield Step(group, m, n, small.right[group][np.ix_(n, brick)], inputs)


def run_group(steps: list[Step], machine: Machine, product: Matrix, busy: Matrix) -> tuple[int, int]:
    """Clock the columns through the bricks of one group; cycles and terms."""
    columns = [Column() for _ in range(machine.columns)]
    loaded, cycle, terms = 0, 0, 0
    begun = [0] * len(steps)  # columns that have begun a step
    wanted = [len(step.m) for step in steps]
    while begun != wanted or not all(column.is_done for column in columns):
        free = 0  # sets that all columns have taken over before this cycle
        while free < len(steps) and begun[free] == wanted[free]:
            free += 1
        if machine.registers:
            if loaded < len(steps) and loaded - free < machine.registers:
                loaded += 1
        elif all(column.is_done for column in columns) and free == loaded:
            loaded += 1
        for number, column in enumerate(columns):
            following = column.step + 1
            while following < len(steps) and number >= wanted[following]:
                following += 1
            if column.is_done and following < loaded:
                column.step = following
                begun[following] += 1
                column.lanes = [terms_of(value, booth=machine.booth) for value in steps[following].inputs[number]]
                column.idle_cycle = not any(column.lanes)
            if column.is_done:
                continue
            step = steps[column.step]
            busy[: len(step.n), number] += 1
            column.idle_cycle = False
            waiting = [lane[0][0] for lane in column.lanes if lane]
            for place, lane in enumerate(column.lanes):
                if lane and lane[0][0] < min(waiting) + machine.reach:
                    shift, sign = lane.popleft()
                    product[step.group, step.m[number], step.n] += sign * (step.weights[:, place] << shift)
                    terms += len(step.n)
        cycle += 1
    return cycle, terms


def run(small: SmallLayer, blocks: Iterable[Block], machine: Machine) -> Run:
    """Clock one block after the other; columns meet at the end of each group of a block."""
    dims = small.layer.dims
    product = np.zeros((dims.groups, dims.m, dims.n), np.int64)
    busy = np.zeros((machine.filters, machine.columns), np.int64)
    cycles, terms = 0, 0
    for block in blocks:
        for group in block.groups:
            steps = list(steps_of(small, block, group, machine))
            taken, added = run_group(steps, machine, product, busy)
            cycles, terms = cycles + taken, terms + added
    return Run(cycles + machine.stages - 1, product, terms, busy)
