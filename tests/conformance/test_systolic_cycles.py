"""The closed forms of the systolic dataflows against an array stepped register by register."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from systolic_stepper import Matrix, run_product, run_stationary_fold
from tiling_cases import problem_of

from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.dataflow import DATAFLOWS, DIMS
from accelsim.mapping.tiling import Tiling, streams_through
from accelsim.mapping.tiling_search import search_tiling
from accelsim.units import ceil_div
from accelsim.workload.operators import Gemm

sides = st.integers(1, 4)
extents = st.integers(1, 9)


def operands(m: int, k: int, n: int) -> tuple[Matrix, Matrix]:
    random = np.random.default_rng(m * 10_000 + k * 100 + n)
    return random.integers(-128, 128, (m, k)), random.integers(-128, 128, (k, n))


def closed_form(dataflow: str, rows: int, cols: int, m: int, k: int, n: int) -> int:
    flow = DATAFLOWS[dataflow]
    extent = dict(zip(DIMS, (m, n, k), strict=True))
    folds = ceil_div(extent[flow.row_dim], rows) * ceil_div(extent[flow.col_dim], cols)
    return folds * (extent[flow.stream_dim] + flow.fold_overhead_cycles(rows, cols))


@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
@settings(max_examples=60, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents)
def test_stepped_array_agrees_in_cycles_and_product(
    dataflow: str, rows: int, cols: int, m: int, k: int, n: int
) -> None:
    left, right = operands(m, k, n)
    cycles, product = run_product(dataflow, left, right, rows, cols)
    assert (product == left @ right).all()
    assert cycles == closed_form(dataflow, rows, cols, m, k, n)


@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
@settings(max_examples=25, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents)
def test_mapping_counts_the_cycles_that_the_array_steps(
    dataflow: str, rows: int, cols: int, m: int, k: int, n: int
) -> None:
    problem = problem_of(Gemm(n), (m, k), dataflow=dataflow, rows=rows, cols=cols)
    tiling = search_tiling(problem)
    assert tiling is not None
    cycles, _ = run_product(dataflow, *operands(m, k, n), rows, cols)
    assert BlockSequence(problem, tiling).work.cycles.sum() == cycles


@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
@settings(max_examples=25, deadline=None)
@given(rows=sides, cols=sides, m=extents, k=extents, n=extents, tile=st.tuples(extents, extents, extents))
def test_blocks_that_restart_count_a_product_each(
    dataflow: str, rows: int, cols: int, m: int, k: int, n: int, tile: tuple[int, int, int]
) -> None:
    """Where other loops turn inside that of the streamed dimension, every block is a product of its own."""
    flow = DATAFLOWS[dataflow]
    order = (flow.stream_dim, flow.row_dim, flow.col_dim)
    tile_m, tile_n, tile_k = (min(size, extent) for size, extent in zip(tile, (m, n, k), strict=True))
    problem = problem_of(Gemm(n), (m, k), dataflow=dataflow, rows=rows, cols=cols)
    blocks = BlockSequence(problem, Tiling(order, 1, tile_m, tile_n, tile_k, (3, 3, 3)))
    assume(not streams_through(problem, blocks.tiling))
    left, right = operands(m, k, n)
    stepped = 0
    for i in range(0, m, tile_m):
        for j in range(0, n, tile_n):
            for d in range(0, k, tile_k):
                part = left[i : i + tile_m, d : d + tile_k], right[d : d + tile_k, j : j + tile_n]
                stepped += run_product(dataflow, *part, rows, cols)[0]
    assert blocks.work.cycles.sum() == stepped


@settings(max_examples=25, deadline=None)
@given(rows=sides, cols=sides, m=extents, tile=st.integers(1, 5))
def test_stream_cut_into_blocks_does_not_drain_the_array(rows: int, cols: int, m: int, tile: int) -> None:
    """Weight stationary, one fold, input in several tiles: the array takes them as one stream."""
    tile = min(tile, m)
    problem = problem_of(Gemm(cols), (m, rows), dataflow="WS", rows=rows, cols=cols)
    blocks = BlockSequence(problem, Tiling(("n", "k", "m"), 1, tile, cols, rows, (3, 3, 3)))
    left, right = operands(m, rows, cols)
    run = run_stationary_fold(right, left, rows, cols)
    begins = np.cumsum(blocks.work.cycles) - blocks.work.cycles
    assert blocks.work.cycles.sum() == run.cycles
    assert [run.entered[first] for first in range(tile, m, tile)] == begins[1:].tolist(), (
        "each block begins as it enters"
    )
    ends = np.cumsum(blocks.work.cycles) + blocks.work.cycles_behind
    lasts = [min(first + tile, m) - 1 for first in range(0, m, tile)]
    assert [run.left[last] + 1 for last in lasts] == ends.tolist(), "and is done when its last result has left"
