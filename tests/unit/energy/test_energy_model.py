"""Energies counted by hand, from tables whose entries are distinct primes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from small_networks import machine

from accelsim.config.schema import EnergyConfig, HardwareConfig
from accelsim.pipeline import simulate
from accelsim.result import ENERGY_COMPONENTS, RunResult
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operators import Activation, Gemm, MatMul, Pool, View, Window

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """
node_nm: 45
mac_pj: {8: 2}
vector_operation_pj: 3
register_file_pj_per_bit: 0.5
sram_pj_per_bit: {64: 7}
interconnect_pj_per_bit: 11
dram_pj_per_bit: 13
leakage_mw_per_sram_kib: 0.25
leakage_mw_per_element: 17
"""


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "primes.yaml"
    path.write_text(TABLE)
    return path


def priced(config: HardwareConfig, prices: Path) -> HardwareConfig:
    return config.model_copy(update={"energy": EnergyConfig(table=str(prices))})


def run(prices: Path, *layers: Layer, inputs: tuple[Tensor, ...], **settings: Any) -> RunResult:  # noqa: ANN401
    return simulate(priced(machine(**settings), prices), LayerGraph("net", inputs, layers))


def test_gemm_that_fits_the_array_once(prices: Path) -> None:
    """2 x 4 times 4 x 3 on 4 x 4 elements, weight stationary: one fold, every operand passes the array's edge once."""
    result = run(prices, Layer("g", Gemm(3), ("x",)), inputs=(Tensor("x", (2, 4)),))
    energy = result.energy_pj
    ifmap, weight, ofmap, macs = 8 * 8, 12 * 8, 6 * 8, 24
    edge = ifmap + weight + ofmap
    outside = ifmap + weight + ofmap
    assert energy["pe_array"] == {"mac": macs * 2}
    assert energy["register_file"] == {"access": macs * (2 * 8 + 8 + 2 * 32) * 0.5}
    assert energy["sram"] == {"read": (ifmap + weight + ofmap) * 7, "write": (ifmap + weight + ofmap) * 7}
    assert energy["interconnect"] == {"transfer": (edge + outside) * 11}
    assert energy["dram"] == {"read": (ifmap + weight) * 13, "write": ofmap * 13}
    assert energy["vector_unit"] == {"operation": 0}
    nanoseconds = result.totals.total_cycles
    assert nanoseconds == 2 + 2 * 4 + 4 - 2
    assert energy["leakage"] == {
        "pe_array": 16 * 17 * nanoseconds,
        "vector_unit": 4 * 17 * nanoseconds,
        "sram": 3 * 64 * 0.25 * nanoseconds,
    }
    assert set(energy) == set(ENERGY_COMPONENTS)


@pytest.mark.parametrize(
    ("dataflow", "edge_bits", "register_bits"),
    [
        # k 8 over 4 rows is two folds: sums go out and come back once; the weights stay
        ("WS", 16 * 8 + 8 * 8 * 1 + 2 * 32 + 2 * 32 + 2 * 8, 2 * 8 + 8 + 2 * 32),
        # sums stay in the elements
        ("OS", 16 * 8 + 8 * 8 + 2 * 8, 2 * 8 + 2 * 8 + 2 * 32),
        # inputs stay, weights pass
        ("IS", 16 * 8 + 8 * 8 + 2 * 32 + 2 * 32 + 2 * 8, 8 + 2 * 8 + 2 * 32),
    ],
)
def test_sums_over_two_folds(prices: Path, dataflow: str, edge_bits: int, register_bits: int) -> None:
    """2 x 8 times 8 x 1."""
    result = run(prices, Layer("g", Gemm(1), ("x",)), inputs=(Tensor("x", (2, 8)),), dataflow=dataflow)
    outside = (16 + 8 + 2) * 8
    assert result.energy_pj["interconnect"] == {"transfer": (edge_bits + outside) * 11}
    assert result.energy_pj["register_file"] == {"access": 16 * register_bits * 0.5}


def test_operands_pass_once_per_fold_of_the_dimension_they_lack(prices: Path) -> None:
    """4 x 4 times 4 x 10: three folds along n, the input passes three times."""
    result = run(prices, Layer("g", Gemm(10), ("x",)), inputs=(Tensor("x", (4, 4)),))
    edge = 3 * 16 * 8 + 40 * 8 + 40 * 8
    outside = (16 + 40 + 40) * 8
    assert result.energy_pj["interconnect"] == {"transfer": (edge + outside) * 11}


def test_vector_layer(prices: Path) -> None:
    pool = Layer("p", Pool("max", Window((2, 2), (2, 2))), ("x",))
    energy = run(prices, pool, inputs=(Tensor("x", (1, 4, 4, 4)),)).energy_pj
    assert energy["vector_unit"] == {"operation": 16 * 4 * 3}
    assert energy["pe_array"] == {"mac": 0}
    assert energy["sram"] == {"read": (64 + 16) * 8 * 7, "write": (64 + 16) * 8 * 7}
    assert energy["interconnect"] == {"transfer": 2 * (64 + 16) * 8 * 11}
    assert energy["dram"] == {"read": 64 * 8 * 13, "write": 16 * 8 * 13}


def test_layer_that_rides_along_costs_its_operations_alone(prices: Path) -> None:
    layers = Layer("g", Gemm(3), ("x",)), Layer("r", Activation(), ("g",))
    result = run(prices, *layers, inputs=(Tensor("x", (2, 4)),))
    assert result.layer_results[1].energy_pj == 6 * 3
    assert result.layer_results[1].energy_by_component == dict.fromkeys(ENERGY_COMPONENTS, 0) | {"vector_unit": 18}


