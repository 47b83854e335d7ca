"""Small layers with values for the steppers: drawn by Hypothesis, cut into blocks, and multiplied by plain loops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from accelsim.mapping.array_costs import ArrayLayer
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.footprint import pixel_grid
from accelsim.mapping.tiling import ORDERS, BufferSpace, Tiling, TilingProblem
from accelsim.workload.operand_data import OperandData
from accelsim.workload.operators import Conv, Gemm, MatMul, ShapeError, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accelsim.mapping.array_costs import BlockCosts
    from accelsim.workload.operators import GemmDims

Matrix = NDArray[np.int64]
PLENTY_BITS = 2**40


@dataclass(frozen=True, eq=False)
class SmallLayer:
    """A convolution or fully connected layer with its operands."""

    operator: Conv | Gemm
    ifmap: Matrix
    weight: Matrix

    @cached_property
    def layer(self) -> ArrayLayer:
        """As an array sees it."""
        return ArrayLayer(
            name="layer",
            operator=self.operator,
            ifmap_shape=self.ifmap.shape,
            ofmap_shape=self.operator.output_shape((self.ifmap.shape,)),
            dims=self.operator.gemm_dims((self.ifmap.shape,)),
            ifmap_bits=8,
            weight_bits=8,
            ofmap_bits=8,
            psum_bits=32,
            ifmap=OperandData(load=partial(_returned, self.ifmap)),
            weight=OperandData(load=partial(_returned, self.weight)),
        )

    @property
    def taps(self) -> int:
        """Window elements per channel."""
        return int(np.prod(self.operator.window.kernel)) if isinstance(self.operator, Conv) else 1

    @cached_property
    def left(self) -> Matrix:
        """Per group the inputs of each output pixel, (groups, m, k); padding is 0."""
        dims, operator = self.layer.dims, self.operator
        if isinstance(operator, Gemm):
            return self.ifmap.reshape(1, dims.m, dims.k)
        window, (_, channels, height, width) = operator.window, self.ifmap.shape
        rows, cols = operator.output_shape((self.ifmap.shape,))[2:]
        per_group = channels // operator.groups
        left = np.zeros((dims.groups, dims.m, dims.k), np.int64)
        for group, m, k in np.ndindex(left.shape):
            image, pixel = divmod(m, rows * cols)
            channel, tap = divmod(k, self.taps)
            tap_row, tap_col = divmod(tap, window.kernel[1])
            y = pixel // cols * window.stride[0] - window.padding[0] + tap_row * window.dilation[0]
            x = pixel % cols * window.stride[1] - window.padding[1] + tap_col * window.dilation[1]
            if 0 <= y < height and 0 <= x < width:
                left[group, m, k] = self.ifmap[image, group * per_group + channel, y, x]
        return left

    @cached_property
    def right(self) -> Matrix:
        """Per group the filters, (groups, n, k)."""
        dims = self.layer.dims
        return self.weight.reshape(dims.groups, dims.n, dims.k)

    @property
    def product(self) -> Matrix:
        """What the layer computes, (groups, m, n)."""
        product: Matrix = np.einsum("gmk,gnk->gmn", self.left, self.right)
        return product


@dataclass(frozen=True)
class Block:
    """Ranges of one block."""

    groups: range
    m: range
    n: range
    k: range


def blocks_in_order(sequence: BlockSequence) -> Iterator[Block]:
    """The blocks of a tiling by plain loops."""
    tiling, dims = sequence.tiling, sequence.problem.dims
    size = {"m": tiling.m, "n": tiling.n, "k": tiling.k}
    extent = {"m": dims.m, "n": dims.n, "k": dims.k}
    a, b, c = tiling.order
    for group in range(0, dims.groups, tiling.groups):
        groups = range(group, min(group + tiling.groups, dims.groups))
        for i in range(0, extent[a], size[a]):
            for j in range(0, extent[b], size[b]):
                for h in range(0, extent[c], size[c]):
                    begin = {a: i, b: j, c: h}
                    spans = {dim: range(begin[dim], min(begin[dim] + size[dim], extent[dim])) for dim in begin}
                    yield Block(groups, spans["m"], spans["n"], spans["k"])


def sequence_of(small: SmallLayer, costs: BlockCosts, tiling: Tiling) -> BlockSequence:
    """The layer cut into blocks."""
    return sequence_of_layer(small.layer, costs, tiling)


def sequence_of_layer(layer: ArrayLayer, costs: BlockCosts, tiling: Tiling) -> BlockSequence:
    """A layer cut into blocks, in buffers that hold all of it."""
    operator = layer.operator
    assert not isinstance(operator, MatMul)
    problem = TilingProblem(
        dims=layer.dims,
        taps=int(np.prod(operator.window.kernel)) if isinstance(operator, Conv) else 1,
        grid=pixel_grid(operator, (layer.ifmap_shape,)),
        costs=costs,
        ifmap_bits=layer.ifmap_bits,
        weight_bits=layer.weight_bits,
        ofmap_bits=layer.ofmap_bits,
        psum_bits=layer.psum_bits,
        space=BufferSpace((0, 1, 2), (PLENTY_BITS,) * 3, (2, 2, 2)),
        ifmap_in_dram=True,
        ofmap_in_dram=True,
        ifmap_run_channels=layer.dims.k,
        ofmap_run_channels=layer.dims.n,
        dram_bytes_per_cycle=8.0,
        burst_bytes=64,
        dram_latency_cycles=0,
        objective="latency",
    )
    return BlockSequence(problem, tiling)


def whole(small: SmallLayer) -> Tiling:
    """All of a layer as one block."""
    return whole_of(small.layer.dims)


def whole_of(dims: GemmDims) -> Tiling:
    """All of a product as one block."""
    return Tiling(ORDERS[0], dims.groups, dims.m, dims.n, dims.k, (3, 3, 3))


@st.composite
def small_layers(draw: st.DrawFn, *, signed_ifmap: bool = True) -> SmallLayer:
    """Convolutions of all kinds and fully connected layers, some of their values zero."""
    seed = draw(st.integers(0, 2**32 - 1))
    density = draw(st.tuples(*[st.sampled_from([0.0, 0.1, 0.35, 0.7, 1.0])] * 2))
    operator: Conv | Gemm
    if draw(st.integers(0, 4)) == 0:
        operator = Gemm(draw(st.integers(1, 9)))
        shape: tuple[int, ...] = (draw(st.integers(1, 3)), draw(st.integers(1, 40)))
    else:
        operator, shape = draw(_convolutions())
    weight_shape = operator.weight_shape((shape,))
    random = np.random.default_rng(seed)
    lowest = -127 if signed_ifmap else 1
    ifmap = _values(random, shape, density[0], lowest)
    return SmallLayer(operator, ifmap, _values(random, weight_shape, density[1], -127))


@st.composite
def _convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, ...]]:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * draw(st.integers(1, 6)), groups * draw(st.integers(1, 5))
    window = Window(draw(pair), draw(pair), draw(st.tuples(*[st.integers(0, 2)] * 4)), draw(pair))
    shape = (draw(st.integers(1, 2)), channels, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    operator = Conv(filters, window, groups)
    try:
        operator.output_shape((shape,))
    except ShapeError:
        operator = Conv(filters, Window((1, 1), window.stride), groups)
    return operator, shape


def _values(random: np.random.Generator, shape: tuple[int, ...], density: float, lowest: int) -> Matrix:
    values = random.integers(lowest, 128, shape)
    values[random.random(shape) >= density] = 0
    return values


@st.composite
def tilings(draw: st.DrawFn, small: SmallLayer) -> Tiling:
    """Any cut of a layer, several groups in a block only where each is whole."""
    dims = small.layer.dims
    m, n, k = (draw(st.integers(1, extent)) for extent in (dims.m, dims.n, dims.k))
    groups = 1
    if dims.groups > 1 and draw(st.booleans()):
        groups, n, k = draw(st.integers(1, dims.groups)), dims.n, dims.k
    return Tiling(draw(st.sampled_from(ORDERS)), groups, m, n, k, (3, 3, 3))


def _returned(values: Matrix) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    return values
