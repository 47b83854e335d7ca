"""What SCNN does with one block of a layer: output-channel groups in turn, each with a barrier at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.hardware.pe_array.scnn_conflicts import conflict_slowdown
from accelsim.hardware.pe_array.scnn_kernels import counted_group_cycles
from accelsim.hardware.pe_array.scnn_lists import Lists, list_map, list_weights, listed_cycles
from accelsim.hardware.pe_array.scnn_operands import NO_WINDOW, drawn_counts, with_placeholders
from accelsim.hardware.pe_array.scnn_planes import Plane, filter_groups, rectangles, taps_per_phase
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.scnn import ScnnConfig
    from accelsim.hardware.pe_array.scnn_operands import Flags, LayerOperands
    from accelsim.hardware.pe_array.scnn_planes import Span


_DRAWN_CHANNELS, _MOST_DRAWN = 512, 64
"""Channels that are drawn of a block at least, unless that takes more repetitions than the second figure."""


@dataclass
class BlockWork:
    """What a block takes; parts add up.

    Attributes
    ----------
    cycles
        Cycles of the array.
    pairs
        Cycles in which an element multiplied, summed over the elements.
    products
        Products of values that are stored and not zero, those outside of the output included.
    map_entries, weight_entries
        Entries read from the activation memories, and broadcast from the weight buffer.
    sums
        Sums read from the accumulators at the ends of output-channel groups.
    busy
        Cycles in which each element multiplied.
    drained
        Cycle in which the last output-channel group but one, and the last, have left the accumulators.
    draws
        Number of the next draw.
    """

    busy: NDArray[np.float64]
    cycles: float = 0.0
    pairs: float = 0.0
    products: float = 0.0
    map_entries: float = 0.0
    weight_entries: float = 0.0
    sums: float = 0.0
    drained: list[float] = field(default_factory=lambda: [0.0, 0.0])
    draws: int = 0

    def add_group(self, compute: float, drain: float) -> None:
        """Append an output-channel group; the one before the last has to have left the accumulators when it begins."""
        begin = max(self.cycles, self.drained[0])
        self.cycles = begin + compute
        self.drained = [self.drained[1], max(self.cycles, self.drained[1]) + drain]

    def include(self, other: BlockWork) -> None:
        """Count what another block does besides."""
        self.pairs += other.pairs
        self.products += other.products
        self.map_entries += other.map_entries
        self.weight_entries += other.weight_entries
        self.sums += other.sums
        self.busy += other.busy

    def divided(self, times: int) -> BlockWork:
        """Average of so many blocks."""
        names = ("cycles", "pairs", "products", "map_entries", "weight_entries", "sums")
        return BlockWork(self.busy / times, **{name: getattr(self, name) / times for name in names})

    @property
    def total_cycles(self) -> int:
        """Cycles until the last sum has left the accumulators."""
        return round(max(self.cycles, self.drained[1]))


@dataclass(frozen=True)
class Block:
    """Which part of a layer a block is."""

    groups: Span
    pixels: Span
    filters: Span
    reduction: Span


@dataclass(frozen=True)
class ScnnLayer:
    """One layer on the array, block by block.

    Parameters
    ----------
    config
        The array.
    operands
        The layer.
    """

    config: ScnnConfig
    operands: LayerOperands

    @cached_property
    def _known(self) -> dict[Any, BlockWork]:
        return {}

    @cached_property
    def _map_lists(self) -> dict[Any, Lists]:
        return {}

    def block_work(self, block: Block) -> BlockWork:
        """What one block takes; blocks that cannot differ are worked out once."""
        key = self._key(block)
        if key not in self._known:
            times = self._repetitions(block)
            works = [self._worked_out(block, number) for number in range(times)]
            total = BlockWork(
                np.zeros(self.config.pes), cycles=sum(max(work.cycles, work.drained[1]) for work in works)
            )
            for work in works:
                total.include(work)
            self._known[key] = total.divided(times)
        return self._known[key]

    def _repetitions(self, block: Block) -> int:
        """How often a block is drawn: one of few channels says little about all that are like it."""
        known = [flags is not None for flags in (self.operands.map_flags, self.operands.weight_flags)]
        dense = self.operands.density("ifmap") == self.operands.density("weight") == 1
        if all(known) or dense:
            return 1
        begin, end = self._channel_span(block)
        return min(ceil_div(_DRAWN_CHANNELS, (end - begin) * (block.groups[1] - block.groups[0])), _MOST_DRAWN)

    def _worked_out(self, block: Block, number: int) -> BlockWork:
        """The block, what is not known of it drawn for the `number`-th time."""
        work = BlockWork(np.zeros(self.config.pes), draws=number << 32)
        self._map_lists.clear()
        for pixels in self._pixel_parts(block):
            self._add_part(work, block, pixels)
        return work

    def _key(self, block: Block) -> object:
        """What the work of a block depends on."""
        spans: tuple[object, ...] = (block.groups, block.filters, block.reduction)
        if self.operands.weight_flags is None and self.operands.map_flags is None:
            spans = tuple(end - begin for begin, end in (block.groups, block.filters, block.reduction))
            spans = (*spans, block.reduction[0] % self._taps)
        if self.operands.map_flags is not None:
            return spans, block.pixels
        if block.pixels not in self._signatures:
            self._signatures[block.pixels] = tuple(
                (part.activations.tobytes(), part.tile, part.sums) if isinstance(part, Plane) else part[1] - part[0]
                for _, part in self._pixel_parts(block)
            )
        return spans, self._signatures[block.pixels]

    @cached_property
    def _signatures(self) -> dict[Span, object]:
        return {}

    @cached_property
    def _taps(self) -> int:
        return self.operands.window.kernel[0] * self.operands.window.kernel[1]

    def _pixel_parts(self, block: Block) -> list[tuple[int, Plane | Span]]:
        """Image and plane of each part of a convolution's block; stretches of positions of a matrix product."""
        layer, capacity = self.operands.layer, self.config.accumulators
        if not self.operands.is_plane:
            step = min(block.pixels[1] - block.pixels[0], capacity)
            starts = range(block.pixels[0], block.pixels[1], step)
            return [(0, (start, min(start + step, block.pixels[1]))) for start in starts]
        _, _, height, width = layer.ofmap_shape
        return [
            (rectangle.image, plane)
            for rectangle in rectangles(*block.pixels, height, width)
            for plane in self._planes(rectangle.rows, rectangle.cols)
        ]

    def _planes(self, rows: Span, cols: Span) -> list[Plane]:
        shape = self.operands.layer.ifmap_shape
        grid = (self.config.pe_rows, self.config.pe_cols)
        whole = Plane(rows, cols, self.operands.window, (shape[2], shape[3]), grid)
        return whole.fitted(self.config.accumulators)

    # -- one part of the pixels ----------------------------------------------------------------------------------------

    def _add_part(self, work: BlockWork, block: Block, part: tuple[int, Plane | Span]) -> None:
        image, pixels = part
        config = self.config
        if isinstance(pixels, Plane):
            room = max(config.accumulators // (pixels.sums[0] * pixels.sums[1]), 1)
            sums, acc_cols = pixels.sums[0] * pixels.sums[1], pixels.sums[1]
            passes = self._plane_passes(block, room)
        else:
            sums, acc_cols = pixels[1] - pixels[0], pixels[1] - pixels[0]
            passes = self._product_passes(block, max(config.accumulators // sums, 1))
        for groups, filters in passes:
            maps = self._maps(work, block, groups, image, pixels, acc_cols)
            weights = self._weights(work, block, groups, filters, acc_cols)
            widest = int((filters[:, 1] - filters[:, 0]).max()) * (groups[1] - groups[0])
            compute = self._group(work, maps, weights, pixels, widest)
            work.map_entries += maps.entries * (1 if isinstance(pixels, Plane) else len(filters))
            work.weight_entries += weights.entries
            held = int((filters[:, 1] - filters[:, 0]).sum()) * (groups[1] - groups[0]) * sums
            work.sums += held * (config.pes if isinstance(pixels, Plane) else 1)
            work.add_group(compute, ceil_div(widest * sums, config.drain_lanes))

    def _plane_passes(self, block: Block, room: int) -> Iterator[tuple[Span, NDArray[np.int64]]]:
        """Groups and filters of each output-channel group: all elements work on the same ones."""
        chosen = filter_groups(block.groups[1] - block.groups[0], block.filters[1] - block.filters[0], room)
        for group in range(*block.groups, chosen.groups):
            groups = (group, min(group + chosen.groups, block.groups[1]))
            for first in range(*block.filters, chosen.filters):
                yield groups, np.array([[first, min(first + chosen.filters, block.filters[1])]])

    def _product_passes(self, block: Block, room: int) -> Iterator[tuple[Span, NDArray[np.int64]]]:
        """The same where each element has filters of its own."""
        first, end = block.filters
        own = ceil_div(end - first, self.config.pes)
        begins = np.minimum(first + np.arange(ceil_div(end - first, own)) * own, end)
        ends = np.minimum(begins + own, end)
        width = filter_groups(1, own, room).filters
        for group in range(*block.groups):
            for offset in range(0, own, width):
                low = np.minimum(begins + offset, ends)
                yield (group, group + 1), np.stack([low, np.minimum(low + width, ends)], axis=1)

    # -- operands ------------------------------------------------------------------------------------------------------

    def _maps(
        self, work: BlockWork, block: Block, groups: Span, image: int, pixels: Plane | Span, acc_cols: int
    ) -> Lists:
        """Activations of the channels of some groups."""
        key = (groups, image, block.reduction, pixels)
        if key not in self._map_lists:
            if len(self._map_lists) > 1:  # blocks of one part of the pixels come one after the other
                self._map_lists.clear()
            flags = self.operands.map_flags
            if flags is None:
                self._map_lists[key] = self._drawn_map(work, block, groups, pixels)
            else:
                self._map_lists[key] = self._listed_map(flags, block, groups, image, pixels, acc_cols)
        return self._map_lists[key]

    def _channel_span(self, block: Block) -> Span:
        return block.reduction[0] // self._taps, ceil_div(block.reduction[1], self._taps)

    def _listed_map(
        self, flags: Flags, block: Block, groups: Span, image: int, pixels: Plane | Span, acc_cols: int
    ) -> Lists:
        begin, end = self._channel_span(block)
        if isinstance(pixels, Plane):
            per_group = self.operands.channels
            spans = [np.arange(group * per_group + begin, group * per_group + end) for group in range(*groups)]
            chosen = flags[image, np.concatenate(spans)]
            return list_map(self.config, chosen, pixels, acc_cols, (self.config.pe_rows, self.config.pe_cols))
        chosen = np.ascontiguousarray(flags[groups[0], begin:end, :, pixels[0] : pixels[1]])
        return list_map(self.config, chosen, _row(pixels[1] - pixels[0]), acc_cols, (1, 1))

    def _drawn_map(self, work: BlockWork, block: Block, groups: Span, pixels: Plane | Span) -> Lists:
        begin, end = self._channel_span(block)
        trials = np.array([[pixels[1] - pixels[0]]]) if not isinstance(pixels, Plane) else pixels.activations
        shape = (len(trials), (groups[1] - groups[0]) * (end - begin), trials.shape[1])
        return self._drawn(work, np.broadcast_to(trials[:, None], shape), "ifmap", self.config.map_lanes)

    def _weights(self, work: BlockWork, block: Block, groups: Span, filters: NDArray[np.int64], acc_cols: int) -> Lists:
        flags = self.operands.weight_flags
        if flags is not None:
            window = self.operands.window
            return list_weights(self.config, flags, groups, filters, block.reduction, window, acc_cols)
        begin, end = self._channel_span(block)
        taps = np.broadcast_to(taps_per_phase(self.operands.window), (end - begin, self.operands.window.stride[0] *
                               self.operands.window.stride[1])).copy()  # fmt: skip
        self._cut_taps(taps, block)
        widths = filters[:, 1] - filters[:, 0]
        trials = widths[:, None, None] * np.tile(taps, (groups[1] - groups[0], 1))
        return self._drawn(work, trials, "weight", self.config.weight_lanes)

    def _cut_taps(self, taps: NDArray[np.int64], block: Block) -> None:
        """Leave out the taps of the first and the last channel that belong to other blocks."""
        window, size = self.operands.window, int(np.prod(self.operands.window.kernel))
        first = block.reduction[0] // size
        for element in (
            *range(first * size, block.reduction[0]),
            *range(block.reduction[1], (first + len(taps)) * size),
        ):
            row, col = divmod(element % size, window.kernel[1])
            phase = (row * window.dilation[0] % window.stride[0]) * window.stride[1]
            phase += col * window.dilation[1] % window.stride[1]
            taps[element // size - first, phase] -= 1

    def _drawn(self, work: BlockWork, trials: NDArray[np.int64], operand: str, lanes: int) -> Lists:
        density, trials = self.operands.density(operand), np.ascontiguousarray(trials)
        work.draws += 1
        nonzeros = drawn_counts(trials, density, 2 * work.draws)
        entries = with_placeholders(nonzeros, trials, density, self.config.longest_run, 2 * work.draws + 1)
        return Lists(-(-entries // lanes), int(entries.sum()), nonzeros)

    # -- cycles --------------------------------------------------------------------------------------------------------

    def _group(self, work: BlockWork, maps: Lists, weights: Lists, pixels: Plane | Span, filters: int) -> float:
        """Cycles of an output-channel group; what happened in it is added to `work`."""
        config, plane = self.config, isinstance(pixels, Plane)
        fifo = config.weight_fifo_vectors if plane else 0
        pairs = (maps.vectors * weights.vectors).sum(axis=(1, 2))
        work.busy[: len(pairs)] += pairs
        work.pairs += float(pairs.sum())
        work.products += float((maps.nonzeros * weights.nonzeros).sum())
        if maps.listed is not None and weights.listed is not None:
            return listed_cycles(config, maps, weights, fifo)
        return float(counted_group_cycles(maps.vectors, weights.vectors, self._slowdown(pixels, filters), fifo))

    def _slowdown(self, pixels: Plane | Span, filters: int) -> float:
        """Cycles per pair of vectors, bank conflicts included, where one operand at least is not known."""
        if isinstance(pixels, Plane):
            tile, sums, window = pixels.tile, pixels.sums, self.operands.window
        else:
            tile = sums = (1, pixels[1] - pixels[0])
            window = NO_WINDOW
        return conflict_slowdown(
            self.config, tile, sums[1], window, min(filters, self.operands.layer.dims.n),
            self.operands.density("ifmap"), self.operands.density("weight"),
        )  # fmt: skip


def _row(length: int) -> Plane:
    """Positions of a matrix product as a plane of one row, all of it on one element."""
    return Plane((0, 1), (0, length), NO_WINDOW, (1, length), (1, 1))
