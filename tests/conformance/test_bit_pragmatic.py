"""Pragmatic against its columns stepped cycle by cycle, and its expectations against drawn activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bit_pragmatic_stepper import Machine, run, terms_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_layers import SmallLayer, blocks_in_order, sequence_of, small_layers, tilings, whole

from accelsim.hardware.pe_array.bit_pragmatic import BitPragmatic
from accelsim.hardware.pe_array.bit_pragmatic_terms import drawn_masks, term_masks
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Window

machines = st.builds(
    Machine,
    filters=st.integers(1, 4),
    lanes=st.integers(1, 4),
    columns=st.integers(1, 4),
    reach=st.sampled_from([1, 2, 4, 16]),
    registers=st.integers(0, 3),
    stages=st.integers(1, 3),
    booth=st.booleans(),
)


def array_of(machine: Machine, *, all_bits: bool = False) -> BitPragmatic:
    terms = "all_bits" if all_bits else ("booth" if machine.booth else "one_bits")
    return BitPragmatic(
        machine.filters,
        machine.lanes,
        machine.columns,
        machine.reach,
        machine.registers,
        machine.stages,
        terms,  # type: ignore[arg-type]
    )


@settings(max_examples=150, deadline=None)
@given(small=small_layers(), data=st.data(), machine=machines)
def test_stepped_columns_agree_in_cycles_product_and_terms(
    small: SmallLayer, data: st.DataObject, machine: Machine
) -> None:
    costs = array_of(machine).costs(small.layer)
    sequence = sequence_of(small, costs, data.draw(tilings(small)))
    stepped = run(small, blocks_in_order(sequence), machine)
    work = sequence.work
    assert (stepped.product == small.product).all()
    assert work.cycles.sum() == stepped.cycles
    assert work.operations == {"shift_add": stepped.terms}
    assert work.macs == np.count_nonzero(small.left) * small.layer.dims.n
    assert work.busy_cycles is not None
    assert work.busy_cycles.tolist() == stepped.busy.tolist()


@settings(max_examples=40, deadline=None)
@given(small=small_layers(), machine=machines)
def test_stripes_takes_a_cycle_for_every_bit(small: SmallLayer, machine: Machine) -> None:
    work = sequence_of(small, array_of(machine, all_bits=True).costs(small.layer), whole(small)).work
    used = int(np.bitwise_or.reduce(np.abs(small.ifmap), axis=None))
    bits = max(used.bit_length() - ((used & -used).bit_length() - 1 if used else 0), 1)
    dims = small.layer.dims
    bricks = sum(-(-len(range(tap, dims.k, small.taps)) // machine.lanes) for tap in range(small.taps))
    windows, rounds = -(-dims.m // machine.columns), -(-dims.n // machine.filters)
    assert work.cycles.sum() == dims.groups * windows * rounds * bricks * bits + machine.stages - 1
    assert work.operations == {"shift_add": dims.macs * bits}


@pytest.mark.parametrize("booth", [False, True])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_terms_of_every_number(booth: bool, dtype: type[np.signedinteger]) -> None:  # noqa: FBT001
    values = np.arange(-128, 128).astype(dtype)
    masks = term_masks(values, "booth" if booth else "one_bits")
    for value, mask in zip(values.tolist(), masks.tolist(), strict=True):
        terms = terms_of(value, booth=booth)
        assert sum(sign << shift for shift, sign in terms) == value
        assert mask == sum(1 << shift for shift, _ in terms)


_STATED = {"one_bits": "one_bits", "booth": "booth_digits"}


@pytest.mark.parametrize("encoding", list(_STATED))
@pytest.mark.parametrize(("density", "terms"), [(0.43, 1.25), (0.5, None), (1.0, 1.0), (0.6, 2.0)])
def test_drawn_terms_have_the_stated_statistics(encoding: str, density: float, terms: float | None) -> None:
    statistics = replace(OperandStatistics(density=density), **{_STATED[encoding]: terms})  # type: ignore[arg-type]
    masks = drawn_masks(statistics, 9, encoding, 100_000)  # type: ignore[arg-type]
    assert np.count_nonzero(masks) / len(masks) == pytest.approx(density, abs=0.01)
    if terms is not None:
        assert np.bitwise_count(masks).mean() == pytest.approx(terms, rel=0.02)
    elif encoding == "one_bits":
        assert np.bitwise_count(masks).mean() == pytest.approx(density * 4 * 256 / 255, rel=0.02)


@pytest.mark.parametrize("registers", [0, 1])
@pytest.mark.parametrize("reach", [1, 4, 16])
@pytest.mark.parametrize("one_bits", [None, 1.4])
def test_stated_statistics_give_what_drawn_activations_give(registers: int, reach: int, one_bits: float | None) -> None:
    array = BitPragmatic(32, 16, 16, reach, registers, 2, "one_bits")
    statistics = OperandStatistics(density=0.5, one_bits=one_bits)
    random = np.random.default_rng(7)
    magnitudes = np.arange(1, 128)
    weights = np.ones(127)
    if one_bits is not None:  # independent bits, of numbers that have 2.8 of them on average
        share = np.linspace(0.01, 0.99, 9_999)
        share = share[np.argmin(np.abs(7 * share / (1 - (1 - share) ** 7) - one_bits / 0.5))]
        ones = np.bitwise_count(magnitudes)
        weights = share**ones * (1 - share) ** (7.0 - ones)
    operator = Conv(40, Window((3, 3)))
    taken = []
    for _ in range(6):
        ifmap = random.choice(magnitudes, (1, 48, 20, 20), p=weights / weights.sum())
        ifmap[random.random(ifmap.shape) >= statistics.density] = 0
        small = SmallLayer(operator, ifmap, np.ones((40, 48, 3, 3), np.int64))
        work = sequence_of(small, array.costs(small.layer), whole(small)).work
        assert work.busy_cycles is not None
        taken.append((work.cycles.sum(), work.operations["shift_add"], work.busy_cycles.sum()))
    layer = replace(small.layer, ifmap=OperandData(statistics, stated=True))
    stated = sequence_of(small, array.costs(layer), whole(small)).work
    assert stated.busy_cycles is not None
    expected = (stated.cycles.sum(), stated.operations["shift_add"], stated.busy_cycles.sum())
    assert expected == pytest.approx(np.mean(taken, axis=0), rel=0.015)
