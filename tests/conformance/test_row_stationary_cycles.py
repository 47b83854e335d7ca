"""The closed form of the row-stationary array against an array stepped cycle by cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_blocks import walk_blocks
from row_stationary_stepper import Counts, Layout, Machine, Problem, Ranges, step_block
from tiling_cases import PLENTY_BITS, problem_of

from accelsim.hardware.pe_array.row_stationary_account_kernel import WORK_DTYPE, account
from accelsim.hardware.pe_array.row_stationary_costs import RowStationaryCosts
from accelsim.hardware.pe_array.row_stationary_kernel import SHAPE_DTYPE
from accelsim.hardware.pe_array.row_stationary_layer import RowGeometry
from accelsim.mapping.array_costs import ArrayLayer
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.tiling import BufferSpace, TilingProblem
from accelsim.mapping.tiling_search import search_tiling
from accelsim.workload.operators import Conv, Gemm, Shape, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.mapping.tiling import Tiling

small = st.integers(1, 3)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    spads = draw(st.integers(1, 30)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    return Machine(draw(st.integers(1, 5)), draw(st.integers(1, 4)), spads, draw(st.tuples(small, small, small)))


@st.composite
def layers(draw: st.DrawFn) -> tuple[Conv | Gemm, Shape]:
    if draw(st.integers(0, 3)) == 0:
        return Gemm(draw(st.integers(1, 7))), (draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    kernel, stride, dilation = (draw(st.tuples(small, small)) for _ in range(3))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    window = Window(kernel, stride, padding, dilation)
    least = [max(extent - padding[axis] - padding[axis + 2], 1) for axis, extent in enumerate(window.extent)]
    height, width = (size + draw(st.integers(0, 4)) for size in least)
    groups, channels, filters = draw(small), draw(small), draw(st.integers(1, 4))
    return Conv(groups * filters, window, groups), (draw(st.integers(1, 3)), groups * channels, height, width)


def tiling_problem(
    operator: Conv | Gemm, shape: Shape, machine: Machine, space: BufferSpace | None = None
) -> TilingProblem:
    problem = problem_of(operator, shape, space=space)
    layer = ArrayLayer("layer", operator, shape, operator.output_shape((shape,)), problem.dims, 8, 8, 8, 32)
    array = machine.rows, machine.cols
    geometry = RowGeometry.of_layer(layer, array)
    costs = RowStationaryCosts(array, machine.spads, machine.rates, None, geometry, problem.dims, (8, 8, 8, 32), layer)
    return replace(problem, costs=costs, objective="latency")


def values_of(operator: Conv | Gemm, shape: Shape) -> Problem:
    """Random operands; a product is a convolution whose rows are output rows of one pixel."""
    random = np.random.default_rng(sum(shape))
    weight = operator.weight_shape((shape,))
    if isinstance(operator, Gemm):
        ifmap = random.integers(-9, 10, shape).T[None, :, :, None]
        return Problem(ifmap, random.integers(-9, 10, (*weight, 1, 1)), 1, (1, 1), (0, 0), (1, 1), shape[0], 1)
    window = operator.window
    rows, cols = operator.output_shape((shape,))[2:]
    padding = window.padding[:2]
    ifmap = random.integers(-9, 10, shape)
    return Problem(
        ifmap, random.integers(-9, 10, weight), operator.groups, window.stride, padding, window.dilation, rows, cols
    )


def product_of(problem: Problem) -> NDArray[np.int64]:
    """The convolution in plain loops, (filter, pixel)."""
    images, (filters, channels, height, taps) = len(problem.ifmap), problem.weight.shape
    out = np.zeros((filters, images, problem.out_height, problem.out_width), np.int64)
    for place in np.ndindex(out.shape):
        number, image, row, col = place
        first = number // (filters // problem.groups) * channels
        for channel, y, x in np.ndindex(channels, height, taps):
            word = (
                first + channel,
                image,
                row * problem.stride[0] - problem.padding[0] + y * problem.dilation[0],
                col * problem.stride[1] - problem.padding[1] + x * problem.dilation[1],
            )
            out[place] += problem.value(word) * problem.weight[number, channel, y, x]
    return out.reshape(filters, -1)


def layouts_of(blocks: BlockSequence) -> list[Layout]:
    """Layout that the array chooses for every block."""
    costs = blocks.problem.costs
    assert isinstance(costs, RowStationaryCosts)
    left = costs.geometry.rows_before_next_image(blocks.index_per_block["m"] * blocks.tiling.m)
    records = costs.geometry.blocks(blocks.block_groups, *(blocks.extents_per_block[dim] for dim in ("m", "n", "k")))
    records["first_rows"] = np.minimum(records["rows"], left)
    shapes = np.zeros(len(records), SHAPE_DTYPE)
    works, busy = np.zeros(len(records), WORK_DTYPE), np.zeros(costs.array)
    account(costs._record, records, np.ones(len(records), np.int64), works, shapes, busy)  # type: ignore[no-untyped-call]
    return [Layout(*(int(entry) for entry in shape)) for shape in shapes.tolist()]


def check(machine: Machine, operator: Conv | Gemm, shape: Shape, space: BufferSpace | None = None) -> None:
    problem = tiling_problem(operator, shape, machine, space)
    tiling = search_tiling(problem)
    assert tiling is not None
    check_tiling(machine, problem, tiling, values_of(operator, shape))


def check_tiling(machine: Machine, problem: TilingProblem, tiling: Tiling, values: Problem) -> None:
    blocks = BlockSequence(problem, tiling)
    out = np.zeros((len(values.weight), problem.dims.m), np.int64)
    counts, cycles = Counts(), []
    for block, layout in zip(walk_blocks(problem, tiling), layouts_of(blocks), strict=True):
        before = counts.cycles
        step_block(machine, values, layout, Ranges(block.groups, block.m, block.n, block.k), out, counts)
        cycles.append(counts.cycles - before)
    assert (out == product_of(values)).all()
    work = blocks.work
    assert work.cycles.tolist() == cycles
    words = work.description["words"]
    assert words == counts.words
    assert work.busy_cycles is not None
    stepped = np.zeros(work.busy_cycles.shape)
    for place, busy in counts.busy.items():
        stepped[place] = busy
    assert (work.busy_cycles == stepped).all()


@settings(max_examples=60, deadline=None)
@given(machines(), layers())
def test_stepped_array_agrees_in_cycles_words_and_product(machine: Machine, layer: tuple[Conv | Gemm, Shape]) -> None:
    check(machine, *layer)


@settings(max_examples=60, deadline=None)
@given(machines(), layers(), st.integers(1, 40))
def test_and_does_so_in_blocks(machine: Machine, layer: tuple[Conv | Gemm, Shape], capacity: int) -> None:
    """Small buffers cut the layer into many blocks."""
    operator, shape = layer
    space = BufferSpace((0, 1, 2), (8 * capacity + 400, 8 * capacity + 80, 32 * capacity), (1, 2, 1))
    check(machine, operator, shape, space)


@pytest.mark.parametrize(
    ("machine", "operator", "shape"),
    [
        (Machine(1, 1, (1, 1, 1), (1, 1, 1)), Conv(2, Window((3, 2))), (1, 2, 5, 4)),
        (Machine(4, 3, (8, 4, 2), (4, 1, 4)), Conv(4, Window((3, 3), padding=(1, 1, 1, 1))), (2, 3, 5, 5)),
        (Machine(2, 2, (8, 4, 2), (4, 1, 4)), Conv(3, Window((5, 1))), (1, 2, 9, 3)),
        (Machine(6, 2, (8, 2, 2), (4, 2, 1)), Conv(2, Window((2, 4), (3, 1))), (1, 2, 14, 6)),
        (Machine(6, 6, (9, 3, 3), (4, 2, 4)), Conv(6, Window((3, 3)), 6), (1, 6, 6, 6)),
    ],
    ids=["one element", "padded", "filter higher than the array", "row longer than the spad", "depthwise"],
)
def test_layers_that_do_not_fit_nicely(machine: Machine, operator: Conv, shape: Shape) -> None:
    check(machine, operator, shape)


def test_sets_wider_than_the_array_are_cut_and_stacked() -> None:
    """Seven output rows on three columns: three segments over six rows of elements."""
    machine = Machine(6, 3, (12, 4, 3), (4, 1, 4))
    problem = tiling_problem(Conv(3, Window((2, 2))), (1, 2, 8, 5), machine)
    tiling = search_tiling(problem)
    assert tiling is not None
    (layout, *_) = layouts_of(BlockSequence(problem, tiling))
    assert (layout.e, layout.strips) == (7, 1)
    check(machine, Conv(3, Window((2, 2))), (1, 2, 8, 5))


def test_plenty_of_room_takes_the_layer_in_one_block() -> None:
    machine = Machine(4, 4, (16, 4, 4), (4, 1, 4))
    space = BufferSpace((0, 1, 2), (PLENTY_BITS,) * 3, (1, 2, 1))
    problem = tiling_problem(Conv(4, Window((2, 2))), (2, 2, 4, 4), machine, space)
    tiling = search_tiling(problem)
    assert tiling is not None
    assert len(BlockSequence(problem, tiling).work.cycles) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), small, st.integers(1, 24), st.integers(1, 24), st.data())
def test_larger_ifmap_spads_are_never_slower(
    rows: int, cols: int, taps: int, channels: int, filters: int, data: st.DataObject
) -> None:
    """Whatever of a layer may lie in a small spad may lie in a larger one, so long as that holds a window's row."""
    height, width = data.draw(st.tuples(small, st.integers(1, 4)))
    operator, shape = Conv(filters, Window((height, taps))), (1, channels, height + 3, taps + width)
    rates = data.draw(st.tuples(small, small, small))
    cycles = []
    for words in range(taps, taps + 24):
        machine = Machine(rows, cols, (60, words, 5), rates)
        problem = tiling_problem(operator, shape, machine)
        extents = (np.array([extent]) for extent in (1, problem.dims.m, problem.dims.n, problem.dims.k))
        cycles.append(int(problem.costs.estimated_cycles(*extents)[0]))
    assert cycles == sorted(cycles, reverse=True)
