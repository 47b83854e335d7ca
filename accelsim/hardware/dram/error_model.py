"""The four error models of EDEN: which cells of a DRAM below specification are weak, and how often those flip.

Models: Koppula et al., "EDEN", MICRO 2019 (DOI 10.1145/3352460.3358280), error models 0 to 3. Each names two things:
the fraction of cells that are weak (a fixed set of places) and the probability that a weak cell flips on one access.

0. `UniformModel`: weak cells lie anywhere, P and F are the same for all.
1. `BitlineModel`: P and F differ from bitline to bitline (sense amplifiers differ, and how far the decoder is).
2. `WordlineModel`: P and F differ from wordline to wordline.
3. `DataDependentModel`: weak cells lie anywhere, F depends on the bit stored.

The paper prints neither fitted values nor how P and F spread over the lines. Here (assumption) the weak fraction of a
line is ``P (1 + s) u**s`` with `u` uniform in [0, 1), and its flip probability is uniform in ``F (1 - w) .. F (1 + w)``
and drawn apart from it; both by hash of (seed, bank, line). The expectation of their product is P F for every s and w,
so the mean bit-error rate over modules is what was asked for. A bitline runs through all rows of a bank (assumption).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from accelsim.errors import ConfigError

DEFAULT_FLIP_PROBABILITY = 0.5  # assumption: no fitted F is printed; a marginal cell is as likely to fail as not
DEFAULT_WEAK_SPREAD = 3.0  # assumption: the worst line has four times the mean, the coefficient of variation is 1.13
DEFAULT_FLIP_SPREAD = 0.5  # assumption: flip probabilities of lines reach from half to one and a half times the mean
DEFAULT_ZERO_SHARE = 0.74  # FLY-DRAM, vendor A, tRCD 7.5 ns: mean rate 2.8e-2 on 0x00 against 1.0e-2 on 0xFF


@dataclass(frozen=True)
class UniformModel:
    """Error model 0: any cell is weak with the same probability.

    Attributes
    ----------
    weak_fraction
        Fraction of cells that are weak (P), 0 to 1.
    flip_probability
        Probability that a weak cell flips on one access (F), 0 to 1.
    """

    number: ClassVar[int] = 0
    kind: ClassVar[str] = "uniform"

    weak_fraction: float
    flip_probability: float

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class BitlineModel:
    """Error model 1: weak fraction and flip probability differ from bitline to bitline.

    Attributes
    ----------
    weak_fraction, flip_probability
        Means over the bitlines, 0 to 1.
    weak_spread
        Exponent `s` >= 0 of the law of the weak fraction; capped at ``1 / weak_fraction - 1``, where the worst line is
        weak throughout. Variance over mean squared is ``s**2 / (2 s + 1)``.
    flip_spread
        Half width `w` of the law of the flip probability, relative to the mean, 0 to 1; capped at
        ``1 / flip_probability - 1``.
    """

    number: ClassVar[int] = 1
    kind: ClassVar[str] = "bitline"

    weak_fraction: float
    flip_probability: float
    weak_spread: float = DEFAULT_WEAK_SPREAD
    flip_spread: float = DEFAULT_FLIP_SPREAD

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class WordlineModel:
    """Error model 2: weak fraction and flip probability differ from wordline to wordline.

    Attributes
    ----------
    weak_fraction, flip_probability, weak_spread, flip_spread
        As in `BitlineModel`, over the wordlines.
    """

    number: ClassVar[int] = 2
    kind: ClassVar[str] = "wordline"

    weak_fraction: float
    flip_probability: float
    weak_spread: float = DEFAULT_WEAK_SPREAD
    flip_spread: float = DEFAULT_FLIP_SPREAD

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class DataDependentModel:
    """Error model 3: any cell is weak with the same probability, and flips according to what it stores.

    Attributes
    ----------
    weak_fraction
        Fraction of cells that are weak (P), 0 to 1.
    flip_probability_one, flip_probability_zero
        Probability that a weak cell flips on one access when it stores 1 (F_V1) or 0 (F_V0), 0 to 1.
    """

    number: ClassVar[int] = 3
    kind: ClassVar[str] = "data_dependent"

    weak_fraction: float
    flip_probability_one: float
    flip_probability_zero: float

    def __post_init__(self) -> None:
        _check_numbers(self)


LineModel = BitlineModel | WordlineModel
ErrorModel = UniformModel | BitlineModel | WordlineModel | DataDependentModel
ERROR_MODELS: dict[str, type[ErrorModel]] = {
    model.kind: model for model in (UniformModel, BitlineModel, WordlineModel, DataDependentModel)
}


def _check_numbers(model: ErrorModel) -> None:
    for field in fields(model):
        value = getattr(model, field.name)
        highest = np.inf if field.name == "weak_spread" else 1.0
        if not 0.0 <= value <= highest or not np.isfinite(value):
            allowed = "0 or more" if field.name == "weak_spread" else "0 to 1"
            raise ConfigError(
                "not accepted", where=f"{model.kind} error model", key=field.name, value=value, allowed=allowed
            )


def line_spreads(model: LineModel) -> tuple[float, float]:
    """Return the spreads (s, w) in force: as asked for, or as much as keeps every line's P and F at most one."""
    weak = model.weak_spread * model.weak_fraction > 1.0 - model.weak_fraction
    flip = model.flip_spread * model.flip_probability > 1.0 - model.flip_probability
    return (
        1.0 / model.weak_fraction - 1.0 if weak else model.weak_spread,
        1.0 / model.flip_probability - 1.0 if flip else model.flip_spread,
    )


