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
    hierarchy = config.hierarchy(200)
    records = np.zeros((max((1 << 26) // (kib << 10), 1), lo.N_RECORD), np.int64)
    records[:, [lo.RE_RUN, lo.RE_COUNT, lo.RE_COST]] = kib << 10, 1, 4 * lo.TICKS * kib * 16
    benchmark.pedantic(hierarchy.replay, (records,), rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("preset", ["eden_cpu", "eden_gpu"])
def test_a_network(benchmark: BenchmarkFixture, preset: str) -> None:
    """ResNet-50 from end to end."""
    benchmark.pedantic(simulate, (preset, "resnet50"), rounds=1, warmup_rounds=1)  # type: ignore[no-untyped-call]
