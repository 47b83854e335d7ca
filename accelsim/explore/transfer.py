"""Latency across devices: how alike two machines rank designs, and how well a predictor of one serves the other.

After Lu et al., "Scaling Up DNN Optimization for Edge Inference": where latency is monotone between devices, one
device's study ranks designs for all. Here the devices are two studies over the same parameters; designs match by the
values of their parameters. The predictor is fitted on the whole source study; to adapt it, it becomes one more feature
of a small model that sees a few points of the target. Its error is told beside that of the same small model without it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import InputError
from accelsim.explore.trial import COMPLETE, TrialRecord, point_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ADAPTED_ON = (5, 10, 20, 50)
"""Points of the target that a predictor is adapted on."""
_REPEATS = 10
_FEWEST_TESTED = 5
_FEWEST_MATCHED = 3


@dataclass(frozen=True)
class AdaptedError:
    """Error of predictors that saw `points` points of the target, on all its other points.

    Parameters
    ----------
    points
        Points of the target that were seen.
    transferred_ape, transferred_spearman
        Median absolute relative error and rank correlation of the source's predictor, adapted; means over the repeats.
    alone_ape, alone_spearman
        The same of a predictor that was fitted on those points and nothing else.
    """

    points: int
    transferred_ape: float
    transferred_spearman: float | None
    alone_ape: float
    alone_spearman: float | None


@dataclass(frozen=True)
class Transfer:
    """What a study tells about another one.

    Parameters
    ----------
    metric
        The figure that is compared.
    source, target
        Names of the studies.
    source_points, target_points, matched
        Complete trials of either, and designs that both have.
    spearman, kendall
        Rank correlations over the designs that both have; None where they are too few or all the same.
    adapted
        Errors of the predictor by the number of target points that it saw.
    """

    metric: str
    source: str
    target: str
    source_points: int
    target_points: int
    matched: int
    spearman: float | None
    kendall: float | None
    adapted: tuple[AdaptedError, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Spearman's and Kendall's rank correlation; None where one of the two is constant."""
    if len(first) < _FEWEST_MATCHED or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None, None
    from scipy.stats import kendalltau, spearmanr

    return float(spearmanr(first, second).statistic), float(kendalltau(first, second).statistic)


def compare_studies(
    source: Sequence[TrialRecord],
    target: Sequence[TrialRecord],
    metric: str = "latency_ns",
    names: tuple[str, str] = ("source", "target"),
    seed: int = 0,
) -> Transfer:
    """Measure how far a study predicts another one.

    Parameters
    ----------
    source, target
        Trials of the two studies, over the same parameters.
    metric
        The figure to predict; positive.
    names
        Names of the studies.
    seed
        Seed of the choice of the points that the predictor is adapted on.

    Raises
    ------
    InputError
        When the studies vary different parameters, or one of them has no complete trial.
    """
    known = [record for record in source if record.state == COMPLETE and record.metrics.get(metric, 0) > 0]
    wanted = [record for record in target if record.state == COMPLETE and record.metrics.get(metric, 0) > 0]
    for name, records in zip(names, (known, wanted), strict=True):
        if not records:
            raise InputError(f"has no complete trial with {metric}", where="--transfer-from", value=name)
    if set(known[0].point) != set(wanted[0].point):
        raise InputError(f"varies other parameters than {names[1]}", where="--transfer-from", value=names[0],
                         allowed=", ".join(sorted(wanted[0].point)))  # fmt: skip
    by_point = {point_key(record.point): record.metrics[metric] for record in known}
    pairs = [(by_point[point_key(record.point)], record.metrics[metric]) for record in wanted
             if point_key(record.point) in by_point]  # fmt: skip
    matched = np.array(pairs, np.float64).reshape(-1, 2)
    spearman, kendall = rank_correlation(matched[:, 0], matched[:, 1])
    return Transfer(
        metric=metric, source=names[0], target=names[1], source_points=len(known), target_points=len(wanted),
        matched=len(matched), spearman=spearman, kendall=kendall, adapted=_adapted(known, wanted, metric, seed),
    )  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """Turns points into rows of numbers: numbers as their logarithm where that exists, texts as one column each.

    Parameters
    ----------
    numbers
        Parameters whose values are all numbers; True where all are positive.
    texts
        The other parameters with their values.
    """

    numbers: dict[str, bool]
    texts: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, records: Sequence[TrialRecord]) -> Encoder:
        """Look at what values there are."""
        numbers: dict[str, bool] = {}
        texts: dict[str, tuple[str, ...]] = {}
        for path in records[0].point:
            values = [record.point[path] for record in records]
            plain = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
            if len(plain) == len(values):
                numbers[path] = min(plain) > 0
            else:
                texts[path] = tuple(sorted({str(value) for value in values}))
        return cls(numbers, texts)

    def rows(self, records: Sequence[TrialRecord]) -> NDArray[np.float64]:
        """Features of trials, ``(trials, features)``."""
        columns: list[NDArray[np.float64]] = []
        for path, positive in self.numbers.items():
            values = np.array([float(record.point[path]) for record in records])  # type: ignore[arg-type]
            columns.append(np.log2(values) if positive else values)
        for path, options in self.texts.items():
            columns += [np.array([float(str(record.point[path]) == option) for record in records])
                        for option in options]  # fmt: skip
        return np.stack(columns, axis=1)


def _adapted(
    source: Sequence[TrialRecord], target: Sequence[TrialRecord], metric: str, seed: int
) -> tuple[AdaptedError, ...]:
    from sklearn.ensemble import ExtraTreesRegressor

    encoder = Encoder.of([*source, *target])
    known, known_logs = encoder.rows(source), _logs(source, metric)
    rows, logs = encoder.rows(target), _logs(target, metric)
    model = ExtraTreesRegressor(n_estimators=100, random_state=seed)
    guessed = model.fit(known, known_logs).predict(rows)
    errors = []
    for points in ADAPTED_ON:
        if points + _FEWEST_TESTED > len(target):
            break
        scores = []
        for repeat in range(_REPEATS):
            order = np.random.default_rng([seed, points, repeat]).permutation(len(target))
            seen, tested = order[:points], order[points:]
            with_source = np.column_stack([guessed, rows])
            scores.append(
                (
                    *_score(_fitted(with_source, logs, seen, tested), logs[tested]),
                    *_score(_fitted(rows, logs, seen, tested), logs[tested]),
                )
            )
        errors.append(AdaptedError(points, *(_mean([score[place] for score in scores]) for place in range(4))))  # type: ignore[arg-type]
    return tuple(errors)


def _logs(records: Sequence[TrialRecord], metric: str) -> NDArray[np.float64]:
    return np.log(np.array([record.metrics[metric] for record in records], np.float64))


def _fitted(
    features: NDArray[np.float64], logs: NDArray[np.float64], seen: NDArray[np.int64], tested: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Predict the tested points by a ridge regression on the seen ones, its strength chosen by leaving one out."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 3, 13)))
    guessed: NDArray[np.float64] = model.fit(features[seen], logs[seen]).predict(features[tested])
    return guessed


def _score(guessed: NDArray[np.float64], logs: NDArray[np.float64]) -> tuple[float, float | None]:
    ape = np.abs(np.expm1(np.clip(guessed - logs, -50, 50)))
    return float(np.median(ape)), rank_correlation(guessed, logs)[0]


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