def expected_bit_error_rate(model: ErrorModel, ones_density: float = 0.5) -> float:
    """Return the expected fraction of bits that flip on one access.

    Parameters
    ----------
    model
        The error model. Of models 1 and 2 this is the mean over lines, hence over modules.
    ones_density
        Fraction of the stored bits that are 1; matters to model 3 only.
    """
    if isinstance(model, DataDependentModel):
        flip = ones_density * model.flip_probability_one + (1.0 - ones_density) * model.flip_probability_zero
        return model.weak_fraction * flip
    return model.weak_fraction * model.flip_probability


def model_at_rate(
    kind: str,
    bit_error_rate: float,
    *,
    flip_probability: float = DEFAULT_FLIP_PROBABILITY,
    weak_spread: float = DEFAULT_WEAK_SPREAD,
    flip_spread: float = DEFAULT_FLIP_SPREAD,
    zero_share: float = DEFAULT_ZERO_SHARE,
) -> ErrorModel:
    """Build the model of one kind whose expected bit-error rate is `bit_error_rate`.

    Parameters
    ----------
    kind
        ``uniform``, ``bitline``, ``wordline`` or ``data_dependent``.
    bit_error_rate
        Wanted rate, 0 to `flip_probability`. For the data-dependent model it holds where half of the bits are 1.
    flip_probability
        Mean flip probability of a weak cell; the weak fraction follows as the quotient.
    weak_spread, flip_spread
        For the line models, see `BitlineModel`.
    zero_share
        For the data-dependent model: ``F_V0 / (F_V0 + F_V1)``, above one half where 0 to 1 flips are the likelier.

    Raises
    ------
    ConfigError
        When the kind is unknown or the rate cannot be reached.
    """
    if kind not in ERROR_MODELS:
        raise ConfigError(
            "no such error model", where="error model", value=kind, allowed="one of " + ", ".join(sorted(ERROR_MODELS))
        )
    if kind == DataDependentModel.kind:
        _check_share(zero_share)
        return data_dependent_at_rates(
            2.0 * bit_error_rate * (1.0 - zero_share), 2.0 * bit_error_rate * zero_share, flip_probability
        )
    weak = _weak_fraction(bit_error_rate, flip_probability)
    if kind == UniformModel.kind:
        return UniformModel(weak, flip_probability)
    line_model = BitlineModel if kind == BitlineModel.kind else WordlineModel
    return line_model(weak, flip_probability, weak_spread, flip_spread)


def data_dependent_at_rates(
    rate_one: float, rate_zero: float, flip_probability: float = DEFAULT_FLIP_PROBABILITY
) -> DataDependentModel:
    """Build error model 3 from the bit-error rates measured with all ones (0xFF) and all zeros (0x00) stored.

    `flip_probability` is that of a weak cell which stores the worse of the two values.

    Raises
    ------
    ConfigError
        When a rate lies above `flip_probability`.
    """
    worse = max(rate_one, rate_zero)
    weak = max(_weak_fraction(rate, flip_probability) for rate in (rate_one, rate_zero))
    if weak == 0.0:
        return DataDependentModel(0.0, flip_probability, flip_probability)
    return DataDependentModel(weak, flip_probability * rate_one / worse, flip_probability * rate_zero / worse)


def _weak_fraction(rate: float, flip_probability: float) -> float:
    if not 0.0 <= rate <= flip_probability <= 1.0:
        raise ConfigError(
            "weak cells cannot be more than all cells",
            where="error model",
            key="bit_error_rate",
            value=rate,
            allowed=f"0 to the flip probability of a weak cell, {flip_probability}",
        )
    return rate / flip_probability if rate else 0.0


def _check_share(zero_share: float) -> None:
    if not 0.0 <= zero_share <= 1.0:
        raise ConfigError("not accepted", where="error model", key="zero_share", value=zero_share, allowed="0 to 1")
