from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.mapping.element_order import MapOrder, WeightOrder


def every_element_once(order: MapOrder | WeightOrder, elements: int) -> None:
    element, bit = order.elements_at(np.arange(order.size_bytes * 8))
    held = element >= 0
    assert sorted(zip(element[held].tolist(), bit[held].tolist(), strict=True)) == [
        (index, place) for index in range(elements) for place in range(order.bits)
    ]


@given(
    shape=st.one_of(
        st.tuples(*[st.integers(1, 4)] * 4), st.tuples(*[st.integers(1, 5)] * 2), st.tuples(*[st.integers(1, 4)] * 3)
    ),
    bits=st.sampled_from([1, 2, 4, 5, 8, 16, 32]),
)
@settings(deadline=None, max_examples=50)
def test_a_feature_map_holds_every_bit_of_every_element_once(shape: tuple[int, ...], bits: int) -> None:
    every_element_once(MapOrder(shape, bits), math.prod(shape))


@given(
    whole=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 9)),
    tile=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 9)),
    bits=st.sampled_from([1, 3, 4, 8, 16]),
)
@settings(deadline=None, max_examples=50)
def test_weights_hold_every_bit_of_every_element_once(
    whole: tuple[int, int, int], tile: tuple[int, int, int], bits: int
) -> None:
    sizes = tuple(min(pair) for pair in zip(whole, tile, strict=True))
    groups, n, k = whole
    every_element_once(WeightOrder(groups, n, k, sizes[0], sizes[1], sizes[2], bits), math.prod(whole))


def test_channels_of_a_pixel_lie_side_by_side() -> None:
    order = MapOrder((1, 3, 2, 2), 4)
    element, bit = order.elements_at(np.arange(order.size_bytes * 8))
    assert order.size_bytes == 8  # two bytes a pixel, the last four bits of them empty
    assert element[:16:4].tolist() == [0, 4, 8, -1]  # channels of the first pixel, four elements apart in the array
    assert bit[:8].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert element[16] == 1  # then the pixel beside it


def test_weights_lie_tile_by_tile() -> None:
    order = WeightOrder(1, 4, 6, 1, 2, 4, 8)
    element, _ = order.elements_at(np.arange(0, order.size_bytes * 8, 8))
    assert element[:8].tolist() == [0, 1, 2, 3, 6, 7, 8, 9]  # four of the sum of two output channels
    assert element[8:12].tolist() == [4, 5, 10, 11]  # what is left of their sums
    assert element[12:20].tolist() == [12, 13, 14, 15, 18, 19, 20, 21]


@pytest.mark.parametrize("bits", [4, 8])
def test_a_tile_begins_at_a_whole_byte(bits: int) -> None:
    order = WeightOrder(1, 3, 3, 1, 3, 1, bits)
    assert order.tile_starts.tolist() == ([0, 2, 4, 6] if bits == 4 else [0, 3, 6, 9])


@given(
    whole=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    tile=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    bits=st.sampled_from([4, 8]),
)
@settings(deadline=None, max_examples=50)
def test_the_plainest_order_is_the_same_order(
    whole: tuple[int, int, int], tile: tuple[int, int, int], bits: int
) -> None:
    groups, n, k = whole
    order = WeightOrder(groups, n, k, min(tile[0], groups), min(tile[1], n), min(tile[2], k), bits)
    assert order.plainest.size_bytes == order.size_bytes
    offsets = np.arange(order.size_bytes * 8)
    for mine, other in zip(order.elements_at(offsets), order.plainest.elements_at(offsets), strict=True):
        held = order.elements_at(offsets)[0] >= 0
        assert np.array_equal(mine[held], other[held])


def test_tiles_of_whole_sums_are_as_good_as_one_tile() -> None:
    assert WeightOrder(1, 8, 3, 1, 2, 3, 8).plainest == WeightOrder(1, 8, 3, 1, 8, 3, 8)
    assert WeightOrder(1, 8, 3, 1, 2, 2, 8).plainest != WeightOrder(1, 8, 3, 1, 8, 3, 8)
