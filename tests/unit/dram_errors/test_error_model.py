"""The four error models as records: rates, limits, refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from accelsim.errors import ConfigError
from accelsim.hardware.dram.error_model import (
    ERROR_MODELS,
    BitlineModel,
    DataDependentModel,
    UniformModel,
    WordlineModel,
    data_dependent_at_rates,
    expected_bit_error_rate,
    line_spreads,
    model_at_rate,
)


def test_expected_rates_are_the_formulas_of_the_paper() -> None:
    assert expected_bit_error_rate(UniformModel(0.04, 0.25)) == pytest.approx(0.01)
    assert expected_bit_error_rate(BitlineModel(0.04, 0.25)) == pytest.approx(0.01)
    assert expected_bit_error_rate(WordlineModel(0.04, 0.25)) == pytest.approx(0.01)
    model = DataDependentModel(0.1, 0.2, 0.6)
    assert expected_bit_error_rate(model) == pytest.approx(0.04)
    assert expected_bit_error_rate(model, ones_density=1.0) == pytest.approx(0.02)
    assert expected_bit_error_rate(model, ones_density=0.0) == pytest.approx(0.06)


@pytest.mark.parametrize("kind", sorted(ERROR_MODELS))
@pytest.mark.parametrize("rate", [0.0, 1e-9, 1e-3, 0.25])
def test_model_at_rate_has_that_rate(kind: str, rate: float) -> None:
    model = model_at_rate(kind, rate)
    assert model.kind == kind
    assert expected_bit_error_rate(model) == pytest.approx(rate)


def test_numbers_of_the_paper() -> None:
    assert {kind: model.number for kind, model in ERROR_MODELS.items()} == {
        "uniform": 0,
        "bitline": 1,
        "wordline": 2,
        "data_dependent": 3,
    }


def test_line_laws_keep_their_means_and_bounds() -> None:
    """Expectation of P (1 + s) u**s by quadrature, for spreads that fit and spreads that are capped."""
    u = (np.arange(100_000) + 0.5) / 100_000
    for model in (BitlineModel(0.1, 0.5), BitlineModel(0.6, 0.9), BitlineModel(1.0, 1.0), WordlineModel(0.3, 0.2, 9.0)):
        spread, width = line_spreads(model)
        weak = model.weak_fraction * (1 + spread) * u**spread
        assert weak.max() <= 1.0 + 1e-12
        assert weak.mean() == pytest.approx(model.weak_fraction, rel=1e-3)
        assert model.flip_probability * (1 - width) >= 0.0
        assert model.flip_probability * (1 + width) <= 1.0 + 1e-12


def test_spreads_in_force() -> None:
    assert line_spreads(BitlineModel(0.1, 0.5, 3.0, 0.5)) == (3.0, 0.5)
    assert line_spreads(BitlineModel(0.5, 0.8, 3.0, 0.5)) == (1.0, 0.25)
    assert line_spreads(BitlineModel(1.0, 1.0)) == (0.0, 0.0)
    assert line_spreads(BitlineModel(0.0, 0.0, 3.0, 0.5)) == (3.0, 0.5)


def test_data_dependent_from_two_measured_rates() -> None:
    model = data_dependent_at_rates(rate_one=0.01, rate_zero=0.028)
    assert expected_bit_error_rate(model, 1.0) == pytest.approx(0.01)
    assert expected_bit_error_rate(model, 0.0) == pytest.approx(0.028)
    assert model.flip_probability_zero == pytest.approx(0.5)
    assert data_dependent_at_rates(0.0, 0.0).weak_fraction == 0.0


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        UniformModel(0.1, 0.5).weak_fraction = 0.2  # type: ignore[misc]


def test_refusals_of_numbers() -> None:
    with pytest.raises(ConfigError) as wrong:
        UniformModel(1.5, 0.5)
    assert str(wrong.value) == "uniform error model: weak_fraction = 1.5: not accepted; allowed: 0 to 1"
    with pytest.raises(ConfigError) as wrong:
        DataDependentModel(0.5, float("nan"), 0.5)
    assert str(wrong.value) == "data_dependent error model: flip_probability_one = nan: not accepted; allowed: 0 to 1"
    with pytest.raises(ConfigError) as wrong:
        WordlineModel(0.5, 0.5, weak_spread=-1.0)
    assert str(wrong.value) == "wordline error model: weak_spread = -1.0: not accepted; allowed: 0 or more"
    with pytest.raises(ConfigError) as wrong:
        BitlineModel(0.5, 0.5, weak_spread=float("inf"))
    assert str(wrong.value) == "bitline error model: weak_spread = inf: not accepted; allowed: 0 or more"


def test_refusals_of_rates() -> None:
    with pytest.raises(ConfigError) as wrong:
        model_at_rate("gaussian", 0.1)
    assert str(wrong.value) == (
        "error model: 'gaussian': no such error model; allowed: one of bitline, data_dependent, uniform, wordline"
    )
    with pytest.raises(ConfigError) as wrong:
        model_at_rate("uniform", 0.6)
    assert str(wrong.value) == (
        "error model: bit_error_rate = 0.6: weak cells cannot be more than all cells; "
        "allowed: 0 to the flip probability of a weak cell, 0.5"
    )
    with pytest.raises(ConfigError, match=r"bit_error_rate = -0\.1: weak cells"):
        model_at_rate("bitline", -0.1)
    with pytest.raises(ConfigError) as wrong:
        model_at_rate("data_dependent", 0.1, zero_share=1.5)
    assert str(wrong.value) == "error model: zero_share = 1.5: not accepted; allowed: 0 to 1"
