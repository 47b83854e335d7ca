"""The row-stationary array against what the Eyeriss chip was measured at.

Measured figures: Chen et al., "Eyeriss", JSSC 2017, the convolutions of AlexNet (four images) and VGG-16 (three) at
200 MHz, link of 60 MHz. AlexNet's power and zeros are recalled, the split of the power as well; so is all of VGG-16's.
Layouts are found by the preset's rule (`pe_array.pass_rule`). Two of its limits are fitted, to VGG-16's latencies and
active elements, so what is held against AlexNet's table is independent of any fit, and what is held against VGG-16's is
not: of that the latencies tell how well one rule explains thirteen layers, the traffic checks it.
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
    """-3.2, -3.3, -2.5, -0.5, +6.2 %."""
    found = deviations()
    assert sum(map(abs, found.values())) / len(found) <= 0.05
    expected = {"conv1": 15.97, "conv2": 37.92, "conv3": 21.25, "conv4": 15.92, "conv5": 10.62}
    assert {name: processing_ms(name) for name in TABLE} == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize("name", TABLE)
def test_as_many_elements_work_as_on_the_chip(name: str) -> None:
    assert layers()[name].mapping["active_elements"] == TABLE[name].active


@pytest.mark.parametrize("name", PAPER_LAYOUTS)
def test_rule_finds_the_layout_of_the_paper(name: str) -> None:
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
    """ISCA 2016 finds 1.4 to 2.5 times less than with other dataflows at equal area; here 1.55 (WS) and 1.56 (OS)."""
    array = f"{{kind: systolic, rows: 12, cols: 14, dataflow: {dataflow}, clock_mhz: 200, operand_bits: 16}}"
    systolic = [f"pe_array={array}", "sram.global_buffer.double_buffer=true"]
    energies = []
    for overrides in (["pe_array.compression=none"], systolic):
        result = simulate("eyeriss", "alexnet", overrides=overrides, batch=4)
        parts = [layer for layer in result.layer_results if layer.name in TABLE]
        energies.append(sum(layer.energy_pj - layer.energy_by_component["leakage"] for layer in parts))
    assert 1.4 <= energies[1] / energies[0] <= 2.5


UNFITTED = ["pe_array.pass_rule.ifmap_banks=25", "pe_array.pass_rule.least_use=0"]


def test_layouts_of_alexnet_owe_nothing_to_what_was_fitted() -> None:
    unfitted = simulate("eyeriss", "alexnet_eyeriss", overrides=UNFITTED, fidelity="estimate")
    for layer in unfitted.layer_results:
        if layer.name in TABLE:
            assert layer.mapping["pass"] == layers()[layer.name].mapping["pass"]
            assert layer.compute_cycles == layers()[layer.name].compute_cycles


VGG16_TABLE = {
    "conv1_1": Measured(76.2, 38.0, 247, 156, 112.6, 15.4),
    "conv1_2": Measured(910.3, 810.6, 218, 156, 2402.8, 54.0),
    "conv2_1": Measured(470.3, 405.3, 242, 156, 1201.4, 33.4),
    "conv2_2": Measured(894.3, 810.8, 231, 156, 2402.8, 48.5),
    "conv3_1": Measured(241.1, 204.0, 254, 156, 607.4, 20.2),
    "conv3_2": Measured(460.9, 408.1, 235, 156, 1214.8, 32.2),
    "conv3_3": Measured(457.7, 408.1, 233, 156, 1214.8, 30.8),
    "conv4_1": Measured(135.8, 105.1, 278, 168, 321.8, 17.8),
    "conv4_2": Measured(254.8, 210.0, 261, 168, 643.7, 28.6),
    "conv4_3": Measured(246.3, 210.0, 240, 168, 643.7, 22.8),
    "conv5_1": Measured(54.3, 48.3, 258, 168, 90.0, 6.3),
    "conv5_2": Measured(53.7, 48.5, 236, 168, 90.0, 5.7),
    "conv5_3": Measured(53.7, 48.5, 230, 168, 90.0, 5.6),
}
"""VGG-16, recalled."""

VGG16_DRAM_FAR = {"conv1_2": 1.57, "conv4_2": 1.25, "conv4_3": 1.45}
"""Simulated over recalled DRAM traffic where it is not within 15 %: the chip seems to cut the rows of conv1_2 in two,
and to fetch the weights of conv4 once an image."""


@cache
def vgg16_layers() -> dict[str, LayerResult]:
    result = simulate("eyeriss", "vgg16_eyeriss")
    return {layer.name: layer for layer in result.layer_results if layer.name in VGG16_TABLE}


def test_one_rule_explains_the_latencies_of_vgg16() -> None:
    """-3.8 % twice, -3.1 % twice, -0.8 % three times, +6.2 % three times, -3.2 to -3.6 % three times."""
    found = [
        vgg16_layers()[name].compute_cycles / CYCLES_PER_MS / row.processing_ms for name, row in VGG16_TABLE.items()
    ]
    assert max(abs(ratio - 1) for ratio in found) <= 0.08
    assert sum(abs(ratio - 1) for ratio in found) / len(found) <= 0.04


def test_as_many_elements_work_on_vgg16_as_on_the_chip() -> None:
    active = {name: layer.mapping["active_elements"] for name, layer in vgg16_layers().items()}
    assert active == {name: row.active for name, row in VGG16_TABLE.items()}


@pytest.mark.parametrize("name", VGG16_TABLE)
def test_traffic_of_vgg16_is_near_the_chip(name: str) -> None:
    """That of the buffer within 7 %, which nothing was fitted to; that of the DRAM within 15 % but for three layers."""
    layer, row = vgg16_layers()[name], VGG16_TABLE[name]
    words = layer.mapping["words"]
    assert isinstance(words, dict)
    assert (words["ifmap"] + 2 * words["psum"]) * BYTES_PER_WORD / 1e6 == pytest.approx(row.buffer_mb, rel=0.07)
    ratio = (layer.dram_read_bytes + layer.dram_write_bytes) / 1e6 / row.dram_mb
    assert ratio == pytest.approx(VGG16_DRAM_FAR.get(name, 1.0), rel=0.01 if name in VGG16_DRAM_FAR else 0.15)


def test_total_latency_of_vgg16_is_near_the_chip() -> None:
    """4351 ms with what the link takes, 4309.5 on the chip."""
    total = sum(layer.total_cycles for layer in vgg16_layers().values()) / CYCLES_PER_MS
    assert total == pytest.approx(sum(row.total_ms for row in VGG16_TABLE.values()), rel=0.03)
