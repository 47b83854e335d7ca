"""Operands of a layer as SCNN meets them: which elements are not zero, or how many by their density."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.hardware.pe_array.expectation import binomial
from accelsim.workload.drawn_values import uniform_numbers
from accelsim.workload.operators import Conv, Gemm, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.array_costs import ArrayLayer
    from accelsim.workload.operand_data import OperandData

Flags = np.ndarray[Any, np.dtype[np.uint8]]
"""1 where an element is not zero."""

NO_WINDOW = Window((1, 1))


@dataclass(frozen=True)
class LayerOperands:
    """The operands of one layer; a matrix product is a window of one pixel over a row of positions.

    Parameters
    ----------
    layer
        The layer.
    sparse
        Operands of which zeros are left out; of the others every element counts as not zero.
    """

    layer: ArrayLayer
    sparse: frozenset[str]

    @property
    def is_plane(self) -> bool:
        """Whether the layer is a convolution, whose feature map the elements share by pixels."""
        return isinstance(self.layer.operator, Conv)

    @property
    def window(self) -> Window:
        """Window of the layer."""
        return self.layer.operator.window if isinstance(self.layer.operator, Conv) else NO_WINDOW

    @property
    def channels(self) -> int:
        """Input channels of a group."""
        return self.layer.dims.k // (self.window.kernel[0] * self.window.kernel[1])

    def density(self, operand: str) -> float:
        """Share of elements that are stored and multiplied."""
        return self._data(operand).density if operand in self.sparse else 1.0

    def _data(self, operand: str) -> OperandData:
        return self.layer.ifmap if operand == "ifmap" else self.layer.weight

    @cached_property
    def map_flags(self) -> Flags | None:
        """Stored elements (images, channels, rows, columns), or (groups, k, 1, m); None where values are not known."""
        values, layer = self.layer.ifmap.values, self.layer
        if values is None:
            return None
        flags = _repeated(self._flags("ifmap", values), layer.ifmap_shape)
        if self.is_plane:
            return np.ascontiguousarray(flags)
        dims = layer.dims
        if isinstance(layer.operator, Gemm) or dims.groups == 1:
            matrices = flags.reshape(1, dims.m, dims.k)
        else:
            batch = layer.ofmap_shape[:-2]
            matrices = np.broadcast_to(flags, (*batch, dims.m, dims.k)).reshape(dims.groups, dims.m, dims.k)
        return np.ascontiguousarray(matrices.swapaxes(1, 2)[:, :, None, :])

    @cached_property
    def weight_flags(self) -> Flags | None:
        """Stored elements (groups, filters, channels, kernel rows, columns); None where values are not known."""
        values, dims = self.layer.weight.values, self.layer.dims
        if values is None:
            return None
        flags = self._flags("weight", values)
        if isinstance(self.layer.operator, Conv | Gemm):
            return np.ascontiguousarray(flags.reshape(dims.groups, dims.n, self.channels, *self.window.kernel))
        if dims.groups > 1:
            batch = self.layer.ofmap_shape[:-2]
            if flags.ndim > 2 and flags.shape[0] not in (1, batch[0]):
                flags = _repeated(flags, (batch[0], *flags.shape[1:]))
            flags = np.broadcast_to(flags, (*batch, dims.k, dims.n))
        matrices = flags.reshape(dims.groups, dims.k, dims.n)
        return np.ascontiguousarray(matrices.swapaxes(1, 2)[..., None, None])

    def _flags(self, operand: str, values: NDArray[Any]) -> Flags:
        return (values != 0).view(np.uint8) if operand in self.sparse else np.ones(values.shape, np.uint8)

    @cached_property
    def useful_products(self) -> int:
        """Products of elements that are multiplied, padding left out: the multiply-accumulates that have to be done."""
        maps, weights = self.map_flags, self.weight_flags
        share = (1.0 if maps is not None else self.density("ifmap")) * (
            1.0 if weights is not None else self.density("weight")
        )
        if maps is None and weights is None:
            return round(self._pairs_without_values * share)
        return round(self._pairs(maps, weights) * share)

    @property
    def _pairs_without_values(self) -> int:
        dims = self.layer.dims
        return dims.groups * dims.n * self.channels * int(self._pixels_per_tap.sum())

    @cached_property
    def _pixels_per_tap(self) -> NDArray[np.int64]:
        """Output pixels, all images, to which each element of the window contributes from inside of the input."""
        if not self.is_plane:
            return np.full((1, 1), self.layer.dims.m)
        images, _, height, width = self.layer.ifmap_shape
        counts = []
        for axis, size in enumerate((height, width)):
            span = _valid(self.window, axis, size, self.layer.ofmap_shape[2 + axis])
            counts.append(span[:, 1] - span[:, 0])
        return images * np.outer(*counts)

    def _pairs(self, maps: Flags | None, weights: Flags | None) -> int:
        dims, window, total = self.layer.dims, self.window, 0
        shape = self.layer.ofmap_shape
        spans = [_valid(window, axis, self.layer.ifmap_shape[2 + axis], shape[2 + axis]) for axis in (0, 1)] if (
            self.is_plane
        ) else [np.array([[0, 1]]), np.array([[0, dims.m]])]  # fmt: skip
        for row, col in np.ndindex(*window.kernel):
            if maps is None:
                per_channel: Any = int(self._pixels_per_tap[row, col])
            else:
                picked = maps
                for axis, tap in ((0, row), (1, col)):
                    begin, end = spans[axis][tap]
                    stride, dilation, pad = window.stride[axis], window.dilation[axis], window.padding[axis]
                    first = begin * stride - pad + tap * dilation
                    index = [slice(None)] * 4
                    index[2 + axis] = (
                        slice(first, first + (end - begin - 1) * stride + 1, stride) if end > begin else slice(0)
                    )
                    picked = picked[tuple(index)]
                per_channel = picked.sum(axis=(2, 3), dtype=np.int64)
                per_channel = per_channel.sum(axis=0) if self.is_plane else per_channel.ravel()
            if weights is None:
                per_weight: Any = dims.n
            else:
                per_weight = weights[:, :, :, row, col].sum(axis=1, dtype=np.int64).ravel()
            product = per_channel * per_weight
            count = product.size if isinstance(product, np.ndarray) else 1
            total += int(np.sum(product)) * (dims.groups * self.channels // count)
        return total


def _valid(window: Window, axis: int, size: int, outputs: int) -> NDArray[np.int64]:
    """First and last-plus-one output along an axis to which each tap contributes from inside of the input."""
    spans = np.empty((window.kernel[axis], 2), np.int64)
    stride, pad = window.stride[axis], window.padding[axis]
    for tap in range(window.kernel[axis]):
        offset = tap * window.dilation[axis] - pad
        first = max(-(offset // stride), 0) if offset < 0 else 0
        last = min((size - 1 - offset) // stride, outputs - 1)
        spans[tap] = first, max(last + 1, first)
    return spans


def _repeated(flags: Flags, shape: tuple[int, ...]) -> Flags:
    """A feature map, its samples repeated or cut to the batch of `shape`."""
    if flags.shape == shape:
        return flags
    return np.resize(flags, (shape[0], *flags.shape[1:])).reshape(shape)


def drawn_counts(trials: NDArray[np.int64], density: float, stream: int) -> NDArray[np.int64]:
    """Nonzeros among `trials` elements each, drawn by the binomial distribution."""
    if density >= 1:
        return trials
    draws = uniform_numbers(0, stream, trials.size).reshape(trials.shape)
    counts = np.zeros_like(trials)
    for size in np.unique(trials):
        steps = np.cumsum(binomial(int(size), density).probabilities)
        chosen = trials == size
        counts[chosen] = np.searchsorted(steps[:-1], draws[chosen], side="right")
    return counts


def with_placeholders(
    nonzeros: NDArray[np.int64], trials: NDArray[np.int64], density: float, longest_run: int, stream: int
) -> NDArray[np.int64]:
    """Entries of lists with so many nonzeros among so many elements: runs longer than an index takes cost more."""
    gap = longest_run + 1
    chance = (1 - density) ** gap
    if density >= 1 or chance < 1e-9:
        return nonzeros
    share = np.zeros(trials.shape)
    for times in range(1, 64):
        share += np.maximum(1 - times * gap / np.maximum(trials, 1), 0) * chance**times
    whole = nonzeros * share
    return nonzeros + (whole + uniform_numbers(1, stream, trials.size).reshape(trials.shape)).astype(np.int64)


def entries_per_element(density: float, longest_run: int) -> float:
    """Entries of a long list, as a share of its elements."""
    gap = (1 - density) ** (longest_run + 1)
    return density * (1 + gap / (1 - gap)) if gap < 1 else 0.0
