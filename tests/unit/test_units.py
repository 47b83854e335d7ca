from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.units import Clock, bandwidth_gb_per_s, bits_to_bytes, ceil_div, milliwatts_to_pj

frequencies = st.integers(1, 100_000_000)
cycles = st.integers(0, 10**12)


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**9))
def test_ceil_div_is_the_least_integer_that_covers(numerator: int, denominator: int) -> None:
    quotient = ceil_div(numerator, denominator)
    assert (quotient - 1) * denominator < numerator <= quotient * denominator


@pytest.mark.parametrize(("bits", "size"), [(0, 0), (1, 1), (8, 1), (9, 2), (2**40, 2**37)])
def test_bits_take_whole_bytes(bits: int, size: int) -> None:
    assert bits_to_bytes(bits) == size


@given(frequencies, cycles)
def test_cycle_of_an_edge_is_the_cycle_that_it_begins(frequency_khz: int, cycle: int) -> None:
    clock = Clock(frequency_khz)
    assert clock.cycle_at(clock.ps_of(cycle)) == cycle


@given(frequencies, cycles)
def test_edges_lie_at_the_first_picosecond_not_before_their_time(frequency_khz: int, cycle: int) -> None:
    time_ps = Clock(frequency_khz).ps_of(cycle)
    exact_times_khz = cycle * 10**9
    assert (time_ps - 1) * frequency_khz < exact_times_khz <= time_ps * frequency_khz


@given(frequencies, st.integers(0, 10**15))
def test_next_edge_is_not_before_now_and_the_one_before_is(frequency_khz: int, time_ps: int) -> None:
    clock = Clock(frequency_khz)
    cycle = clock.cycle_at(time_ps)
    assert clock.ps_of(cycle) >= time_ps
    assert cycle == 0 or clock.ps_of(cycle - 1) < time_ps


def test_a_clock_whose_period_is_no_whole_picosecond_does_not_drift() -> None:
    clock = Clock.from_mhz(700)
    assert [clock.ps_of(cycle) for cycle in range(5)] == [0, 1429, 2858, 4286, 5715]
    assert clock.ps_of(7 * 10**9) == 10**13


@given(st.integers(1, 10_000_000), st.lists(st.integers(0, 10**15), min_size=1))
def test_edges_of_many_cycles_are_those_of_each(frequency_khz: int, numbers: list[int]) -> None:
    clock = Clock(frequency_khz)
    known = [cycle for cycle in numbers if clock.ps_of(cycle) < 2**63]
    assert clock.ps_of_all(np.array(known, np.int64)).tolist() == [clock.ps_of(cycle) for cycle in known]


def test_bandwidth_and_power() -> None:
    assert bandwidth_gb_per_s(64, 1000) == 64
    assert bandwidth_gb_per_s(64, 0) == 0
    assert milliwatts_to_pj(2.5, 4000) == 10
