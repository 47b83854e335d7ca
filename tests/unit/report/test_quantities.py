from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.report import quantities


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "J", "0 J"),
        (1.2345e-4, "J", "123.5 µJ"),
        (999.96e-12, "J", "1.000 nJ"),
        (999_949, "B", "999.9 kB"),
        (999_999.9, "B", "1.000 MB"),
        (4.1e9, "MAC", "4.100 GMAC"),
        (-2.5e-3, "s", "-2.500 ms"),
        (math.inf, "B", "unlimited"),
        (math.nan, "B", "n/a"),
    ],
)
def test_si_prefix_leaves_one_to_three_digits_before_the_point(value: float, unit: str, expected: str) -> None:
    assert quantities.si(value, unit) == expected


@given(st.floats(min_value=1e-14, max_value=9e17))
def test_si_is_within_half_a_unit_of_its_last_digit(value: float) -> None:
    number, prefixed = quantities.si(value, "B").split(" ")
    exponent = next(e for e in range(-15, 21, 3) if quantities.prefix(e) == prefixed.removesuffix("B"))
    assert float(number.replace(",", "")) * 10.0**exponent == pytest.approx(value, rel=5.1e-4)
    assert 1 <= float(number.replace(",", "")) < 1000


@pytest.mark.parametrize(
    ("size", "expected"), [(100, "100 B"), (65_536, "64 KiB"), (1_536, "1.5 KiB"), (24 * 2**20, "24 MiB"), (0, "0 B")]
)
def test_capacity_is_binary(size: int, expected: str) -> None:
    assert quantities.capacity(size) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.00012345, "0.0001234"), (1_234_567.8, "1,234,568"), (9.9996, "10.00"), (0, "0")]
)
def test_significant_never_uses_scientific_notation(value: float, expected: str) -> None:
    assert quantities.significant(value) == expected


@pytest.mark.parametrize(("size", "expected"), [(0, "0 B"), (10, "10 B"), (999, "999 B"), (62_500, "62.50 kB")])
def test_traffic_is_decimal_and_bytes_are_whole(size: int, expected: str) -> None:
    assert quantities.traffic(size) == expected
