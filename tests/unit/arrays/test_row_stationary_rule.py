"""Layouts by rule: the same as a plain search finds, and none where there is none."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.config.loader import load_hardware
from accelsim.errors import ConfigError
from accelsim.hardware.pe_array import build_array
from accelsim.hardware.pe_array.row_stationary_layer import RowGeometry
from accelsim.hardware.pe_array.row_stationary_rule import BankedBuffers, Layout, ruled_layout
from accelsim.pipeline import simulate
from accelsim.units import ceil_div
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, GemmDims, Window

BITS = (16, 8, 16)


def rows_under(geometry: RowGeometry, first: int, count: int) -> set[int]:
    """Input rows that output rows need."""
    return {
        (first + row) * geometry.stride[0] + tap * geometry.dilation[0]
        for row, tap in product(range(count), range(geometry.height))
    }


def plain_ranking(
    geometry: RowGeometry, dims: GemmDims, spads: tuple[int, int, int], buffers: BankedBuffers
) -> dict[Layout, tuple[int, int, int]]:
    """Every layout that fits, with DRAM traffic, buffer traffic and elements without work."""
    height, channels = geometry.folded_height, dims.k // geometry.window
    taps = geometry.folded_taps(min(spads[:2]))
    width = (geometry.out_width - 1) * geometry.stride[1] + (geometry.taps - 1) * geometry.dilation[1] + 1
    found: dict[Layout, tuple[int, int, int]] = {}
    span = range(1, 9)
    for e, q, r, t, p in product(range(1, geometry.out_height + 1), span, span, span, span):
        if e > geometry.widest or r * t > geometry.sets(e) or q * r > channels or dims.n % (p * t):
            continue
        if q * taps > spads[1] or p * q * taps > spads[0] or p > spads[2]:
            continue
        row_bits = len(rows_under(geometry, 0, e)) * width * BITS[0]
        if q * r > 1 and q * r * row_bits > buffers.ifmap_banks * buffers.bank_bits:
            continue
        if p * t * q * r * height * taps * BITS[1] > buffers.filter_bits:
            continue
        for m, n in product(range(1, dims.n + 1), range(1, geometry.images + 1)):
            if dims.n % m or m % (p * t) or geometry.images % n or (n > 1 and e < geometry.out_height):
                continue
            sums = n * m * e * geometry.out_width * BITS[2]
            needed = ceil_div(sums, buffers.bank_bits) + ceil_div(n * q * r * row_bits, buffers.bank_bits)
            if needed > buffers.banks:
                continue
            strips = [(first, min(e, geometry.out_height - first)) for first in range(0, geometry.out_height, e)]
            rows = sum(len(rows_under(geometry, *strip)) for strip in strips)
            inputs = geometry.images * channels * rows * width * BITS[0]
            weights = dims.n * dims.k * BITS[1] * len(strips) * (geometry.images // n)
            results = dims.m * dims.n * BITS[2]
            buffer = inputs * (dims.n // (p * t)) + 2 * results * ceil_div(channels, q * r)
            found[n, m, e, p, q, r, t] = (inputs * (dims.n // m) + weights, buffer, -height * e * r * t)
    return found


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.tuples(
        st.integers(1, 2), st.integers(1, 6), st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 2, 4, 6, 8])
    ),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
    array=st.tuples(st.integers(1, 6), st.integers(1, 5)),
    spads=st.tuples(st.integers(6, 24), st.integers(3, 8), st.integers(1, 8)),
    buffers=st.builds(
        BankedBuffers,
        banks=st.integers(2, 12),
        bank_bits=st.just(1_024),
        ifmap_banks=st.integers(1, 3),
        filter_bits=st.integers(200, 2_000),
        least_use=st.sampled_from([0.0, 0.6, 0.9]),
    ),
)  # fmt: skip
def test_the_rule_finds_what_a_plain_search_finds(
    sizes: tuple[int, ...],
    window: tuple[int, ...],
    array: tuple[int, int],
    spads: tuple[int, int, int],
    buffers: BankedBuffers,
) -> None:
    images, rows, cols, channels, filters = sizes
    height, taps, stride, dilation = window
    geometry = RowGeometry(array, images, rows, cols, height, taps, (stride, stride), (dilation, dilation))
    dims = GemmDims(1, images * rows * cols, filters, channels * height * taps)
    found = ruled_layout(geometry, dims, spads, BITS, buffers)
    ranked = plain_ranking(geometry, dims, spads, buffers)
    most = max((-rank[2] for rank in ranked.values()), default=0)
    widest = range(1, min(geometry.out_height, geometry.widest) + 1)
    usable = max(geometry.folded_height * e * geometry.sets(e) for e in widest)
    ranked = {layout: rank for layout, rank in ranked.items() if -rank[2] >= buffers.least_use * most}
    if not ranked or most < buffers.least_use * usable:
        assert found is None
    else:
        assert found is not None
        assert ranked[found] == min(ranked.values())


def test_without_a_rule_the_mapper_looks_for_the_quickest_layout() -> None:
    free = simulate("eyeriss", "vgg16", overrides=["pe_array.pass_rule=null"], fidelity="estimate")
    ruled = simulate("eyeriss", "vgg16", fidelity="estimate")
    assert free.totals.compute_cycles < ruled.totals.compute_cycles


def test_a_group_that_cannot_use_the_array_is_left_to_the_mapper() -> None:
    """A depthwise convolution needs sets for other groups, which the rule knows nothing of."""
    window = Window((3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    graph = chain("net", Tensor("x", (1, 32, 12, 12)), [("c1", Conv(out_channels=32, window=window, groups=32))])
    layers = [
        simulate("eyeriss", graph, overrides=overrides).layer_results[0]
        for overrides in ([], ["pe_array.pass_rule=null"])
    ]
    assert layers[0].mapping["pass"] == layers[1].mapping["pass"]
    assert layers[0].total_cycles == layers[1].total_cycles


def test_maps_and_sums_in_buffers_of_their_own_are_refused() -> None:
    split = "sram.global_buffer.operands=[ifmap]", "sram.filter_buffer.operands=[weight, ofmap, psum]"
    with pytest.raises(ConfigError, match=r"pe_array\.pass_rule: lays maps and sums out in the banks of one buffer"):
        build_array(load_hardware("eyeriss", split))
