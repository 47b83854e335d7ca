"""How long it takes to draw the flips of 25 million 8-bit weights, the size of a ResNet-50."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.hardware.dram.bit_flips import count_flips, draw_flips
from accelsim.hardware.dram.cell_region import map_bytes, row_interleaved
from accelsim.hardware.dram.error_model import model_at_rate

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

WEIGHTS = 25_000_000


@pytest.mark.parametrize("kind", ["uniform", "bitline", "wordline", "data_dependent"])
@pytest.mark.parametrize("rate", [1e-5, 1e-2])
def test_draw_flips_of_25_million_weights(benchmark: BenchmarkFixture, kind: str, rate: float) -> None:
    model = model_at_rate(kind, rate)
    region = map_bytes(0, WEIGHTS, 64, row_interleaved(banks=16, row_bytes=8192))
    data = np.random.default_rng(1).integers(0, 256, WEIGHTS, dtype=np.uint8)
    draw_flips(model, region.part(0, 64), data[:64], seed=0, access=0)  # compile
    mask = benchmark(draw_flips, model, region, data, seed=1, access=0)
    flips = count_flips(mask)
    benchmark.extra_info["flips"] = flips
    assert flips == pytest.approx(8 * WEIGHTS * rate, rel=0.1)
