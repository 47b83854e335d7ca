from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiling_cases import problem_of

from accelsim.mapping.tiling import ORDERS, BufferSpace, TilingProblem
from accelsim.mapping.tiling_search import (
    MOST_BLOCKS_AT_ALL,
    best_retention,
    search_tiling,
    smallest_footprint,
    tiling_cost,
)
from accelsim.units import ceil_div
from accelsim.workload.operators import Conv, Gemm, Window

SEPARATE, UNIFIED = (0, 1, 2), (0, 0, 0)
LAYERS: dict[str, tuple[Conv | Gemm, tuple[int, ...]]] = {
    "conv": (Conv(24, Window((3, 3), padding=(1, 1, 1, 1))), (1, 16, 14, 14)),
    "pointwise": (Conv(40, Window((1, 1), (2, 2))), (1, 24, 9, 9)),
    "depthwise": (Conv(24, Window((3, 3), padding=(1, 1, 1, 1)), groups=24), (1, 24, 10, 10)),
    "gemm": (Gemm(100), (3, 200)),
}


def space(index: tuple[int, int, int], *sizes: int, copies: int = 2) -> BufferSpace:
    return BufferSpace(index, tuple(8 * size for size in sizes), (copies,) * 3)


def tiny(problem: TilingProblem) -> TilingProblem:
    return replace(problem, space=replace(problem.space, free_bits=(0,) * len(problem.space.free_bits)))


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_smallest_footprint_is_the_least_that_fits_each_buffer(name: str, dataflow: str, copies: int) -> None:
    problem = problem_of(*LAYERS[name], dataflow=dataflow, space=space(SEPARATE, 0, 0, 0, copies=copies))
    needed = smallest_footprint(problem)
    roomy = replace(problem, space=replace(problem.space, free_bits=tuple(needed)))
    assert search_tiling(roomy) is not None
    for buffer in range(3):
        free = [2**40] * 3
        free[buffer] = smallest_footprint(replace(problem, space=replace(problem.space, free_bits=tuple(free))))[buffer]
        free[buffer] = needed[buffer] - 1
        assert search_tiling(replace(problem, space=replace(problem.space, free_bits=tuple(free)))) is None


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
@pytest.mark.parametrize("name", LAYERS)
def test_smallest_footprint_of_a_shared_buffer(name: str, dataflow: str) -> None:
    problem = problem_of(*LAYERS[name], dataflow=dataflow, space=space(UNIFIED, 0))
    (needed,) = smallest_footprint(problem)
    assert search_tiling(replace(problem, space=replace(problem.space, free_bits=(needed,)))) is not None
    assert search_tiling(replace(problem, space=replace(problem.space, free_bits=(needed - 1,)))) is None


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(LAYERS)),
    dataflow=st.sampled_from(["WS", "OS", "IS"]),
    objective=st.sampled_from(["latency", "dram_traffic", "compute_cycles"]),
    sizes=st.tuples(*[st.integers(64, 4096)] * 3),
    layout=st.sampled_from([UNIFIED, SEPARATE]),
    copies=st.integers(1, 2),
)
def test_what_the_search_finds_fits(
    name: str, dataflow: str, objective: str, sizes: tuple[int, int, int], layout: tuple[int, int, int], copies: int
) -> None:
    room = space(layout, *((sum(sizes),) if layout == UNIFIED else sizes), copies=copies)
    problem = problem_of(*LAYERS[name], dataflow=dataflow, space=room, objective=objective)
    tiling = search_tiling(problem)
    if tiling is None:
        assert any(need > free for need, free in zip(smallest_footprint(problem), room.free_bits, strict=True))
        return
    used = [0] * len(room.free_bits)
    for buffer, bits in zip(room.index, tiling_cost(problem, tiling).held_bits, strict=True):
        used[buffer] += bits
    assert all(bits <= free for bits, free in zip(used, room.free_bits, strict=True))


def moved(problem: TilingProblem, order: str, m: int, n: int, k: int) -> int | None:
    tiling = best_retention(problem, tuple(order), m, n, k)  # type: ignore[arg-type]
    if tiling is None:
        return None
    cost = tiling_cost(problem, tiling)
    return cost.ifmap_bytes + cost.weight_bytes + cost.result_bytes + cost.psum_bytes


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
@pytest.mark.parametrize("name", ["conv", "gemm"])
def test_search_finds_no_more_traffic_than_any_block_tried_by_hand(name: str, dataflow: str) -> None:
    problem = problem_of(
        *LAYERS[name], dataflow=dataflow, space=space(SEPARATE, 1500, 1500, 1500), objective="dram_traffic"
    )
    problem = replace(problem, burst_bytes=1)
    best = search_tiling(problem)
    assert best is not None
    cost = tiling_cost(problem, best)
    least = cost.ifmap_bytes + cost.weight_bytes + cost.result_bytes + cost.psum_bytes
    dims = problem.dims
    for order in ("".join(order) for order in ORDERS):
        for m in (1, 14, 28, dims.m):
            for n in (4, 16, dims.n):
                for k in (9, 32, dims.k):
                    sizes = (min(m, dims.m), min(n, dims.n), min(k, dims.k))
                    other = moved(problem, order, *sizes)
                    assert other is None or least <= 1.01 * other, (order, sizes)


@pytest.mark.parametrize("objective", ["latency", "dram_traffic", "compute_cycles"])
def test_objective_gets_what_it_asks_for(objective: str) -> None:
    base = problem_of(*LAYERS["conv"], space=space(SEPARATE, 1200, 700, 900), bytes_per_cycle=0.5)
    figures = {}
    for wanted in ("latency", "dram_traffic", "compute_cycles"):
        problem = replace(base, objective=wanted, burst_bytes=1)
        tiling = search_tiling(problem)
        assert tiling is not None
        cost = tiling_cost(problem, tiling)
        traffic = cost.ifmap_bytes + cost.weight_bytes + cost.result_bytes + cost.psum_bytes
        figures[wanted] = {
            "latency": max(cost.compute_cycles, traffic / problem.dram_bytes_per_cycle),
            "dram_traffic": traffic,
            "compute_cycles": cost.compute_cycles,
        }
    assert figures[objective][objective] <= 1.01 * min(entry[objective] for entry in figures.values())


def test_no_tiling_of_millions_of_blocks_is_taken() -> None:
    problem = problem_of(Conv(512, Window((3, 3))), (1, 512, 16, 16), space=space(SEPARATE, 18, 2, 8))
    assert smallest_footprint(problem) == [18 * 8, 2 * 8, 8 * 8]
    assert ceil_div(problem.dims.macs, 1) > MOST_BLOCKS_AT_ALL
    assert search_tiling(problem) is None
