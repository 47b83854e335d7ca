"""The bit-serial array against one stepped cycle by cycle: cycles, digits, rebuilds and the product itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bit_serial_stepper import Counts, Size, Task, booth_form, run_block
from hypothesis import given, settings
from hypothesis import strategies as st
from tiling_cases import problem_of

from accelsim.hardware.pe_array.bit_serial import BitSerial, BitSerialConfig, BitSerialCosts
from accelsim.mapping.array_costs import ArrayLayer
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.tiling import ORDERS, Tiling
from accelsim.units import ceil_div
from accelsim.workload.operand_data import UNKNOWN, OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Gemm, MatMul, Window
from accelsim.workload.pot.operand import KnownPotOperand
from accelsim.workload.pot.reshaping import SliceLayout
from accelsim.workload.pot.weights import PotLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.workload.pot.parameters import Index

Draw = Any
Ints = np.ndarray[Any, np.dtype[np.int64]]


def array(size: Size) -> BitSerialConfig:
    return BitSerialConfig(
        clock_mhz=1000,
        slices=size.slices,
        lines=size.lines,
        lanes=size.lanes,
        clusters=size.clusters,
        selector_slices=size.together,
        rebuild_cycles=size.rebuild_cycles,
        basis_load_cycles=size.load_cycles,
        input_bytes_per_cycle=size.port,
    )


@st.composite
def sizes(draw: Draw) -> Size:
    lanes = draw(st.integers(1, 4))
    return Size(
        slices=draw(st.integers(1, 5)),
        lines=draw(st.integers(1, 4)),
        lanes=lanes,
        clusters=draw(st.integers(1, lanes)),
        together=draw(st.integers(1, 5)),
        rebuild_cycles=draw(st.integers(0, 5)),
        load_cycles=draw(st.integers(0, 9)),
        port=draw(st.integers(1, 9)),
    )


def values(random: np.random.Generator, shape: tuple[int, ...], density: float) -> Ints:
    """Signed 8-bit numbers, whole rows of which are zero now and then."""
    drawn = random.integers(-128, 128, shape)
    drawn[random.random(shape) >= density] = 0
    drawn[random.random(shape[:-1]) >= (1 + density) / 2] = 0
    return drawn


def decomposed(
    random: np.random.Generator, shape: tuple[int, ...], rows: int, index: Index, density: float
) -> PotLayer:
    """Random coefficients and bases, `rows` rows to a slice."""
    weights = int(np.prod(shape[1:]))
    layout = SliceLayout(shape, ceil_div(ceil_div(weights, 3), rows), rows)
    most = 9 if index == "element" else 8
    levels = random.integers(1, most, (layout.all_slices, rows, 3)) * random.choice(
        [-1, 1], (layout.all_slices, rows, 3)
    )
    levels[random.random(levels.shape) >= density] = 0
    levels[random.random(levels.shape[:2]) >= density] = 0
    basis = random.integers(-127, 128, (layout.all_slices, 3, 3)).astype(np.int8)
    return PotLayer("w", layout, levels.astype(np.int8), -3, basis, 0.5, 0.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A layer on an array, and the same as the stepper takes it."""

    layer: ArrayLayer
    task: Task
    size: Size
    weights: Ints
    """(filters, weights), decoded where they are decomposed."""


def whole_weights(pot: PotLayer) -> Ints:
    """Decoded weights in units that make them whole numbers."""
    levels = pot.levels.astype(np.int64)
    coefficients = np.sign(levels) << np.maximum(np.abs(levels) - 1, 0)
    rows = np.einsum("sij,sjk->sik", coefficients, pot.basis.astype(np.int64))
    flat: Ints = rows.reshape(pot.layout.filters, -1)[:, : pot.layout.filter_weights]
    scale = pot.basis_scale * 2.0**pot.lowest_exponent
    assert (pot.decode().reshape(flat.shape) == (flat * scale).astype(np.float32)).all()
    return flat


