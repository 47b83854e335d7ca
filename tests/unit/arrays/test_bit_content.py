"""Terms of numbers against their forms written out."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.hardware.pe_array.bit_content import (
    booth_digits,
    booth_distribution,
    nonzero_share,
    one_bit_distribution,
    one_bits,
)
from accelsim.workload.operand_data import OperandStatistics


def booth_form(value: int, bits: int) -> list[int]:
    """Radix-4 Booth digits from the lowest up, from the bits in twos complement."""
    padded = [0, *((value >> place) & 1 for place in range(bits + bits % 2))]  # Python shifts keep the sign
    return [padded[i] + padded[i + 1] - 2 * padded[i + 2] for i in range(0, len(padded) - 2, 2)]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7, 8])
def test_booth_digits_of_every_number(bits: int) -> None:
    numbers = range(-(1 << bits - 1), 1 << bits - 1)
    forms = [booth_form(number, bits) for number in numbers]
    assert [sum(digit * 4**place for place, digit in enumerate(form)) for form in forms] == list(numbers)
    found = booth_digits(np.array(numbers, np.int8), bits)
    assert found.tolist() == [sum(digit != 0 for digit in form) for form in forms]


def test_booth_digits_of_wide_numbers() -> None:
    random = np.random.default_rng(1)
    numbers = random.integers(-(2**31), 2**31, 200)
    assert booth_digits(numbers, 32).tolist() == [
        sum(digit != 0 for digit in booth_form(int(number), 32)) for number in numbers
    ]


def test_one_bits_are_those_of_the_magnitude() -> None:
    numbers = np.arange(-128, 128, dtype=np.int8)
    assert one_bits(numbers).tolist() == [abs(int(number)).bit_count() for number in numbers]


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_uniform_numbers_have_the_terms_of_all_numbers(density: float) -> None:
    statistics = OperandStatistics(density=density)
    numbers = np.arange(-128, 128)
    numbers = numbers[numbers != 0]
    booth, ones = booth_distribution(statistics, 8), one_bit_distribution(statistics, 7)
    assert booth.mean == pytest.approx(density * booth_digits(numbers, 8).mean())
    magnitudes = np.arange(1, 128)
    assert ones.mean == pytest.approx(density * one_bits(magnitudes).mean())
    assert ones.probabilities[0] == pytest.approx(1 - density)


@pytest.mark.parametrize(("density", "stated"), [(0.43, 1.25), (1.0, 2.5), (0.5, 0.5), (0.2, 1.6)])
def test_stated_terms_are_met(density: float, stated: float) -> None:
    ones = one_bit_distribution(OperandStatistics(density=density, one_bits=stated), 8)
    assert ones.mean == pytest.approx(stated)
    assert ones.probabilities[0] == pytest.approx(1 - density)
    booth = booth_distribution(OperandStatistics(density=density, booth_digits=min(stated, 4 * density)), 8)
    assert booth.mean == pytest.approx(min(stated, 4 * density))


def test_terms_that_cannot_be_count_as_the_nearest_that_can() -> None:
    ones = one_bit_distribution(OperandStatistics(density=0.5, one_bits=7.0), 8)
    assert ones.mean == pytest.approx(4.0)
    few = one_bit_distribution(OperandStatistics(density=0.5, one_bits=0.1), 8)
    assert few.mean == pytest.approx(0.5)


def test_share_of_places_has_the_mean_of_numbers_that_are_not_zero() -> None:
    share = nonzero_share(2.9, 8)
    numbers = np.arange(1, 256)
    chances = share ** one_bits(numbers) * (1 - share) ** (8.0 - one_bits(numbers))
    assert (chances @ one_bits(numbers)) / chances.sum() == pytest.approx(2.9)
