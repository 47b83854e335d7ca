from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import ConfigError
from accelsim.hardware.dram.word_kernel import SATURATE, ZERO, mend_all, mend_words
from accelsim.numerics.number_format import FORMATS, FP16, FP32, INT4, INT8, INT16, NumberFormat, format_of_bits

VALUES = np.array([0.0, 1.0, -1.0, 0.3, -0.7, 6.35, -6.35, 1e-3], np.float32)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_values_survive_within_half_a_step(form: NumberFormat) -> None:
    scale = form.scale_of(np.abs(VALUES).max())
    words = form.encode(VALUES, scale)
    assert words.dtype == form.word_dtype
    step = scale if form.kind == "int" else np.abs(VALUES) * 2.0**-10
    assert np.all(np.abs(form.decode(words, scale) - VALUES) <= 0.5001 * step + 1e-6)
    assert form.decode(words, scale)[0] == 0.0


def test_names_and_widths() -> None:
    assert list(FORMATS) == ["fp32", "fp16", "int16", "int8", "int4"]
    assert [entry.word_dtype.itemsize for entry in FORMATS.values()] == [4, 2, 2, 1, 1]
    assert [format_of_bits(bits) for bits in (32, 16, 8, 4)] == [FP32, INT16, INT8, INT4]
    assert format_of_bits(16, half_floats=True) == FP16
    assert INT4.largest == 7


@pytest.mark.parametrize(("kind", "bits"), [("int", 1), ("int", 17), ("float", 8)])
def test_other_widths_are_refused(kind: str, bits: int) -> None:
    with pytest.raises(ConfigError, match="no such number format"):
        NumberFormat(kind, bits)  # type: ignore[arg-type]


def test_scales_of_channels_broadcast() -> None:
    weights = np.array([[1.0, -2.0], [10.0, 5.0]], np.float32)
    scale = INT8.scale_of(np.abs(weights).max(axis=1, keepdims=True))
    assert INT8.encode(weights, scale).view(np.int8).tolist() == [[64, -127], [127, 64]]
    assert INT8.scale_of(0.0) == 1.0


@given(low=st.floats(-1e6, 0, width=32), high=st.floats(0, 1e6, width=32))
@settings(deadline=None)
@pytest.mark.parametrize("form", [FP32, FP16])
def test_whatever_lies_in_the_range_of_floats_is_plausible(form: NumberFormat, low: float, high: float) -> None:
    if form is FP16:
        low, high = low / 100, high / 100
    values = np.array([[low, high, low / 3, high / 7, 0.0]], np.float32)
    words = form.encode(values)
    assert mend_all(words.copy(), form.bits, *form.range_of(low, high), ZERO) == 0
    wild = form.encode(np.array([[4 * high + 4, 4 * low - 4, np.nan, np.inf, -np.inf]], np.float32))
    limits = form.range_of(low, high)
    assert mend_all(wild, form.bits, *limits, ZERO) == 5
    assert not wild.any()


def test_saturating_goes_to_the_nearest_plausible_value() -> None:
    words = FP32.encode(np.array([[1e30, -1e30, 2.0, -3.0]], np.float32))
    mend_all(words, 32, *FP32.range_of(-1.0, 4.0), SATURATE)
    low, high, kept, raised = FP32.decode(words)[0, [1, 0, 2, 3]]
    assert (kept, high) == (2.0, np.float32(8.0) - np.float32(2**-21))
    assert low == raised == -(np.float32(2.0) - np.float32(2**-23))


def all_touched(words: np.ndarray) -> np.ndarray:
    return np.array([(0, place) for place in range(words.size)], np.int64)


@pytest.mark.parametrize("form", [INT4, INT8, INT16])
def test_a_flipped_sign_of_a_rectified_map_is_mended(form: NumberFormat) -> None:
    words = form.encode(np.array([[3.0, 5.0]], np.float32), 1.0)
    words[0, 1] ^= words.dtype.type(1 << form.bits - 1)
    for correction, expected in ((ZERO, 0.0), (SATURATE, 0.0)):
        copy = words.copy()
        low, high = form.range_of(0.0, 7.0)
        assert mend_words(copy, all_touched(copy), form.bits, False, low, high, correction) == 1  # noqa: FBT003
        assert form.decode(copy, 1.0).tolist() == [[3.0, expected]]


def test_signs_extend_over_the_word() -> None:
    words = np.array([[0b0101]], np.uint8)
    words ^= np.uint8(0b1000)
    mend_words(words, all_touched(words), 4, False, -8, 7, ZERO)  # noqa: FBT003
    assert INT4.decode(words, 1.0).tolist() == [[-3.0]]
