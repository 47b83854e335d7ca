"""How fast the caches are simulated; no limit, to be compared between revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.config.loader import load_hardware
from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array.simd import SimdConfig
from accelsim.pipeline import simulate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytest.importorskip("pytest_benchmark")


@pytest.mark.parametrize("kib", [24, 96, 4096, 65536])
def test_lines_that_stream_through_a_working_set(benchmark: BenchmarkFixture, kib: int) -> None:
    """A million lines, in sets that the first, the second, the third level holds, and none."""
    config = load_hardware("eden_cpu").pe_array
    assert isinstance(config, SimdConfig)
    hierarchy = config.hierarchy(200, 1 << 34)
    records = np.zeros((max((1 << 26) // (kib << 10), 1), lo.N_RECORD), np.int64)
    records[:, [lo.RE_RUN, lo.RE_COUNT, lo.RE_COST]] = kib << 10, 1, 4 * lo.TICKS * kib * 16
    benchmark.pedantic(hierarchy.replay, (records,), rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]


def test_panels_and_slivers_of_a_product(benchmark: BenchmarkFixture) -> None:
    """A million lines: slivers that the first level holds, panels from the second, and sums that end in pages' rows."""
    config = load_hardware("eden_cpu").pe_array
    assert isinstance(config, SimdConfig)
    hierarchy = config.hierarchy(200, 1 << 34)
    rows = []
    for tile in range(2_700):
        for chunk in range(8):
            rows.append((0, 0, (1 << 20) + tile % 42 * 6_144 + chunk * 768, 768, 1, 0, 0))
            rows.append((0, 0, chunk * 2_048, 2_048, 1, 0, 1_000))
        sums = (2 << 20) + tile % 42 * 6_144
        rows += [(0, write, sums, 64, 6, 1_024, 100) for write in (0, 1)]
    benchmark.pedantic(hierarchy.replay, (np.array(rows),), rounds=5, warmup_rounds=1)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("preset", ["eden_cpu", "eden_cpu_fp32", "eden_gpu", "eden_gpu_fp32"])
def test_a_network(benchmark: BenchmarkFixture, preset: str) -> None:
    """ResNet-50 from end to end."""
    benchmark.pedantic(simulate, (preset, "resnet50"), rounds=1, warmup_rounds=1)  # type: ignore[no-untyped-call]
