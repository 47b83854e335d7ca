"""SCNN against a machine that is stepped cycle by cycle, in cycles, in multiplications and in the product."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scnn_stepper import Stepper
from small_layers import SmallLayer, blocks_in_order, sequence_of, small_layers, tilings, whole

from accelsim.config.model import validate
from accelsim.errors import ConfigError
from accelsim.hardware.pe_array.scnn import Scnn, ScnnConfig
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Gemm, Window

if TYPE_CHECKING:
    from accelsim.mapping.tiling import Tiling


def config(**keys: Any) -> ScnnConfig:  # noqa: ANN401 - keys of the record
    plain = {"kind": "scnn", "pe_rows": 2, "pe_cols": 3, "clock_mhz": 1000}
    return validate(ScnnConfig, plain | keys, "test", ConfigError)


@st.composite
def configs(draw: st.DrawFn) -> ScnnConfig:
    return config(
        pe_rows=draw(st.integers(1, 3)),
        pe_cols=draw(st.integers(1, 3)),
        map_lanes=draw(st.integers(1, 5)),
        weight_lanes=draw(st.integers(1, 5)),
        accumulator_banks=draw(st.sampled_from([1, 2, 5, 8, 32, 64])),
        bank_entries=draw(st.sampled_from([1, 2, 7, 32])),
        bank_queue=draw(st.sampled_from([0, 1, 2, 3, 6, 9])),
        weight_fifo_vectors=draw(st.sampled_from([0, 1, 2, 5, 50])),
        index_bits=draw(st.integers(1, 4)),
        drain_lanes=draw(st.integers(1, 5)),
        sparse=draw(st.sampled_from([["ifmap", "weight"], ["ifmap"], ["weight"], []])),
    )


def compare(machine: ScnnConfig, small: SmallLayer, tiling: Tiling) -> None:
    sequence = sequence_of(small, Scnn(machine).costs(small.layer), tiling)
    work = sequence.problem.costs.work(sequence)
    stepper = Stepper(machine, small)
    assert work.cycles.tolist() == [stepper.run_block(block) for block in blocks_in_order(sequence)]
    product = np.zeros_like(small.product)
    for (group, m, n), value in stepper.sums.items():
        product[group, m, n] += value
    assert (product == small.product).all()
    assert work.busy_cycles is not None
    assert work.busy_cycles.sum() == stepper.busy
    if machine.sparse == ("ifmap", "weight"):
        assert work.macs == int(np.einsum("gmk,gnk->", (small.left != 0) + 0, (small.right != 0) + 0))


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_blocks_agree_with_the_machine_stepped(data: st.DataObject) -> None:
    machine, small = data.draw(configs()), data.draw(small_layers())
    compare(machine, small, data.draw(tilings(small)))


@settings(max_examples=60, deadline=None)
@given(configs(), small_layers())
def test_whole_layers_agree_with_the_machine_stepped(machine: ScnnConfig, small: SmallLayer) -> None:
    compare(machine, small, whole(small))


def sparse(shape: tuple[int, ...], density: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    random = np.random.default_rng(len(shape) + shape[-1])
    values = random.integers(1, 128, shape)
    values[random.random(shape) >= density] = 0
    return values


@pytest.mark.parametrize(
    ("shape", "operator", "densities"),
    [
        ((1, 6, 13, 12), Conv(20, Window((3, 3), (1, 1), (1, 1, 1, 1))), (0.4, 0.35)),
        ((1, 3, 20, 20), Conv(9, Window((5, 5), (3, 3))), (1.0, 0.8)),
        ((2, 8, 7, 7), Conv(24, Window((1, 1))), (0.3, 0.4)),
        ((1, 6, 9, 9), Conv(6, Window((3, 3), (2, 2), (1, 1, 1, 1)), 6), (0.5, 0.6)),
        ((1, 4, 12, 12), Conv(6, Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2))), (0.03, 0.05)),
        ((3, 60), Gemm(50), (0.35, 0.1)),
    ],
)
@pytest.mark.parametrize("keys", [{}, {"bank_queue": 0, "weight_fifo_vectors": 8, "accumulator_banks": 16}])
def test_layers_of_papers_in_small(
    shape: tuple[int, ...], operator: Conv | Gemm, densities: tuple[float, float], keys: dict[str, int]
) -> None:
    weights = sparse(operator.weight_shape((shape,)), densities[1])
    small = SmallLayer(operator, sparse(shape, densities[0]), weights)
    compare(config(**keys), small, whole(small))


@pytest.mark.parametrize(
    ("shape", "operator", "densities"),
    [
        ((1, 48, 28, 28), Conv(64, Window((3, 3), (1, 1), (1, 1, 1, 1))), (0.4, 0.35)),
        ((1, 96, 14, 14), Conv(96, Window((3, 3), (2, 2), (1, 1, 1, 1))), (0.6, 0.2)),
        ((1, 256, 7, 7), Conv(256, Window((1, 1))), (0.3, 0.4)),
        ((1, 6000), Gemm(256), (0.4, 0.1)),
        ((8, 3000), Gemm(320), (0.5, 0.05)),
    ],
)
@pytest.mark.parametrize("known", ["ifmap", "weight", "neither"])
def test_densities_say_what_tensors_of_them_say(
    shape: tuple[int, ...], operator: Conv | Gemm, densities: tuple[float, float], known: str
) -> None:
    machine = config(pe_rows=8, pe_cols=8, map_lanes=4, weight_lanes=4)
    small = SmallLayer(operator, sparse(shape, densities[0]), sparse(operator.weight_shape((shape,)), densities[1]))
    stated = [OperandData(OperandStatistics(density=density), stated=True) for density in densities]
    layer = small.layer
    if known != "ifmap":
        layer = replace(layer, ifmap=stated[0])
    if known != "weight":
        layer = replace(layer, weight=stated[1])
    exact, drawn = (
        sequence.problem.costs.work(sequence)
        for sequence in (sequence_of(small, Scnn(machine).costs(one), whole(small)) for one in (small.layer, layer))
    )
    assert drawn.cycles.sum() == pytest.approx(exact.cycles.sum(), rel=0.06)
    assert drawn.macs == pytest.approx(exact.macs, rel=0.05)
    assert drawn.read_bits["ifmap"] == pytest.approx(exact.read_bits["ifmap"], rel=0.05)
    assert drawn.read_bits["weight"] == pytest.approx(exact.read_bits["weight"], rel=0.05)
    assert drawn.operations["crossbar_product"] == pytest.approx(exact.operations["crossbar_product"], rel=0.05)


def test_queues_that_cannot_be_counted_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"bank_queue \+ map_lanes \* weight_lanes is 66"):
        config(map_lanes=32, weight_lanes=2, bank_queue=2)
    with pytest.raises(ConfigError, match="sparse"):
        config(sparse=["psum"])


def test_longer_queues_and_fifos_are_never_slower() -> None:
    operator = Conv(24, Window((3, 3), (1, 1), (1, 1, 1, 1)))
    small = SmallLayer(operator, sparse((1, 24, 12, 12), 0.5), sparse((24, 24, 3, 3), 0.5))

    def cycles(**keys: int) -> int:
        sequence = sequence_of(small, Scnn(config(**keys)).costs(small.layer), whole(small))
        return int(sequence.problem.costs.work(sequence).cycles.sum())

    queues = [cycles(bank_queue=depth) for depth in (0, 1, 2, 4, 8)]
    fifos = [cycles(weight_fifo_vectors=depth) for depth in (1, 20, 50, 200, 0)]
    assert queues == sorted(queues, reverse=True)
    assert fifos == sorted(fifos, reverse=True)
    assert queues[0] > 1.05 * queues[-1]
    assert fifos[0] > fifos[-1]
