"""A row-stationary array stepped cycle by cycle: elements with spads, three input networks, sums handed up a column.

Slow and plain on purpose. It is given the layout of a block (how many filters, channels, sets); it finds out by itself
what each element needs, moves every word, counts cycles by stepping them, and computes the product.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator

Values = NDArray[np.int64]
Word = tuple[int, int, int, int]
"""An input: channel, image, row and column; rows and columns outside of the map are padding."""


@dataclass(frozen=True)
class Machine:
    """Size, spads (filter, ifmap, psum) and networks (filter, ifmap, psum) of an array."""

    rows: int
    cols: int
    spads: tuple[int, int, int]
    rates: tuple[int, int, int]


@dataclass(frozen=True)
class Problem:
    """A convolution: ifmap (image, channel, row, column), weights (filter, channel of its group, row, tap)."""

    ifmap: Values
    weight: Values
    groups: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    out_height: int
    out_width: int

    def value(self, word: Word) -> int:
        """An input, 0 in the padding."""
        channel, image, row, col = word
        inside = 0 <= row < self.ifmap.shape[2] and 0 <= col < self.ifmap.shape[3]
        return int(self.ifmap[image, channel, row, col]) if inside and image < len(self.ifmap) else 0


@dataclass(frozen=True)
class Layout:
    """How a block is laid out; the letters of the paper."""

    e: int
    p: int
    q: int
    r: int
    t: int
    g: int
    strips: int
    height: int
    taps: int


@dataclass(frozen=True)
class Ranges:
    """Part of the layer that a block computes, m and k as the mapper counts them."""

    groups: range
    m: range
    n: range
    k: range


@dataclass
class Element:
    """One element: its spads."""

    filters: dict[tuple[int, int, int], int] = field(default_factory=dict)  # (filter, channel, tap)
    inputs: dict[tuple[int, int], int] = field(default_factory=dict)  # (channel, tap)
    sums: dict[int, int] = field(default_factory=dict)  # by filter


@dataclass
class Counts:
    """What a run came to."""

    cycles: int = 0
    words: dict[str, int] = field(default_factory=lambda: {"ifmap": 0, "weight": 0, "psum": 0})
    busy: dict[tuple[int, int], int] = field(default_factory=dict)


def chunks(whole: range, size: int) -> Iterator[range]:
    for first in range(whole.start, whole.stop, size):
        yield range(first, min(first + size, whole.stop))


def shares(whole: range, parts: int) -> list[range]:
    """A range cut into shares of even size, the last ones smaller or left out."""
    return list(chunks(whole, ceil_div(len(whole), parts)))


def step_block(machine: Machine, problem: Problem, layout: Layout, part: Ranges, out: Values, counts: Counts) -> None:
    """Work on a block pass by pass; `out` (filter, pixel) is the buffer in which sums wait."""
    window = problem.weight.shape[2] * problem.weight.shape[3]
    if len(part.k) >= window:
        channels, height, taps = (
            range(part.k.start // window, part.k.stop // window),
            *map(range, problem.weight.shape[2:]),
        )
    else:
        channel, place = divmod(part.k.start, window)
        row, tap = divmod(place, problem.weight.shape[3])
        rows = ceil_div(len(part.k), problem.weight.shape[3])
        channels, height = range(channel, channel + 1), range(row, row + rows)
        taps = range(tap, tap + min(len(part.k), problem.weight.shape[3]))
    for groups, filters, some_channels, rows_, some_taps in product(
        list(chunks(part.groups, layout.g)),
        list(chunks(part.n, layout.p * layout.t)),
        list(chunks(channels, layout.q * layout.r)),
        list(chunks(height, layout.height)),
        list(chunks(taps, layout.taps)),
    ):
        _Pass(machine, problem, layout, part, out, counts, groups, filters, some_channels, rows_, some_taps).run()


@dataclass
class _Set:
    """One PE set: its group, filters, channels and elements, [filter row][column]."""

    group: int
    filters: range
    channels: range
    elements: list[list[Element]]


@dataclass
class _Pass:
    machine: Machine
    problem: Problem
    layout: Layout
    part: Ranges
    out: Values
    counts: Counts
    groups: range
    filters: range
    channels: range
    height: range
    taps: range

    def run(self) -> None:
        self.sets = self._place_sets()
        self._fill()
        self._windows()

    def _place_sets(self) -> list[_Set]:
        """Lay the sets out: side by side where they fit beside each other, else cut and stacked."""
        layout, machine = self.layout, self.machine
        grid: dict[tuple[int, int], Element] = {}
        sets: list[_Set] = []
        wide = layout.e > machine.cols
        segments = ceil_div(layout.e, machine.cols)
        beside = 1 if wide else machine.cols // layout.e
        for group, filters, channels in product(
            self.groups, shares(self.filters, layout.t), shares(self.channels, layout.r)
        ):
            elements = [[Element() for _ in range(layout.e)] for _ in self.height]
            for row, col in product(range(len(self.height)), range(layout.e)):
                level = len(sets) * segments + col // machine.cols if wide else len(sets) // beside
                across = col % machine.cols if wide else len(sets) % beside * layout.e + col
                place = level * len(self.height) + row, across
                assert place not in grid
                assert place[0] < machine.rows
                assert place[1] < machine.cols
                grid[place] = elements[row][col]
            sets.append(_Set(group, filters, channels, elements))
        self.grid = grid
        return sets

    def _fill(self) -> None:
        """Each weight goes over the network once, to every column of every set that needs it."""
        waiting = deque(
            (group, filter_, channel, row, tap)
            for group, filter_, channel, row, tap in product(
                self.groups, self.filters, self.channels, self.height, self.taps
            )
        )
        while waiting:
            self.counts.cycles += 1
            for _ in range(min(self.machine.rates[0], len(waiting))):
                group, filter_, channel, row, tap = waiting.popleft()
                self.counts.words["weight"] += 1
                number = group * (len(self.problem.weight) // self.problem.groups) + filter_
                weight = int(self.problem.weight[number, channel, row, tap])
                for one in self.sets:
                    if one.group == group and filter_ in one.filters and channel in one.channels:
                        for element in one.elements[row - self.height.start]:
                            element.filters[filter_, channel, tap] = weight
                            assert len(element.filters) <= self.machine.spads[0]

    def _runs(self) -> list[list[tuple[int, int]]]:
        """Output rows (image, row) of the columns, run by run: strip after strip, image after image."""
        problem, layout = self.problem, self.layout
        first = self.part.m.start // problem.out_width
        rows = ceil_div(len(self.part.m), problem.out_width)
        per_image = min(rows, problem.out_height)
        runs = []
        for image in range(ceil_div(rows, problem.out_height)):
            for strip in range(layout.strips):
                begin = first + image * problem.out_height + strip * layout.e
                runs.append([divmod(begin + col, problem.out_height) for col in range(layout.e)])
        assert per_image <= layout.strips * layout.e
        return runs

    def _window_words(self, run: list[tuple[int, int]], window: int, first: int) -> list[Word]:
        """Inputs that a window needs and that were not there before, each once."""
        problem = self.problem
        per_group = problem.weight.shape[1]
        keeps = problem.dilation[1] == 1
        begin = max(len(self.taps) - problem.stride[1], 0) if window and keeps else 0
        words: dict[Word, None] = {}
        for place, group, channel in product(range(begin, len(self.taps)), self.groups, self.channels):
            col = (first + window) * problem.stride[1] - problem.padding[1]
            col += (self.taps.start + place) * problem.dilation[1]
            for (image, out_row), row in product(run, self.height):
                in_row = out_row * problem.stride[0] - problem.padding[0] + row * problem.dilation[0]
                words[group * per_group + channel, image, in_row, col] = None
        return list(words)

    def _windows(self) -> None:
        runs, width = self._runs(), min(len(self.part.m), self.problem.out_width)
        first = self.part.m.start % self.problem.out_width
        order = [(run, window) for run in range(len(runs)) for window in range(width)]
        self.queues: dict[Word, int] = {}  # what has come over the network and waits in front of the elements
        network = deque(self._window_words(runs[run], window, first) for run, window in order)
        arrived = 0  # windows whose inputs are all in the queues
        outgoing: deque[tuple[int, int, int]] = deque()
        for number, (run, window) in enumerate(order):
            while arrived <= number:  # the array waits for its inputs
                self.counts.cycles += 1
                arrived += self._deliver(network)
            self._load(runs[run], window, first)
            incoming, products = self._incoming(runs[run], first + window), self._products()
            while products or incoming or outgoing:
                self.counts.cycles += 1
                arrived += self._deliver(network)
                self._move(incoming, "in")
                self._move(outgoing, "out")
                if products:
                    self._multiply(products.popleft())
            outgoing = self._accumulate(runs[run], first + window)
        while outgoing:
            self.counts.cycles += 1
            self._move(outgoing, "out")

    def _deliver(self, network: deque[list[Word]]) -> int:
        """A cycle of the ifmap network; 1 where the last input of a window has come."""
        if not network:
            return 0
        for _ in range(min(self.machine.rates[1], len(network[0]))):
            word = network[0].pop(0)
            self.queues[word] = self.problem.value(word)
            self.counts.words["ifmap"] += 1
        if network[0]:
            return 0
        network.popleft()
        return 1

    def _load(self, run: list[tuple[int, int]], window: int, first: int) -> None:
        """Move the inputs of a window into the spads; those that the window before had stay."""
        problem = self.problem
        keeps = problem.dilation[1] == 1
        for one in self.sets:
            for (row, line), channel in product(enumerate(one.elements), one.channels):
                for (image, out_row), element in zip(run, line, strict=True):
                    held = {tap: value for (of, tap), value in element.inputs.items() if of == channel}
                    for place in range(len(self.taps)):
                        before = place + problem.stride[1]
                        if window and keeps and before < len(self.taps):
                            value = held[before]
                        else:
                            in_row = out_row * problem.stride[0] - problem.padding[0]
                            in_row += (self.height.start + row) * problem.dilation[0]
                            col = (first + window) * problem.stride[1] - problem.padding[1]
                            col += (self.taps.start + place) * problem.dilation[1]
                            whole = one.group * problem.weight.shape[1] + channel
                            value = self.queues[whole, image, in_row, col]
                        element.inputs[channel, place] = value
                    assert len(element.inputs) <= self.machine.spads[1]

    def _products(self) -> deque[int]:
        """Multiplications of a window, one after the other; the element with the most of them sets the pace."""
        most = max(len(one.filters) * len(one.channels) for one in self.sets) * len(self.taps)
        return deque(range(most))

    def _multiply(self, index: int) -> None:
        for one in self.sets:
            steps = list(product(one.channels, range(len(self.taps)), one.filters))
            if index >= len(steps):
                continue
            channel, place, filter_ = steps[index]
            for line in one.elements:
                for element in line:
                    value = element.inputs[channel, place]
                    weight = element.filters[filter_, channel, self.taps.start + place]
                    element.sums[filter_] = element.sums.get(filter_, 0) + value * weight
                    assert len(element.sums) <= self.machine.spads[2]

    def _outputs(self, run: list[tuple[int, int]], col: int) -> Iterator[tuple[int, int, int, int]]:
        """Outputs of a window: column of the set, group, filter and pixel; -1 for what is no part of the block."""
        problem = self.problem
        for column, (image, row) in enumerate(run):
            pixel = (image * problem.out_height + row) * problem.out_width + col
            for group, filter_ in product(self.groups, self.filters):
                yield column, group, filter_, pixel if pixel in self.part.m else -1

    def _incoming(self, run: list[tuple[int, int]], col: int) -> deque[tuple[int, int, int]]:
        return deque((group, filter_, pixel) for _, group, filter_, pixel in self._outputs(run, col))

    def _move(self, sums: deque[tuple[int, int, int]], direction: str) -> None:
        for _ in range(min(self.machine.rates[2], len(sums))):
            _, _, pixel = sums.popleft()
            self.counts.words["psum"] += direction == "out" and pixel >= 0

    def _accumulate(self, run: list[tuple[int, int]], col: int) -> deque[tuple[int, int, int]]:
        """Hand the sum of every output up its columns, from element to element and from set to set."""
        leaving: deque[tuple[int, int, int]] = deque()
        filters = len(self.problem.weight) // self.problem.groups
        for column, group, filter_, pixel in self._outputs(run, col):
            number = group * filters + filter_
            passing = int(self.out[number, pixel]) if pixel >= 0 else 0
            for one in self.sets:
                if one.group == group and filter_ in one.filters:
                    for line in one.elements:
                        passing += line[column].sums.pop(filter_)
            if pixel >= 0:
                self.out[number, pixel] = passing
            leaving.append((group, filter_, pixel))
        pace = len(self._products())
        for place in self.grid:
            self.counts.busy[place] = self.counts.busy.get(place, 0) + pace
        return leaving