def case_of(
    operator: Conv | Gemm,
    shape: tuple[int, ...],
    size: Size,
    seed: int,
    pot_rows: int | None,
    index: Index,
    density: float,
) -> Case:
    random = np.random.default_rng(seed)
    dims = operator.gemm_dims((shape,))
    ifmap = values(random, shape, density)
    weight_shape = operator.weight_shape((shape,))
    weight = UNKNOWN
    if pot_rows is None:
        flat = random.integers(-128, 128, (weight_shape[0], dims.k))
        coefficients: dict[str, Any] = {"plain": flat}
    else:
        pot = decomposed(random, weight_shape, pot_rows, index, density)
        known = KnownPotOperand(pot, index)
        weight = OperandData(pot=known)
        flat = whole_weights(pot)
        bases = pot.basis.reshape(pot.layout.filters, pot.layout.slices, 3, 3).astype(np.int64)
        coefficients = {
            "levels": known.levels.astype(np.int64), "named": known.named, "basis": bases, "slice_rows": pot_rows
        }  # fmt: skip
    layer = ArrayLayer(
        "layer", operator, shape, operator.output_shape((shape,)), dims, 8, 8, 8, 24,
        ifmap=OperandData(load=lambda: ifmap), weight=weight,
    )  # fmt: skip
    if isinstance(operator, Conv):
        window, images, out = operator.window, ifmap, layer.ofmap_shape[2:]
    else:
        window, images, out = Window((1, 1)), ifmap.T[None, :, :, None], (dims.m, 1)
    sizes = (window.kernel, window.stride, window.padding, window.dilation)
    task = Task(images, *sizes, dims.groups, (out[0], out[1]), **coefficients)
    return Case(layer, task, size, flat)


def product(case: Case) -> Ints:
    """The layer computed directly, (pixels, filters)."""
    task, per_group = case.task, case.task.filters
    pad = task.padding
    padded = np.pad(task.ifmap, ((0, 0), (0, 0), (pad[0], pad[2]), (pad[1], pad[3])))
    channels = task.ifmap.shape[1] // task.groups
    sums = np.zeros((len(task.ifmap), *task.out, len(case.weights)), np.int64)
    for filter_, weights in enumerate(case.weights):
        kernel = weights.reshape(channels, *task.kernel)
        first = filter_ // per_group * channels
        for row, col in np.ndindex(task.kernel):
            down, right = row * task.dilation[0], col * task.dilation[1]
            seen = padded[
                :, first : first + channels,
                down : down + (task.out[0] - 1) * task.stride[0] + 1 : task.stride[0],
                right : right + (task.out[1] - 1) * task.stride[1] + 1 : task.stride[1],
            ]  # fmt: skip
            sums[..., filter_] += np.einsum("nchw,c->nhw", seen, kernel[:, row, col])
    return sums.reshape(-1, len(case.weights))


def blocks_of(case: Case, order: int, tile: tuple[int, int, int, int]) -> BlockSequence:
    """The layer cut into blocks no larger than `tile`: groups, pixels, filters, rows of weights."""
    dims = case.layer.dims
    costs = BitSerial(array(case.size)).costs(case.layer)
    k = min(tile[3] * case.task.row_length, dims.k)
    n = min(tile[2], dims.n)
    groups = min(tile[0], dims.groups) if (n, k) == (dims.n, dims.k) else 1
    assert not isinstance(case.layer.operator, MatMul)
    problem = replace(problem_of(case.layer.operator, case.layer.ifmap_shape), costs=costs)
    return BlockSequence(problem, Tiling(ORDERS[order], groups, min(tile[1], dims.m), n, k, (3, 3, 3)))


def stepped(case: Case, blocks: BlockSequence) -> tuple[list[int], Counts, Ints]:
    """Cycles per block in their order, counts, and the product."""
    dims, tiling = case.layer.dims, blocks.tiling
    result = np.zeros((dims.m, dims.groups * dims.n), np.int64)
    total, cycles = Counts(), []
    index = blocks.index_per_block
    for number, group in enumerate(blocks.group_per_block.tolist()):
        ranges = {}
        for dim in ("m", "n", "k"):
            first = int(index[dim][number]) * blocks.sizes[dim]
            ranges[dim] = range(first, min(first + blocks.sizes[dim], blocks.extents[dim]))
        groups = range(group * tiling.groups, min((group + 1) * tiling.groups, dims.groups))
        before = total.cycles
        run_block(case.task, case.size, groups, ranges["n"], ranges["k"], ranges["m"], result, total)
        cycles.append(total.cycles - before)
    return cycles, total, result


