"""DianNao, Cambricon-X, Stripes and Pragmatic against what their own papers report, stated as found.

Nothing in the models was set to meet these figures. Each test states what was published beside what comes out, and
holds the latter to within 3 %, so that a change that moves it is seen. Densities and essential bits are recalled from
tables that the papers print (see the descriptions of the workloads); where a figure is far off, the reason stands here
as far as it is known. What is compared is the time of the arrays, each layer in buffers that hold all of it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from small_layers import sequence_of_layer, whole_of

from accelsim.config.loader import load_hardware
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.array_costs import ArrayLayer
from accelsim.pipeline import simulate
from accelsim.workload.loader import load_workload
from accelsim.workload.operators import Conv, Gemm

NETWORKS = ("alexnet", "googlenet", "vgg19")


@cache
def layer_times(hardware: str, workload: str, *changes: str) -> dict[str, tuple[str, float]]:
    """Per layer its kind, and the time of the array in cycles of a gigahertz."""
    config, graph = load_hardware(hardware, changes), load_workload(workload)
    array, precision = build_array(config), config.precision
    times = {}
    for layer in graph.layers:
        operator, dims = layer.operator, graph.gemm_dims(layer)
        if dims is None or not isinstance(operator, Conv | Gemm):
            continue
        seen = ArrayLayer(
            name=layer.name,
            operator=operator,
            ifmap_shape=graph.input_shapes(layer)[0],
            ofmap_shape=graph.tensors[layer.output].shape,
            dims=dims,
            ifmap_bits=precision.ifmap_bits,
            weight_bits=precision.weight_bits,
            ofmap_bits=precision.ofmap_bits,
            psum_bits=precision.psum_bits,
            ifmap=graph.annotations.of_tensor(layer.inputs[0]),
            weight=graph.annotations.of_tensor(layer.weight),
        )
        cycles = int(sequence_of_layer(seen, array.costs(seen), whole_of(dims)).work.cycles.sum())
        times[layer.name] = (operator.op, cycles * 1_000 / config.pe_array.clock_mhz)
    return times


def array_time(hardware: str, workload: str, ops: tuple[str, ...], *changes: str) -> float:
    """Time of the array on the layers of some kinds."""
    return sum(time for op, time in layer_times(hardware, workload, *changes).values() if op in ops)


def geometric_mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def speedups(hardware: str, baseline: str, *changes: str) -> list[float]:
    """On the convolutions of the networks whose essential bits are known."""
    return [
        array_time(baseline, f"{name}_essential_bits", ("conv",))
        / array_time(hardware, f"{name}_essential_bits", ("conv",), *changes)
        for name in NETWORKS
    ]


def test_diannao_reaches_its_operations_per_second() -> None:
    """Published 452 GOP/s (ASPLOS 2014, recalled); 502 is the peak with an addition for every multiplication."""
    array = load_hardware("diannao").pe_array
    assert 2 * array.elements * array.clock_mhz / 1_000 == pytest.approx(501.8, rel=0.001)
    macs = 2 * 128 * 27 * 27 * 48 * 25  # AlexNet's conv2, two groups
    assert 2 * macs / layer_times("diannao", "alexnet")["conv2"][1] == pytest.approx(501.7, rel=0.001)


@pytest.mark.parametrize(
    ("workload", "ops", "found"),
    [
        ("alexnet_pruned", ("conv", "gemm"), 3.53),
        ("alexnet_pruned", ("conv",), 3.43),
        ("alexnet_pruned", ("gemm",), 7.58),
        ("vgg16_pruned", ("conv", "gemm"), 2.85),
        ("vgg16_pruned", ("gemm",), 14.75),
    ],
)
def test_cambricon_x_over_diannao(workload: str, ops: tuple[str, ...], found: float) -> None:
    """Published: 7.23 times as fast on average over sparse networks (MICRO 2016), which is not reached.

    Convolutions with a third of their weights gain some three times at most on as many multipliers; only the first
    layers gain more, for DianNao leaves 13 of its 16 inputs idle there. Fully connected layers with 4 to 9 % of their
    weights lie beyond the published mean.
    """
    times = [array_time(name, workload, ops) for name in ("diannao", "cambricon_x")]
    assert times[0] / times[1] == pytest.approx(found, rel=0.03)


def test_cambricon_x_over_diannao_on_average() -> None:
    """Published: 7.23 on average. Over the four networks whose pruning Han et al. print it is 6.41, arithmetic mean.

    Small networks decide it: 6.96, 12.31, 3.53, 2.85. Which ones the paper averages, and how, is not known here.
    """
    networks = ("lenet_300_100_pruned", "lenet5_pruned", "alexnet_pruned", "vgg16_pruned")
    times = [
        [array_time(name, network, ("conv", "gemm")) for name in ("diannao", "cambricon_x")] for network in networks
    ]
    found = [diannao / cambricon_x for diannao, cambricon_x in times]
    assert found == pytest.approx([6.96, 12.31, 3.53, 2.85], rel=0.03)
    assert np.mean(found) == pytest.approx(6.41, rel=0.03)


@cache
def on_chip(hardware: str, workload: str) -> tuple[float, dict[str, float]]:
    """Energy without the DRAM's, and power by component in mW, as the closed form of the run has them."""
    result = simulate(hardware, workload, accuracy=False, fidelity="estimate")
    energy = {name: sum(actions.values()) for name, actions in result.energy_pj.items() if name != "dram"}
    return sum(energy.values()), {name: pj / result.totals.latency_ns for name, pj in energy.items()}


