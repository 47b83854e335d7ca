"""One point of a study and what became of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.explore.parameter import Point

COMPLETE, FAILED, PRUNED, RUNNING = "complete", "failed", "pruned", "running"


@dataclass(frozen=True)
class TrialRecord:
    """A trial of a study.

    Parameters
    ----------
    index
        Position in the order in which points were proposed.
    point
        Values of the parameters.
    state
        ``complete``, ``failed``, ``pruned`` (its estimate was not worth a simulation) or ``running``.
    metrics
        Figures of the full simulation, or of the estimate where the study has nothing else.
    estimate
        Figures of the closed form, where one was made.
    violations
        How far each condition on results is from being met, by its text; zero where it is met.
    error
        Why it failed.
    wall_s
        Seconds that a worker spent on it.
    """

    index: int
    point: Point
    state: str
    metrics: dict[str, float] = field(default_factory=dict)
    estimate: dict[str, float] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    wall_s: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether it was evaluated and met every condition."""
        return self.state == COMPLETE and not any(self.violations.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: all that does not differ between two runs of the same study."""
        return {
            "trial": self.index,
            "state": self.state,
            "parameters": self.point,
            "metrics": self.metrics,
            "estimate": self.estimate,
            "violations": self.violations,
            "error": self.error,
        }


def point_key(point: Point) -> str:
    """Text that is the same for equal points only."""
    return json.dumps(point, sort_keys=True)
