"""Samplers that learn: TPE and NSGA-II, a generation at a time.

A generation is proposed from what all generations before it gave, by a sampler that is seeded for that generation. Its
points therefore depend on the space and on results alone: neither on how many workers there are nor on which of them
was quicker. A study that was interrupted is continued by proposing its generations again, which gives the same points,
and telling what is known of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.trial import TrialState

from accelsim.explore.sampling import (
    DRAWS_PER_POINT,
    Proposal,
    admitted,
    build_sampler,
    coded_distribution,
    decoded,
    memory_study,
    no_point,
)
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED, TrialRecord, point_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import Trial

    from accelsim.explore.parameter import Point
    from accelsim.explore.space import Space

_STATES = {COMPLETE: TrialState.COMPLETE, FAILED: TrialState.FAIL, PRUNED: TrialState.PRUNED}


class LearningSampler:
    """A sampler that proposes generations from the results of those before.

    Parameters
    ----------
    space
        The space, whose sampler is one of `LEARNING`.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._study = memory_study(space)
        self._distributions = {entry.path: coded_distribution(entry, space.sampler) for entry in space.parameters}
        self._asked: dict[int, Trial] = {}
        self._seen: set[str] = set()
        self._generation = 0
        self._next_index = 0

    @property
    def proposed(self) -> int:
        """Points proposed so far."""
        return self._next_index

    def propose(self) -> list[Proposal]:
        """Propose the next generation: new points that meet the conditions on the config; none where none is found.

        Raises
        ------
        ConfigError
            When the very first generation is empty.
        """
        space = self._space
        self._study.sampler = build_sampler(space, self._generation)
        self._generation += 1
        proposals: list[Proposal] = []
        refused: list[Point] = []
        for _ in range(space.generation * DRAWS_PER_POINT):
            trial = self._study.ask(self._distributions)
            point = decoded(space, trial.params)
            key = point_key(point)
            known = key in self._seen
            if known or not admitted(space, point):
                refused += [] if known else [point]
                self._study.tell(trial, state=TrialState.FAIL)  # which samplers do not look at
                continue
            self._seen.add(key)
            self._asked[self._next_index] = trial
            proposals.append(Proposal(self._next_index, point))
            self._next_index += 1
            if len(proposals) == space.generation:
                break
        if not self._next_index:
            raise no_point(space, refused)
        return proposals

    def tell(self, records: Sequence[TrialRecord]) -> None:
        """Tell what became of a generation, in the order of proposal."""
        for record in sorted(records, key=lambda entry: entry.index):
            trial = self._asked.pop(record.index)
            for text, violation in record.violations.items():
                trial.set_constraint(text, violation)
            if record.state == COMPLETE:
                self._study.tell(trial, [record.metrics[name] for name in self._space.objectives])
            else:
                self._study.tell(trial, state=_STATES[record.state])
