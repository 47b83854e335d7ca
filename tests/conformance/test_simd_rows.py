"""Products row by row: the compiled loops and caches against plain ones, and rows that stand for others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_caches import NaiveCache
from simd_row_stepper import RowConvolution, RowLayer, RowMachine
from test_simd import ADDRESSES, CORES, LINE, config_of, reference, run_of, stage_of

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_loops
from accelsim.hardware.pe_array.simd_repeats import spread
from accelsim.hardware.pe_array.simd_row_product import RowProduct
from accelsim.hardware.pe_array.simd_row_run import run_row_product
from accelsim.mapping.cached_network import CachedStage, PlacedPart
from accelsim.mapping.footprint import pixel_grid
from accelsim.workload.operators import Conv, Gemm, MatMul, Window

if TYPE_CHECKING:
    from accelsim.hardware.cache.hierarchy import MemoryTraffic
    from accelsim.hardware.cache.layout import Caches
    from accelsim.hardware.pe_array.simd import SimdConfig
    from accelsim.hardware.pe_array.simd_repeats import Repeat

Events = list[tuple[str, int]]
ROWS = CORES | {"loops": "row_streaming"}


def machine_of(cores: int, log: Events) -> RowMachine:
    """Caches of plain lists as `CORES` has them."""
    shared = NaiveCache(32, 4, memory=log)
    return RowMachine([NaiveCache(8, 2, below=shared, memory=log) for _ in range(cores)], LINE)


def rows_on(cores: int, **changes: Any) -> SimdConfig:  # noqa: ANN401 - keys of a config
    l2 = CORES["caches"]["l2"] | {"cores": cores}
    return config_of(ROWS | {"cores": cores, "caches": CORES["caches"] | {"l2": l2}} | changes)


def run_rows(config: SimdConfig, stage: CachedStage) -> MemoryTraffic:
    """What the compiled loops and caches ask of the memory."""
    product = RowProduct(config, stage)
    records = np.zeros((simd_loops.BATCH, lo.N_RECORD), np.int64)
    repeats: list[Repeat] = []

    def program(caches: Caches) -> None:
        repeats[:] = run_row_product(product, records, caches)

    traffic = config.hierarchy(10).run(program)
    return spread(traffic, repeats, config.line_bytes)


def events_of(traffic: MemoryTraffic) -> Events:
    names = {lo.DEMAND: "read", lo.AHEAD: "read", lo.WRITE: "write"}
    return [(names[int(event[lo.EV_KIND])], int(event[lo.EV_LINE])) for event in traffic.events]


windows = st.builds(
    Window,
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(3, 7), st.integers(3, 7)),
    st.integers(1, 4),
    windows | st.just(Window((1, 1))),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([(32, 32), (16, 32), (8, 32), (16, 16)]),
)
def test_rows_reach_the_memory_as_plain_ones_do(
    shape: tuple[int, int, int, int], filters: int, window: Window, groups: int, cores: int, bits: tuple[int, int]
) -> None:
    top, left, bottom, right = window.padding
    assume(window.extent[0] <= shape[2] + top + bottom)
    assume(window.extent[1] <= shape[3] + left + right)
    shape = (shape[0], shape[1] * groups, *shape[2:])
    operator = Conv(filters * groups, window, groups)
    stage = replace(stage_of(shape, operator, bits[0]), psum_bits=bits[1])
    config = rows_on(cores)
    product = RowProduct(config, stage)
    random = np.random.default_rng(0)
    ifmap, weight = random.integers(-4, 5, shape), random.integers(-4, 5, operator.weight_shape((shape,)))
    log: Events = []
    sums = ADDRESSES[3]
    if product.is_lowered:
        sums += -(-weight[0].size * product.pixels * bits[0] // 8 // 4096) * 4096
    layer = RowLayer(machine_of(cores, log), (bits[0], bits[0], bits[1], bits[0]), sums)
    plain = RowConvolution(ifmap, weight, window, groups, layer, ADDRESSES).run()
    own = shape[1] // groups
    for group in range(groups):
        chosen = slice(group * filters, (group + 1) * filters)
        part = ifmap[:, group * own : (group + 1) * own]
        expected = reference(part, weight[chosen], window).reshape(shape[0], -1, filters)
        assert (plain[:, chosen] == expected.transpose(0, 2, 1)).all()
    assert events_of(run_rows(config, stage)) == log


def matrices(left: tuple[int, ...], right: tuple[int, ...], operator: Gemm | MatMul) -> CachedStage:
    """A product of matrices of 32 bits."""
    shapes = (left, right) if isinstance(operator, MatMul) else (left,)
    size = int(np.prod(left)) * 4
    return CachedStage(
        index=0,
        name="layer",
        operator=operator,
        input_shapes=shapes,
        output_shape=operator.output_shape(shapes),
        dims=operator.gemm_dims(shapes),
        grid=pixel_grid(operator, shapes),
        inputs=((PlacedPart(ADDRESSES[0], 0, left[-1], size),),),
        ifmap_bits=32,
        weight_bits=32,
        ofmap_bits=32,
        psum_bits=32,
        vector_operations=0,
        weight=ADDRESSES[1],
        output=ADDRESSES[2],
        scratch=ADDRESSES[3],
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 2), st.integers(1, 5), st.integers(1, 20), st.integers(1, 12), st.integers(1, 3))
def test_products_of_maps_reach_the_memory_as_plain_ones_do(heads: int, m: int, n: int, k: int, cores: int) -> None:
    log: Events = []
    layer = RowLayer(machine_of(cores, log), (32, 32, 32, 32), 0)
    random = np.random.default_rng(0)
    left, right = random.integers(-4, 5, (heads, m, k)), random.integers(-4, 5, (heads, k, n))
    for head in range(heads):
        layer.fill(ADDRESSES[2] + head * m * n * 4, m * n * 4)
        first = ADDRESSES[0] * 8 + (head * m * k + np.arange(m * k).reshape(m, k)) * 32
        second = [(ADDRESSES[1] + (head * k + row) * n * 4) * 8 for row in range(k)]
        out = (ADDRESSES[2] + head * m * n * 4) * 8
        assert (layer.add_rows(left[head], right[head], (first, second, out, n * 32)) == left[head] @ right[head]).all()
    assert events_of(run_rows(rows_on(cores), matrices((heads, m, k), (heads, k, n), MatMul()))) == log


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 40), st.integers(1, 3))
def test_fully_connected_layers_reach_the_memory_as_plain_ones_do(m: int, n: int, k: int, cores: int) -> None:
    log: Events = []
    machine = machine_of(cores, log)
    for i in range(m):
        for outputs in machine.turns(n):
            for begin in range(0, k, LINE // 4):
                for core, j in outputs:
                    for base, row in ((ADDRESSES[0], i), (ADDRESSES[1], j)):
                        for element in range(begin, min(begin + LINE // 4, k)):
                            machine.touch(core, (base + (row * k + element) * 4) * 8, 32)
            for core, j in outputs:
                machine.touch(core, (ADDRESSES[2] + (i * n + j) * 4) * 8, 32, write=True)
    assert events_of(run_rows(rows_on(cores), matrices((m, k), (), Gemm(n)))) == log


# -- rows that stand for others ----------------------------------------------------------------------------------------


def long_stage(filters: int, channels: int, side: int) -> CachedStage:
    return stage_of((1, channels, side, side), Conv(filters, Window((3, 3), (1, 1), (1, 1, 1, 1))), 32)


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("side", [8, 16, 32])
def test_few_rows_stand_for_all_where_each_does_the_same(side: int, cores: int) -> None:
    """The matrix is larger than the caches, so that rows differ by where their sums happen to lie."""
    stage = long_stage(24, 4, side)
    every, few = (run_rows(rows_on(cores, simulated_rows=rows), stage) for rows in (None, 3))
    read, written = (
        [sum(kind == name for kind, _ in events_of(traffic)) for traffic in (every, few)] for name in ("read", "write")
    )
    assert read[1] == pytest.approx(read[0], rel=0.01)
    assert written[1] == pytest.approx(written[0], rel=0.03)
    for own, told in zip(every.ticks, few.ticks, strict=True):
        assert told.sum() == pytest.approx(own.sum(), rel=0.01)
    for level, told_level in zip(every.counts, few.counts, strict=True):
        assert told_level.reads == pytest.approx(level.reads, rel=0.01)
        assert told_level.misses == pytest.approx(level.misses, rel=0.01)


def test_repeated_rows_read_the_shared_matrix_again_and_weights_of_their_own() -> None:
    stage = long_stage(24, 8, 16)  # the weights of a filter fill nine lines
    few = events_of(run_rows(rows_on(1, simulated_rows=2), stage))
    weights = {line for kind, line in few if kind == "read" and ADDRESSES[1] <= line * LINE < ADDRESSES[2]}
    assert weights == set(range(ADDRESSES[1] // LINE, (ADDRESSES[1] + 24 * 72 * 4) // LINE))
    matrix = [line for kind, line in few if kind == "read" and line * LINE >= ADDRESSES[3]]
    assert len(matrix) > 20 * len(set(matrix))


def test_every_written_line_is_there_whatever_is_repeated() -> None:
    """Results leave once each; what has not left at the end is at most what the caches hold."""
    stage = long_stage(24, 4, 16)
    results = set(range(ADDRESSES[2] // LINE, (ADDRESSES[2] + 24 * 256 * 4) // LINE))
    for rows in (None, 2, 3, 5):
        written = {
            line for kind, line in events_of(run_rows(rows_on(1, simulated_rows=rows), stage)) if kind == "write"
        }
        assert len(results - written) <= (4096 + 512) // LINE


def test_steps_stay_in_order() -> None:
    traffic = run_rows(rows_on(2, simulated_rows=2), long_stage(24, 4, 16))
    for core, ticks in enumerate(traffic.ticks):
        steps = traffic.events[traffic.events[:, lo.EV_CORE] == core, lo.EV_STEP]
        assert steps.max() <= len(ticks)
        assert steps.min() >= 0
        reads = traffic.events[(traffic.events[:, lo.EV_CORE] == core) & (traffic.events[:, lo.EV_KIND] != lo.WRITE)]
        assert (np.diff(reads[:, lo.EV_STEP]) >= 0).all()


def test_plain_loops_are_slower_and_move_more_than_blocked_ones() -> None:
    blocked, plain = run_of(CORES), run_of(ROWS)
    assert plain.totals.total_cycles > blocked.totals.total_cycles
    assert plain.totals.dram_read_bytes > blocked.totals.dram_read_bytes
    assert plain.totals.effective_macs == blocked.totals.effective_macs
