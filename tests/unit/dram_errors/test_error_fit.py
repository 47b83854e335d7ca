"""Fits: against brute force, and of data drawn from each model."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from accelsim.errors import ConfigError
from accelsim.hardware.dram import weak_cells
from accelsim.hardware.dram.cell_region import CellRegion, map_bytes, row_interleaved
from accelsim.hardware.dram.error_fit import ErrorModelFit, choose_error_model, fit_error_models
from accelsim.hardware.dram.error_model import (
    BitlineModel,
    DataDependentModel,
    ErrorModel,
    LineModel,
    UniformModel,
    WordlineModel,
    line_spreads,
)
from accelsim.hardware.dram.flip_observations import FlipObservations, observe_flips
from accelsim.hardware.dram.line_law import fit_line_law

READS = 8  # of each pattern
DRAWN: list[ErrorModel] = [
    UniformModel(0.05, 0.4),
    BitlineModel(0.05, 0.4),
    WordlineModel(0.05, 0.4),
    DataDependentModel(0.05, 0.3, 0.5),
]


def module(rows: int = 128, row_bytes: int = 128, banks: int = 2) -> CellRegion:
    return map_bytes(0, rows * row_bytes * banks, min(64, row_bytes), row_interleaved(banks, row_bytes))


def observe(model: ErrorModel, region: CellRegion, seed: int, reads: int = READS) -> FlipObservations:
    ones = np.full(region.total_bytes, 0xFF, np.uint8)
    return observe_flips(model, region, [ones, ~ones], reads_per_pattern=reads, seed=seed)


def few_cells(
    reads_one: list[int], flips_one: list[int], reads_zero: list[int], flips_zero: list[int]
) -> FlipObservations:
    cells = len(reads_one)
    arrays = (np.zeros(cells), np.zeros(cells), np.arange(cells), reads_one, flips_one, reads_zero, flips_zero)
    return FlipObservations(*(np.array(values, dtype=np.int64) for values in arrays))


def log_likelihood(seen: FlipObservations, weak: float, one: float, zero: float) -> float:
    """Straight from the definition, cell by cell."""
    total = 0.0
    for n1, k1, n0, k0 in zip(
        seen.reads_of_one.tolist(),
        seen.flips_of_one.tolist(),
        seen.reads_of_zero.tolist(),
        seen.flips_of_zero.tolist(),
        strict=True,
    ):
        as_weak = weak * one**k1 * (1 - one) ** (n1 - k1) * zero**k0 * (1 - zero) ** (n0 - k0)
        total += math.log(as_weak + (1 - weak if k1 + k0 == 0 else 0.0))
    return total


# --- the maximum is the maximum ---------------------------------------------------------------------------------------


def test_maximum_beats_every_point_of_a_grid_and_its_likelihood_is_the_definition() -> None:
    rng = np.random.default_rng(3)
    n1, n0 = rng.integers(0, 6, 60), rng.integers(1, 5, 60)
    weak = rng.random(60) < 0.4
    seen = few_cells(
        n1.tolist(), (weak * rng.binomial(n1, 0.3)).tolist(), n0.tolist(), (weak * rng.binomial(n0, 0.6)).tolist()
    )
    fits = fit_error_models(seen)
    grid = np.arange(0.02, 1.0, 0.04)
    uniform = fits["uniform"].model
    assert isinstance(uniform, UniformModel)
    here = log_likelihood(seen, uniform.weak_fraction, uniform.flip_probability, uniform.flip_probability)
    assert fits["uniform"].log_likelihood == pytest.approx(here, rel=1e-9)
    assert here >= max(log_likelihood(seen, p, f, f) for p, f in itertools.product(grid, grid))
    dependent = fits["data_dependent"].model
    assert isinstance(dependent, DataDependentModel)
    best = (dependent.weak_fraction, dependent.flip_probability_one, dependent.flip_probability_zero)
    assert fits["data_dependent"].log_likelihood == pytest.approx(log_likelihood(seen, *best), rel=1e-9)
    assert log_likelihood(seen, *best) >= max(
        log_likelihood(seen, *point) for point in itertools.product(grid, repeat=3)
    )
    for step in itertools.product((-1e-3, 0.0, 1e-3), repeat=3):
        near = [min(1.0, max(0.0, value + change)) for value, change in zip(best, step, strict=True)]
        assert log_likelihood(seen, *near) <= log_likelihood(seen, *best) + 1e-9


def test_line_models_climb_every_line_by_itself() -> None:
    """One bitline per cell column: the likelihood of model 1 is the sum over columns fitted alone."""
    seen = observe(BitlineModel(0.3, 0.5), module(rows=24, row_bytes=4, banks=1), seed=1)
    fits = fit_error_models(seen)
    alone = 0.0
    for column in range(32):
        chosen = seen.column == column
        part = FlipObservations(*(np.asarray(getattr(seen, name))[chosen] for name in seen.__dataclass_fields__))
        alone += fit_error_models(part)["uniform"].log_likelihood
    assert fits["bitline"].log_likelihood == pytest.approx(alone, rel=1e-9)


# --- data drawn from each model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", DRAWN, ids=lambda model: model.kind)
@pytest.mark.parametrize("seed", range(5))
def test_data_drawn_from_a_model_are_recognised_as_that_model(model: ErrorModel, seed: int) -> None:
    fits = fit_error_models(observe(model, module(), seed))
    assert choose_error_model(fits).model.kind == model.kind


@pytest.mark.parametrize("seed", range(5))
def test_parameters_of_models_0_and_3_come_back_within_4_sigma(seed: int) -> None:
    region = module()
    cells = 8 * region.total_bytes
    uniform = fit_error_models(observe(DRAWN[0], region, seed))["uniform"].model
    assert isinstance(uniform, UniformModel)
    assert abs(uniform.weak_fraction - 0.05) < 4 * math.sqrt(0.05 * 0.95 / cells)
    assert abs(uniform.flip_probability - 0.4) < 4 * math.sqrt(0.4 * 0.6 / (0.05 * cells * 2 * READS))
    dependent = fit_error_models(observe(DRAWN[3], region, seed))["data_dependent"].model
    assert isinstance(dependent, DataDependentModel)
    weak_reads = 0.05 * cells * READS
    assert abs(dependent.weak_fraction - 0.05) < 4 * math.sqrt(0.05 * 0.95 / cells)
    assert abs(dependent.flip_probability_one - 0.3) < 4 * math.sqrt(0.3 * 0.7 / weak_reads)
    assert abs(dependent.flip_probability_zero - 0.5) < 4 * math.sqrt(0.5 * 0.5 / weak_reads)


@pytest.mark.parametrize("kind", [BitlineModel, WordlineModel])
def test_parameters_of_the_line_models_come_back_within_4_sigma(kind: type[LineModel]) -> None:
    """Means: sigma from the law. Spreads: sigma from the scatter over modules, whose mean must be the truth."""
    # 64 cells to a line, so that a line alone tells next to nothing
    region = module(rows=64, row_bytes=64) if kind is BitlineModel else module(rows=512, row_bytes=8)
    truth = kind(0.1, 0.4, weak_spread=2.0, flip_spread=0.5)
    name = truth.kind
    lines = 2 * 512
    fitted = [fit_error_models(observe(truth, region, seed))[name].model for seed in range(10)]
    found = np.array([[m.weak_fraction, m.flip_probability, m.weak_spread, m.flip_spread] for m in fitted])  # type: ignore[union-attr]
    relative = 2.0**2 / (2 * 2.0 + 1)  # variance of the weak fraction over mean squared
    sigma_weak = 0.1 * math.sqrt(relative / lines)
    sigma_flip = 0.4 * 0.5 * math.sqrt((1 + relative) / 3 / lines)
    assert (np.abs(found[:, 0] - 0.1) < 4 * sigma_weak).all()
    assert (np.abs(found[:, 1] - 0.4) < 4 * sigma_flip).all()
    scatter = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - [0.1, 0.4, 2.0, 0.5]) < 4 * scatter).all()
    assert (found.std(axis=0) < [0.01, 0.02, 0.2, 0.05]).all()  # the test above means something


def test_every_line_gets_its_own_parameters_back() -> None:
    """Pulls (estimate minus truth over sigma) of all wordlines have variance one."""
    truth, seed = WordlineModel(0.2, 0.5, weak_spread=1.0, flip_spread=0.3), 5
    lines = fit_error_models(observe(truth, module(rows=128, row_bytes=256), seed))["wordline"].lines
    assert lines is not None
    assert len(lines.bank) == 256
    spread, width = line_spreads(truth)
    for stream, estimate in ((3, lines.weak_fraction), (4, lines.flip_probability)):
        true = np.empty(256)
        for index, (bank, line) in enumerate(zip(lines.bank.tolist(), lines.line.tolist(), strict=True)):
            key = np.uint64(weak_cells.bank_key(np.uint64(seed), np.uint64(stream), bank))
            if stream == 3:
                true[index] = weak_cells.line_weak_fraction(key, line, 0.2, spread)
            else:
                true[index] = 0.5 * weak_cells.line_flip_factor(key, line, width)
        trials = 2048.0 if stream == 3 else lines.weak_cells * 2 * READS
        seen_well = lines.weak_cells > 20
        pull = ((estimate - true) / np.sqrt(true * (1 - true) / trials))[seen_well]
        assert seen_well.sum() > 200
        assert np.abs(pull).max() < 4.5
        assert abs((pull**2).mean() - 1) < 4 * math.sqrt(2 / len(pull))


def test_a_uniform_module_read_little_still_counts_as_uniform() -> None:
    for seed in range(5):
        fits = fit_error_models(observe(UniformModel(0.003, 0.5), module(), seed, reads=1))
        assert choose_error_model(fits).model.kind == "uniform"


def test_line_law_with_unequal_numbers_of_reads() -> None:
    """Cells read 2 to 12 times each; a thousand lines of 200 cells."""
    rng = np.random.default_rng(8)
    lines = np.repeat(np.arange(1000), 200)
    weak_of_line = 0.1 * (1 + 1.5) * rng.random(1000) ** 1.5
    flip_of_line = 0.4 * (1 + 0.6 * (2 * rng.random(1000) - 1))
    reads = rng.integers(2, 13, lines.size)
    weak = rng.random(lines.size) < weak_of_line[lines]
    law = fit_line_law(reads, weak * rng.binomial(reads, flip_of_line[lines]), lines)
    assert law.weak_fraction == pytest.approx(0.1, abs=4 * 0.1 * math.sqrt(1.5**2 / 4 / 1000))
    assert law.flip_probability == pytest.approx(0.4, abs=4 * 0.4 * 0.6 * math.sqrt(1.56 / 3 / 1000))
    assert law.weak_spread == pytest.approx(1.5, abs=0.28)  # sigma over such samples: 0.07
    assert law.flip_spread == pytest.approx(0.6, abs=0.12)  # sigma over such samples: 0.03


# --- edges ------------------------------------------------------------------------------------------------------------


def test_no_flip_at_all() -> None:
    fits = fit_error_models(observe(UniformModel(0.0, 0.5), module(rows=4, row_bytes=64), seed=0))
    assert {kind: fit.log_likelihood for kind, fit in fits.items()} == dict.fromkeys(fits, 0.0)
    chosen = choose_error_model(fits).model
    assert isinstance(chosen, UniformModel)
    assert chosen.weak_fraction == 0.0


def test_every_read_flips() -> None:
    fits = fit_error_models(observe(UniformModel(1.0, 1.0), module(rows=4, row_bytes=64), seed=0))
    assert choose_error_model(fits).model == UniformModel(1.0, 1.0)
    assert fits["bitline"].model == BitlineModel(1.0, 1.0, 0.0, 0.0)


def test_one_pattern_cannot_show_dependence_on_data() -> None:
    region = module(rows=4, row_bytes=64)
    ones = np.full(region.total_bytes, 0xFF, np.uint8)
    seen = observe_flips(UniformModel(0.1, 0.5), region, [ones], reads_per_pattern=4, seed=0)
    assert sorted(fit_error_models(seen)) == ["bitline", "uniform", "wordline"]


def test_choice_prefers_the_likeliest_then_model_0_then_chance() -> None:
    def fit(model: ErrorModel, score: float) -> ErrorModelFit:
        return ErrorModelFit(model, score, 0)

    fits = {model.kind: fit(model, score) for model, score in zip(DRAWN, (-100.0, -103.0, -140.0, -98.0), strict=True)}
    assert choose_error_model(fits).model.kind == "uniform"
    assert choose_error_model(fits, near_tie_nats=1.0).model.kind == "data_dependent"
    fits["uniform"] = fit(DRAWN[0], -200.0)
    picks = {choose_error_model(fits, seed=seed).model.kind for seed in range(20)}
    assert picks == {"bitline", "data_dependent"}
    assert choose_error_model(fits, seed=3) is choose_error_model(fits, seed=3)


def test_refusals() -> None:
    with pytest.raises(ConfigError) as wrong:
        fit_error_models(few_cells([1, 1], [0, 1], [0, 0], [0, 0]))
    assert str(wrong.value) == (
        "fit_error_models: observations: no cell was read more than once; "
        "allowed: 2 or more reads per cell, to tell the weak fraction from the flip probability"
    )
    with pytest.raises(ConfigError) as wrong:
        few_cells([1, 1], [0, 2], [0, 0], [0, 0])
    assert str(wrong.value) == "flip observations: flips_of_one[1]: a cell flipped more often than it was read"
    with pytest.raises(ConfigError) as wrong:
        few_cells([1, -1], [0, 0], [0, 0], [0, 0])
    assert str(wrong.value) == "flip observations: reads_of_one = -1: not accepted; allowed: >= 0"
    with pytest.raises(ConfigError) as wrong:
        few_cells([1, 1], [0], [0, 0], [0, 0])
    assert str(wrong.value) == "flip observations: flips_of_one: is no list as long as the others"
