"""Cambricon-X against its elements stepped cycle by cycle, and its expectations against drawn weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cambricon_x_stepper import Machine, run
from hypothesis import given, settings
from hypothesis import strategies as st
from small_layers import SmallLayer, blocks_in_order, sequence_of, small_layers, tilings, whole

from accelsim.hardware.pe_array.cambricon_x import CambriconX
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Gemm, Window

machines = st.builds(
    Machine,
    elements=st.integers(1, 4),
    multipliers=st.integers(1, 4),
    candidates=st.integers(1, 20),
    step_bits=st.sampled_from([None, 1, 2, 4]),
    stages=st.integers(1, 4),
)


def array_of(machine: Machine) -> CambriconX:
    return CambriconX(machine.elements, machine.multipliers, machine.candidates, machine.step_bits, machine.stages)


@settings(max_examples=150, deadline=None)
@given(small=small_layers(), data=st.data(), machine=machines)
def test_stepped_elements_agree_in_cycles_product_and_storage(
    small: SmallLayer, data: st.DataObject, machine: Machine
) -> None:
    costs = array_of(machine).costs(small.layer)
    sequence = sequence_of(small, costs, data.draw(tilings(small)))
    dense = replace(small, weight=np.ones_like(small.weight))  # without an index every weight is picked, zeros too
    stepped = run(small if costs.indexed else dense, blocks_in_order(sequence), machine)
    work = sequence.work
    if costs.indexed:
        assert (stepped.product == small.product).all()
        assert work.macs == np.count_nonzero(small.weight) * small.layer.dims.m
        bits = costs.weight_tile_bits(sequence)
        assert bits is not None
        place = sequence.index_per_block
        assert bits[sequence.group_per_block, place["n"], place["k"]].tolist() == stepped.stored_bits
    else:
        assert work.macs == small.layer.dims.macs
    assert work.cycles.sum() == stepped.cycles
    assert work.busy_cycles is not None
    assert work.busy_cycles.ravel().tolist() == stepped.busy


@settings(max_examples=60, deadline=None)
@given(small=small_layers(), machine=machines)
def test_an_index_never_takes_more_space_than_none(small: SmallLayer, machine: Machine) -> None:
    costs = array_of(machine).costs(small.layer)
    bits = costs.weight_tile_bits(sequence_of(small, costs, whole(small)))
    assert bits is None or bits.sum() < small.weight.size * 8
    assert costs.weight_form.dram_share <= 1
    if bits is not None:
        assert bits.sum() == pytest.approx(costs.weight_form.dram_share * small.weight.size * 8)


@pytest.mark.parametrize("step_bits", [None, 8, 3])
@pytest.mark.parametrize("density", [0.08, 0.3])
@pytest.mark.parametrize(
    ("operator", "shape"),
    [(Conv(40, Window((3, 3))), (1, 64, 4, 4)), (Gemm(200), (1, 1000)), (Conv(64, Window((3, 3)), 64), (1, 64, 5, 5))],
)
def test_stated_density_gives_what_drawn_weights_give_on_average(
    operator: Conv | Gemm, shape: tuple[int, ...], density: float, step_bits: int | None
) -> None:
    array = CambriconX(16, 4, 256, step_bits, 3)
    random = np.random.default_rng(3)
    drawn, bits = [], []
    for _ in range(40):
        weight = (random.random(operator.weight_shape((shape,))) < density).astype(np.int64)
        small = SmallLayer(operator, np.zeros(shape, np.int64), weight)
        costs = array.costs(small.layer)
        sequence = sequence_of(small, costs, whole(small))
        drawn.append(int(sequence.work.cycles.sum()))
        tile_bits = costs.weight_tile_bits(sequence)
        assert tile_bits is not None
        bits.append(int(tile_bits.sum()))
    stated = OperandData(OperandStatistics(density=density), stated=True)
    expected = array.costs(replace(small.layer, weight=stated))
    work = sequence_of(small, expected, whole(small)).work
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert work.cycles.sum() == pytest.approx(np.mean(drawn), abs=4 * error + 0.004 * np.mean(drawn))
    assert work.description["operands"] == {"weight": "statistics"}
    error = np.std(bits) / np.sqrt(len(bits))
    assert expected.weight_form.dram_share * small.weight.size * 8 == pytest.approx(np.mean(bits), abs=4 * error)
