"""How SCNN lays a feature map over its elements: planes of output pixels, tiles of inputs, and their sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.units import ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.workload.operators import Window

Span = tuple[int, int]
"""First and last-plus-one index."""


@dataclass(frozen=True)
class Rectangle:
    """Output pixels of one image."""

    image: int
    rows: Span
    cols: Span


def rectangles(first: int, end: int, height: int, width: int) -> list[Rectangle]:
    """Cut output pixels, numbered image by image and row by row, into rectangles."""
    found = []
    while first < end:
        image, place = divmod(first, height * width)
        row, col = divmod(place, width)
        left = min(end - first, height * width - place)
        if col or left < width:
            taken = min(left, width - col)
            found.append(Rectangle(image, (row, row + 1), (col, col + taken)))
        else:
            taken = left // width * width
            found.append(Rectangle(image, (row, row + taken // width), (0, width)))
        first += taken
    return found


@dataclass(frozen=True)
class Plane:
    """A rectangle of output pixels on the elements: each takes a tile of the inputs below it.

    Parameters
    ----------
    rows, cols
        Output pixels.
    window
        Window of the layer.
    size
        Rows and columns of the whole input.
    grid
        Elements.
    """

    rows: Span
    cols: Span
    window: Window
    size: tuple[int, int]
    grid: tuple[int, int]

    @cached_property
    def region(self) -> tuple[int, int, int, int]:
        """Input rows and columns that outputs of the rectangle depend on, padding cut off."""
        spans = []
        for axis, (begin, end) in enumerate((self.rows, self.cols)):
            first = begin * self.window.stride[axis] - self.window.padding[axis]
            last = (end - 1) * self.window.stride[axis] - self.window.padding[axis] + self.window.extent[axis]
            spans += [min(max(first, 0), self.size[axis]), min(max(last, 0), self.size[axis])]
        return spans[0], max(spans[1], spans[0]), spans[2], max(spans[3], spans[2])

    @cached_property
    def tile(self) -> tuple[int, int]:
        """Input rows and columns of an element, 1 at least."""
        top, bottom, left, right = self.region
        return max(ceil_div(bottom - top, self.grid[0]), 1), max(ceil_div(right - left, self.grid[1]), 1)

    @cached_property
    def sums(self) -> tuple[int, int]:
        """Rows and columns of output pixels that an element adds up, those that it hands to its neighbours included."""
        reach = [(self.tile[axis] + self.window.extent[axis] - 2) // self.window.stride[axis] + 1 for axis in (0, 1)]
        return min(reach[0], self.rows[1] - self.rows[0]), min(reach[1], self.cols[1] - self.cols[0])

    @cached_property
    def activations(self) -> NDArray[np.int64]:
        """Activations per element and phase of the stride, (elements, phases)."""
        counts = []
        for axis in (0, 1):
            first, end = self.region[2 * axis], self.region[2 * axis + 1]
            stride, pad = self.window.stride[axis], self.window.padding[axis]
            begins = np.minimum(first + np.arange(self.grid[axis]) * self.tile[axis], end)
            ends = np.minimum(begins + self.tile[axis], end)
            phase = np.arange(stride)
            below = [-((phase - edge[:, None] - pad) // stride) for edge in (begins, ends)]
            counts.append(below[1] - below[0])
        whole: NDArray[np.int64] = np.einsum("ap,bq->abpq", *counts)
        return whole.reshape(self.grid[0] * self.grid[1], -1)

    def halved(self) -> list[Plane]:
        """Two planes of half the rows each, or half the columns where there is one row."""
        axis = 0 if self.rows[1] - self.rows[0] > 1 else 1
        begin, end = (self.rows, self.cols)[axis]
        middle = (begin + end + 1) // 2
        spans = [(begin, middle), (middle, end)]
        return [
            Plane(span if axis == 0 else self.rows, span if axis else self.cols, self.window, self.size, self.grid)
            for span in spans
        ]

    def fitted(self, capacity: int) -> list[Plane]:
        """The plane in parts small enough for the sums of one filter to fit into the accumulators."""
        if self.sums[0] * self.sums[1] <= capacity:
            return [self]
        return [part for half in self.halved() for part in half.fitted(capacity)]


def taps_per_phase(window: Window) -> NDArray[np.int64]:
    """Weights of one filter and channel that belong to each phase of the stride."""
    counts = np.zeros(window.stride, np.int64)
    for row in range(window.kernel[0]):
        for col in range(window.kernel[1]):
            counts[row * window.dilation[0] % window.stride[0], col * window.dilation[1] % window.stride[1]] += 1
    return counts.ravel()


@dataclass(frozen=True)
class FilterGroups:
    """Output-channel groups of a block: the filters whose sums fit into the accumulators at one time.

    Parameters
    ----------
    groups
        Groups of the layer in each output-channel group.
    filters
        Filters of each of them.
    """

    groups: int
    filters: int


def filter_groups(groups: int, filters: int, room: int) -> FilterGroups:
    """Share `filters` filters of `groups` groups each evenly among as few output-channel groups as there have to be.

    Parameters
    ----------
    groups, filters
        Of a block.
    room
        Filters whose sums fit into the accumulators.
    """
    if filters >= room:
        return FilterGroups(1, ceil_div(filters, ceil_div(filters, room)))
    return FilterGroups(min(groups, room // filters), filters)
