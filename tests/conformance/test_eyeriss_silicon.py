"""The row-stationary array against what the Eyeriss chip was measured at.

Measured figures: Chen et al., "Eyeriss", JSSC 2017, AlexNet's convolutions at a batch of 4, 200 MHz, link of 60 MHz.
Power and zeros are recalled, the split of the power as well. No figure of the preset is fitted to this table; see the
sources in ``hw_configs/accelerators/eyeriss.yaml``. The mapping is the mapper's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest

from accelsim.pipeline import simulate

if TYPE_CHECKING:
    from accelsim.result import LayerResult, RunResult

CYCLES_PER_MS = 200_000
BYTES_PER_WORD = 2


@dataclass(frozen=True)
class Measured:
    """A row of the table: milliseconds, milliwatts, elements with work, megabytes."""

    total_ms: float
    processing_ms: float
    power_mw: float
    active: int
    buffer_mb: float
    dram_mb: float


TABLE = {
    "conv1": Measured(20.9, 16.5, 332, 154, 18.5, 5.0),
    "conv2": Measured(41.9, 39.2, 288, 135, 77.6, 4.0),
    "conv3": Measured(23.6, 21.8, 266, 156, 50.2, 3.0),
    "conv4": Measured(18.4, 16.0, 235, 156, 37.4, 2.1),
    "conv5": Measured(10.5, 10.0, 236, 156, 24.9, 1.3),
}

PAPER_LAYOUTS = {
    "conv1": {"e": 7, "p": 16, "q": 1, "r": 1, "t": 2},
    "conv2": {"e": 27, "p": 16, "q": 2, "r": 1, "t": 1},
    "conv4": {"e": 13, "p": 16, "q": 3, "r": 2, "t": 2},
    "conv5": {"e": 13, "p": 16, "q": 3, "r": 2, "t": 2},
}
"""Layouts that the paper prints, recalled; that of conv3 is left out, for what is recalled of it does not agree with
the traffic that was measured."""

DRAM_SHORT = {"conv3": 3.66}
"""Simulated DRAM traffic (MB) that is not within 15 % of what was measured: six fetches of an ifmap of which each value
that is not zero takes 21.3 bits, and the weights once, are 22 % more than the 3.0 MB of the table."""


@cache
def run() -> RunResult:
    return simulate("eyeriss", "alexnet_eyeriss")


@cache
def layers() -> dict[str, LayerResult]:
    return {layer.name: layer for layer in run().layer_results if layer.name in TABLE}


def processing_ms(name: str) -> float:
    return layers()[name].compute_cycles / CYCLES_PER_MS


def deviations() -> dict[str, float]:
    return {name: processing_ms(name) / row.processing_ms - 1 for name, row in TABLE.items()}


@pytest.mark.parametrize("name", TABLE)
def test_processing_latency_of_each_layer_is_within_8_percent(name: str) -> None:
    assert abs(deviations()[name]) <= 0.08


def test_processing_latency_is_within_5_percent_on_average() -> None:
    """-4.5, -3.3, -2.5, -0.5, +6.2 %."""
    found = deviations()
    assert sum(map(abs, found.values())) / len(found) <= 0.05
    expected = {"conv1": 15.75, "conv2": 37.92, "conv3": 21.25, "conv4": 15.92, "conv5": 10.62}
    assert {name: processing_ms(name) for name in TABLE} == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize("name", TABLE)
def test_as_many_elements_work_as_on_the_chip(name: str) -> None:
    assert layers()[name].mapping["active_elements"] == TABLE[name].active


@pytest.mark.parametrize("name", PAPER_LAYOUTS)
def test_mapper_finds_the_layout_of_the_paper(name: str) -> None:
    layout = layers()[name].mapping["pass"]
    assert isinstance(layout, dict)
    assert {letter: layout[letter] for letter in "epqrt"} == PAPER_LAYOUTS[name]


@pytest.mark.parametrize("name", TABLE)
def test_traffic_of_the_global_buffer_is_within_20_percent(name: str) -> None:
    """The table counts inputs read and sums written and read again, results included."""
    words = layers()[name].mapping["words"]
    assert isinstance(words, dict)
    moved = (words["ifmap"] + 2 * words["psum"]) * BYTES_PER_WORD / 1e6
    assert moved == pytest.approx(TABLE[name].buffer_mb, rel=0.2)
    assert moved == pytest.approx(TABLE[name].buffer_mb, rel=0.005), "and is in fact as good as exact"


@pytest.mark.parametrize("name", TABLE)
def test_traffic_of_the_dram_is_within_15_percent_but_for_one_layer(name: str) -> None:
    layer = layers()[name]
    moved = (layer.dram_read_bytes + layer.dram_write_bytes) / 1e6
    if name in DRAM_SHORT:
        assert moved == pytest.approx(DRAM_SHORT[name], rel=0.01)
        assert moved > 1.15 * TABLE[name].dram_mb
    else:
        assert moved == pytest.approx(TABLE[name].dram_mb, rel=0.15)


def test_total_latency_is_near_the_chip_as_a_whole() -> None:
    """What the link takes beside the processing, with buffers that are not double: +16, -4, +7, -5, +11 %."""
    total = sum(layer.total_cycles for layer in layers().values()) / CYCLES_PER_MS
    assert total == pytest.approx(sum(row.total_ms for row in TABLE.values()), rel=0.08)


def test_power_of_what_is_modelled_stays_below_the_chip() -> None:
    """Arithmetic, spads, buffers, networks and leakage: 131 to 95 mW of 332 to 236; the clock tree is not modelled."""
    for name, row in TABLE.items():
        layer = layers()[name]
        on_chip_pj = layer.energy_pj - layer.energy_by_component["dram"]
        power_mw = on_chip_pj / (layer.total_cycles / CYCLES_PER_MS * 1e6)
        assert 0.35 * row.power_mw < power_mw < 0.6 * row.power_mw


@pytest.mark.parametrize(
    ("name", "spads_measured", "arithmetic_measured", "spads", "array"),
    [("conv1", 0.425, 0.089, 0.625, 0.176), ("conv5", 0.331, 0.030, 0.539, 0.117)],
)
def test_split_of_the_power_is_as_found(
    name: str, spads_measured: float, arithmetic_measured: float, spads: float, array: float
) -> None:
    """Spads take some 1.5 times the measured share, for what is not modelled is a third of the chip's power.

    `array` holds the hops of sums between elements beside the arithmetic. Both shares fall with the zeros, as measured.
    """
    energy = dict(layers()[name].energy_by_component)
    del energy["dram"]
    shares = {component: pj / sum(energy.values()) for component, pj in energy.items()}
    assert shares["register_file"] == pytest.approx(spads, abs=0.005)
    assert shares["pe_array"] == pytest.approx(array, abs=0.005)
    assert shares["register_file"] > spads_measured
    assert shares["pe_array"] > arithmetic_measured


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", ["WS", "OS"])
def test_row_stationary_takes_less_energy_than_systolic_arrays_of_as_many_elements(dataflow: str) -> None:
    """ISCA 2016 finds 1.4 to 2.5 times less than with other dataflows at equal area; here 1.55 (WS) and 1.61 (OS)."""
    array = f"{{kind: systolic, rows: 12, cols: 14, dataflow: {dataflow}, clock_mhz: 200, operand_bits: 16}}"
    systolic = [f"pe_array={array}", "sram.global_buffer.double_buffer=true"]
    energies = []
    for overrides in (["pe_array.compression=none"], systolic):
        result = simulate("eyeriss", "alexnet", overrides=overrides, batch=4)
        parts = [layer for layer in result.layer_results if layer.name in TABLE]
        energies.append(sum(layer.energy_pj - layer.energy_by_component["leakage"] for layer in parts))
    assert 1.4 <= energies[1] / energies[0] <= 2.5


@pytest.mark.slow
def test_layouts_given_for_vgg16_fit_and_use_as_many_elements_as_the_chip() -> None:
    """Active elements of the chip on VGG-16 (recalled): 156 where rows are 56 and more pixels, 168 below."""
    result = simulate("eyeriss_vgg16", "vgg16", batch=3)
    active = [layer.mapping["active_elements"] for layer in result.layer_results if layer.op == "conv"]
    assert active == [156] * 7 + [168] * 6
