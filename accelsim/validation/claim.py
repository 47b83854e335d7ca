"""A published claim as a YAML file: what was said, how it is tried here, and what counts as reproduced.

::

    id: eden-speedup-cpu               # the file's name; its first word is the system
    says: On a CPU, a shorter tRCD makes networks 8 % faster on average.
    source: {paper: "Koppula et al., EDEN, MICRO 2019", place: section 7}
    standing: found                    # found | derived | recalled | not_found: how well the figure itself is known
    metric: {name: speedup, unit: x, better: higher, neutral: 1}
    claimed: 1.08                      # or [low, high], {at_least: x}, {at_most: x}; left out where none is published
    tolerance: {relative: 0.1}         # or {absolute: x}: what counts as reproduced
    partly: {same_direction: 0.5}      # or {relative: x}, {absolute: x}: share of the effect, counted from `neutral`
    experiment: {kind: comparison, ...}
    reduced: {cases: [lenet5]}         # keys of the experiment that differ in a reduced run
    assumptions:
      - text: The memory has two channels.
        why: The paper does not say.
        parameter: set.dram.channels   # optional: a key of the experiment; what follows `set` is one key of the machine
        values: [1, 4]                 # what the key is swept over
        size: reduced                  # optional: sweep the reduced experiment, where the whole one takes too long
    unknowable: [Which images were used.]
    not_testable: Why not.             # optional; a claim without an experiment or a published figure needs it
    headline: true                     # optional: one of the few that stand for the rest

`accelsim.validation.experiments` lists the kinds of experiments with their keys. A key `set` of an experiment, or of a
run in it, changes the machines: ``{dram.channels: 2}``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.model import Record

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9_]+)+")
_Text = Annotated[str, Field(min_length=1)]
_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]


class SourceRecord(Record):
    """Where the claim stands."""

    paper: _Text
    place: str = ""
    """Table, figure or section."""


class MetricRecord(Record):
    """What is compared."""

    name: _Text
    unit: str = ""
    """``x`` for factors, ``%`` for shares, which are given as fractions of one, else the unit itself."""
    better: Literal["higher", "lower", "equal"]
    """Whether a figure that is off is better or worse than claimed; no verdict depends on it."""
    neutral: float | None = None
    """The value that means no effect: 1 of a factor, 0 of a share that is saved."""


class BoundsRecord(Record):
    """A published figure that is a bound."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _is_one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("needs at_least or at_most, one of the two")
        return self


class ToleranceRecord(Record):
    """How far from the published figure still counts; zero for a bound that has to hold exactly."""

    relative: _NotNegative | None = None
    absolute: _NotNegative | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.relative is None) == (self.absolute is None):
            raise ValueError("needs relative or absolute, one of the two")
        return self

    def around(self, value: float) -> tuple[float, float]:
        """Interval around a value."""
        distance = (self.relative or 0.0) * abs(value) if self.absolute is None else self.absolute
        return value - distance, value + distance


class PartlyRecord(Record):
    """What counts as partly reproduced: a wider tolerance, or this share of the effect in the same direction."""

    relative: _NotNegative | None = None
    absolute: _NotNegative | None = None
    same_direction: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _is_one_of_three(self) -> Self:
        if sum(value is not None for value in (self.relative, self.absolute, self.same_direction)) != 1:
            raise ValueError("needs relative, absolute or same_direction, one of the three")
        return self

    @property
    def tolerance(self) -> ToleranceRecord | None:
        """The wider tolerance, where that is what is stated."""
        if self.same_direction is not None:
            return None
        return ToleranceRecord(relative=self.relative, absolute=self.absolute)


class AssumptionRecord(Record):
    """What was assumed where the paper is silent, and between which values it matters."""

    text: _Text
    why: _Text
    parameter: str | None = None
    """Key of the experiment; what follows ``set`` is one key of the machine."""
    values: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """What the key is swept over."""
    size: Literal["full", "reduced"] = "full"
    """Which experiment is swept."""

    @model_validator(mode="after")
    def _sweeps_something(self) -> Self:
        if (self.parameter is None) != (self.values is None):
            raise ValueError("parameter and values belong together")
        return self


class Claim(Record):
    """A published claim."""

    id: _Text
    says: _Text
    source: SourceRecord
    standing: Literal["found", "derived", "recalled", "not_found"]
    metric: MetricRecord
    claimed: float | tuple[float, float] | BoundsRecord | None = None
    tolerance: ToleranceRecord | None = None
    partly: PartlyRecord | None = None
    experiment: dict[str, Any] | None = None
    reduced: dict[str, Any] = Field(default_factory=dict)
    assumptions: tuple[AssumptionRecord, ...] = ()
    unknowable: tuple[_Text, ...] = ()
    not_testable: _Text | None = None
    headline: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not _ID.fullmatch(self.id):
            message = f"id {self.id!r} is not made of words of lower case letters, digits and _, joined by -"
            raise ValueError(message)
        if (self.experiment is None or self.claimed is None) and self.not_testable is None:
            raise ValueError("needs an experiment and a published figure (claimed), or not_testable with the reason")
        if self.claimed is not None and self.tolerance is None:
            raise ValueError("tolerance is missing: what counts as reproduced")
        if isinstance(self.claimed, tuple) and self.claimed[0] > self.claimed[1]:
            raise ValueError("claimed: the lower end of the range comes first")
        share = None if self.partly is None else self.partly.same_direction
        if share is not None and (self.metric.neutral is None or isinstance(self.claimed, BoundsRecord)):
            raise ValueError("partly.same_direction needs metric.neutral, and a value or range that is claimed")
        return self

    @property
    def system(self) -> str:
        """The first word of the id."""
        return self.id.partition("-")[0]

    @property
    def target(self) -> tuple[float | None, float | None] | None:
        """Interval that is claimed, open where it is a bound; None where nothing is."""
        if self.claimed is None:
            return None
        if isinstance(self.claimed, BoundsRecord):
            return self.claimed.at_least, self.claimed.at_most
        return self.claimed if isinstance(self.claimed, tuple) else (self.claimed, self.claimed)