def check(case: Case, blocks: BlockSequence) -> None:
    cycles, counts, result = stepped(case, blocks)
    assert (result == product(case)).all()
    work = blocks.work
    assert work.cycles.tolist() == cycles
    assert work.operations["booth_step"] == counts.digits
    assert work.operations.get("rebuild", 0) == counts.rebuilds
    assert work.macs == counts.macs
    assert work.read_bits["ifmap"] == counts.delivered * 8


@st.composite
def convolutions(draw: Draw) -> tuple[Conv, tuple[int, ...]]:
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 1), (1, 1), (2, 3), (5, 1), (1, 4)]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    extent = [(side - 1) * step + 1 for side, step in zip(kernel, dilation, strict=True)]
    height, width = extent[0] + draw(st.integers(0, 3)), extent[1] + draw(st.integers(0, 5))
    channels, filters = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 4))
    window = Window(kernel, stride, padding, dilation)
    return Conv(filters, window, groups), (draw(st.integers(1, 2)), channels, height, width)


tiles = st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 7), st.integers(1, 12))
indices = st.sampled_from(["element", "vector", "group"])
densities = st.sampled_from([0.15, 0.5, 0.9, 1.0])


def can_be_decomposed(operator: Conv | Gemm, shape: tuple[int, ...]) -> bool:
    kernel = operator.window.kernel if isinstance(operator, Conv) else (1, 1)
    return kernel == (3, 3) or (kernel == (1, 1) and operator.gemm_dims((shape,)).k >= 3)


@settings(max_examples=100, deadline=None)
@given(
    layer=convolutions(), size=sizes(), seed=st.integers(0, 99), rows=st.integers(1, 5), plain=st.booleans(),
    index=indices, density=densities, order=st.integers(0, 5), tile=tiles,
)  # fmt: skip
def test_convolutions_take_the_cycles_that_are_stepped(
    *, layer: tuple[Conv, tuple[int, ...]], size: Size, seed: int, rows: int, plain: bool, index: Index, density: float,
    order: int, tile: tuple[int, int, int, int],
) -> None:  # fmt: skip
    operator, shape = layer
    pot_rows = None if plain or not can_be_decomposed(operator, shape) else rows
    case = case_of(operator, shape, size, seed, pot_rows, index, density)
    check(case, blocks_of(case, order, tile))


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 9), multiplier=st.integers(1, 2), size=sizes(), seed=st.integers(0, 99),
    plain=st.booleans(), stride=st.integers(1, 2), density=densities, order=st.integers(0, 5), tile=tiles,
)  # fmt: skip
def test_depthwise_layers_take_the_cycles_that_are_stepped(
    *, channels: int, multiplier: int, size: Size, seed: int, plain: bool, stride: int, density: float, order: int,
    tile: tuple[int, int, int, int],
) -> None:  # fmt: skip
    operator = Conv(channels * multiplier, Window((3, 3), (stride, stride), (1, 1, 1, 1)), channels)
    case = case_of(operator, (1, channels, 4, 5), size, seed, None if plain else 3, "vector", density)
    check(case, blocks_of(case, order, tile))


@settings(max_examples=50, deadline=None)
@given(
    inputs=st.integers(3, 40), outputs=st.integers(1, 9), batch=st.integers(1, 5), size=sizes(),
    seed=st.integers(0, 99), rows=st.integers(1, 6),
    plain=st.booleans(), index=indices, density=densities, order=st.integers(0, 5), tile=tiles,
)  # fmt: skip
def test_fully_connected_layers_take_the_cycles_that_are_stepped(
    *, inputs: int, outputs: int, batch: int, size: Size, seed: int, rows: int, plain: bool, index: Index,
    density: float, order: int, tile: tuple[int, int, int, int],
) -> None:  # fmt: skip
    case = case_of(Gemm(outputs), (batch, inputs), size, seed, None if plain else rows, index, density)
    check(case, blocks_of(case, order, tile))


