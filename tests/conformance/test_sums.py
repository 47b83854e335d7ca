"""What holds for every machine and every network: sums are exact, and nothing is faster than it can be."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction

import pytest

from accelsim.config.loader import list_presets, load_hardware
from accelsim.energy.model import RESOLUTION_PJ
from accelsim.pipeline import simulate
from accelsim.result import ENERGY_COMPONENTS, STALL_CAUSES, LayerResult, RunResult, Totals
from accelsim.workload.loader import load_workload
from accelsim.workload.zoo import NETWORKS

PRESETS = [preset.name for preset in list_presets("accelerators")]
HANDFUL = ("lenet5", "resnet20_cifar", "mobilenetv2", "two_towers", "transformer_block", "tiny_cnn")

SKIPS_PADDING = {"bit_pragmatic", "scnn"}
"""Arrays that find zeros where they look, those of padding as well; their own tests count them."""


class SumConformance:
    """The sums of design.md, and the bounds of physics, on one run."""

    def check(self, hardware: str, workload: str) -> None:
        result = simulate(hardware, workload)
        self.layers_add_up_to_the_totals(result)
        self.components_add_up_to_the_energy(result)
        self.causes_add_up_to_the_stalls(result)
        self.work_is_that_of_the_network(result, workload)
        self.nothing_beats_the_roofline(result)
        self.buffers_hold_no_more_than_they_can(result)
        assert RunResult.from_dict(result.to_dict()) == result

    @staticmethod
    def layers_add_up_to_the_totals(result: RunResult) -> None:
        layers = result.layer_results
        summed = {field.name for field in fields(Totals)} & {field.name for field in fields(LayerResult)}
        assert len(summed) == 8
        for name in summed:
            exact = sum(Fraction(getattr(layer, name)) for layer in layers)
            assert same(exact, getattr(result.totals, name)), name
        dram = sum(Fraction(layer.energy_by_component["dram"]) for layer in layers)
        assert same(dram, result.totals.dram_energy_pj)

    @staticmethod
    def components_add_up_to_the_energy(result: RunResult) -> None:
        assert set(result.energy_pj) == set(ENERGY_COMPONENTS)
        by_component = {name: sum(map(Fraction, actions.values())) for name, actions in result.energy_pj.items()}
        assert same(sum(by_component.values()), result.totals.energy_pj)
        for name, energy in by_component.items():
            parts = sum(Fraction(layer.energy_by_component[name]) for layer in result.layer_results)
            assert same(energy, float(parts))
        for layer in result.layer_results:
            assert sum(map(Fraction, layer.energy_by_component.values())) == layer.energy_pj
            assert min(layer.energy_by_component.values()) >= 0

    @staticmethod
    def causes_add_up_to_the_stalls(result: RunResult) -> None:
        for layer in result.layer_results:
            assert layer.total_cycles == layer.compute_cycles + layer.stall_cycles
            assert sum(layer.stalls.values()) == layer.stall_cycles
            assert set(layer.stalls) <= set(STALL_CAUSES)
            assert all(cycles > 0 for cycles in layer.stalls.values())

    @staticmethod
    def work_is_that_of_the_network(result: RunResult, workload: str) -> None:
        graph = load_workload(workload)
        assert [layer.name for layer in result.layer_results] == [layer.name for layer in graph.layers]
        for layer, node in zip(result.layer_results, graph.layers, strict=True):
            assert layer.dense_macs == graph.dense_macs(node)
            seen = layer.mapping.get("operands", {}).values()
            if result.resolved_config["pe_array"]["kind"] in SKIPS_PADDING or "tensor" in seen:
                assert 0 < layer.effective_macs <= layer.dense_macs or not layer.dense_macs
            else:
                assert layer.effective_macs == layer.dense_macs
            assert 0 <= layer.mapping_efficiency <= 1

    @staticmethod
    def nothing_beats_the_roofline(result: RunResult) -> None:
        totals, machine = result.totals, result.machine
        assert totals.total_cycles * machine.peak_macs_per_cycle >= totals.effective_macs
        moved = totals.dram_read_bytes + totals.dram_write_bytes
        assert totals.latency_ns * machine.peak_dram_gb_per_s >= moved * (1 - 1e-12)
        assert totals.latency_ns >= (totals.total_cycles - 1) / machine.clock_mhz * 1e3 * (1 - 1e-12)
        assert totals.latency_ns <= (totals.total_cycles + 1) / machine.clock_mhz * 1e3
        for layer in result.layer_results:
            assert layer.compute_cycles * machine.peak_macs_per_cycle >= layer.effective_macs

    @staticmethod
    def buffers_hold_no_more_than_they_can(result: RunResult) -> None:
        assert result.profile is not None
        for name, held in result.profile.buffer_occupancy.items():
            assert held["bytes"].max() <= result.profile.buffer_capacity_bytes[name]
            assert held["bytes"][-1] == 0


@pytest.mark.parametrize("workload", HANDFUL)
@pytest.mark.parametrize("hardware", PRESETS)
class TestHandful(SumConformance):
    def test_sums_and_bounds(self, hardware: str, workload: str) -> None:
        self.check(hardware, workload)


def same(exact: Fraction | int, found: float) -> bool:
    """Whether a figure is the sum that it should be, to the last bit as far as energies are exact: up to 35 J."""
    if abs(float(exact)) < EXACT_BELOW:
        return exact == found
    return found == pytest.approx(float(exact), rel=1e-14)


EXACT_BELOW = 2**53 * RESOLUTION_PJ


WHOLE_ZOO = ("systolic_32x32", "tpu_v1")
"""Machines that run every network; the others share them out, so that each machine meets some and each network many."""
EVERY = 8
TOO_LARGE = ("radixnet_4096", "radixnet_16384", "radixnet_65536", "radixnet_1024_1920")
"""Networks whose weights, zeros included, are gigabytes."""


def takes(hardware: str, workload: str) -> bool:
    """Whether the array multiplies operands as wide as the network's; the TPU passes wide ones in parts."""
    array = load_hardware(hardware).pe_array
    wide = workload.startswith("tpu_lstm")  # feature maps of 16 bits
    return not wide or array.kind == "double_buffered_systolic" or array.operand_bits >= 16


def zoo_pairs() -> list[tuple[str, str]]:
    networks = sorted(set(NETWORKS) - set(TOO_LARGE))
    return [
        (hardware, workload)
        for row, hardware in enumerate(PRESETS)
        for column, workload in enumerate(networks)
        if (hardware in WHOLE_ZOO or (row + column) % EVERY == 0) and takes(hardware, workload)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("hardware", "workload"), zoo_pairs())
class TestZoo(SumConformance):
    def test_sums_and_bounds(self, hardware: str, workload: str) -> None:
        self.check(hardware, workload)


def test_presets_are_all_there() -> None:
    assert set(PRESETS) >= {"systolic_32x32", "tpu_v1", "eyeriss", "edge_16x16", "scalesim_32x32"}
    for name in PRESETS:
        load_hardware(name)
