"""Compute cycles and mapping efficiency against SCALE-Sim 3.0.0, layer by layer (accelsim/validation/scalesim)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiling_cases import problem_of

from accelsim.mapping.blocks import BlockSequence
from accelsim.mapping.tiling import BufferSpace
from accelsim.mapping.tiling_search import search_tiling
from accelsim.pipeline import simulate
from accelsim.units import ceil_div
from accelsim.validation.scalesim_peer import reference, topology
from accelsim.workload.operators import Conv, Gemm, Window

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.result import RunResult


@cache
def simulated(network: str, dataflow: str, kind: str) -> RunResult:
    overrides = [f"pe_array.dataflow={dataflow}", f"dram.kind={kind}"]
    return simulate("scalesim_32x32", topology(network), overrides=overrides)


@pytest.mark.parametrize("kind", ["ideal", "command"])
@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
@pytest.mark.parametrize("network", ["alexnet", "resnet18"])
def test_every_layer_takes_the_cycles_of_scalesim(network: str, dataflow: str, kind: str) -> None:
    expected = reference(network, dataflow)
    layers = simulated(network, dataflow, kind).layer_results
    assert len(expected) == {"alexnet": 5, "resnet18": 21}[network]
    assert [layer.compute_cycles for layer in layers] == [cycles for cycles, _ in expected]


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
@pytest.mark.parametrize("network", ["alexnet", "resnet18"])
def test_every_layer_fills_the_array_as_in_scalesim(network: str, dataflow: str) -> None:
    layers = simulated(network, dataflow, "ideal").layer_results
    for layer, (_, percent) in zip(layers, reference(network, dataflow), strict=True):
        assert 100 * layer.mapping_efficiency == pytest.approx(percent, rel=1e-12), layer.name


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
def test_ideal_memory_without_latency_or_limit_never_stalls_the_array(dataflow: str) -> None:
    totals = simulated("resnet18", dataflow, "ideal").totals
    assert totals.stall_cycles == 0
    assert totals.total_cycles == totals.compute_cycles


SPACE = BufferSpace((0, 1, 2), (64 * 8192,) * 3, (2, 2, 2))
ARRAYS = st.sampled_from([(1, 1), (3, 7), (7, 3), (32, 32), (128, 128), (1, 64), (200, 5)])


def folded_cycles(dataflow: str, rows: int, cols: int, m: int, k: int, n: int) -> int:
    """The closed form that the README of the reference states, counted."""
    if dataflow == "OS":
        return ceil_div(m, rows) * ceil_div(n, cols) * (k + rows + cols - 2)
    across, stream = (n, m) if dataflow == "WS" else (m, n)
    return ceil_div(k, rows) * ceil_div(across, cols) * (stream + 2 * rows + cols - 2)


@settings(max_examples=120, deadline=None)
@given(
    dataflow=st.sampled_from(["WS", "OS", "IS"]),
    array=ARRAYS,
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.integers(1, 5),
    channels=st.integers(1, 70),
    filters=st.integers(1, 70),
)
def test_any_convolution_follows_the_closed_form(
    dataflow: str,
    array: tuple[int, int],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    channels: int,
    filters: int,
) -> None:
    height, width = max(size[0], kernel[0]), max(size[1], kernel[1])
    layer = Conv(filters, Window(kernel, (stride, stride)))
    problem = problem_of(
        layer,
        (1, channels, height, width),
        dataflow=dataflow,
        rows=array[0],
        cols=array[1],
        bits=(8, 8, 8, 8),
        space=SPACE,
    )
    tiling = search_tiling(problem)
    assert tiling is not None
    m = ((height - kernel[0]) // stride + 1) * ((width - kernel[1]) // stride + 1)
    k = channels * kernel[0] * kernel[1]
    assert BlockSequence(problem, tiling).work.cycles.sum() == folded_cycles(dataflow, *array, m, k, filters)


@pytest.mark.parametrize("dataflow", ["WS", "OS", "IS"])
@pytest.mark.parametrize("dims", [(3000, 5000, 7), (1, 40_000, 1000), (50_000, 3, 700), (129, 257, 65_000)])
def test_products_beyond_the_buffers_follow_the_closed_form(dataflow: str, dims: tuple[int, int, int]) -> None:
    m, k, n = dims
    problem = problem_of(
        Gemm(n), (m, k), dataflow=dataflow, rows=32, cols=32, bits=(8, 8, 8, 8), space=SPACE, objective="compute_cycles"
    )
    tiling = search_tiling(problem)
    assert tiling is not None
    assert BlockSequence(problem, tiling).work.cycles.sum() == folded_cycles(dataflow, 32, 32, m, k, n)


LARGE_FOLDS = [
    ("WS", 512, 256, (13, 56, 2, 2, 512, 256, 1)),
    ("WS", 256, 256, (13, 14, 1, 3, 256, 256, 3)),
    ("OS", 512, 256, (112, 224, 1, 1, 3, 512, 1)),
    ("OS", 512, 128, (224, 28, 2, 3, 256, 96, 3)),
    ("IS", 512, 256, (28, 112, 2, 2, 512, 1, 3)),
    ("IS", 512, 16, (14, 112, 5, 1, 100, 1000, 2)),
]
"""Dataflow, rows, columns, and a layer (H, W, R, S, C, filters, stride) of which one fold exceeds a 64 KB buffer."""


@pytest.mark.parametrize(("dataflow", "rows", "cols", "layer"), LARGE_FOLDS)
def test_a_fold_larger_than_its_buffer_passes_through(
    dataflow: str, rows: int, cols: int, layer: tuple[int, ...], tmp_path: Path
) -> None:
    height, width, window_rows, window_cols, channels, filters, stride = layer
    topology = tmp_path / "one.csv"
    topology.write_text("Layer, H, W, R, S, C, N, Stride,\nL," + ",".join(str(figure) for figure in layer) + ",\n")
    array = [f"pe_array.dataflow={dataflow}", f"pe_array.rows={rows}", f"pe_array.cols={cols}"]
    m = ceil_div(height - window_rows + stride, stride) * ceil_div(width - window_cols + stride, stride)
    expected = folded_cycles(dataflow, rows, cols, m, window_rows * window_cols * channels, filters)
    for kind in ("ideal", "command"):
        run = simulate("scalesim_32x32", topology, overrides=[*array, f"dram.kind={kind}"])
        assert run.totals.compute_cycles == expected
