from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest

from accelsim.config.loader import list_presets
from accelsim.energy.table import EnergyTable, load_energy_table
from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

TABLES = [preset.name for preset in list_presets("energy")]


def table(**changes: object) -> EnergyTable:
    base = load_energy_table("45nm").model_dump()
    return EnergyTable.model_validate(base | changes)


@pytest.mark.parametrize("name", TABLES)
def test_points_of_the_table_are_hit_exactly(name: str) -> None:
    entries = load_energy_table(name)
    for bits, energy in entries.mac_pj.items():
        assert entries.mac_energy_pj(bits, bits) == energy
    for capacity, energy in entries.sram_pj_per_bit.items():
        assert entries.sram_energy_pj(capacity) == energy


def test_energy_between_two_sizes_follows_a_power_law() -> None:
    entries = table(sram_pj_per_bit={8: 0.1, 128: 0.8})
    assert entries.sram_energy_pj(32) == pytest.approx(math.sqrt(0.1 * 0.8))
    exponent = math.log(8) / math.log(16)
    assert entries.sram_energy_pj(20) == pytest.approx(0.1 * (20 / 8) ** exponent)


def test_memories_beyond_the_ends_cost_what_the_ends_cost() -> None:
    entries = table(sram_pj_per_bit={8: 0.1, 128: 0.8})
    assert entries.sram_energy_pj(0.01) == 0.1
    assert entries.sram_energy_pj(2**20) == 0.8


def test_multipliers_beyond_the_ends_scale_with_the_square_of_their_width() -> None:
    entries = table(mac_pj={8: 0.2, 32: 3.1})
    assert entries.mac_energy_pj(4, 4) == pytest.approx(0.05)
    assert entries.mac_energy_pj(64, 64) == pytest.approx(12.4)
    assert entries.mac_energy_pj(16, 16) == pytest.approx(math.sqrt(0.2 * 3.1))


def test_unequal_operands_count_as_their_geometric_mean() -> None:
    entries = table(mac_pj={8: 0.2})
    assert entries.mac_energy_pj(4, 16) == pytest.approx(entries.mac_energy_pj(8, 8))
    assert entries.mac_energy_pj(4, 8) == pytest.approx(0.1)


def test_a_free_memory_stays_free() -> None:
    assert table(sram_pj_per_bit={8: 0.0, 128: 0.8}).sram_energy_pj(16) == 0.0


@pytest.mark.parametrize("name", TABLES)
def test_every_figure_of_a_table_has_a_source(name: str) -> None:
    entries = load_energy_table(name)
    figures = set(EnergyTable.model_fields) - {"name", "description", "sources"}
    figures.remove("array_operation_pj")
    figures |= {f"array_operation_pj.{name}" for name in entries.array_operation_pj}
    assert figures <= set(entries.sources)


def test_unknown_table_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"energy\.table = '44nm'.*allowed:.*45nm"):
        load_energy_table("44nm")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("node_nm: 0", "node_nm"),
        ("mac_pj: {}", "mac_pj"),
        ("mac_pj: {8: -1}", "mac_pj"),
        ("mac_pj: {0: 1}", "mac_pj"),
        ("vector_operation_pj: .nan", "vector_operation_pj"),
        ("unknown: 1", "unknown"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    figures = {
        "node_nm": "45",
        "mac_pj": "{8: 0.2}",
        "vector_operation_pj": "0.1",
        "register_file_pj_per_bit": "0.1",
        "sram_pj_per_bit": "{8: 0.1}",
        "interconnect_pj_per_bit": "0.1",
        "dram_pj_per_bit": "10",
        "leakage_mw_per_sram_kib": "0.1",
        "leakage_mw_per_element": "0.1",
    }
    key, value = line.split(": ", 1)
    path = tmp_path / "table.yaml"
    path.write_text("".join(f"{name}: {figure}\n" for name, figure in (figures | {key: value}).items()))
    with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
        load_energy_table(path)
    assert "table.yaml" in str(caught.value)
