"""Matrix products row by row on SIMD cores, element by element: what they compute, and which bytes they touch when.

Written from the description of the loops, not from the compiled ones: plain loops that multiply real values and hand
every element that they read or write, in order, to caches made of plain lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from naive_caches import NaiveCache
    from numpy.typing import NDArray

    from accelsim.workload.operators import Window


@dataclass
class RowMachine:
    """Cores with caches of plain lists.

    Parameters
    ----------
    caches
        The first cache of each core.
    line_bytes
        Size of a line.
    """

    caches: list[NaiveCache]
    line_bytes: int

    def touch(self, core: int, place_bits: int, bits: int, *, write: bool = False) -> None:
        """Read or write an element."""
        begin = place_bits // 8
        for line in range(begin // self.line_bytes, (begin + max(bits // 8, 1) - 1) // self.line_bytes + 1):
            self.caches[core].store(line) if write else self.caches[core].read(line)

    def touch_all(self, core: int, places: list[int], bits: int, *, write: bool = False) -> None:
        """Read or write elements one after the other."""
        for place in places:
            self.touch(core, place, bits, write=write)

    def share(self, total: int, core: int) -> range:
        """Things of a core, of so many that all share in order."""
        return range(total * core // len(self.caches), total * (core + 1) // len(self.caches))

    def turns(self, total: int) -> Iterator[list[tuple[int, int]]]:
        """Core and thing, turn by turn, of so many that all share."""
        shares = [self.share(total, core) for core in range(len(self.caches))]
        for turn in range(max(len(share) for share in shares)):
            yield [(core, share[turn]) for core, share in enumerate(shares) if turn < len(share)]


@dataclass
class RowLayer:
    """What all products of a layer have in common.

    Parameters
    ----------
    machine
        Cores.
    bits
        Of the first operand, of the second, of sums and of results.
    sums
        Address of the sums where they are not the results.
    """

    machine: RowMachine
    bits: tuple[int, int, int, int]
    sums: int

    def add_rows(
        self, first: NDArray[np.int64], second: NDArray[np.int64], places: tuple[NDArray[np.int64], list[int], int, int]
    ) -> NDArray[np.int64]:
        """One product, `places`: of every element of the first operand, of the rows of the second, of results, in bits.

        The last one tells how far apart the rows of results lie.
        """
        first_places, second_places, out, out_row = places
        bits = self.bits
        own_sums, sum_bits = bits[2] > bits[3], max(bits[2:])
        n, stretch = second.shape[1], max(self.machine.line_bytes * 8 // bits[2], 1)
        result = np.zeros((len(first), n), np.int64)

        def sum_at(row: int, j: int) -> int:
            return self.sums * 8 + (row * n + j) * bits[2] if own_sums else out + row * out_row + j * bits[3]

        for rows in self.machine.turns(len(first)):
            for k in range(len(second)):
                for core, row in rows:
                    self.machine.touch(core, int(first_places[row, k]), bits[0])
                for begin in range(0, n, stretch):
                    columns = range(begin, min(begin + stretch, n))
                    for core, row in rows:
                        self.machine.touch_all(core, [second_places[k] + j * bits[1] for j in columns], bits[1])
                        for write in (False, True):
                            self.machine.touch_all(core, [sum_at(row, j) for j in columns], sum_bits, write=write)
                        result[row, columns.start : columns.stop] += first[row, k] * second[k][columns]
            for begin in range(0, n if own_sums else 0, stretch):
                columns = range(begin, min(begin + stretch, n))
                for core, row in rows:
                    self.machine.touch_all(core, [sum_at(row, j) for j in columns], sum_bits)
                    results = [out + row * out_row + j * bits[3] for j in columns]
                    self.machine.touch_all(core, results, bits[3], write=True)
        return result

    def fill(self, begin: int, size: int) -> None:
        """Set up to 4 KiB per core to zero, the cores one after the other."""
        cores = len(self.machine.caches)
        for core in range(cores):
            for byte in range(size * core // cores, size * (core + 1) // cores):
                self.machine.touch(core, (begin + byte) * 8, 8, write=True)


@dataclass
class RowConvolution:
    """A convolution lowered image by image and group by group; maps lie channel by channel.

    Parameters
    ----------
    ifmap, weight
        ``(N, C, H, W)`` and ``(K, C / groups, R, S)``.
    window, groups
        Stride, padding and dilation; groups.
    layer
        Cores and widths.
    addresses
        Of ifmap, weight, ofmap and the lowered matrix.
    """

    ifmap: NDArray[np.int64]
    weight: NDArray[np.int64]
    window: Window
    groups: int
    layer: RowLayer
    addresses: tuple[int, int, int, int]

    def run(self) -> NDArray[np.int64]:
        """The products, ``(N, K, pixels)``."""
        filters = len(self.weight)
        rows, cols = self.window.output_size(*self.ifmap.shape[2:])
        result = np.zeros((len(self.ifmap), filters, rows * cols), np.int64)
        own = filters // self.groups
        flat = self.weight.reshape(filters, -1)
        depth, (first_bits, _, sum_bits, out_bits) = flat.shape[1], self.layer.bits
        for image in range(len(self.ifmap)):
            for group in range(self.groups):
                out = self.addresses[2] * 8 + (image * filters + group * own) * rows * cols * out_bits
                begin = self.layer.sums if sum_bits > out_bits else out // 8
                self.layer.fill(begin, own * rows * cols * max(sum_bits, out_bits) // 8)
                matrix, places = self._lower(image, group, rows, cols)
                first = self.addresses[1] * 8 + (np.arange(filters * depth) * first_bits).reshape(filters, depth)
                chosen = slice(group * own, (group + 1) * own)
                result[image, chosen] = self.layer.add_rows(
                    flat[chosen], matrix, (first[chosen], places, out, rows * cols * out_bits)
                )
        return result

    def _lower(self, image: int, group: int, rows: int, cols: int) -> tuple[NDArray[np.int64], list[int]]:
        """The matrix of an image and group, and the place of each of its rows in bits."""
        _, total, height, width = (int(size) for size in self.ifmap.shape)
        channels, taps_y, taps_x = (int(size) for size in self.weight.shape[1:])
        bits, window = self.layer.bits[1], self.window
        matrix = np.zeros((channels * taps_y * taps_x, rows * cols), np.int64)

        def place(channel: int, y: int, x: int) -> int:
            plane = image * total + group * channels + channel
            return self.addresses[0] * 8 + ((plane * height + y) * width + x) * bits

        if window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.padding):
            own = self.ifmap[image, group * channels : (group + 1) * channels]
            return own.reshape(channels, -1), [place(channel, 0, 0) for channel in range(channels)]
        for lowered in self.layer.machine.turns(len(matrix)):
            for y in range(rows):
                for core, row in lowered:
                    channel, tap = divmod(row, taps_y * taps_x)
                    in_y = y * window.stride[0] - window.padding[0] + tap // taps_x * window.dilation[0]
                    for x in range(cols):
                        in_x = x * window.stride[1] - window.padding[1] + tap % taps_x * window.dilation[1]
                        if 0 <= in_y < height and 0 <= in_x < width:
                            self.layer.machine.touch(core, place(channel, in_y, in_x), bits)
                            matrix[row, y * cols + x] = self.ifmap[image, group * channels + channel, in_y, in_x]
                    for x in range(cols):
                        begin = self.addresses[3] * 8 + ((row * rows + y) * cols + x) * bits
                        self.layer.machine.touch(core, begin, bits, write=True)
        return matrix, [self.addresses[3] * 8 + row * rows * cols * bits for row in range(len(matrix))]
