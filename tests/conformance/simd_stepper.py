"""Matrix products on SIMD cores, element by element: what they compute, and which bytes they touch.

Written from the description of the loops, not from the compiled ones: plain loops over blocks, slivers and panels that
multiply real values and note every element they read or write with the core that does it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.simd_blocking import Blocking
    from accelsim.workload.operators import Window


@dataclass
class Touched:
    """Lines by kind of access and core, each as often as a run of accesses in a row touches it."""

    line_bytes: int
    reads: Counter[tuple[int, int]] = field(default_factory=Counter)
    writes: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, core: int, address: int, size: int, *, write: bool = False) -> None:
        """Note an access of `size` bytes."""
        for line in range(address // self.line_bytes, (address + size - 1) // self.line_bytes + 1):
            (self.writes if write else self.reads)[core, line] += 1


@dataclass
class PackedProduct:
    """A convolution of one group on cores whose packed blocks lie in caches; all elements of one size.

    Parameters
    ----------
    ifmap, weight
        ``(N, C, H, W)`` and ``(K, C, R, S)``.
    window
        Stride, padding and dilation.
    blocking
        Blocks.
    cores, element_bytes
        The machine.
    addresses
        Of ifmap, weight, ofmap and the packed block of the first core, and the bytes between those blocks.
    """

    ifmap: NDArray[np.int64]
    weight: NDArray[np.int64]
    window: Window
    blocking: Blocking
    cores: int
    element_bytes: int
    addresses: tuple[int, int, int, int, int]
    touched: Touched

    def run(self) -> NDArray[np.int64]:
        """The products, (pixels, filters), with every access noted."""
        filters, channels, taps_y, taps_x = self.weight.shape
        rows, cols = self.window.output_size(*self.ifmap.shape[2:])
        pixels, depth = self.ifmap.shape[0] * rows * cols, channels * taps_y * taps_x
        cut, sums = self.blocking, np.zeros((pixels, filters), np.int64)
        matrix = self.weight.transpose(2, 3, 1, 0).reshape(depth, filters)  # k by tap, then channel
        slices = [(k, min(k + cut.kc, depth)) for k in range(0, depth, cut.kc)]
        for first in range(0, filters, cut.nc):
            for begin, end in slices:
                for core in range(self.cores):
                    for low, high in self._blocks(pixels, core):
                        packed = self._pack(core, low, high, begin, end, (rows, cols))
                        for j in self._slivers(first, min(first + cut.nc, filters), core):
                            block = matrix[begin:end, j[0] : j[1]]
                            for i in range(0, high - low, cut.mr):
                                panel = packed[i : i + cut.mr]
                                self._touch_tile(core, i, len(panel), j, (begin, end), filters)
                                sums[low + i : low + i + len(panel), j[0] : j[1]] += panel @ block
                                self._touch_sums(core, low + i, len(panel), j, filters, first=begin == 0)
        return sums

    def _blocks(self, pixels: int, core: int) -> list[tuple[int, int]]:
        """Blocks of pixels of a core: all of them where cores share filters, its own whole panels otherwise."""
        cut = self.blocking
        low, high = 0, pixels
        if not cut.by_filters:
            panels = -(-pixels // cut.mr)
            low, high = (min(panels * number // self.cores * cut.mr, pixels) for number in (core, core + 1))
        return [(block, min(block + cut.mc, high)) for block in range(low, high, cut.mc)]

    def _slivers(self, first: int, last: int, core: int) -> list[tuple[int, int]]:
        cut = self.blocking
        low, high = 0, last - first
        if cut.by_filters:
            count = -(-(last - first) // cut.nr)
            low, high = (min(count * number // self.cores * cut.nr, last - first) for number in (core, core + 1))
        return [(first + j, first + min(j + cut.nr, high)) for j in range(low, high, cut.nr)]

    def _pack(self, core: int, low: int, high: int, begin: int, end: int, out: tuple[int, int]) -> NDArray[np.int64]:
        """Gather a block of pixels by elements of k."""
        _, channels, height, width = self.ifmap.shape
        taps_x, size = self.weight.shape[3], self.element_bytes
        packed = np.zeros((high - low, end - begin), np.int64)
        for pixel in range(low, high):
            image, rest = divmod(pixel, out[0] * out[1])
            for k in range(begin, end):
                tap, channel = divmod(k, channels)
                y = rest // out[1] * self.window.stride[0] - self.window.padding[0]
                x = rest % out[1] * self.window.stride[1] - self.window.padding[1]
                y, x = y + tap // taps_x * self.window.dilation[0], x + tap % taps_x * self.window.dilation[1]
                if 0 <= y < height and 0 <= x < width:
                    packed[pixel - low, k - begin] = self.ifmap[image, channel, y, x]
                    place = ((image * height + y) * width + x) * channels + channel
                    self.touched.add(core, self.addresses[0] + place * size, size)
        base = self.addresses[3] + core * self.addresses[4]
        self.touched.add(core, base, packed.size * size, write=True)
        return packed

    def _touch_tile(self, core: int, i: int, rows: int, j: tuple[int, int], k: tuple[int, int], filters: int) -> None:
        """A panel of the packed block and a sliver of the weights, which lie slice by slice, sliver by sliver."""
        depth, size = k[1] - k[0], self.element_bytes
        self.touched.add(core, self.addresses[3] + core * self.addresses[4] + i * depth * size, rows * depth * size)
        sliver = k[0] * filters + j[0] * depth
        self.touched.add(core, self.addresses[1] + sliver * size, (j[1] - j[0]) * depth * size)

    def _touch_sums(self, core: int, pixel: int, rows: int, j: tuple[int, int], filters: int, *, first: bool) -> None:
        size = self.element_bytes
        for row in range(pixel, pixel + rows):
            address = self.addresses[2] + (row * filters + j[0]) * size
            if not first:
                self.touched.add(core, address, (j[1] - j[0]) * size)
            self.touched.add(core, address, (j[1] - j[0]) * size, write=True)
