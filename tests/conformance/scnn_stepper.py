"""SCNN cycle by cycle, with real values: elements, crossbar queues, accumulators, broadcast weights and write-back."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accelsim.units import ceil_div
from accelsim.workload.operators import Conv, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from small_layers import Block, SmallLayer

    from accelsim.hardware.pe_array.scnn import ScnnConfig

Place = tuple[int, int, int]
"""Group, output pixel and filter of a sum."""


def vectors(stream: list[tuple[int, object]], lanes: int, longest: int, *, sparse: bool) -> list[list[object]]:
    """Pack (value, entry) pairs, an entry being the value with its place: zeros are counted, fillers cut long runs."""
    packed: list[object] = []
    zeros = 0
    for value, entry in stream:
        if sparse and value == 0:
            zeros += 1
        else:
            packed += [None] * (zeros // (longest + 1)) + [entry]
            zeros = 0
    return [packed[i : i + lanes] for i in range(0, len(packed), lanes)]


@dataclass
class Element:
    """One multiplier array with its banks.

    Attributes
    ----------
    work
        Per channel of the group the vector pairs to multiply.
    """

    config: ScnnConfig
    work: list[list[tuple[list[object], list[object]]]]
    pitch_of_row: int
    channel: int = 0
    step: int = 0
    stalled: bool = False
    busy: int = 0
    banks: dict[int, deque[tuple[Place, int]]] = field(default_factory=lambda: defaultdict(deque))
    sums: dict[Place, int] = field(default_factory=lambda: defaultdict(int))

    def skip_finished(self) -> None:
        """Go on to the first channel with something left to multiply."""
        while self.channel < len(self.work) and not self.stalled and self.step == len(self.work[self.channel]):
            self.channel, self.step = self.channel + 1, 0

    def cycle(self, *, may_multiply: bool) -> None:
        """Multiply one pair of vectors where possible, then let every bank add one product up."""
        if may_multiply and not self.stalled and self.channel < len(self.work):
            activations, weights = self.work[self.channel][self.step]
            for activation in activations:
                for weight in weights:
                    if activation is not None and weight is not None:
                        self._send(activation, weight)  # type: ignore[arg-type]
            self.step += 1
            self.busy += 1
        for queue in self.banks.values():
            if queue:
                place, product = queue.popleft()
                self.sums[place] += product
        self.stalled = any(len(queue) > self.config.bank_queue for queue in self.banks.values())

    def _send(self, activation: tuple[int, int, int], weight: tuple[int, int, int, int, int, int]) -> None:
        value, y, x = activation
        factor, group, number, filter_, down, right = weight
        pixel = (x - right) + self.pitch_of_row * (y - down)
        bank = (number + self.config.weight_lanes * pixel) % self.config.accumulator_banks
        self.banks[bank].append(((group, filter_, (y - down) * 10_000 + (x - right)), value * factor))

    @property
    def idle(self) -> bool:
        return self.channel == len(self.work) and not any(self.banks.values())


def run_group(elements: list[Element], sizes: list[int], fifo: int) -> int:
    """Cycles until every element has added its last product up; a channel's weights need room in every FIFO."""
    time = 0
    while True:
        for element in elements:
            element.skip_finished()
        if all(element.idle for element in elements):
            return time
        slowest = min(element.channel for element in elements)
        for element in elements:
            at = element.channel
            room = not fifo or at <= slowest or sum(sizes[slowest : at + 1]) <= fifo
            element.cycle(may_multiply=room)
        time += 1


