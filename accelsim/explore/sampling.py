"""Points by Optuna's samplers: those that are one sequence, fixed from the beginning, and what all samplers share.

Grids, random and quasi-random points are such a sequence; `learning` has the samplers that learn from results. Either
way the points of a study, and of the same study continued, are the same for any number of workers.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from accelsim.errors import ConfigError
from accelsim.explore.metrics import METRICS
from accelsim.explore.parameter import Choice, Parameter, Point
from accelsim.explore.storage import distribution
from accelsim.explore.trial import point_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study

    from accelsim.explore.space import Space

MOST_GRID_POINTS = 2_000_000
"""Points of a grid beyond which it is not enumerated."""
DRAWS_PER_POINT = 50
"""Draws after which a sampler that finds no new point that meets the conditions is taken to have found all."""
PATIENT_DRAWS = 2_000
"""Draws that are made in any case."""

LEARNING = ("tpe", "nsga2")
"""Samplers that learn from results."""


@dataclass(frozen=True)
class Proposal:
    """A point and its place in the study."""

    index: int
    point: Point


def grid_size(space: Space) -> int | None:
    """Points of the whole grid, conditions aside; None where a parameter is continuous."""
    sizes = [len(values) for values in (entry.values for entry in space.parameters) if values is not None]
    return math.prod(sizes) if len(sizes) == len(space.parameters) else None


def fixed_points(space: Space, trials: int | None) -> list[Proposal]:
    """List the points of a sampler that does not learn: distinct ones that meet the conditions on the config.

    Parameters
    ----------
    space
        The space, whose sampler is ``grid``, ``random`` or ``qmc``.
    trials
        How many are wanted; None for a whole grid. Fewer come back where the space holds no more.

    Raises
    ------
    ConfigError
        When no point meets the conditions, or a grid is too large.
    """
    drawn = _grid_points(space) if space.sampler == "grid" else _drawn_points(space, trials or 0)
    proposals: list[Proposal] = []
    seen: set[str] = set()
    refused: list[Point] = []
    for point in drawn:
        key = point_key(point)
        if key in seen:
            continue
        seen.add(key)
        if not admitted(space, point):
            refused.append(point)
            continue
        proposals.append(Proposal(len(proposals), point))
        if trials is not None and len(proposals) >= trials:
            break
    if not proposals:
        raise no_point(space, refused)
    return proposals


def _grid_points(space: Space) -> Iterator[Point]:
    """All points of a grid, in a random order, so that a study that is cut short has seen the whole space."""
    size = grid_size(space) or 0
    if size > MOST_GRID_POINTS:
        raise ConfigError(f"makes a grid of {size:,} points", where=space.where, key="parameters",
                          allowed=f"{MOST_GRID_POINTS:,}, or another sampler")  # fmt: skip
    values = [entry.values or () for entry in space.parameters]
    shape = tuple(len(entry) for entry in values)
    for number in np.random.default_rng(space.seed).permutation(size):
        places = np.unravel_index(number, shape)
        yield {entry.path: options[int(place)]
               for entry, options, place in zip(space.parameters, values, places, strict=True)}  # fmt: skip


def _drawn_points(space: Space, trials: int) -> Iterator[Point]:
    study = memory_study(space)
    study.sampler = build_sampler(space, 0)
    distributions = {entry.path: coded_distribution(entry, space.sampler) for entry in space.parameters}
    drawn = 0
    while drawn < trials * DRAWS_PER_POINT + PATIENT_DRAWS:
        trial = study.ask(distributions)
        study.tell(trial, state=TrialState.FAIL)
        drawn += 1
        yield decoded(space, trial.params)


def admitted(space: Space, point: Point) -> bool:
    """Whether a point meets the conditions on the config.

    One that is no valid config, or for which a key cannot be derived, is admitted: it is run, fails, and says why.

    Raises
    ------
    ConfigError
        When a condition cannot be computed.
    """
    try:
        return not any(space.violations(point).values())
    except ConfigError as error:
        if error.where == space.where and error.key == "constraints":
            raise
        return True


def coded_distribution(parameter: Parameter, sampler: str) -> BaseDistribution:
    """What a sampler sees of a parameter: of numbers to choose from, their ranks, so that it knows their order.

    Optuna's quasi-random sampler leaves plain choices to chance; it gets ranks of them all.
    """
    if not isinstance(parameter, Choice):
        return distribution(parameter)
    if sampler == "qmc" or _ordered(parameter):
        return IntDistribution(0, len(parameter.values) - 1)
    return CategoricalDistribution(tuple(range(len(parameter.values))))


def _ordered(parameter: Choice) -> bool:
    values = parameter.values
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and numbers == sorted(numbers)


def decoded(space: Space, params: Mapping[str, Any]) -> Point:
    """Point that a sampler's parameters stand for."""
    return {
        entry.path: entry.values[params[entry.path]] if isinstance(entry, Choice) else params[entry.path]
        for entry in space.parameters
    }


def memory_study(space: Space) -> Study:
    """Make a study in memory, for a sampler to look at."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        directions=[
            StudyDirection.MAXIMIZE if METRICS[name].maximised else StudyDirection.MINIMIZE for name in space.objectives
        ]
    )


def build_sampler(space: Space, generation: int) -> BaseSampler:
    """Make the sampler of a space, seeded for a generation."""
    seed = int(np.random.SeedSequence([space.seed, generation]).generate_state(1)[0])
    match space.sampler:
        case "random":
            return RandomSampler(seed=seed)
        case "qmc":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        case "tpe":
            return TPESampler(seed=seed, multivariate=True, n_startup_trials=space.generation)
    return NSGAIISampler(seed=seed, population_size=max(space.generation, 2))


def no_point(space: Space, tried: Sequence[Point]) -> ConfigError:
    """Say that no point meets the conditions, and which one that is if it is one alone."""
    met: set[str] = set()
    for point in tried:
        met.update(text for text, violation in space.violations(point).items() if not violation)
    for condition in space.conditions:
        text = condition.expression.text
        if condition.before_run and text not in met:
            problem = f"is met by none of the {len(tried):,} points tried"
            return ConfigError(problem, where=space.where, key="constraints", value=text)
    return ConfigError(
        f"are met together by none of the {len(tried):,} points tried", where=space.where, key="constraints"
    )