def test_view_is_free(prices: Path) -> None:
    layers = Layer("g", Gemm(3), ("x",)), Layer("v", View((6,)), ("g",))
    assert run(prices, *layers, inputs=(Tensor("x", (2, 4)),)).layer_results[1].energy_pj == 0


def test_product_of_maps_is_priced_at_the_width_of_both(prices: Path) -> None:
    inputs = Tensor("x", (2, 2, 2), 4), Tensor("y", (2, 2, 2), 16)
    result = run(prices, Layer("mm", MatMul(), ("x", "y")), inputs=inputs)
    assert result.energy_pj["pe_array"]["mac"] == pytest.approx(16 * 2 * (4 * 16) / 64)


def test_map_on_chip_saves_the_transfers(prices: Path) -> None:
    layers = Layer("a", Gemm(4), ("x",)), Layer("b", Gemm(4), ("a",))
    inputs = (Tensor("x", (2, 4)),)
    kept, moved = (run(prices, *layers, inputs=inputs, keep_on_chip=keep) for keep in (True, False))
    saved = moved.energy_pj["dram"]["read"] - kept.energy_pj["dram"]["read"]
    assert saved == 8 * 8 * 13
    assert kept.energy_pj["pe_array"] == moved.energy_pj["pe_array"]


@pytest.mark.parametrize("shared", [True, False])
def test_results_kept_on_chip_move_from_the_sums_to_the_maps(prices: Path, shared: bool) -> None:  # noqa: FBT001
    layers = Layer("a", Gemm(4), ("x",)), Layer("b", Gemm(4), ("a",))
    operands = ["ifmap", "ofmap", "weight", "psum"]
    sram = {"all": {"capacity_kib": 64, "operands": operands}} if shared else None
    result = run(prices, *layers, inputs=(Tensor("x", (2, 4)),), sram=sram)
    maps, weights = 8 * 8, 16 * 8
    moved = 0 if shared else maps
    edge = 2 * (maps + weights + maps)
    assert result.energy_pj["interconnect"]["transfer"] == (edge + maps + 2 * weights + maps + moved) * 11
    reads = 2 * (maps + weights) + moved + maps
    writes = 2 * maps + maps + 2 * weights + moved
    assert result.energy_pj["sram"] == {"read": reads * 7, "write": writes * 7}


def test_bits_of_banked_buffers_cost_what_they_cost_in_a_bank(tmp_path: Path) -> None:
    """A bit takes 1 pJ in 1 KiB and 64 in 64 KiB, and so as many as there are KiB in between."""
    table = tmp_path / "linear.yaml"
    table.write_text(TABLE.replace("{64: 7}", "{1: 1, 64: 64}"))
    banks = {"maps": 1, "weights": 16, "sums": 64}
    operands = {"maps": ["ifmap", "ofmap"], "weights": ["weight"], "sums": ["psum"]}
    inputs = (Tensor("x", (2, 4)),)

    def simulated(*banked: str) -> RunResult:
        memories = {
            name: {"capacity_kib": 64, "banks": banks[name] if name in banked else 1, "operands": held}
            for name, held in operands.items()
        }
        return run(table, Layer("g", Gemm(3), ("x",)), inputs=inputs, sram=memories)

    ifmap, weight, ofmap = 8 * 8, 12 * 8, 6 * 8
    whole, some, every = simulated(), simulated("weights"), simulated(*banks)
    assert whole.energy_pj["sram"] == dict.fromkeys(("read", "write"), (ifmap + weight + ofmap) * 64)
    assert some.energy_pj["sram"] == dict.fromkeys(("read", "write"), (ifmap + ofmap) * 64 + weight * 4)
    assert every.energy_pj["sram"] == dict.fromkeys(("read", "write"), ifmap * 64 + weight * 4 + ofmap * 1)
    for key in ("total_cycles", "latency_ns", "dram_read_bytes"):
        assert getattr(every.totals, key) == getattr(whole.totals, key)
    assert every.energy_pj["leakage"] == whole.energy_pj["leakage"]


def test_leakage_counts_over_time_and_nothing_else_does(prices: Path) -> None:
    layer, inputs = Layer("g", Gemm(3), ("x",)), (Tensor("x", (2, 4)),)  # one fold: there is nothing to map otherwise
    dram = {"kind": "ideal", "ideal_bandwidth_gb_per_s": 1.0}
    fast = run(prices, layer, inputs=inputs)
    slow = run(prices, layer, inputs=inputs, dram=dram)
    slowdown = slow.totals.latency_ns / fast.totals.latency_ns
    assert slowdown > 1.5
    for component in ENERGY_COMPONENTS:
        for action, energy in fast.energy_pj[component].items():
            ratio = slowdown if component == "leakage" else 1
            assert slow.energy_pj[component][action] == pytest.approx(energy * ratio, rel=1e-6)


def test_dram_commands_cost_at_least_the_background(prices: Path) -> None:
    result = run(prices, Layer("g", Gemm(3), ("x",)), inputs=(Tensor("x", (2, 4)),), dram={"kind": "command"})
    dram = result.energy_pj["dram"]
    assert min(dram.values()) >= 0
    assert sum(dram.values()) == result.totals.dram_energy_pj > 0
