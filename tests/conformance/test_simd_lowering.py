"""Maps that are copied into a matrix in memory before a library multiplies it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_simd import ADDRESSES, CORES, config_of, reference, run_of, stage_of

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_loops
from accelsim.hardware.pe_array.simd_blocking import packed_blocking
from accelsim.hardware.pe_array.simd_lowering import (
    LOWERED_PIXELS,
    lowered,
    matrix_words,
    run_lowering_by_pixel,
)
from accelsim.hardware.pe_array.simd_product import BlockedProduct
from accelsim.workload.operators import Conv, Window

IN_MEMORY = CORES | {"lowered_in_memory": True}
Touches = Counter[tuple[int, int, int]]
"""How often each core reads (0) or writes (1) each element of four bytes, by its number in memory."""


def compiled_touches(product: BlockedProduct, matrix: Any, cores: int) -> Touches:  # noqa: ANN401 - words of a kernel
    """Elements that the compiled copy touches."""
    found: Touches = Counter()
    loop = getattr(run_lowering_by_pixel, "py_func", run_lowering_by_pixel)
    names = loop.__globals__
    gather, replayed = names["gather"], names["replay"]
    inner = getattr(gather, "py_func", gather)

    def keep(batch: Any, number: int, _: Any) -> None:  # noqa: ANN401 - arrays of the kernel
        for record in batch[:number].tolist():
            for run in range(record[lo.RE_COUNT]):
                base = record[lo.RE_BASE] + run * record[lo.RE_STRIDE]
                for byte in range(base, base + record[lo.RE_RUN], 4):
                    found[record[lo.RE_CORE], record[lo.RE_WRITE], byte // 4] += 1

    names["replay"], names["gather"] = keep, inner
    inner_names = inner.__globals__
    inner_replay = inner_names["replay"]
    inner_names["replay"] = keep
    try:
        config = product.config
        segments, _ = replace(product, blocking=replace(product.blocking, kc=product.dims.k)).segments(0)
        copy = np.array([config.vector_bits // 8, 3, config.issue_width])
        room = np.zeros((simd_loops.BATCH, lo.N_RECORD), np.int64)
        tally = np.zeros(simd_loops.N_TALLY, np.int64)
        caches = config.hierarchy(10).caches
        assert caches[4].shape[0] == cores
        loop(product.dims.m, product.grid_words, segments, matrix, copy, room, tally, caches)
    finally:
        names["replay"], names["gather"], inner_names["replay"] = replayed, gather, inner_replay
    return found


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(3, 9), st.integers(3, 9)),
    st.integers(1, 5),
    st.builds(
        Window,
        st.tuples(st.integers(1, 3), st.integers(2, 3)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(*[st.integers(0, 2)] * 4),
        st.tuples(st.integers(1, 2), st.integers(1, 2)),
    ),
    st.integers(1, 3),
)
def test_the_matrix_holds_what_the_kernel_takes(
    shape: tuple[int, int, int, int], filters: int, window: Window, cores: int
) -> None:
    top, left, bottom, right = window.padding
    assume(window.extent[0] <= shape[2] + top + bottom)
    assume(window.extent[1] <= shape[3] + left + right)
    config = config_of(IN_MEMORY | {"cores": cores, "caches": {"l1": CORES["caches"]["l1"] | {"cores": 1}}})
    stage = stage_of(shape, Conv(filters, window), 32)
    assert stage.dims is not None
    product = BlockedProduct(config, stage, packed_blocking(config, stage.dims, 32, 32))
    random = np.random.default_rng(0)
    ifmap, weight = random.integers(-4, 5, shape), random.integers(-4, 5, (filters, shape[1], *window.kernel))
    rows, cols = window.output_size(*shape[2:])
    matrix = np.zeros((shape[0] * rows * cols, stage.dims.k), np.int64)
    expected: Touches = Counter()
    for pixel in range(len(matrix)):
        image, rest = divmod(pixel, rows * cols)
        core = pixel // LOWERED_PIXELS % cores
        for k in range(stage.dims.k):
            tap, channel = divmod(k, shape[1])
            y = rest // cols * window.stride[0] - top + tap // window.kernel[1] * window.dilation[0]
            x = rest % cols * window.stride[1] - left + tap % window.kernel[1] * window.dilation[1]
            expected[core, 1, ADDRESSES[3] // 4 + pixel * stage.dims.k + k] += 1
            if 0 <= y < shape[2] and 0 <= x < shape[3]:
                matrix[pixel, k] = ifmap[image, channel, y, x]
                place = ((image * shape[2] + y) * shape[3] + x) * shape[1] + channel
                expected[core, 0, ADDRESSES[0] // 4 + place] += 1
    by_tap = weight.transpose(2, 3, 1, 0).reshape(-1, filters)
    assert (matrix @ by_tap == reference(ifmap, weight, window)).all()
    assert compiled_touches(product, matrix_words(stage, 0), cores) == expected


def test_the_product_reads_the_matrix_alone() -> None:
    stage = stage_of((2, 6, 8, 8), Conv(4, Window((3, 3), (1, 1), (1, 1, 1, 1)), 2), 32)
    plain = lowered(stage)
    assert plain.dims == stage.dims
    assert plain.output_shape == stage.output_shape
    config = config_of(IN_MEMORY)
    assert stage.dims is not None
    product = BlockedProduct(config, plain, packed_blocking(config, stage.dims, 32, 32))
    reached: list[int] = []
    for group in range(2):
        segments, _ = product.segments(group)
        for base, run, pixel in segments[:, [simd_loops.SG_BASE, simd_loops.SG_RUN, simd_loops.SG_PIXEL]].tolist():
            assert pixel == 2 * 27 * 4
            reached += range(base, base + run, 4)
    assert reached == list(range(ADDRESSES[3], ADDRESSES[3] + 2 * 27 * 4, 4))


def test_a_matrix_in_memory_moves_more() -> None:
    plain, in_memory = run_of(CORES), run_of(IN_MEMORY)
    assert in_memory.totals.dram_read_bytes > plain.totals.dram_read_bytes
    assert in_memory.totals.dram_write_bytes > plain.totals.dram_write_bytes
    assert in_memory.totals.effective_macs == plain.totals.effective_macs
    for layer in in_memory.layer_results:
        if layer.op == "conv" and layer.mapping["loops"] != "windows":
            assert "lowered" in layer.mapping
