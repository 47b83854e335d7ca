"""Cambricon-X, cycle by cycle: each element decodes its own stored weights and picks their inputs.

The weights are first put into the stored form, an index included, and all that follows is read from there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from small_layers import Block, Matrix, SmallLayer


@dataclass(frozen=True)
class Machine:
    """Sizes; `step_bits` is None for an index of one bit per weight."""

    elements: int
    multipliers: int
    candidates: int
    step_bits: int | None
    stages: int


@dataclass(frozen=True)
class Stored:
    """A filter as stored: weights with the distance of each from the one before, or weights and a bit for each."""

    weights: list[int]
    steps: list[int]
    mask: list[bool]

    def bits(self, machine: Machine, weight_bits: int) -> int:
        """Space."""
        index = len(self.mask) if machine.step_bits is None else len(self.weights) * machine.step_bits
        return len(self.weights) * weight_bits + index

    def places(self, machine: Machine) -> list[int]:
        """Decode the place of each stored weight."""
        if machine.step_bits is None:
            return [place for place, is_set in enumerate(self.mask) if is_set]
        return list(np.cumsum([step + 1 for step in self.steps]) - 1)


def store(filter_weights: list[int], machine: Machine) -> Stored:
    """Put a filter into its stored form."""
    if machine.step_bits is None:
        return Stored([w for w in filter_weights if w], [], [w != 0 for w in filter_weights])
    weights, steps, zeros = [], [], 0
    for weight in filter_weights:
        if weight or zeros == 2**machine.step_bits - 1:
            weights.append(weight)
            steps.append(zeros)
            zeros = 0
        else:
            zeros += 1
    return Stored(weights, steps, [])


@dataclass(frozen=True)
class Run:
    """Cycles, results, bits of the stored weights by block, and cycles in which each element worked."""

    cycles: int
    product: Matrix
    stored_bits: list[int]
    busy: list[int]


def order_of(small: SmallLayer, block: Block) -> list[int]:
    """Weights of a filter of a block in the order of storage: tap by tap, channels inside."""
    return [k for tap in range(small.taps) for k in block.k if k % small.taps == tap]


@dataclass
class Output:
    """One output that an element computes: inputs as they pass by, and the stored weights."""

    place: tuple[int, int, int]
    inputs: list[int]
    stored: Stored


def outputs_of(small: SmallLayer, block: Block, machine: Machine) -> list[deque[Output]]:
    """Deal the outputs of a block to the elements."""
    waiting: list[deque[Output]] = [deque() for _ in range(machine.elements)]
    order = order_of(small, block)
    together = max(1, machine.candidates // small.layer.dims.k)
    for m in block.m:
        for begin in range(block.groups.start, block.groups.stop, together):
            turn = 0
            for group in range(begin, min(begin + together, block.groups.stop)):
                for n in block.n:
                    stored = store([int(small.right[group, n, k]) for k in order], machine)
                    inputs = [int(small.left[group, m, k]) for k in order]
                    waiting[turn % machine.elements].append(Output((group, m, n), inputs, stored))
                    turn += 1
    return waiting


def picks(output: Output, machine: Machine) -> deque[list[tuple[int, int]]]:
    """What an element takes cycle by cycle: pairs of weight and place, from one stretch of candidates at a time."""
    places = output.stored.places(machine)
    pairs = list(zip(output.stored.weights, places, strict=True))
    cycles: deque[list[tuple[int, int]]] = deque()
    for begin in range(0, len(output.inputs), machine.candidates):
        inside = [pair for pair in pairs if begin <= pair[1] < begin + machine.candidates]
        for first in range(0, max(len(inside), 1), machine.multipliers):
            cycles.append(inside[first : first + machine.multipliers])
    return cycles


def run(small: SmallLayer, blocks: Iterable[Block], machine: Machine) -> Run:
    """Clock all elements, block after block; all wait for the slowest before the next block begins."""
    dims = small.layer.dims
    product = np.zeros((dims.groups, dims.m, dims.n), np.int64)
    busy = [0] * machine.elements
    cycle, last, stored_bits = 0, 0, []
    for block in blocks:
        waiting = outputs_of(small, block, machine)
        bits = {(o.place[0], o.place[2]): o.stored.bits(machine, 8) for queue in waiting for o in queue}
        stored_bits.append(sum(bits.values()))
        current: list[tuple[Output, deque[list[tuple[int, int]]]] | None] = [None] * machine.elements
        while any(waiting) or any(current):
            for element in range(machine.elements):
                held = current[element]
                if held is None and waiting[element]:
                    output = waiting[element].popleft()
                    held = current[element] = (output, picks(output, machine))
                if held is None:
                    continue
                output, schedule = held
                product[output.place] += sum(weight * output.inputs[place] for weight, place in schedule.popleft())
                busy[element] += 1
                if not schedule:
                    current[element] = None
                    last = cycle + machine.stages  # the output leaves the pipeline behind its last picks
            cycle += 1
    return Run(max(cycle, last), product, stored_bits, busy)
