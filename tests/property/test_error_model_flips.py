"""A tensor's flips do not hang on how it is cut, in which order the pieces are read, or how its runs are written."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.hardware.dram.bit_flips import count_flips, draw_flips, flipped_bits
from accelsim.hardware.dram.cell_region import CellRegion, map_bytes, row_interleaved
from accelsim.hardware.dram.error_model import (
    BitlineModel,
    DataDependentModel,
    ErrorModel,
    UniformModel,
    WordlineModel,
)

fractions = st.sampled_from([0.0, 1e-4, 0.01, 0.3, 1.0]) | st.floats(0.0, 1.0)
models: st.SearchStrategy[ErrorModel] = st.one_of(
    st.builds(UniformModel, fractions, fractions),
    st.builds(BitlineModel, fractions, fractions, st.floats(0.0, 20.0), fractions),
    st.builds(WordlineModel, fractions, fractions, st.floats(0.0, 20.0), fractions),
    st.builds(DataDependentModel, fractions, fractions, fractions),
)
counters = st.integers(0, 2**64 - 1)
sizes = st.integers(1, 3000)
first_bytes = st.integers(0, 5000)
address_map = row_interleaved(banks=3, row_bytes=512)


@settings(max_examples=150, deadline=None)
@given(model=models, seed=counters, access=counters, first=first_bytes, size=sizes, data=st.data())
def test_pieces_in_any_order_flip_what_the_whole_flips(
    model: ErrorModel, seed: int, access: int, first: int, size: int, data: st.DataObject
) -> None:
    region = map_bytes(first, size, 64, address_map)
    stored = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    whole = draw_flips(model, region, stored, seed=seed, access=access)
    cuts = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=8))})
    pieces = data.draw(st.permutations(list(itertools.pairwise(cuts))))
    joined = np.zeros_like(whole)
    for begin, end in pieces:
        part = region.part(begin, end - begin)
        joined[begin:end] = draw_flips(model, part, stored[begin:end], seed=seed, access=access)
    assert (joined == whole).all()


@settings(max_examples=60, deadline=None)
@given(model=models, seed=counters, first=first_bytes, size=sizes, burst=st.sampled_from([1, 2, 32, 64, 256, 512]))
def test_the_granularity_of_the_runs_changes_no_flip(
    model: ErrorModel, seed: int, first: int, size: int, burst: int
) -> None:
    stored = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    one, other = (
        draw_flips(model, map_bytes(first, size, width, address_map), stored, seed=seed, access=1)
        for width in (64, burst)
    )
    assert (one == other).all()


@settings(max_examples=60, deadline=None)
@given(model=models, seed=counters, access=counters, size=sizes)
def test_same_arguments_same_bytes(model: ErrorModel, seed: int, access: int, size: int) -> None:
    region = map_bytes(0, size, 64, address_map)
    stored = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    first = draw_flips(model, region, stored, seed=seed, access=access)
    assert (first == draw_flips(model, region, stored, seed=seed, access=access)).all()
    assert len(flipped_bits(first)) == count_flips(first)


@settings(max_examples=60, deadline=None)
@given(
    seed=counters,
    size=sizes,
    weak=st.tuples(fractions, fractions),
    flip=st.tuples(fractions, fractions),
)
def test_worse_cells_flip_whatever_better_cells_flip(
    seed: int, size: int, weak: tuple[float, float], flip: tuple[float, float]
) -> None:
    region = map_bytes(0, size, 64, address_map)
    stored = np.zeros(size, np.uint8)
    better = draw_flips(UniformModel(min(weak), min(flip)), region, stored, seed=seed, access=0)
    worse = draw_flips(UniformModel(max(weak), max(flip)), region, stored, seed=seed, access=0)
    assert not (better & ~worse).any()


@settings(max_examples=100, deadline=None)
@given(first=first_bytes, size=st.integers(0, 3000), burst=st.sampled_from([1, 8, 64, 512]))
def test_a_mapped_range_holds_every_byte_once_where_the_map_says(first: int, size: int, burst: int) -> None:
    region = map_bytes(first, size, burst, address_map)
    cells = [
        (bank, row, column + offset)
        for bank, row, column, length in zip(
            region.bank.tolist(),
            region.row.tolist(),
            region.byte_column.tolist(),
            region.size_bytes.tolist(),
            strict=True,
        )
        for offset in range(length)
    ]
    addresses = np.arange(first, first + size)
    expected: list[tuple[int, ...]] = list(zip(*(field.tolist() for field in address_map(addresses)), strict=True))
    assert cells == expected
    assert isinstance(region, CellRegion)
    assert region.total_bytes == size
