"""Photonic multiply-accumulates as technology tables: what they cost, and what is left when they cost nothing."""

from __future__ import annotations

import pytest

from accelsim import load_hardware, simulate
from accelsim.energy.table import load_energy_table
from accelsim.workload.graph import LayerGraph, Tensor, chain
from accelsim.workload.operators import Conv, Window


def network() -> LayerGraph:
    return chain("conv", Tensor("x", (1, 64, 28, 28)), [("conv", Conv(64, Window((3, 3), padding=(1, 1, 1, 1))))])


def test_tables_hold_what_is_published() -> None:
    tempo, limit = (load_energy_table(f"photonic_{name}") for name in ("tempo", "quantum_limit"))
    assert 2 / tempo.mac_energy_pj(4, 4) == pytest.approx(22.3, rel=0.001)  # 10^12 operations to the joule
    assert limit.mac_energy_pj(8, 8) == pytest.approx(50e-21 * 1e12)  # 50 zJ


def test_the_machine_has_the_peak_of_tempo() -> None:
    array = load_hardware("photonic_tempo").pe_array
    assert 2 * array.elements * array.clock_mhz * 1e6 == pytest.approx(368.6e12, rel=0.001)


def test_products_cost_what_the_table_says_and_registers_nothing() -> None:
    result = simulate("photonic_tempo", network(), fidelity="estimate")
    assert result.energy_pj["pe_array"]["mac"] == pytest.approx(0.0897 * result.totals.effective_macs)
    assert result.energy_pj["register_file"]["access"] == 0


def test_memory_remains_when_products_are_free() -> None:
    photonic, electronic = (
        simulate(name, network(), fidelity="estimate") for name in ("photonic_limit", "electronic_192x192")
    )
    assert photonic.energy_pj["pe_array"]["mac"] < 1e-4 * electronic.energy_pj["pe_array"]["mac"]
    assert photonic.totals.dram_read_bytes == electronic.totals.dram_read_bytes
    assert 1 < electronic.totals.energy_pj / photonic.totals.energy_pj < 100
