from __future__ import annotations

import numpy as np
import pytest

from accelsim.workload.pot.reshaping import from_slices, plain_reason, rows_per_slice, slice_layout, to_slices

PUBLISHED_ROWS = {
    4096: (8, 171), 2048: (4, 171), 1280: (3, 143), 1024: (2, 171), 960: (2, 160), 576: (1, 192), 512: (1, 171),
    384: (1, 128), 320: (1, 107), 256: (1, 86), 192: (1, 64), 160: (1, 54), 144: (1, 48), 128: (1, 43), 96: (1, 32),
    64: (1, 22), 32: (1, 11), 24: (1, 8), 16: (1, 6),
}  # fmt: skip
"""Slices and rows by inputs of a 1 x 1 convolution: the table in the released code of SmartExchange."""


@pytest.mark.parametrize(("inputs", "expected"), PUBLISHED_ROWS.items())
def test_rows_of_inputs_are_cut_as_published(inputs: int, expected: tuple[int, int]) -> None:
    for shape in ((7, inputs), (7, inputs, 1, 1)):
        layout = slice_layout(shape)
        assert (layout.slices, layout.rows) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (192, 192), (193, 97), (384, 192), (576, 144), (768, 192), (1536, 192), (201, 67), (342, 171), (360, 180),
        (427, 61), (3072, 192), (1638, 171), (8364, 204), (1366, 171), (8363, 191),
    ],
)  # fmt: skip
def test_matrices_of_kernels_are_cut_at_their_last_prime_factors(rows: int, expected: int) -> None:
    assert rows_per_slice(rows, 3, divide=True) == expected


@pytest.mark.parametrize(("rows", "expected"), [(192, 192), (193, 97), (427, 143), (8363, 191), (8364, 204)])
def test_padded_matrices_are_cut_as_seldom_as_possible(rows: int, expected: int) -> None:
    assert rows_per_slice(rows, 3, divide=False) == expected


def test_a_slice_of_3_x_3_kernels_has_64_input_channels() -> None:
    layout = slice_layout((512, 512, 3, 3))
    assert (layout.slices, layout.rows, layout.all_slices) == (8, 192, 4096)
    assert layout.coefficients == 512 * 512 * 9


def test_depthwise_kernels_are_smaller_than_what_they_become() -> None:
    layout = slice_layout((32, 1, 3, 3))
    assert (layout.slices, layout.rows) == (1, 3)
    bits_per_channel = (4 * layout.coefficients + 8 * layout.basis_entries) // 32
    assert bits_per_channel == 108  # 72 in 8-bit integers, 288 in floating point


def test_rows_are_rows_of_kernels() -> None:
    weights = np.arange(2 * 70 * 9.0).reshape(2, 70, 3, 3)
    layout = slice_layout(weights.shape)
    assert (layout.slices, layout.rows) == (2, 105)
    slices = to_slices(weights, layout)
    np.testing.assert_array_equal(slices[3, 2], weights[1, 35, 2])
    np.testing.assert_array_equal(from_slices(slices, layout), weights)


def test_rows_of_inputs_are_padded_with_zeros() -> None:
    weights = np.ones((2, 2048))
    layout = slice_layout(weights.shape)
    slices = to_slices(weights, layout)
    assert slices.shape == (8, 171, 3)
    assert slices.sum() == 2 * 2048
    assert slices[3, -1].tolist() == [0, 0, 0]
    assert slices[3, 169].tolist() == [1, 1, 0]  # 2048 = 3 x 682 + 2, and 682 = 3 x 171 + 169
    np.testing.assert_array_equal(from_slices(slices, layout), weights)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((64, 3, 7, 7), "its kernel of 7 x 7 is neither 1 x 1 nor 3 x 3"),
        ((64, 3, 1, 3), "its kernel of 1 x 3 is neither 1 x 1 nor 3 x 3"),
        ((64, 6, 1, 1), "its filters of 6 weights are smaller than a basis of 3 x 3"),
        ((64, 4), "its filters of 4 weights are smaller than a basis of 3 x 3"),
        ((64, 4, 3), "it has 3 dimensions"),
    ],
)
def test_what_stays_plain_has_a_reason(shape: tuple[int, ...], reason: str) -> None:
    assert plain_reason(shape) == reason


@pytest.mark.parametrize("shape", [(64, 1, 3, 3), (64, 7, 1, 1), (64, 7), (1, 9)])
def test_small_layers_are_decomposed_where_a_basis_fits(shape: tuple[int, ...]) -> None:
    assert plain_reason(shape) is None
    assert slice_layout(shape).rows >= 3
