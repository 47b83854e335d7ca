"""Weak cells that are listed once, and words that are flipped in their place, beside the flips of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.hardware.dram.bit_flips import WEAK_CELL_DTYPE, draw_flips, weak_cells
from accelsim.hardware.dram.cell_region import CellRegion, map_bytes, row_interleaved
from accelsim.hardware.dram.error_model import model_at_rate
from accelsim.hardware.dram.word_kernel import flip_words

KINDS = ("uniform", "bitline", "wordline", "data_dependent")
NO_TOUCH = np.zeros((0, 2), np.int64)


def region_of(size_bytes: int, first_byte: int = 0) -> CellRegion:
    return map_bytes(first_byte, size_bytes, 64, row_interleaved(4, 1024))


def as_words(cells: np.ndarray, access: int, word_bytes: int = 1) -> np.ndarray:
    """Cells of bytes as cells of words of several bytes."""
    names = [name for name in WEAK_CELL_DTYPE.names or () if name not in {"byte", "factor"}]
    kinds = [(name, WEAK_CELL_DTYPE[name]) for name in names]
    made = np.zeros(len(cells), [("element", np.dtype("i8")), ("access", np.dtype("i8")), *kinds])
    for name in names:
        made[name] = cells[name]
    made["element"] = cells["byte"] // word_bytes
    made["bit"] += (8 * (cells["byte"] % word_bytes)).astype(np.uint8)
    made["access"] = access
    return made


@given(first=st.integers(0, 5000), size=st.integers(1, 3000), rate=st.sampled_from([1e-3, 0.02, 0.3]))
@settings(deadline=None, max_examples=25)
@pytest.mark.parametrize("kind", KINDS)
def test_listed_cells_flip_the_bits_that_are_drawn_for_bytes(kind: str, first: int, size: int, rate: float) -> None:
    model, region = model_at_rate(kind, rate), region_of(size, first)
    data = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8)
    cells = weak_cells(model, region, seed=7)
    assert np.all(np.diff(cells["byte"].astype(np.int64) // 64) >= 0) or first % 64
    for access in (0, 3):
        words = data[None].copy()
        flipped = flip_words(words, as_words(cells, access), np.uint64(7), 0, 1, 10, NO_TOUCH)
        mask = draw_flips(model, region, data, seed=7, access=access)
        assert np.array_equal(words[0] ^ data, mask)
        assert flipped == np.bitwise_count(mask).sum()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_words_of_more_bytes_flip_as_their_bytes_do(dtype: type) -> None:
    data = np.random.default_rng(0).integers(0, 256, 4096).astype(np.uint8)
    model, region = model_at_rate("uniform", 0.05), region_of(4096)
    words: np.ndarray = data.view(dtype)[None].copy()
    cells = as_words(weak_cells(model, region, seed=1), 4, words.itemsize)
    flip_words(words, cells, np.uint64(1), 0, 1, 5, NO_TOUCH)
    assert np.array_equal(words[0].view(np.uint8), data ^ draw_flips(model, region, data, seed=1, access=4))


def test_images_are_passes_and_batches_share_one() -> None:
    data = np.random.default_rng(0).integers(0, 256, 512).astype(np.uint8)
    model, region = model_at_rate("uniform", 0.1), region_of(512)
    cells = as_words(weak_cells(model, region, seed=1), 2)
    images = np.tile(data.reshape(2, 256), (3, 1))  # three passes of two images
    flip_words(images, cells, np.uint64(1), 5, 2, 4, NO_TOUCH)
    for number in range(3):
        mask = draw_flips(model, region, data, seed=1, access=(5 + number) * 4 + 2)
        assert np.array_equal(images[2 * number : 2 * number + 2].ravel(), data ^ mask)
    partial = data.reshape(2, 256)[:1].copy()  # a pass that is not full
    flip_words(partial, cells, np.uint64(1), 5, 2, 4, NO_TOUCH)
    assert np.array_equal(partial[0], images[0])


def test_what_flipped_is_told() -> None:
    data = np.zeros((2, 300), np.uint8)
    cells = as_words(weak_cells(model_at_rate("uniform", 0.2), region_of(300), seed=1), 0)
    touched = np.empty((2 * len(cells), 2), np.int64)
    flipped = flip_words(data, cells, np.uint64(1), 0, 1, 1, touched)
    assert flipped == np.bitwise_count(data).sum()
    assert {tuple(place) for place in touched[:flipped].tolist()} == set(zip(*np.nonzero(data), strict=True))


def test_no_rate_has_no_weak_cells() -> None:
    assert len(weak_cells(model_at_rate("uniform", 0.0), region_of(1000), seed=1)) == 0
    assert len(weak_cells(model_at_rate("uniform", 0.5), region_of(1000), seed=1)) == 8000
