"""SIMD cores with caches: the loops against plain ones, and what every machine keeps to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from array_conformance import CASES, ArrayConformance, ArrayUnderTest, deep_network, machine_with
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from simd_stepper import PackedProduct, Touched

from accelsim.config.model import validate
from accelsim.errors import ConfigError
from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_loops
from accelsim.hardware.pe_array.simd import SimdConfig
from accelsim.hardware.pe_array.simd_blocking import packed_blocking, staged_blocking
from accelsim.hardware.pe_array.simd_product import BlockedProduct
from accelsim.mapping.cached_network import CachedStage, PlacedPart
from accelsim.mapping.footprint import pixel_grid
from accelsim.pipeline import simulate
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, Upsample, Window

LINE = 32

CORES: dict[str, Any] = {
    "kind": "simd",
    "cores": 2,
    "clock_mhz": 1000,
    "operand_bits": 32,
    "vector_bits": 64,
    "vector_registers": 8,
    "macs_per_cycle": {"32": 4},
    "mac_instructions": {"32": 1},
    "issue_width": 2,
    "window_instructions": 32,
    "line_bytes": LINE,
    "page_bytes": 256,
    "caches": {
        "l1": {"capacity_kib": 0.5, "associativity": 2, "latency_cycles": 2, "outstanding_misses": 4},
        "l2": {"capacity_kib": 4, "associativity": 4, "cores": 2, "latency_cycles": 6, "outstanding_misses": 8},
    },
}


def prefetching(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of a config
    l2 = CORES["caches"]["l2"] | {"prefetcher": {"degree": 2, "distance_lines": 4}} | changes
    return CORES | {"caches": CORES["caches"] | {"l2": l2}}


def config_of(keys: dict[str, Any]) -> SimdConfig:
    return validate(SimdConfig, keys, "test", ConfigError)


# -- the loops ---------------------------------------------------------------------------------------------------------

ADDRESSES = (0, 1 << 20, 2 << 20, 3 << 20)


def stage_of(shape: tuple[int, int, int, int], operator: Conv, bits: int) -> CachedStage:
    size = int(np.prod(shape)) * bits // 8
    return CachedStage(
        index=0,
        name="layer",
        operator=operator,
        input_shapes=(shape,),
        output_shape=operator.output_shape((shape,)),
        dims=operator.gemm_dims((shape,)),
        grid=pixel_grid(operator, (shape,)),
        inputs=((PlacedPart(ADDRESSES[0], 0, shape[1], size),),),
        ifmap_bits=bits,
        weight_bits=bits,
        ofmap_bits=bits,
        psum_bits=bits,
        vector_operations=0,
        weight=ADDRESSES[1],
        output=ADDRESSES[2],
        scratch=ADDRESSES[3],
    )


def touched_by_loops(config: SimdConfig, product: BlockedProduct) -> Touched:
    """Lines that the compiled loops touch, seen through caches of one line that keep nothing."""
    touched = Touched(config.line_bytes)
    records: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = []
    segments, slices = product.segments(0)
    copy = np.array([config.vector_bits // 8, 3, config.issue_width])
    hierarchy = config.hierarchy(10)
    room = np.zeros((simd_loops.BATCH, lo.N_RECORD), np.int64)
    tally = np.zeros(simd_loops.N_TALLY, np.int64)
    loop = simd_loops.run_packed.py_func if hasattr(simd_loops.run_packed, "py_func") else simd_loops.run_packed
    words = product.words(0)
    replayed = loop.__globals__["replay"]

    def keep(batch: Any, number: int, _: Any) -> None:  # noqa: ANN401 - arrays of the kernel
        records.append(batch[:number].copy())

    names = loop.__globals__
    gather = names["gather"]
    names["replay"], names["gather"] = keep, getattr(gather, "py_func", gather)
    try:
        loop(words, product.grid_words, segments, slices, copy, room, tally, hierarchy.caches)
    finally:
        names["replay"], names["gather"] = replayed, gather
    for record in np.concatenate(records).tolist():
        for run in range(record[lo.RE_COUNT]):
            base = record[lo.RE_BASE] + run * record[lo.RE_STRIDE]
            touched.add(record[lo.RE_CORE], base, record[lo.RE_RUN], write=record[lo.RE_WRITE] == 1)
    return touched


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(3, 7), st.integers(3, 7)),
    st.integers(1, 9),
    st.builds(
        Window,
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(*[st.integers(0, 2)] * 4),
        st.tuples(st.integers(1, 2), st.integers(1, 2)),
    ),
    st.integers(1, 3),
)
def test_loops_touch_what_plain_ones_touch(
    shape: tuple[int, int, int, int], filters: int, window: Window, cores: int
) -> None:
    top, left, bottom, right = window.padding
    assume(window.extent[0] <= shape[2] + top + bottom)
    assume(window.extent[1] <= shape[3] + left + right)
    config = config_of(CORES | {"cores": cores, "caches": {"l1": CORES["caches"]["l1"] | {"cores": 1}}})
    operator = Conv(filters, window)
    stage = stage_of(shape, operator, 32)
    assert stage.dims is not None
    blocking = packed_blocking(config, stage.dims, 32, 32)
    product = BlockedProduct(config, stage, blocking)
    random = np.random.default_rng(0)
    ifmap = random.integers(-4, 5, shape)
    weight = random.integers(-4, 5, operator.weight_shape((shape,)))
    words = product.words(0)
    places = (*ADDRESSES, int(words[simd_loops.PR_PACK_SIZE]))
    plain = PackedProduct(ifmap, weight, window, blocking, cores, 4, places, Touched(LINE))
    found = plain.run()
    assert (found == reference(ifmap, weight, window)).all()
    compiled = touched_by_loops(config, product)
    assert set(compiled.reads) == set(plain.touched.reads)
    assert set(compiled.writes) == set(plain.touched.writes)
    weights = {key for key in plain.touched.reads if ADDRESSES[1] <= key[1] * LINE < ADDRESSES[2]}
    for key in weights:
        assert compiled.reads[key] == plain.touched.reads[key]


def reference(
    ifmap: np.ndarray[Any, np.dtype[np.int64]], weight: np.ndarray[Any, np.dtype[np.int64]], window: Window
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The convolution by its definition, (pixels, filters)."""
    top, left, bottom, right = window.padding
    padded = np.pad(ifmap, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows, cols = window.output_size(*ifmap.shape[2:])
    result = np.zeros((len(ifmap), rows, cols, len(weight)), np.int64)
    for row, col in np.ndindex(rows, cols):
        y, x = row * window.stride[0], col * window.stride[1]
        rows_in = slice(y, y + window.extent[0], window.dilation[0])
        cols_in = slice(x, x + window.extent[1], window.dilation[1])
        patch = padded[:, :, rows_in, cols_in]
        result[:, row, col] = np.tensordot(patch, weight, axes=([1, 2, 3], [1, 2, 3]))
    return result.reshape(-1, len(weight))


def test_blocks_fill_half_of_each_cache() -> None:
    config = config_of(CORES | {"caches": CORES["caches"] | {"l2": CORES["caches"]["l2"] | {"cores": 1}}})
    dims = Conv(300, Window((3, 3))).gemm_dims(((4, 70, 40, 40),))
    blocking = packed_blocking(config, dims, 32, 32)
    assert blocking.nr * blocking.kc * 4 <= 256
    assert blocking.mc * blocking.kc * 4 <= 2048
    assert blocking.kc * blocking.nc * 4 <= 2048
    assert blocking.mc % blocking.mr == 0
    assert blocking.nc % blocking.nr == 0


def test_staged_tiles_shrink_until_all_cores_have_one() -> None:
    config = config_of(CORES | {"shared_memory_kib": 96, "cores": 28, "line_bytes": 128, "caches": GPU_CACHES})
    sides = [
        staged_blocking(config, Conv(filters, Window((1, 1))).gemm_dims(((1, 64, size, size),)), 32, 32).mc
        for size, filters in ((112, 512), (28, 256), (13, 128), (3, 8))
    ]
    assert sides == [128, 64, 32, 32]


GPU_CACHES = {
    "l1": {"capacity_kib": 24, "associativity": 6, "latency_cycles": 80, "write": "through", "outstanding_misses": 64},
    "l2": {"capacity_kib": 96, "associativity": 16, "cores": 28, "latency_cycles": 120, "outstanding_misses": 896},
}


# -- what every machine keeps to ---------------------------------------------------------------------------------------

PLAIN: dict[str, Any] = {"sram": {}}

MACHINES = [
    ArrayUnderTest(
        "simd with prefetchers", prefetching(), {"cores": 1, "caches": {"l1": CORES["caches"]["l1"]}}, changes=PLAIN
    ),
    ArrayUnderTest(
        "simd with plain loops",
        prefetching() | {"loops": "row_streaming"},
        {"cores": 1, "caches": {"l1": CORES["caches"]["l1"]}},
        changes=PLAIN,
    ),
    ArrayUnderTest(
        "simd with matrices in memory",
        prefetching() | {"lowered_in_memory": True},
        {"cores": 1, "caches": {"l1": CORES["caches"]["l1"]}},
        changes=PLAIN,
    ),
    ArrayUnderTest(
        "simd with shared memories",
        CORES | {"shared_memory_kib": 32, "vector_bits": 1024, "caches": GPU_CACHES, "cores": 28, "line_bytes": 128},
        {"cores": 1, "caches": {"l1": GPU_CACHES["l1"]}},
        changes=PLAIN,
    ),
]


@pytest.fixture(params=MACHINES, ids=str)
def array(request: pytest.FixtureRequest) -> ArrayUnderTest:
    """A machine with caches."""
    entry: ArrayUnderTest = request.param
    return entry


class TestSimdConformance(ArrayConformance):
    """What holds for all arrays; buffers that the mapper fills do not exist here."""

    test_larger_buffers_are_never_slower = None  # type: ignore[assignment]
    test_larger_buffers_never_move_more = None  # type: ignore[assignment]
    test_layer_larger_than_every_buffer_runs = None  # type: ignore[assignment]


def run_of(keys: dict[str, Any], dram: dict[str, Any] | None = None, **kinds: Any) -> Any:  # noqa: ANN401
    entry = ArrayUnderTest("simd", keys, {}, changes=PLAIN)
    return simulate(machine_with(entry, dram=dram or {"kind": "command"}), deep_network(), **kinds)


@pytest.mark.parametrize("keys", [CORES, prefetching()])
def test_more_miss_registers_are_never_slower(keys: dict[str, Any]) -> None:
    cycles = []
    for registers in (1, 2, 3, 4, 6, 8):
        caches = {name: cache | {"outstanding_misses": 2 * registers} for name, cache in keys["caches"].items()}
        dram = {"kind": "ideal", "ideal_latency_ns": 60.0}  # commands of a DRAM may fall a little better or worse
        cycles.append(run_of(keys | {"caches": caches}, dram).totals.total_cycles)
    for few, many in pairwise(cycles):
        assert many <= few


def test_prefetchers_hide_latency_where_data_streams() -> None:
    without, with_one = run_of(CORES), run_of(prefetching())
    assert with_one.totals.stall_cycles < without.totals.stall_cycles
    stalls = {cause for layer in without.layer_results for cause in layer.stalls}
    assert "cache_miss" in stalls
    assert stalls <= {"cache_miss", "late_prefetch", "ofmap_drain"}


def test_a_larger_last_level_moves_less() -> None:
    moved = []
    for kib in (1, 4, 16, 64):
        caches = CORES["caches"] | {"l2": CORES["caches"]["l2"] | {"capacity_kib": kib}}
        moved.append(run_of(CORES | {"caches": caches}).totals.dram_read_bytes)
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < moved[0]


def test_everything_is_read_once_where_all_fits() -> None:
    caches = CORES["caches"] | {"l2": CORES["caches"]["l2"] | {"capacity_kib": 4096}}
    result, graph = run_of(CORES | {"caches": caches}), deep_network()
    elements = sum(tensor.elements for tensor in graph.inputs)
    elements += sum(tensor.elements for layer in graph.layers if (tensor := graph.weight_tensor(layer)))
    assert result.totals.dram_read_bytes >= elements
    assert result.totals.dram_write_bytes == 0


def test_repeated_pixels_stream_past_once() -> None:
    """A map of 4 KiB that grows to 16, through caches which hold neither."""
    graph = chain("up", Tensor("x", (1, 16, 16, 16)), [("large", Upsample())])
    caches = CORES["caches"] | {"l2": CORES["caches"]["l2"] | {"capacity_kib": 2}}
    for loops in ("blocked", "row_streaming"):
        entry = ArrayUnderTest("simd", CORES | {"caches": caches, "loops": loops}, {}, changes=PLAIN)
        (layer,) = simulate(machine_with(entry), graph).layer_results
        assert layer.mapping["loops"] == "stream"
        assert layer.mapping["caches"]["l1"]["writes"] == 4 * 4096 // LINE
        assert layer.dram_read_bytes >= 4096
        assert layer.compute_cycles >= 4 * 4096 / 4  # lanes


def test_faster_rows_are_never_slower() -> None:
    cycles = []
    for trcd_ps in (5_000, 13_320, 30_000):
        dram = {"kind": "command", "partitions": [{"name": "all", "operating_point": {"tRCD_ps": trcd_ps}}]}
        cycles.append(run_of(CORES, dram).totals.total_cycles)
    assert cycles[0] < cycles[1] < cycles[2]


def test_requests_of_one_level_are_misses_of_the_one_before() -> None:
    for layer in run_of(CORES).layer_results:
        caches = layer.mapping.get("caches")
        if caches:
            assert caches["l2"]["reads"] == caches["l1"]["misses"]
            lines = layer.mapping["memory_lines"]
            assert lines["demand"] + lines["ahead"] == caches["l2"]["misses"]
            assert layer.dram_read_bytes == (lines["demand"] + lines["ahead"]) * LINE
            assert layer.dram_write_bytes == lines["written"] * LINE


def test_accesses_of_caches_are_priced() -> None:
    result = run_of(CORES)
    assert result.energy_pj["sram"]["read"] > 0
    assert result.energy_pj["sram"]["write"] > 0
    instructions = result.energy_pj["pe_array"]["instruction"] / 70
    assert instructions > result.totals.effective_macs / (64 // 32 * 4)


@pytest.mark.parametrize("case", CASES)
def test_runs_are_repeatable(case: str) -> None:
    entry = ArrayUnderTest("simd", prefetching(), {}, changes=PLAIN)
    first, second = (simulate(machine_with(entry), CASES[case]()).to_json() for _ in range(2))
    assert first == second