@pytest.mark.parametrize("value", range(-130, 260))
def test_booth_forms_add_up(value: int) -> None:
    digits = booth_form(value)
    assert sum(digit * 4**place for digit, place in digits) == value
    assert all(digit in (-2, -1, 1, 2) for digit, _ in digits)


def test_two_clusters_share_a_line() -> None:
    """One pixel: each cluster has rows of its own, and waits for its basis with nothing to hide it."""
    size = Size(slices=2, lines=1, lanes=4, clusters=2, together=1, rebuild_cycles=1, load_cycles=4, port=64)
    case = case_of(Gemm(2), (1, 24), size, 3, 8, "vector", 1.0)
    blocks = blocks_of(case, 0, (1, 1, 2, 8))
    assert blocks.problem.costs.is_clustered  # type: ignore[attr-defined]
    check(case, blocks)
    slower = replace(size, load_cycles=14)
    late = case_of(Gemm(2), (1, 24), slower, 3, 8, "vector", 1.0)
    assert blocks_of(late, 0, (1, 1, 2, 8)).work.cycles.sum() == blocks.work.cycles.sum() + 10


# -- statistics --------------------------------------------------------------------------------------------------------


def expected(case: Case, statistics: OperandStatistics) -> BitSerialCosts:
    """The same layer with statistics in place of the values of the input."""
    layer = replace(case.layer, ifmap=OperandData(statistics, stated=True))
    return BitSerial(array(case.size)).costs(layer)


LARGE = Size(slices=8, lines=4, lanes=8, clusters=2, together=4, rebuild_cycles=3, load_cycles=3, port=4096)
LAYERS: dict[str, Callable[[], tuple[Conv | Gemm, tuple[int, ...]]]] = {
    "convolution": lambda: (Conv(16, Window((3, 3))), (1, 24, 18, 18)),
    "pointwise": lambda: (Conv(16, Window((1, 1))), (1, 48, 16, 16)),
    "fully connected": lambda: (Gemm(32), (1, 6144)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("density", [0.35, 1.0])
@pytest.mark.parametrize("decompose", [False, True])
def test_expected_cycles_are_those_of_drawn_tensors(*, name: str, density: float, decompose: bool) -> None:
    """Independent activations, as the expectation takes them; no padding, which statistics do not know of."""
    operator, shape = LAYERS[name]()
    case = case_of(operator, shape, LARGE, 5, 8 if decompose else None, "vector", 1.0)
    random = np.random.default_rng(8)
    drawn = random.integers(1, 128, shape) * random.choice([-1, 1], shape)
    zeros = random.permutation(drawn.size)[: round((1 - density) * drawn.size)]
    drawn.reshape(-1)[zeros] = 0
    known = replace(case.layer, ifmap=OperandData(load=lambda: drawn))
    costs = BitSerial(array(LARGE)).costs(known)
    dims = known.dims
    problem = replace(problem_of(operator, shape), costs=costs)
    tiling = Tiling(ORDERS[0], 1, dims.m, dims.n, dims.k, (3, 3, 3))
    exact = BlockSequence(problem, tiling).work
    stated = BlockSequence(replace(problem, costs=expected(case, OperandStatistics(density))), tiling).work
    assert stated.cycles.sum() == pytest.approx(exact.cycles.sum(), rel=0.03)
    assert stated.operations["booth_step"] == pytest.approx(exact.operations["booth_step"], rel=0.03)
    assert stated.macs == pytest.approx(exact.macs, rel=0.03)
    assert exact.description["operands"] == {"ifmap": "tensor", "weight": "tensor" if decompose else "nothing"}
    assert stated.description["operands"] == {"ifmap": "statistics", "weight": "tensor" if decompose else "nothing"}
