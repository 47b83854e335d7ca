"""Networks in int8 and in FP32 on processors that multiply narrow operands faster."""

from __future__ import annotations

import pytest

from accelsim import simulate
from accelsim.config.loader import load_hardware
from accelsim.hardware.pe_array.simd import SimdConfig
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, Gemm, Window

CASCADE_LAKE, BROADWELL = "xeon_cascade_lake", "xeon_broadwell"


def peak_ratio(machine: str) -> float:
    """Multiply-accumulates of 8 b per cycle over those of 32 b."""
    array = load_hardware(machine).pe_array
    assert isinstance(array, SimdConfig)
    return array.macs_per_cycle[8] / array.macs_per_cycle[32]


@pytest.mark.parametrize(("machine", "ratio"), [(CASCADE_LAKE, 4), (BROADWELL, 2)])
def test_a_large_product_gains_what_the_instructions_do(machine: str, ratio: float) -> None:
    graph = chain("conv", Tensor("x", (1, 64, 28, 28)), [("c", Conv(128, Window((3, 3), padding=(1, 1, 1, 1))))])
    int8, fp32 = (simulate(f"{machine}{suffix}", graph).totals for suffix in ("", "_fp32"))
    assert peak_ratio(machine) == ratio
    assert fp32.compute_cycles / int8.compute_cycles == pytest.approx(ratio, rel=0.15)
    assert fp32.total_cycles / int8.total_cycles > 0.75 * ratio


@pytest.mark.parametrize("machine", [CASCADE_LAKE, BROADWELL])
def test_a_product_that_waits_for_its_weights_gains_what_they_shrink_by(machine: str) -> None:
    graph = chain("fc", Tensor("x", (1, 2048)), [("fc", Gemm(2048, bias=False))])
    int8, fp32 = (simulate(f"{machine}{suffix}", graph).totals for suffix in ("", "_fp32"))
    assert fp32.dram_read_bytes / int8.dram_read_bytes == pytest.approx(4, rel=0.02)
    assert fp32.stall_cycles > int8.stall_cycles
    assert fp32.energy_pj > 3 * int8.energy_pj