@dataclass
class Stepper:
    """A layer on the machine; `sums` collects what it computes."""

    config: ScnnConfig
    small: SmallLayer
    sums: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    busy: int = 0

    def run_block(self, block: Block) -> int:
        """Cycles of a block until its sums have left the accumulators."""
        free, engine, time = [0, 0], 0, 0
        for index, (compute, drain) in enumerate(self._groups(block)):
            time = max(time, free[index % 2]) + compute
            engine = max(engine, time) + drain
            free[index % 2] = engine
        return max(time, engine)

    def _groups(self, block: Block) -> Iterator[tuple[int, int]]:
        if isinstance(self.small.operator, Conv):
            yield from self._convolution(block)
        else:
            yield from self._product(block)

    # -- convolutions: pixels by element -------------------------------------------------------------------------------

    def _convolution(self, block: Block) -> Iterator[tuple[int, int]]:
        _, _, height, width = self.small.layer.ofmap_shape
        for image in range(block.m[0] // (height * width), block.m[-1] // (height * width) + 1):
            inside = [m - image * height * width for m in block.m if m // (height * width) == image]
            for rows, cols in self._rectangles(inside, width):
                for part in self._small_enough(rows, cols):
                    yield from self._plane(block, image, *part)

    def _rectangles(self, pixels: list[int], width: int) -> Iterator[tuple[range, range]]:
        by_row: dict[int, list[int]] = defaultdict(list)
        for pixel in pixels:
            by_row[pixel // width].append(pixel % width)
        whole: list[int] = []
        for row, cols in by_row.items():
            if len(cols) == width:
                whole.append(row)
                continue
            if whole:
                yield range(whole[0], whole[-1] + 1), range(width)
                whole = []
            yield range(row, row + 1), range(cols[0], cols[-1] + 1)
        if whole:
            yield range(whole[0], whole[-1] + 1), range(width)

    def _inputs(self, axis: int, outputs: range) -> range:
        window = self._window
        size = self.small.ifmap.shape[2 + axis]
        reached = [
            out * window.stride[axis] - window.padding[axis] + tap * window.dilation[axis]
            for out in (outputs[0], outputs[-1])
            for tap in range(window.kernel[axis])
        ]
        begin, end = (min(max(edge, 0), size) for edge in (min(reached), max(reached) + 1))
        return range(begin, max(begin, end))

    @property
    def _window(self) -> Window:
        operator = self.small.operator
        assert isinstance(operator, Conv)
        return operator.window

    def _tile(self, rows: range, cols: range) -> tuple[int, int]:
        return (
            max(ceil_div(len(self._inputs(0, rows)), self.config.pe_rows), 1),
            max(ceil_div(len(self._inputs(1, cols)), self.config.pe_cols), 1),
        )

    def _sums_of_tile(self, rows: range, cols: range) -> tuple[int, int]:
        """Output pixels that the inputs of a tile can reach at most, in rows and columns."""
        reach = []
        for axis, (side, outputs) in enumerate(zip(self._tile(rows, cols), (rows, cols), strict=True)):
            most = (side + self._window.extent[axis] - 2) // self._window.stride[axis] + 1
            reach.append(min(most, len(outputs)))
        return reach[0], reach[1]

    def _small_enough(self, rows: range, cols: range) -> Iterator[tuple[range, range]]:
        high, wide = self._sums_of_tile(rows, cols)
        if high * wide <= self.config.accumulators:
            yield rows, cols
        elif len(rows) > 1:
            half = ceil_div(len(rows), 2)
            yield from self._small_enough(rows[:half], cols)
            yield from self._small_enough(rows[half:], cols)
        else:
            half = ceil_div(len(cols), 2)
            yield from self._small_enough(rows, cols[:half])
            yield from self._small_enough(rows, cols[half:])

    def _plane(self, block: Block, image: int, rows: range, cols: range) -> Iterator[tuple[int, int]]:
        config, width = self.config, self.small.layer.ofmap_shape[3]
        high, wide = self._sums_of_tile(rows, cols)
        room = max(config.accumulators // (high * wide), 1)
        inputs, tile = (self._inputs(0, rows), self._inputs(1, cols)), self._tile(rows, cols)
        for groups, filters in self._shared_filters(block, room):
            weights = [
                self._weights(block, group, groups, filters, channel)
                for group, channel in self._channels(block, groups)
            ]
            elements = []
            for row in range(config.pe_rows):
                for col in range(config.pe_cols):
                    ys, xs = inputs[0][row * tile[0] :][: tile[0]], inputs[1][col * tile[1] :][: tile[1]]
                    work = [
                        self._pairs(self._activations(image, group, channel, ys, xs), weights[place])
                        for place, (group, channel) in enumerate(self._channels(block, groups))
                    ]
                    elements.append(Element(config, work, wide))
            sizes = [sum(len(phase) for phase in phases) for phases in weights]
            compute = run_group(elements, sizes, config.weight_fifo_vectors)
            height = self.small.layer.ofmap_shape[2]
            for element in elements:
                self.busy += element.busy
                for (group, filter_, place), value in element.sums.items():
                    y, x = divmod(place + 5_000, 10_000)
                    x -= 5_000
                    if y in rows and x in cols:
                        self.sums[group, (image * height + y) * width + x, filter_] += value
            yield compute, ceil_div(len(groups) * len(filters) * high * wide, config.drain_lanes)

    def _shared_filters(self, block: Block, room: int) -> Iterator[tuple[range, range]]:
        count = len(block.n)
        if count >= room:
            step, together = ceil_div(count, ceil_div(count, room)), 1
        else:
            step, together = count, min(len(block.groups), room // count)
        for group in range(0, len(block.groups), together):
            for first in range(0, count, step):
                yield block.groups[group : group + together], block.n[first : first + step]

    def _channels(self, block: Block, groups: range) -> list[tuple[int, int]]:
        """Group and channel, of all channels that the block has any weight of."""
        taps = self.small.taps
        touched = sorted({k // taps for k in block.k})
        return [(group, channel) for group in groups for channel in touched]

    def _phases(self) -> list[tuple[int, int]]:
        stride = self._window.stride
        return [(y, x) for y in range(stride[0]) for x in range(stride[1])]

    def _activations(self, image: int, group: int, channel: int, ys: range, xs: range) -> list[list[list[object]]]:
        window = self._window
        per_group = self.small.ifmap.shape[1] // self.small.layer.dims.groups
        made = []
        for phase in self._phases():
            stream: list[tuple[int, object]] = []
            for y in ys:
                for x in xs:
                    above, left = y + window.padding[0], x + window.padding[1]
                    if (above % window.stride[0], left % window.stride[1]) == phase:
                        value = int(self.small.ifmap[image, group * per_group + channel, y, x])
                        stream.append((value, (value, above // window.stride[0], left // window.stride[1])))
            made.append(self._packed(stream, "ifmap", self.config.map_lanes))
        return made

    def _weights(
        self, block: Block, group: int, groups: range, filters: range, channel: int
    ) -> list[list[list[object]]]:
        window, taps = self._window, self.small.taps
        made = []
        for phase in self._phases():
            stream: list[tuple[int, object]] = []
            for k in block.k:
                row, col = divmod(k % taps, window.kernel[1])
                down, right = row * window.dilation[0], col * window.dilation[1]
                if k // taps != channel or (down % window.stride[0], right % window.stride[1]) != phase:
                    continue
                for index, filter_ in enumerate(filters):
                    value = int(self.small.right[group, filter_, k])
                    number = (group - groups[0]) * len(filters) + index
                    shift = (down // window.stride[0], right // window.stride[1])
                    stream.append((value, (value, group, number, filter_, *shift)))
            made.append(self._packed(stream, "weight", self.config.weight_lanes))
        return made

    def _packed(self, stream: list[tuple[int, object]], operand: str, lanes: int) -> list[list[object]]:
        return vectors(stream, lanes, self.config.longest_run, sparse=operand in self.config.sparse)

    @staticmethod
    def _pairs(
        activations: list[list[list[object]]], weights: list[list[list[object]]]
    ) -> list[tuple[list[object], list[object]]]:
        """Every vector of activations with every vector of weights of its phase, the weights faster."""
        return [
            (some, others)
            for mine, theirs in zip(activations, weights, strict=True)
            for some in mine
            for others in theirs
        ]

    # -- matrix products: filters by element ---------------------------------------------------------------------------

    def _product(self, block: Block) -> Iterator[tuple[int, int]]:
        config = self.config
        step = min(len(block.m), config.accumulators)
        own = ceil_div(len(block.n), config.pes)
        for first in range(0, len(block.m), step):
            positions = block.m[first : first + step]
            room = max(config.accumulators // len(positions), 1)
            width = ceil_div(own, ceil_div(own, room)) if own >= room else own
            for group in block.groups:
                for offset in range(0, own, width):
                    elements = []
                    for pe in range(config.pes):
                        mine = block.n[pe * own : (pe + 1) * own][offset : offset + width]
                        elements.append(
                            Element(config, self._matrix_work(block, group, positions, mine), len(positions))
                        )
                    compute = run_group(elements, [], 0)
                    widest = min(width, own - offset)
                    for element in elements:
                        self.busy += element.busy
                        for (one, filter_, place), value in element.sums.items():
                            self.sums[one, positions[place], filter_] += value
                    yield compute, ceil_div(widest * len(positions), config.drain_lanes)

    def _matrix_work(
        self, block: Block, group: int, positions: range, filters: range
    ) -> list[list[tuple[list[object], list[object]]]]:
        work = []
        for k in block.k:
            values = [int(self.small.left[group, m, k]) for m in positions]
            activations = [(value, (value, 0, place)) for place, value in enumerate(values)]
            factors = [int(self.small.right[group, n, k]) for n in filters]
            weights = [
                (value, (value, group, number, n, 0, 0))
                for number, (n, value) in enumerate(zip(filters, factors, strict=True))
            ]
            work.append(
                self._pairs(
                    [self._packed(list(activations), "ifmap", self.config.map_lanes)],
                    [self._packed(list(weights), "weight", self.config.weight_lanes)],
                )
            )
        return work
