"""The double-buffered systolic array against one stepped register by register: cycles, product, and its waiting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from small_networks import machine
from systolic_stepper import Fold, Matrix, double_buffered_folds, run_double_buffered, run_double_buffered_product
from tiling_cases import problem_of

from accelsim.config.schema import HardwareConfig, MappingConfig, TileConfig
from accelsim.hardware.pe_array.double_buffered_systolic import DoubleBufferedCosts, DoubleBufferedSystolicConfig
from accelsim.mapping.array_costs import ArrayLayer, ArrayWork
from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.tiling import Tiling, TilingProblem
from accelsim.pipeline import simulate
from accelsim.workload.graph import LayerGraph, Tensor, chain
from accelsim.workload.operators import Conv, Gemm, Window

sides = st.integers(1, 4)
extents = st.integers(1, 9)
widths = st.sampled_from([4, 8])


def array(dataflow: str, rows: int, cols: int, bits: int = 4, *, whole: bool = False) -> DoubleBufferedSystolicConfig:
    return DoubleBufferedSystolicConfig(
        rows=rows, cols=cols, dataflow=dataflow, clock_mhz=1000, operand_bits=8, multiplier_bits=bits,  # type: ignore[arg-type]
        whole_weight_tiles=whole,
    )  # fmt: skip


def problem(config: DoubleBufferedSystolicConfig, m: int, k: int, n: int, bits: tuple[int, int]) -> TilingProblem:
    """A product on the array; `bits` are those of ifmap and weight."""
    base = problem_of(Gemm(n), (m, k), bits=(*bits, 8, 32))
    layer = ArrayLayer("fc", Gemm(n), (m, k), (m, n), base.dims, *bits, 8, 32)
    return replace(base, costs=config.build(machine()).costs(layer))


def operands(m: int, k: int, n: int, bits: tuple[int, int]) -> tuple[Matrix, Matrix]:
    random = np.random.default_rng(m * 10_000 + k * 100 + n)
    ends = [2 ** (width - 1) for width in bits]
    return random.integers(-ends[0], ends[0], (m, k)), random.integers(-ends[1], ends[1], (k, n))


def cycles_in_a_row(work: ArrayWork) -> int:
    """Cycles of blocks whose operands are all in their buffers: each load waits for the one before to be taken over."""
    assert work.loading is not None
    free = end = 0
    for cycles, lead, handover in zip(work.cycles, work.loading.lead_cycles, work.loading.handover_cycles, strict=True):
        begin = max(end, free + int(lead)) if lead else end
        free = begin + int(handover) if lead else free
        end = begin + int(cycles)
    return end + work.drain_cycles


@pytest.mark.parametrize("dataflow", ["WS", "IS"])
@settings(max_examples=60, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents, bits=st.tuples(widths, widths))
def test_stepped_array_agrees_in_cycles_and_product(
    dataflow: str, rows: int, cols: int, m: int, k: int, n: int, bits: tuple[int, int]
) -> None:
    left, right = operands(m, k, n, bits)
    layer = problem(array(dataflow, rows, cols), m, k, n, bits)
    costs = layer.costs
    assert isinstance(costs, DoubleBufferedCosts)
    parts = (costs.stationary_parts, costs.streaming_parts)
    cycles, product = run_double_buffered_product(dataflow, left, right, rows, cols, 4, parts)
    assert (product == left @ right).all()
    whole = BlockSequence(layer, Tiling(("m", "n", "k"), 1, m, n, k, (3, 3, 3))).work
    assert cycles_in_a_row(whole) == cycles


@pytest.mark.parametrize("dataflow", ["WS", "IS"])
@settings(max_examples=40, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents, tile=st.tuples(extents, extents, extents))
def test_blocks_are_the_folds_of_their_part_of_the_product(
    dataflow: str, rows: int, cols: int, m: int, k: int, n: int, tile: tuple[int, int, int]
) -> None:
    """Blocks in any order, each a stretch of folds; where a tile stays in the array, its folds are one."""
    tile_m, tile_n, tile_k = (min(size, extent) for size, extent in zip(tile, (m, n, k), strict=True))
    layer = problem(array(dataflow, rows, cols, 8), m, k, n, (8, 8))
    blocks = BlockSequence(layer, Tiling(("n", "k", "m"), 1, tile_m, tile_n, tile_k, (3, 3, 3)))
    left, right = operands(m, k, n, (8, 8))
    folds: list[Fold] = []
    for j in range(0, n, tile_n):
        for d in range(0, k, tile_k):
            for i in range(0, m, tile_m):
                part = left[i : i + tile_m, d : d + tile_k], right[d : d + tile_k, j : j + tile_n]
                new, _ = double_buffered_folds(dataflow, *part, rows, cols, 8, (1, 1))
                stays = dataflow == "WS" and i > 0 and len(new) == 1
                stays |= dataflow == "IS" and len(new) == 1 and m <= tile_m and k <= tile_k and bool(folds)
                if stays:  # the same tile as before: its stream goes on
                    folds[-1] = Fold(folds[-1].stationary, np.concatenate([folds[-1].streamed, new[0].streamed]))
                else:
                    folds += new
    assert cycles_in_a_row(blocks.work) == run_double_buffered(folds, rows, cols)[0]


def one_layer(m: int, k: int, n: int, bits: tuple[int, int] = (8, 8)) -> LayerGraph:
    graph = chain("net", Tensor("x", (m, k), bits[0]), [("fc", Gemm(n))])
    return replace(graph, layers=(replace(graph.layers[0], weight_bits=bits[1]),))


def on_ideal_memory(config: DoubleBufferedSystolicConfig, **changes: object) -> HardwareConfig:
    base = machine(dram={"kind": "ideal"}, clock_mhz=1000)
    return base.model_copy(update={"pe_array": config, **changes})


@settings(max_examples=30, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents, bits=st.tuples(widths, widths))
def test_simulated_layer_takes_the_cycles_of_the_stepper(
    rows: int, cols: int, m: int, k: int, n: int, bits: tuple[int, int]
) -> None:
    config = array("WS", rows, cols)
    whole = MappingConfig(layers={"fc": TileConfig(order="mnk", m=m, n=n, k=k)})
    layer = simulate(on_ideal_memory(config, mapping=whole), one_layer(m, k, n, bits)).layer_results[0]
    parts = (bits[1] // 4, bits[0] // 4)
    cycles, _ = run_double_buffered_product("WS", *operands(m, k, n, bits), rows, cols, 4, parts)
    assert layer.total_cycles == cycles
    assert set(layer.stalls) <= {"weight_shift", "array_drain"}
    assert layer.stalls.get("array_drain", 0) == rows + cols - 2
    assert layer.compute_cycles == -(-k // rows) * -(-n // cols) * m * parts[0] * parts[1]


def test_shift_is_exposed_only_where_the_tile_before_is_shorter() -> None:
    """4 folds on 8 rows: the first shift shows in full, the others by what the stream is shorter."""
    for m, shown in ((20, 8), (8, 8), (5, 8 + 3 * 3), (1, 8 + 3 * 7)):
        result = simulate(on_ideal_memory(array("WS", 8, 8, 8)), one_layer(m, 16, 16))
        assert result.layer_results[0].stalls == {"weight_shift": shown, "array_drain": 14}
        assert result.totals.compute_cycles == 4 * m


def test_next_layer_shifts_its_weights_in_while_the_one_before_drains() -> None:
    graph = chain("net", Tensor("x", (30, 8)), [("one", Gemm(8)), ("two", Gemm(8))])
    first, second = simulate(on_ideal_memory(array("WS", 8, 8, 8)), graph).layer_results
    assert first.stalls == {"weight_shift": 8, "array_drain": 14}
    assert second.stalls == {"array_drain": 14}


def test_second_operand_that_is_made_on_chip_is_not_loaded_before_it_is_there() -> None:
    from accelsim.workload.graph import Layer
    from accelsim.workload.operators import Activation, MatMul

    inputs = (Tensor("x", (1, 6, 8)), Tensor("y", (1, 8, 6)))
    layers = (
        Layer("made", Gemm(6, per_position=True), ("y",)),
        Layer("other", Activation("relu"), ("x",)),
        Layer("product", MatMul(), ("other", "made")),
    )
    graph = LayerGraph("net", inputs, layers)
    kept = on_ideal_memory(array("WS", 8, 8, 8))
    result = simulate(kept, graph)
    product = result.layer_results[-1]
    assert product.stalls["weight_shift"] >= 8, "its load waits until the layers before have ended"


@settings(max_examples=30, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents, seed=st.integers(0, 1000))
def test_array_waits_for_tiles_as_the_stepper_does(rows: int, cols: int, m: int, k: int, n: int, seed: int) -> None:
    """Tiles that arrive at any times: begin of each fold by the recursion that the simulation uses."""
    left, right = operands(m, k, n, (8, 8))
    folds, _ = double_buffered_folds("WS", left, right, rows, cols, 8, (1, 1))
    arrivals = np.cumsum(np.random.default_rng(seed).integers(0, 3 * rows, len(folds))).tolist()
    _, _, times = run_double_buffered(
        [replace(fold, available=at) for fold, at in zip(folds, arrivals, strict=True)], rows, cols
    )
    free = end = 0
    for at, fold, time in zip(arrivals, folds, times, strict=True):
        begin = max(end, max(at, free) + rows)
        assert (time.shift, time.begin, time.end) == (max(at, free), begin, begin + len(fold.streamed))
        free, end = begin, begin + len(fold.streamed)


@pytest.mark.parametrize(("n", "k", "tiles"), [(600, 600, 9), (512, 512, 4), (256, 257, 2), (1, 1, 1)])
def test_whole_tiles_travel_where_weights_are_stored_so(n: int, k: int, tiles: int) -> None:
    buffers = {"maps": (1024, ["ifmap", "ofmap"]), "weights": (256, ["weight"]), "sums": (1024, ["psum"])}
    sram = {name: {"capacity_kib": size, "operands": held} for name, (size, held) in buffers.items()}
    for whole, weights in ((True, tiles * 65_536), (False, n * k)):
        config = machine(dram={"kind": "ideal"}, clock_mhz=700, sram=sram).model_copy(
            update={"pe_array": array("WS", 256, 256, 8, whole=whole)}
        )
        totals = simulate(config, one_layer(4, k, n)).totals
        assert totals.dram_read_bytes == weights + 4 * k


@pytest.mark.parametrize("dataflow", ["WS", "IS"])
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 7), cols=st.integers(1, 7), groups=st.integers(1, 7), size=st.tuples(*[st.integers(1, 3)] * 3)
)
def test_groups_share_tiles_along_their_diagonal(
    dataflow: str, rows: int, cols: int, groups: int, size: tuple[int, int, int]
) -> None:
    """Products of m x k by k x n side by side: what streams past a tile is that of all groups in it."""
    m, k, n = size
    high, wide = (k, n) if dataflow == "WS" else (k, m)
    together = min(rows // high, cols // wide)
    assume(together >= 1)
    random = np.random.default_rng(groups)
    left, right = random.integers(-8, 8, (groups, m, k)), random.integers(-8, 8, (groups, k, n))
    stationary, streaming = (right, left) if dataflow == "WS" else (left.swapaxes(1, 2), right.swapaxes(1, 2))
    folds, busy = [], np.zeros((rows, cols))
    for first in range(0, groups, together):
        inside = range(first, min(first + together, groups))
        tile, streamed = np.zeros((rows, cols), np.int64), np.zeros((streaming.shape[1], rows), np.int64)
        for place, group in enumerate(inside):
            at = slice(place * high, (place + 1) * high), slice(place * wide, (place + 1) * wide)
            tile[at] = stationary[group]
            streamed[:, at[0]] = streaming[group]
            busy[at] += streaming.shape[1]
        folds.append(Fold(tile, streamed))
    cycles, products, _ = run_double_buffered(folds, rows, cols)
    for group in range(groups):
        columns = slice(group % together * wide, (group % together + 1) * wide)
        made = products[group // together][:, columns]
        assert ((made if dataflow == "WS" else made.T) == left[group] @ right[group]).all()
    base = problem(array(dataflow, rows, cols, 8), m, k, n, (8, 8))
    dims = replace(base.dims, groups=groups)
    costs = base.costs
    assert isinstance(costs, DoubleBufferedCosts)
    grouped = replace(base, dims=dims, costs=replace(costs, layer=replace(costs.layer, dims=dims)))
    work = BlockSequence(grouped, Tiling(("m", "n", "k"), groups, m, n, k, (3, 3, 3))).work
    assert cycles_in_a_row(work) == cycles
    assert work.busy_cycles is not None
    assert (work.busy_cycles == busy).all()
    assert work.efficiency == pytest.approx(busy.sum() / (len(folds) * streaming.shape[1] * rows * cols))


@pytest.mark.parametrize("dataflow", ["WS", "IS"])
@settings(max_examples=60, deadline=None)
@given(
    rows=sides, cols=sides, groups=st.integers(1, 5), together=st.integers(1, 5), size=st.tuples(*[extents] * 3),
    tile=st.tuples(*[extents] * 3),
)  # fmt: skip
@example(rows=4, cols=3, groups=3, together=3, size=(10, 2, 19), tile=(3, 1, 1))
def test_every_product_is_some_elements_work(
    dataflow: str, rows: int, cols: int, groups: int, together: int, size: tuple[int, int, int],
    tile: tuple[int, int, int],
) -> None:  # fmt: skip
    """Groups may lie side by side in blocks that are cut, where in whole ones they do not."""
    base = problem(array(dataflow, rows, cols, 8), *size, (8, 8))
    dims = replace(base.dims, groups=groups)
    costs = base.costs
    assert isinstance(costs, DoubleBufferedCosts)
    grouped = replace(base, dims=dims, costs=replace(costs, layer=replace(costs.layer, dims=dims)))
    m, n, k = (min(least, most) for least, most in zip(tile, (dims.m, dims.n, dims.k), strict=True))
    in_block = min(together, groups)
    if in_block > 1:
        n, k = dims.n, dims.k  # only whole groups share a block
    work = BlockSequence(grouped, Tiling(("m", "n", "k"), in_block, m, n, k, (3, 3, 3))).work
    assert work.busy_cycles is not None
    assert work.busy_cycles.sum() == dims.macs
    exposed = 0 if work.loading is None else int(work.loading.exposed_cycles.sum())
    assert work.busy_cycles.max() <= int(work.cycles.sum()) - exposed


def test_padded_weights_keep_their_places_in_the_tiles() -> None:
    """6 x 5 weights in blocks of 4 x 4 on a 4 x 4 array: every tile takes 16 bytes, its elements lie at its begin."""
    layer = problem(array("WS", 4, 4, 8, whole=True), 3, 5, 6, (8, 8))
    blocks = BlockSequence(layer, Tiling(("m", "n", "k"), 1, 3, 4, 4, (3, 3, 3)))
    order = blocks.weight_order
    assert blocks.has_plain_weights
    assert order.tile_starts.tolist() == [0, 16, 32, 48, 64]
    runs = blocks.stored_runs("weight", 1000)
    assert sorted(runs["base"].tolist()) == [1000, 1016, 1032, 1048]
    assert set(runs["run_bytes"].tolist()) == {16}
    elements, _ = order.elements_at(np.arange(64) * 8)
    held = [row * 5 + col for rows, cols in (((0, 4), (0, 4)), ((0, 4), (4, 5)), ((4, 6), (0, 4)), ((4, 6), (4, 5)))
            for row in range(*rows) for col in range(*cols)]  # fmt: skip
    assert sorted(elements[elements >= 0].tolist()) == sorted(held) == list(range(30))
    assert elements[:16].tolist() == held[:16]
    assert elements[16:32].tolist() == [4, 9, 14, 19] + [-1] * 12


def test_convolution_with_groups_is_so_many_products() -> None:
    graph = chain("net", Tensor("x", (1, 4, 5, 5)), [("conv", Conv(6, Window((3, 3)), 2))])
    layer = simulate(on_ideal_memory(array("WS", 18, 3, 8)), graph).layer_results[0]
    assert layer.compute_cycles == 2 * 9, "a fold for each group, of 9 pixels"
    assert layer.stalls["weight_shift"] == 18 + (18 - 9)
