"""What a config may say of cores with caches, and what the user is told where it does not fit together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from accelsim.config.loader import load_hardware
from accelsim.config.model import validate
from accelsim.config.pe_array import OnChipMemory
from accelsim.config.schema import HardwareConfig
from accelsim.energy.table import load_energy_table
from accelsim.errors import ConfigError, InputError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.network import map_network
from accelsim.pipeline import memory_interface, simulate
from accelsim.result import STALL_CAUSES
from accelsim.simulation.closed_form import estimate_stages
from accelsim.simulation.simulator import run_stages
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("caches.l1.capacity_kib", 32.1, "caches.l1.capacity_kib = 32.1 is no whole number of sets of 8 lines of 64"),
        ("caches.l1.associativity", 7, "caches.l1.capacity_kib = 32 is no whole number of sets of 7 lines"),
        ("caches.l2.cores", 3, "caches.l2.cores = 3 has to divide cores = 2"),
        ("caches.l1.cores", 2, "caches.l2.cores = 1 has to divide cores = 2 and to be a multiple"),
        ("line_bytes", 48, "pe_array: line_bytes = 48 is no power of two"),
        ("page_bytes", 3000, "pe_array: page_bytes = 3000 is no power of two"),
        ("line_bytes", 4096 * 2, "pe_array.line_bytes = 8192: not accepted; allowed: less than or equal to 4096"),
        ("page_bytes", 256, None),
        ("macs_per_cycle", {"8": 4}, "macs_per_cycle says nothing of operands of operand_bits = 32"),
        ("mac_instructions", {"16": 1}, "mac_instructions says nothing of operands of operand_bits = 32"),
        ("operand_bits", 64, "says nothing of operands of operand_bits = 64"),
        ("caches", {}, "pe_array.caches: has 0 entries; allowed: at least 1"),
        (
            "caches.l1.write",
            "around",
            "pe_array.caches.l1.write = 'around': not accepted; allowed: 'back' or 'through'",
        ),
        ("caches.l1.size", 4, "pe_array.caches.l1.size: unknown key"),
        ("caches.l2.prefetcher.degree", 0, "pe_array.caches.l2.prefetcher.degree = 0: not accepted"),
        ("loops", "tiled", "pe_array.loops = 'tiled': not accepted; allowed: 'blocked' or 'row_streaming'"),
        ("simulated_rows", 1, "pe_array.simulated_rows = 1: not accepted; allowed: greater than or equal to 2"),
        (
            "caches",
            {"shared_memory": {"capacity_kib": 32, "associativity": 8, "latency_cycles": 1, "cores": 2}},
            "caches.shared_memory is the name of the memory that lanes share",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(key: str, value: object, message: str | None) -> None:
    data = load_hardware("eden_cpu").resolved()
    *path, last = key.split(".")
    place = data["pe_array"]
    for part in path:
        place = place[part]
    place[last] = value
    if message is None:
        assert validate(HardwareConfig, data, "test", ConfigError)
        return
    with pytest.raises(ConfigError) as refusal:
        validate(HardwareConfig, data, "test", ConfigError)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_plain_loops_know_no_tiles_for_a_shared_memory() -> None:
    with pytest.raises(ConfigError, match="loops = row_streaming knows no tiles that could lie in shared_memory_kib"):
        load_hardware("eden_gpu", ["pe_array.loops=row_streaming"])


def test_caches_and_scratchpads_exclude_each_other() -> None:
    buffer = "sram.buffer={capacity_kib: 4, operands: [ifmap, weight, ofmap]}"
    with pytest.raises(
        ConfigError, match="sram: a machine whose array has l1, l2, l3 has no scratchpads; leave sram out"
    ):
        load_hardware("eden_cpu", [buffer])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("host.bandwidth_gb_per_s=10.0", "host.bandwidth_gb_per_s: a machine whose array has caches has all in DRAM"),
        ("mapping.layers={conv1: {order: mnk, m: 1, n: 1, k: 1}}", "mapping.layers: a machine whose array has caches"),
    ],
)
def test_keys_that_caches_leave_without_effect_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_hardware("eden_cpu", [override])


def test_operands_wider_than_the_lanes_are_refused() -> None:
    graph = load_workload("lenet5")
    wide = replace(graph, layers=(replace(graph.layers[0], weight_bits=64), *graph.layers[1:]))
    with pytest.raises(InputError, match="has operands of 64 bits, the array multiplies up to 32"):
        simulate("eden_cpu", wide)


@pytest.mark.parametrize("bits", [1, 3, 8, 12, 16, 32])
def test_operands_of_any_width_run(bits: int) -> None:
    widths = [f"precision.{operand}_bits={bits}" for operand in ("ifmap", "weight", "ofmap")]
    for preset in ("eden_cpu", "eden_gpu"):
        result = simulate(preset, "tiny_cnn", overrides=widths)
        assert result.totals.effective_macs == result.totals.dense_macs


def test_a_machine_without_caches_needs_scratchpads() -> None:
    plain = load_hardware("systolic_32x32").resolved()
    del plain["sram"]
    with pytest.raises(ConfigError, match="sram: is missing"):
        validate(HardwareConfig, plain, "test", ConfigError)


def test_an_energy_table_without_instructions_is_refused() -> None:
    with pytest.raises(InputError, match="array_operation_pj: has no price for 'instruction'"):
        simulate("eden_cpu", "lenet5", overrides=["energy.table=28nm"])


def test_networks_whose_layers_may_be_skipped_are_refused(tmp_path: Path) -> None:
    workload = tmp_path / "gated.yaml"
    gates = "skip: {gates: feedforward, rate: 0.5, samples: 4}"
    workload.write_text(f"accelsim_workload: 1\nnetwork: resnet20_cifar\n{gates}\n")
    with pytest.raises(InputError, match="layers that may be skipped run on machines with scratchpads alone"):
        simulate("eden_cpu", workload)


@pytest.mark.parametrize(
    ("preset", "memories"),
    [
        ("eden_cpu", {"l1": OnChipMemory(32, 2), "l2": OnChipMemory(512, 2), "l3": OnChipMemory(16384, 1)}),
        ("eden_gpu", {"l1": OnChipMemory(24, 28), "l2": OnChipMemory(3072, 1), "shared_memory": OnChipMemory(96, 28)}),
    ],
)
def test_presets_have_the_memories_of_the_paper(preset: str, memories: dict[str, OnChipMemory]) -> None:
    assert load_hardware(preset).on_chip == memories
    assert load_hardware(f"{preset}_fp32").on_chip == memories


@pytest.mark.parametrize("preset", ["eden_cpu", "eden_gpu", "eden_cpu_fp32", "eden_gpu_fp32"])
def test_presets_run(preset: str) -> None:
    result: Any = simulate(preset, "lenet5", batch=2)
    assert result.totals.effective_macs == result.totals.dense_macs
    assert result.totals.compute_utilization < 1
    assert result.energy_pj["sram"]["read"] > 0


def test_larger_caches_leak_more() -> None:
    table = load_energy_table("45nm")
    small, large = (
        simulate("eden_cpu", "lenet5", overrides=["pe_array.caches.l3.capacity_kib=" + kib]).energy_pj["leakage"][
            "sram"
        ]
        for kib in ("1024", "16384")
    )
    assert table.leakage_mw_per_sram_kib > 0
    assert large > 5 * small


def test_an_estimate_charges_the_causes_that_a_simulation_knows() -> None:
    config = load_hardware("eden_cpu")
    memory = memory_interface(config, Dram(config.dram))
    mapping = map_network(load_workload("lenet5"), config, memory, build_array(config))
    estimated, simulated = estimate_stages(mapping.tiles, config), run_stages(mapping.tiles, config)
    assert {cause for timing in estimated.timings for cause in timing.stalls} <= set(STALL_CAUSES)
    assert 0.5 < estimated.end_ps / simulated.end_ps < 1.2
