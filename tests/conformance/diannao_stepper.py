"""DianNao, register by register: multipliers, adder trees and output stage, each a cycle behind the one before.

A cycle moves every set of registers on to the next stage at once, as a clock edge does. Nothing here knows a formula
for the cycles: they are counted until the last output has left.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from small_layers import Block, Matrix, SmallLayer


@dataclass
class Step:
    """What enters the multipliers in one cycle: for some outputs the products of some channels at one tap."""

    group: int
    m: int
    n: list[int]
    k: list[int]
    first: bool
    last: bool
    block: int


@dataclass(frozen=True)
class Run:
    """Cycles from the first product to the last output, the results, and per block when it began and had left."""

    cycles: int
    product: Matrix
    begins: list[int]
    ends: list[int]


def steps(small: SmallLayer, blocks: Iterable[Block], trees: int, width: int) -> Iterator[Step]:
    """The loops of the paper: outputs of a pixel, then taps, then channels."""
    for number, block in enumerate(blocks):
        for group in block.groups:
            for m in block.m:
                for begin in range(block.n.start, block.n.stop, trees):
                    outputs = list(range(begin, min(begin + trees, block.n.stop)))
                    inputs = []
                    for tap in range(small.taps):
                        channels = [k for k in block.k if k % small.taps == tap]
                        inputs += [channels[i : i + width] for i in range(0, len(channels), width)]
                    for place, k in enumerate(inputs):
                        yield Step(group, m, outputs, k, place == 0, place == len(inputs) - 1, number)


def run(small: SmallLayer, blocks: Iterable[Block], trees: int, width: int, stages: int) -> Run:
    """Clock the pipeline until it is empty."""
    dims = small.layer.dims
    buffer = np.zeros((dims.groups, dims.m, dims.n), np.int64)  # sums that wait for further blocks, and results
    waiting = deque(steps(small, blocks, trees, width))
    products: tuple[Step, Matrix] | None = None  # registers behind the multipliers
    accumulators = np.zeros(trees, np.int64)
    finished: deque[tuple[Step, Matrix] | None] = deque([None] * (stages - 2))  # the function, in one stage or several
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    cycle = 0
    while waiting or products is not None or any(entry is not None for entry in finished):
        leaving = finished.popleft()
        if leaving is not None:
            step, sums = leaving
            buffer[step.group, step.m, step.n] = sums
            ends[step.block] = cycle
        entering = None
        if products is not None:
            step, matrix = products
            if step.first:
                accumulators[: len(step.n)] = buffer[step.group, step.m, step.n]
                for older in finished:  # a sum that is still on its way is taken from there
                    if older is not None and older[0].group == step.group and older[0].m == step.m:
                        for place, output in enumerate(step.n):
                            if output in older[0].n:
                                accumulators[place] = older[1][older[0].n.index(output)]
            accumulators[: len(step.n)] += matrix.sum(axis=1)
            if step.last:
                entering = (step, accumulators[: len(step.n)].copy())
        finished.append(entering)
        products = None
        if waiting:
            step = waiting.popleft()
            begins.setdefault(step.block, cycle)
            inputs = small.left[step.group, step.m, step.k]
            products = (step, small.right[step.group][np.ix_(step.n, step.k)] * inputs)
        cycle += 1
    return Run(cycle, buffer, list(begins.values()), [ends[block] + 1 for block in sorted(ends)])
