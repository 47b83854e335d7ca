"""Flips against a slow model of every cell, against their expectation, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelsim.errors import ConfigError
from accelsim.hardware.dram import weak_cells
from accelsim.hardware.dram.bit_flips import ByteArray, count_flips, draw_flips, flipped_bits, inject
from accelsim.hardware.dram.cell_region import CellRegion, map_bytes, row_interleaved
from accelsim.hardware.dram.error_model import (
    BitlineModel,
    DataDependentModel,
    ErrorModel,
    UniformModel,
    WordlineModel,
    expected_bit_error_rate,
    line_spreads,
    model_at_rate,
)

ALL_KINDS = ("uniform", "bitline", "wordline", "data_dependent")
ROW_BYTES = 1024
BANKS = 4
WORD = 2**64


def region_of(size_bytes: int, first_byte: int = 0) -> CellRegion:
    return map_bytes(first_byte, size_bytes, 64, row_interleaved(BANKS, ROW_BYTES))


def random_bytes(size: int, seed: int = 0) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


# --- an obvious model: plain integers, every cell visited -----------------------------------------------------------


def mixed(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % WORD
    return value ^ (value >> 31)


def hashed(*parts: int) -> int:
    golden = 0x9E3779B97F4A7C15
    key = parts[0]
    for part in parts[1:]:
        key = mixed(mixed((key + golden) % WORD) ^ (part * golden % WORD))
    return key


def fraction(bits: int) -> float:
    return (bits >> 11) / 2**53


def block_strengths(seed: int, bank: int, row: int, block: int) -> dict[int, float]:
    """Strength of every cell of a block: order statistics of uniform numbers, dealt to the places by a shuffle."""
    key = hashed(seed, 1, bank, row, block)
    order = list(range(512))
    strengths = []
    depth = 0.0
    for index in range(512):
        draw = mixed((key + 0x9E3779B97F4A7C15 * (index + 1)) % WORD)
        depth += -math.log(((draw >> 24) + 0.5) / 2**40) / (512 - index)
        chosen = index + (((draw & 0xFFFFFF) * (512 - index)) >> 24)
        order[index], order[chosen] = order[chosen], order[index]
        strengths.append(-math.expm1(-depth))
    return dict(zip(order, strengths, strict=True))


def slow_flips(model: ErrorModel, region: CellRegion, data: ByteArray, seed: int, access: int) -> list[int]:
    flips: list[int] = []
    first = 0
    strengths: dict[tuple[int, int, int], dict[int, float]] = {}
    for bank, row, column, size in zip(
        region.bank.tolist(), region.row.tolist(), region.byte_column.tolist(), region.size_bytes.tolist(), strict=True
    ):
        for bit in range(8 * size):
            cell = 8 * column + bit
            block = (bank, row, cell // 512)
            if block not in strengths:
                strengths[block] = block_strengths(seed, *block)
            strength = strengths[block][cell % 512]
            weak, flip = slow_parameters(model, seed, bank, row, cell, (data[first + bit // 8] >> (bit % 8)) & 1)
            chance = fraction(mixed((hashed(seed, access, 2, bank, row) + 0x9E3779B97F4A7C15 * (cell + 1)) % WORD))
            if strength < weak and chance < flip:
                flips.append(8 * first + bit)
        first += size
    return flips


def slow_parameters(model: ErrorModel, seed: int, bank: int, row: int, cell: int, stored: int) -> tuple[float, float]:
    if isinstance(model, UniformModel):
        return model.weak_fraction, model.flip_probability
    if isinstance(model, DataDependentModel):
        return model.weak_fraction, model.flip_probability_one if stored else model.flip_probability_zero
    line = cell if isinstance(model, BitlineModel) else row
    spread, width = line_spreads(model)
    weak = model.weak_fraction * (1 + spread) * fraction(hashed(seed, 3, bank, line)) ** spread
    return weak, model.flip_probability * (1 + width * (2 * fraction(hashed(seed, 4, bank, line)) - 1))


@pytest.mark.parametrize(
    "model",
    [
        UniformModel(0.05, 0.6),
        UniformModel(0.97, 0.9),
        BitlineModel(0.1, 0.5),
        BitlineModel(0.4, 0.8, weak_spread=5.0, flip_spread=1.0),
        WordlineModel(0.1, 0.5),
        WordlineModel(0.02, 0.3, weak_spread=0.7, flip_spread=0.2),
        DataDependentModel(0.1, 0.2, 0.9),
    ],
)
def test_kernel_flips_what_a_visit_to_every_cell_flips(model: ErrorModel) -> None:
    region = region_of(1500, first_byte=901)
    data = random_bytes(1500)
    expected = slow_flips(model, region, data, seed=7, access=3)
    assert len(expected) > 20
    assert flipped_bits(draw_flips(model, region, data, seed=7, access=3)).tolist() == expected


def test_kernel_runs_as_plain_python() -> None:
    region = region_of(100)
    data = random_bytes(100)
    mask = np.zeros_like(data)
    numbers = (np.uint64(5), np.uint64(1), region.bank, region.row, region.byte_column, region.size_bytes, data)
    with np.errstate(over="ignore"):  # counters wrap around
        weak_cells.visit_weak_cells.py_func(*numbers, weak_cells.PER_BITLINE, 0.2, 2.0, 0.5, 0.5, 0.5, mask)  # type: ignore[attr-defined]
    model = BitlineModel(0.2, 0.5, weak_spread=2.0, flip_spread=0.5)
    assert mask.any()
    assert (mask == draw_flips(model, region, data, seed=5, access=1)).all()


# --- expectations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e-6, 1e-4, 0.01, 0.2])
@pytest.mark.parametrize("seed", [1, 2])
def test_uniform_count_is_the_expectation_within_4_sigma(rate: float, seed: int) -> None:
    size = 2_000_000
    model = model_at_rate("uniform", rate)
    observed = count_flips(draw_flips(model, region_of(size), random_bytes(size), seed=seed, access=0))
    assert abs(observed - 8 * size * rate) < 4 * math.sqrt(8 * size * rate * (1 - rate))


@pytest.mark.parametrize(("ones", "byte"), [(0.0, 0x00), (0.5, 0x3C), (1.0, 0xFF)])
def test_data_dependent_count_follows_the_stored_ones(ones: float, byte: int) -> None:
    size = 1_000_000
    model = DataDependentModel(0.02, 0.1, 0.7)
    rate = expected_bit_error_rate(model, ones)
    mask = draw_flips(model, region_of(size), np.full(size, byte, np.uint8), seed=3, access=0)
    assert abs(count_flips(mask) - 8 * size * rate) < 4 * math.sqrt(8 * size * rate)
    of_ones = count_flips(mask & np.uint8(byte))
    assert abs(of_ones - 8 * size * ones * 0.002) <= 4 * math.sqrt(8 * size * ones * 0.002)


@pytest.mark.parametrize("kind", ["bitline", "wordline"])
def test_line_models_hit_the_mean_rate_within_4_sigma_of_what_their_lines_spread(kind: str) -> None:
    """Counts over many modules (seeds); the spread of the lines is measured from the counts themselves."""
    size, modules, rate = 64 * 1024, 400, 0.01
    region, data = region_of(size), random_bytes(size)
    counts = np.array(
        [count_flips(draw_flips(model_at_rate(kind, rate), region, data, seed=s, access=0)) for s in range(modules)]
    )
    assert abs(counts.mean() - 8 * size * rate) < 4 * counts.std() / math.sqrt(modules)
    lines = BANKS * (8 * ROW_BYTES if kind == "bitline" else size // ROW_BYTES // BANKS)
    cells = 8 * size / lines
    product_variance = rate**2 * ((1 + 9 / 7) * (1 + 0.25 / 3) - 1)  # of P_B F_B at spreads 3 and 1/2
    variance = 8 * size * rate * (1 - rate) + lines * cells * (cells - 1) * product_variance
    # the sample variance of n counts has a relative error of about sqrt(2 / n)
    assert abs(counts.var(ddof=1) / variance - 1) < 4 * math.sqrt(2 / modules)


@pytest.mark.parametrize("kind", ["bitline", "wordline"])
@pytest.mark.parametrize("rate", [0.2, 0.45])
def test_line_models_saturate_without_losing_the_mean(kind: str, rate: float) -> None:
    size, modules = 200_000, 8
    model = model_at_rate(kind, rate)
    region, data = region_of(size), random_bytes(size)
    counts = [count_flips(draw_flips(model, region, data, seed=s, access=0)) for s in range(modules)]
    spread = 1 / model.weak_fraction - 1
    product_variance = (1 + spread**2 / (2 * spread + 1)) * (1 + 0.25 / 3) - 1  # relative, of P_B F_B
    lines = modules * (BANKS * 8 * ROW_BYTES if kind == "bitline" else size / ROW_BYTES)
    assert np.mean(counts) / (8 * size) == pytest.approx(rate, rel=4 * math.sqrt(product_variance / lines))


def chi_square_per_freedom(counts: np.ndarray) -> float:
    mean = counts.mean()
    return float(((counts - mean) ** 2 / mean).sum() / (counts.size - 1))


@pytest.mark.parametrize(
    ("kind", "along"), [("uniform", ""), ("data_dependent", ""), ("bitline", "bitline"), ("wordline", "wordline")]
)
def test_flips_concentrate_on_the_lines_of_their_model_and_on_no_others(kind: str, along: str) -> None:
    rows, row_bits = 1024, 8 * ROW_BYTES
    size = rows * ROW_BYTES
    region = map_bytes(0, size, 64, row_interleaved(1, ROW_BYTES))
    data = random_bytes(size)
    mask = draw_flips(model_at_rate(kind, 0.01), region, data, seed=11, access=0)
    flips = np.unpackbits(mask, bitorder="little").reshape(rows, row_bits)
    for name, counts in (("bitline", flips.sum(axis=0)), ("wordline", flips.sum(axis=1))):
        freedom = counts.size - 1
        excess = (chi_square_per_freedom(counts) - 1) / math.sqrt(2 / freedom)  # about a standard normal
        if name == along:
            assert excess > 100
        elif kind in ("uniform", "data_dependent"):
            assert abs(excess) < 4


# --- places that stay, draws that change ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_weak_cells_stay_while_draws_change(kind: str) -> None:
    size = 300_000
    model = model_at_rate(kind, 0.005)
    region, data = region_of(size), random_bytes(size)
    first, second = (draw_flips(model, region, data, seed=5, access=k) for k in (0, 1))
    assert (first != second).any()
    again = count_flips(first & second) / count_flips(first)
    assert again > 0.2  # flip probabilities are about one half: about half of the flips come again, not one in 200
    elsewhere = draw_flips(model, region, data, seed=6, access=0)
    assert count_flips(first & elsewhere) / count_flips(first) < 0.1


def test_flip_of_a_weak_cell_is_a_bernoulli_draw_per_access() -> None:
    size, accesses = 20_000, 200
    model = UniformModel(0.01, 0.3)
    region, data = region_of(size), random_bytes(size)
    masks = [draw_flips(model, region, data, seed=9, access=k) for k in range(accesses)]
    per_cell = np.array([np.unpackbits(mask) for mask in masks]).sum(axis=0, dtype=np.int64)
    per_cell = per_cell[per_cell > 0]  # a weak cell stays silent 200 times with probability 1e-31
    assert abs(len(per_cell) - 1600) < 4 * math.sqrt(1600)
    total = accesses * len(per_cell)
    assert abs(per_cell.sum() - 0.3 * total) < 4 * math.sqrt(total * 0.3 * 0.7)
    assert per_cell.var() == pytest.approx(accesses * 0.3 * 0.7, rel=4 * math.sqrt(2 / len(per_cell)))


@pytest.mark.parametrize("kind", ["uniform", "bitline", "wordline"])
def test_a_higher_rate_keeps_the_flips_of_the_lower(kind: str) -> None:
    size = 100_000
    low, high = (
        draw_flips(model_at_rate(kind, rate), region_of(size), random_bytes(size), seed=1, access=0)
        for rate in (0.001, 0.004)
    )
    assert count_flips(low) > 100
    assert not (low & ~high).any()


# --- edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_rate_zero_flips_nothing(kind: str) -> None:
    assert not draw_flips(model_at_rate(kind, 0.0), region_of(5000), random_bytes(5000), seed=0, access=0).any()


@pytest.mark.parametrize(
    "model", [UniformModel(1, 1), BitlineModel(1, 1), WordlineModel(1.0, 1.0), DataDependentModel(1, 1, 1)]
)
def test_all_weak_and_certain_flips_everything(model: ErrorModel) -> None:
    data = random_bytes(5000)
    assert (inject(model, region_of(5000, 77), data, seed=0, access=0) == ~data).all()


def test_certain_flip_flips_the_same_cells_every_time() -> None:
    model = UniformModel(0.01, 1.0)
    first, second = (draw_flips(model, region_of(50_000), random_bytes(50_000), seed=0, access=k) for k in (0, 99))
    assert count_flips(first) > 3000
    assert (first == second).all()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_empty_region(kind: str) -> None:
    empty = draw_flips(model_at_rate(kind, 0.1), region_of(0), np.empty(0, np.uint8), seed=0, access=0)
    assert empty.shape == (0,)
    assert flipped_bits(empty).tolist() == []
    assert count_flips(empty) == 0


def test_inject_leaves_its_input_alone_and_inverts_the_mask() -> None:
    data = random_bytes(10_000)
    data.flags.writeable = False
    model = UniformModel(0.1, 0.5)
    read = inject(model, region_of(10_000), data, seed=4, access=2)
    assert ((read ^ data) == draw_flips(model, region_of(10_000), data, seed=4, access=2)).all()


def test_flipped_bits_lists_positions_in_order() -> None:
    assert flipped_bits(np.array([0b1000_0001, 0, 0b10], np.uint8)).tolist() == [0, 7, 17]


def test_refusals() -> None:
    model = UniformModel(0.1, 0.5)
    with pytest.raises(ConfigError) as wrong:
        draw_flips(model, region_of(10), np.zeros(9, np.uint8), seed=0, access=0)
    assert str(wrong.value) == (
        "draw_flips: data: holds uint8 of shape (9,); allowed: uint8 of shape (10,), as long as the region"
    )
    with pytest.raises(ConfigError) as wrong:
        draw_flips(model, region_of(1), np.zeros(1, np.uint8), seed=-1, access=0)
    assert str(wrong.value) == "draw_flips: seed = -1: not accepted; allowed: 0 to 2**64 - 1"
    with pytest.raises(ConfigError) as wrong:
        draw_flips(model, region_of(1), np.zeros(1, np.uint8), seed=0, access=2**64)
    assert str(wrong.value) == "draw_flips: access = 18446744073709551616: not accepted; allowed: 0 to 2**64 - 1"