def test_energy_of_cambricon_x_over_diannao() -> None:
    """Published: 6.43 times less energy on average; on chip 6.80, 3.67, 1.84 and 2.11 times, 3.6 in the mean.

    The published powers, 485 and 954 mW, and the published speedup come to 3.7 times.
    """
    networks = ("lenet_300_100_pruned", "lenet5_pruned", "alexnet_pruned", "vgg16_pruned")
    found = [on_chip("diannao", network)[0] / on_chip("cambricon_x", network)[0] for network in networks]
    assert found == pytest.approx([6.80, 3.67, 1.84, 2.11], rel=0.01)
    assert np.mean(found) == pytest.approx(7.23 * 485 / 954, rel=0.03)


def test_power_of_diannao_and_cambricon_x_is_not_met() -> None:
    """Published: 485 mW (ASPLOS 2014) and 954 mW (MICRO 2016); on VGG-16 1.73 and 2.18 W.

    The parts of the former, as recalled: 132 mW in the multipliers and adders, 105 in the synapse buffer, 91 and 92 in
    the other two. 4096 bits of weights in every cycle make the second of them 0.026 pJ per bit, a quarter of what the
    table has for a bank of 2 KiB (ISCA 2016); the transfers of those bits have no counterpart in the paper. Nothing was
    set to close the gap.
    """
    diannao, cambricon_x = (on_chip(name, "vgg16_pruned")[1] for name in ("diannao", "cambricon_x"))
    assert sum(diannao.values()) == pytest.approx(1_735, rel=0.01)
    assert sum(cambricon_x.values()) == pytest.approx(2_175, rel=0.01)
    assert diannao["sram"] + diannao["interconnect"] > 0.6 * sum(diannao.values())


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ((), 2.41),  # published 2.6: two-bit first stage, columns wait for each other
        (("pe_array.column_registers=1",), 3.12),  # published 3.1: one synapse set register
        (("pe_array.first_stage_bits=4",), 2.43),  # single-stage shifting: published about the same as two bits
        (("pe_array.first_stage_bits=0",), 1.83),
    ],
)
def test_pragmatic_over_dadiannao(changes: tuple[str, ...], found: float) -> None:
    """Published: 2.6 times as fast on convolutions, 3.1 times with column synchronisation (means of six networks)."""
    assert geometric_mean(speedups("bit_pragmatic", "dadiannao", *changes)) == pytest.approx(found, rel=0.03)


def test_pragmatic_over_stripes() -> None:
    """Published: 1.4 times as fast. Here 1.47."""
    assert geometric_mean(speedups("bit_pragmatic", "stripes")) == pytest.approx(1.47, rel=0.03)


def test_equalised_peers_have_the_buffers_and_the_bandwidth_of_smartexchange() -> None:
    reference = load_hardware("smartexchange")
    for name, elements in (("diannao_1k", 1024), ("cambricon_x_1k", 1024), ("bit_pragmatic_8k", 8192)):
        peer = load_hardware(name)
        assert peer.pe_array.elements == elements
        assert peer.pe_array.clock_mhz == reference.pe_array.clock_mhz
        for part in ("sram", "dram", "precision", "vector_unit", "energy", "mapping"):
            assert getattr(peer, part) == getattr(reference, part)
