"""What came of a claim: figures, verdict, the reasons as far as they show, and how much the assumptions matter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from accelsim.validation.experiment import Breakdown, Outcome, Point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.validation.verdict import Value


@dataclass(frozen=True)
class Sweep:
    """An assumption, and what comes out with other values in its place.

    Parameters
    ----------
    text
        The assumption.
    parameter
        Key that was changed.
    size
        ``full`` or ``reduced``: which experiment was swept.
    reference
        What comes out of that experiment as it is stated.
    points
        Value of the key, as text, and what comes out; None where the experiment cannot be run with it.
    """

    text: str
    parameter: str
    size: str
    reference: float
    points: tuple[tuple[str, float | None], ...]

    @property
    def spread(self) -> tuple[float, float]:
        """Least and most that comes out."""
        values = [self.reference, *(value for _, value in self.points if value is not None)]
        return min(values), max(values)


@dataclass(frozen=True)
class ClaimResult:
    """What came of a claim.

    Parameters
    ----------
    id
        Of the claim.
    reduced
        Whether the reduced experiment was run.
    key
        Hash of all that the result follows from.
    outcome
        What the experiment found; None where there is none, or it could not be run.
    sweeps
        By assumption.
    reason
        Why it could not be tested, where that has shown on the way.
    error
        What went wrong, where something did.
    cpu_s
        Processor time it took, less what other claims had simulated before.
    """

    id: str
    reduced: bool
    key: str
    outcome: Outcome | None
    sweeps: tuple[Sweep, ...] = ()
    reason: str | None = None
    error: str | None = None
    cpu_s: float = 0.0

    @property
    def value(self) -> Value | None:
        """What stands against the claimed figure."""
        return None if self.outcome is None else self.outcome.value

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ClaimResult:
        """The result from plain data.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is none.
        """
        found = record["outcome"]
        outcome = None
        if found is not None:
            value = found["value"]
            outcome = Outcome(
                (float(value[0]), float(value[1])) if isinstance(value, list | tuple) else float(value),
                tuple(Point(**point) for point in found["points"]),
                tuple(Breakdown(**entry) for entry in found["breakdowns"]),
                found["ratio"],
                tuple(found["notes"]),
                found["point_unit"],
            )
        sweeps = tuple(
            Sweep(**{**entry, "points": tuple((text, value) for text, value in entry["points"])})
            for entry in record["sweeps"]
        )
        return cls(**{**record, "outcome": outcome, "sweeps": sweeps})
