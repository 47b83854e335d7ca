"""The first TPU against its performance counters: Jouppi et al., ISCA 2017, table 3, sections 4 and 7.

The paper's shares of cycles add up to 100 % as ours do, and are set side by side so:

==================  ==================================================================================================
array active        compute cycles of the layers with matrices, which are those in which data stream
weight stall        stalls by ``weight_fetch``
weight shift        stalls by ``weight_shift``
non-matrix          everything else: vector layers, results that pass the vector unit, the unified buffer's port,
                    inputs from the host and results to it. The paper's RAW and input stalls are reasons for these
                    cycles, and overlap.
==================  ==================================================================================================

The networks are stand-ins (`accelsim.workload.zoo.tpu`): of the paper's only layer counts, weights, operations per byte
and batch are public. Rows of MLP1, LSTM1 and CNN1 are recalled, not read in a source at hand.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from accelsim.pipeline import simulate
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.loader import load_workload
from accelsim.workload.operators import Gemm


class Shares(NamedTuple):
    """Percent of all cycles."""

    active: float
    weight_stall: float
    weight_shift: float
    non_matrix: float


MEASURED = {
    "mlp0": Shares(12.7, 53.9, 15.9, 17.5),
    "lstm0": Shares(8.2, 58.1, 15.8, 17.9),
    "cnn0": Shares(78.2, 0.0, 0.0, 21.8),
    "mlp1": Shares(10.6, 44.2, 13.4, 31.9),
    "lstm1": Shares(10.5, 62.1, 17.1, 10.3),
    "cnn1": Shares(46.2, 28.1, 7.0, 18.7),
}

PUBLISHED = {
    "mlp0": (5, 0, 20, 200, 200),
    "lstm0": (24, 34, 52, 64, 64),
    "cnn0": (16, 0, 8, 2888, 8),
    "mlp1": (4, 0, 5, 168, 168),
    "lstm1": (37, 19, 34, 96, 96),
    "cnn1": (76, 13, 100, 1750, 32),
}
"""Layers with matrices, vector layers and pools, millions of weights, operations per byte, batch."""


@cache
def cycles_of(app: str, *overrides: str) -> tuple[int, float, Shares]:
    """Cycles, latency in µs, and shares."""
    result = simulate("tpu_v1", f"tpu_{app}", overrides=overrides)
    total = result.totals.total_cycles
    active = sum(layer.compute_cycles for layer in result.layer_results if layer.dense_macs)

    def stalled(cause: str) -> int:
        return sum(layer.stalls.get(cause, 0) for layer in result.layer_results)

    parts = (active, stalled("weight_fetch"), stalled("weight_shift"))
    shares = [100 * part / total for part in (*parts, total - sum(parts))]
    return total, result.totals.latency_ns / 1e3, Shares(*shares)


@pytest.mark.parametrize("app", MEASURED)
def test_stand_ins_have_the_published_numbers(app: str) -> None:
    graph = load_workload(f"tpu_{app}")
    matrices, vectors, weights, intensity, batch = PUBLISHED[app]
    with_weights = [layer for layer in graph.layers if graph.weight_tensor(layer) is not None]
    stored = sum(tensor.elements for layer in with_weights if (tensor := graph.weight_tensor(layer)) is not None)
    assert len(with_weights) == matrices
    beside = [layer for layer in graph.layers if layer.op in ("elementwise", "pool") or "squashed" in layer.name]
    assert len(beside) == vectors
    assert graph.batch == batch
    assert stored / 1e6 == pytest.approx(weights, rel=0.05)
    assert graph.total_macs / stored == pytest.approx(intensity, rel=0.07)


@pytest.mark.parametrize("app", ["mlp0", "lstm0", "cnn0"])
def test_active_cycles_lie_within_ten_points_of_the_counters(app: str) -> None:
    """Simulated: MLP0 14.1, LSTM0 8.9, CNN0 80.0 %."""
    assert abs(cycles_of(app)[2].active - MEASURED[app].active) < 4


@pytest.mark.parametrize("app", ["mlp0", "lstm0", "cnn0"])
def test_shift_shows_as_much_as_the_counters_say(app: str) -> None:
    """Simulated: MLP0 17.4, LSTM0 17.0, CNN0 0.8 %: where weights are waited for, all of a shift shows."""
    assert abs(cycles_of(app)[2].weight_shift - MEASURED[app].weight_shift) < 2


@pytest.mark.parametrize("app", ["mlp0", "lstm0", "cnn0"])
def test_weights_are_waited_for_about_as_long(app: str) -> None:
    """Simulated: MLP0 62.0, LSTM0 63.9, CNN0 0.6 %.

    It is 6 to 8 points more than measured where weights are the bottleneck, by as much as there are fewer other cycles
    without a matrix: 6.5 and 10.2 % instead of 17.5 and 17.9. The latency of instructions that depend on each other is
    no part of the machine; while they wait weights go on arriving, so that the time is the same.
    """
    assert abs(cycles_of(app)[2].weight_stall - MEASURED[app].weight_stall) < 9


@pytest.mark.parametrize("app", ["mlp1", "lstm1"])
def test_other_applications_that_wait_for_weights(app: str) -> None:
    """Simulated: MLP1 11.7 active and 17.1 shift, LSTM1 13.7 and 17.5 %."""
    shares = cycles_of(app)[2]
    assert abs(shares.active - MEASURED[app].active) < 5
    assert abs(shares.weight_shift - MEASURED[app].weight_shift) < 5


def test_second_cnn_lies_between_the_bounds() -> None:
    """Simulated: 61.7 % active against 46.2 measured, 17.0 % weight stall against 28.1.

    No shapes of it are known: this holds only that both walls show, and that half of the array is used while active.
    """
    shares = cycles_of("cnn1")[2]
    assert 40 < shares.active < 70
    assert 10 < shares.weight_stall < 35
    assert 2 < shares.weight_shift < 10


@pytest.mark.parametrize(("side", "microseconds", "steps"), [(256, 18, 9), (512, 32, 4)])
def test_larger_arrays_take_longer_over_a_matrix_that_fills_no_tile(side: int, microseconds: int, steps: int) -> None:
    """Section 7, a matrix of 600 x 600: nine steps of 2 µs on 256 x 256, four of 8 µs on 512 x 512.

    Simulated: 17.94 and 31.90 µs for each of several such matrices in a row.
    """
    overrides = [
        f"pe_array.rows={side}", f"pe_array.cols={side}", f"vector_unit.lanes={side}",
        f"sram.weight_fifo.capacity_kib={4 * side * side // 1024}", f"sram.unified_buffer.bytes_per_cycle={side}",
    ]  # fmt: skip

    def latency_us(matrices: int) -> float:
        graph = chain("gates", Tensor("x", (96, 600)), [(f"gate{number}", Gemm(600)) for number in range(matrices)])
        result = simulate("tpu_v1", graph, overrides=overrides)
        assert all(layer.compute_cycles == steps * 96 for layer in result.layer_results)
        assert result.totals.dram_read_bytes == matrices * steps * side * side
        return result.totals.latency_ns / 1e3

    assert (latency_us(6) - latency_us(2)) / 4 == pytest.approx(microseconds, rel=0.02)


def test_four_times_the_bandwidth_gives_three_times_the_speed_on_average() -> None:
    """Simulated: MLP0 3.5, MLP1 3.3, LSTM0 3.1, LSTM1 3.4, CNN0 1.0, CNN1 1.3.

    That is 2.6 on average over the six, and 3.2 by the paper's mix of 61 % MLPs, 29 % LSTMs and 5 % CNNs (table 1).
    """
    gain = {app: cycles_of(app)[0] / cycles_of(app, "dram.channels=8")[0] for app in MEASURED}
    mix = {"mlp0": 30.5, "mlp1": 30.5, "lstm0": 14.5, "lstm1": 14.5, "cnn0": 2.5, "cnn1": 2.5}
    assert sum(mix[app] * gain[app] for app in mix) / sum(mix.values()) == pytest.approx(3, rel=0.1)
    assert sum(gain.values()) / len(gain) == pytest.approx(3, rel=0.15)


def test_four_times_the_clock_helps_the_cnn_alone() -> None:
    """The paper: hardly any gain for MLPs and LSTMs, twice the speed for CNNs. Simulated: 1.01, 1.02 and 2.1."""
    gain = {app: cycles_of(app)[1] / cycles_of(app, "pe_array.clock_mhz=2800")[1] for app in ("mlp0", "lstm0", "cnn0")}
    assert gain["mlp0"] < 1.02
    assert gain["lstm0"] < 1.03
    assert gain["cnn0"] == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("app", ["mlp0", "lstm0", "cnn0"])
def test_estimate_knows_what_the_array_waits_for(app: str) -> None:
    """The closed form that explorations use: 0.988, 1.032 and 0.996 of the simulated cycles."""
    estimate = simulate("tpu_v1", f"tpu_{app}", fidelity="estimate")
    assert estimate.totals.total_cycles == pytest.approx(cycles_of(app)[0], rel=0.05)
    for layer in estimate.layer_results:
        assert sum(layer.stalls.values()) == layer.stall_cycles
