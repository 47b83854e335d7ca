from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sample_run import PEAK_MACS, make_run

from accelsim.report import layer_figures

if TYPE_CHECKING:
    from accelsim.result import RunResult


@pytest.fixture(scope="module")
def run() -> RunResult:
    return make_run(12)


def test_cycles_add_up_to_the_totals(run: RunResult) -> None:
    data = layer_figures.cycles_per_layer(run)
    assert sum(data.compute_cycles) == run.totals.compute_cycles
    assert sum(map(sum, data.stall_cycles.values())) == run.totals.stall_cycles
    assert data.layers == tuple(layer.name for layer in run.layer_results)


def test_causes_that_never_occurred_are_left_out(run: RunResult) -> None:
    assert list(layer_figures.cycles_per_layer(run).stall_cycles) == ["ifmap_fetch", "weight_fetch"]


def test_energy_of_layers_and_actions_adds_up_to_the_total(run: RunResult) -> None:
    per_layer = layer_figures.energy_per_layer(run)
    assert math.fsum(map(math.fsum, per_layer.energy_pj.values())) == pytest.approx(run.totals.energy_pj)
    assert layer_figures.energy_actions(run).total_pj == pytest.approx(run.totals.energy_pj)


def test_energy_actions_fall(run: RunResult) -> None:
    sums = [math.fsum(actions.values()) for actions in layer_figures.energy_actions(run).energy_pj.values()]
    assert sums == sorted(sums, reverse=True)


def test_roofline_counts_every_layer_once(run: RunResult) -> None:
    data = layer_figures.roofline(run)
    assert len(data.points) + data.layers_without_macs == len(run.layer_results)
    assert data.layers_without_macs == 3  # every fourth sample layer is a pool
    assert data.dram_bytes_per_cycle == pytest.approx(19.2e9 / 700e6)


def test_no_sample_layer_beats_the_peak(run: RunResult) -> None:
    data = layer_figures.roofline(run)
    assert all(point.macs_per_cycle <= PEAK_MACS for point in data.points)
    assert data.bound(math.inf) == PEAK_MACS
    assert data.bound(1.0) == pytest.approx(19.2e9 / 700e6)


def test_a_layer_without_dram_traffic_has_infinite_intensity(run: RunResult) -> None:
    layer = replace(run.layer_results[0], dram_read_bytes=0, dram_write_bytes=0)
    data = layer_figures.roofline(replace(run, layer_results=(layer,)))
    assert math.isinf(data.points[0].macs_per_byte)


def test_unknown_causes_follow_the_known_ones(run: RunResult) -> None:
    stalls = {"moon_phase": 5, "weight_fetch": 1}
    layer = replace(run.layer_results[0], stalls=stalls, stall_cycles=6)
    data = layer_figures.cycles_per_layer(replace(run, layer_results=(layer,)))
    assert data.stall_cycles == {"weight_fetch": (1,), "moon_phase": (5,)}
    assert layer_figures.main_stall_cause(layer) == "moon_phase"


def test_a_layer_that_never_stalls_has_no_main_cause(run: RunResult) -> None:
    assert layer_figures.main_stall_cause(replace(run.layer_results[0], stalls={"weight_fetch": 0})) is None
    assert layer_figures.main_stall_cause(replace(run.layer_results[0], stalls={})) is None


def test_fused_layers_are_counted_with_their_carrier() -> None:
    run = make_run(6, fused=True)
    cycles = layer_figures.cycles_per_layer(run)
    energy = layer_figures.energy_per_layer(run)
    assert cycles.layers == energy.layers == tuple(layer.name for layer in run.layer_results[::2])
    assert cycles.layers_without_time == 6
    assert sum(cycles.compute_cycles) == run.totals.compute_cycles
    assert math.fsum(map(math.fsum, energy.energy_pj.values())) == pytest.approx(run.totals.energy_pj)
    assert energy.energy_pj["vector_unit"][0] == run.layer_results[0].energy_by_component["vector_unit"] + 500


def test_energy_of_a_layer_fused_into_nothing_known_stays_its_own() -> None:
    run = make_run(1, fused=True)
    rider = replace(run.layer_results[1], mapping={"fused_into": "elsewhere"})
    energy = layer_figures.energy_per_layer(replace(run, layer_results=(run.layer_results[0], rider)))
    assert energy.layers == ("layer000.conv", "layer000.conv.relu")
