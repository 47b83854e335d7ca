"""Distributions of sums and maxima against draws listed one by one."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.hardware.pe_array.expectation import (
    Distribution,
    binomial,
    certain,
    counted,
    expected_maximum,
    maximum_of,
    mixture,
    sum_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

weights = st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any)


def distribution(counts: list[int], first: int) -> Distribution:
    return Distribution(np.array(counts) / sum(counts), first)


def listed(parts: list[tuple[Distribution, int]], join: Callable[[Iterable[int]], int]) -> dict[int, float]:
    """Probability of every outcome of all draws, one by one."""
    draws = [part for part, times in parts for _ in range(times)]
    chances: defaultdict[int, float] = defaultdict(float)
    for outcome in product(*(zip(draw.numbers, draw.probabilities, strict=True) for draw in draws)):
        chances[join(int(number) for number, _ in outcome)] += float(np.prod([chance for _, chance in outcome]))
    return chances


@settings(max_examples=60, deadline=None)
@given(
    counts=st.tuples(weights, weights),
    first=st.tuples(*[st.integers(-3, 3)] * 2),
    times=st.tuples(*[st.integers(1, 3)] * 2),
)
def test_sums_and_maxima_are_those_of_all_outcomes(
    counts: tuple[list[int], list[int]], first: tuple[int, int], times: tuple[int, int]
) -> None:
    parts = [(distribution(c, f), t) for c, f, t in zip(counts, first, times, strict=True)]
    joined: list[tuple[Distribution, Callable[[Iterable[int]], int]]] = [(sum_of(parts), sum), (maximum_of(parts), max)]
    for found, join in joined:
        expected = listed(parts, join)
        for number, chance in zip(found.numbers, found.probabilities, strict=True):
            assert chance == pytest.approx(expected.get(int(number), 0.0), abs=1e-12)
        assert found.mean == pytest.approx(sum(number * chance for number, chance in expected.items()))


@pytest.mark.parametrize(("trials", "share"), [(0, 0.3), (1, 0.5), (7, 0.2), (40, 0.9), (5, 0.0), (5, 1.0)])
def test_binomial_is_the_textbook_formula(trials: int, share: float) -> None:
    found = binomial(trials, share)
    for number, chance in zip(found.numbers, found.probabilities, strict=True):
        assert chance == pytest.approx(comb(trials, number) * share**number * (1 - share) ** (trials - number))
    assert found.mean == pytest.approx(trials * share)


@pytest.mark.parametrize(("trials", "times"), [(256, 50), (256, 20_000), (3, 1_000_000)])
def test_wide_sums_keep_their_first_two_moments(trials: int, times: int) -> None:
    part = binomial(trials, 0.3)
    found = sum_of([(part, times)])
    assert found.mean == pytest.approx(part.mean * times, rel=1e-12)
    assert found.variance == pytest.approx(part.variance * times, rel=1e-6)
    assert found.probabilities.sum() == pytest.approx(1.0)


def test_wide_sum_of_few_draws_is_the_convolution() -> None:
    parts = [(binomial(900, 0.2), 4), (binomial(700, 0.9), 1)]
    found, whole = sum_of(parts), parts[1][0].probabilities
    for _ in range(4):
        whole = np.convolve(whole, parts[0][0].probabilities)
    assert len(found.probabilities) < len(whole)
    at = found.numbers[found.numbers < len(whole)]
    assert found.probabilities[: len(at)] == pytest.approx(whole[at], abs=1e-12)


def test_largest_of_many_draws_is_what_drawing_finds() -> None:
    random = np.random.default_rng(5)
    drawn = random.binomial(256, 0.3, (20_000, 16)).max(axis=1)
    error = drawn.std() / np.sqrt(len(drawn))
    assert expected_maximum(binomial(256, 0.3), 16) == pytest.approx(drawn.mean(), abs=4 * error)


def test_function_of_a_number_gathers_its_chances() -> None:
    halves = binomial(3, 0.5).of(lambda number: -(-number // 2))
    assert halves.probabilities == pytest.approx([1 / 8, 6 / 8, 1 / 8])


def test_mixture_counted_and_certain() -> None:
    mixed = mixture([(certain(2), 0.25), (certain(-1), 0.75)])
    assert (mixed.first, mixed.probabilities.tolist()) == (-1, [0.75, 0, 0, 0.25])
    assert counted(np.array([[0, 2], [2, 2]])).probabilities.tolist() == [0.25, 0, 0.75]
    assert sum_of([(certain(3), 5)]).mean == 15
    assert expected_maximum(certain(3), 5) == 3
