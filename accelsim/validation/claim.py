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

import difflib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.model import Record, validate
from accelsim.errors import ConfigError, InputError
from accelsim.strict_yaml import load_mapping
from accelsim.validation.experiment import Experiment, experiment_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CATALOG = Path(__file__).parent / "catalog"
"""Claims that ship with accelsim."""

_SUFFIXES = (".yaml", ".yml")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9_]+)+")
_SYSTEMS = ("eden", "smartdeal", "ddi", "combined", "fidelity", "related")
"""Order in which claims are told; others come behind."""

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

    def widened(self, low: float, high: float) -> tuple[float, float]:
        """Interval around another one."""
        if self.absolute is not None:
            return low - self.absolute, high + self.absolute
        share = self.relative or 0.0
        return low - share * abs(low), high + share * abs(high)


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


class ClaimFile:
    """A claim with its experiment.

    Parameters
    ----------
    path
        The file; paths in it count from its folder.
    claim
        Its content.
    """

    def __init__(self, path: Path, claim: Claim) -> None:
        self.path = path
        self.claim = claim

    def experiment(self, *, reduced: bool = False, change: tuple[str, Any] | None = None) -> Experiment:
        """The experiment, with one of its keys changed where asked for.

        Raises
        ------
        ConfigError
            When the claim has none, or it is wrong.
        """
        stated = self.claim.experiment
        if stated is None:
            raise ConfigError("has no experiment", where=self.path)
        document = {**stated, **self.claim.reduced} if reduced else dict(stated)
        section = "experiment"
        if change is not None:
            document = changed(document, *change, self.path)
            section = f"{change[0]} = {json.dumps(change[1])}: experiment"
        try:
            return validate(experiment_record(document), document, self.path, ConfigError)
        except ConfigError as error:
            raise ConfigError(
                error.problem, where=error.where, key=f"{section}.{error.key}" if error.key else section,
                value=error.value, allowed=error.allowed,
            ) from None  # fmt: skip


def changed(document: Mapping[str, Any], parameter: str, value: object, where: object) -> dict[str, Any]:
    """An experiment in which one key, found by its dotted path, has another value.

    Raises
    ------
    ConfigError
        When the path leads nowhere.
    """
    copy: dict[str, Any] = json.loads(json.dumps(document))
    parts = parameter.split(".")
    holder: Any = copy
    while len(parts) > 1:
        part = parts.pop(0)
        if part == "set":
            holder = holder.setdefault("set", {})
            parts = [".".join(parts)]
        elif isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
            holder = holder[int(part)]
        elif isinstance(holder, dict) and part in holder:
            holder = holder[part]
        else:
            raise ConfigError("leads to no key of the experiment", where=where, key="assumptions", value=parameter)
    if isinstance(holder, list) and parts[0].isdecimal() and int(parts[0]) < len(holder):
        holder[int(parts[0])] = value
    elif isinstance(holder, dict):
        holder[parts[0]] = value
    else:
        raise ConfigError("leads to no key of the experiment", where=where, key="assumptions", value=parameter)
    return copy


def load_claim(path: Path) -> ClaimFile:
    """Load and check a claim file: its experiment, the reduced one, and each value of each sweep.

    Raises
    ------
    ConfigError
        When anything in it is not accepted; the message names file, key, value and what is allowed.
    """
    claim = validate(Claim, load_mapping(path, ConfigError), path, ConfigError)
    if claim.id != path.stem:
        raise ConfigError("is not the name of its file", where=path, key="id", value=claim.id, allowed=path.stem)
    found = ClaimFile(path, claim)
    if claim.experiment is None:
        return found
    for reduced in (False, True):
        found.experiment(reduced=reduced).check(path)
    for assumption in claim.assumptions:
        for value in assumption.values or ():
            change = (assumption.parameter or "", value)
            found.experiment(reduced=assumption.size == "reduced", change=change).check(path)
    return found


def catalog_paths(folder: Path | None = None) -> list[Path]:
    """Claim files of a folder, of those that ship where none is given.

    Raises
    ------
    InputError
        When the folder has none.
    """
    place = folder or CATALOG
    paths = sorted(path for path in place.glob("*.yaml")) if place.is_dir() else []
    if not paths:
        raise InputError("is no folder with claim files", where="--catalog", value=str(place), allowed="*.yaml files")
    return sorted(paths, key=lambda path: (_place_of(path.stem), path.stem))


def _place_of(identifier: str) -> int:
    system = identifier.partition("-")[0]
    return _SYSTEMS.index(system) if system in _SYSTEMS else len(_SYSTEMS)


@cache
def _loaded(path: Path) -> ClaimFile:
    return load_claim(path)


def load_catalog(folder: Path | None = None) -> list[ClaimFile]:
    """All claims of a folder, of those that ship where none is given, by system.

    Raises
    ------
    InputError
        When the folder has none, or one of them is wrong.
    """
    return [_loaded(path) for path in catalog_paths(folder)]


def chosen_claims(words: Iterable[str], folder: Path | None = None) -> list[ClaimFile]:
    """Claims by their ids, by the beginning of an id up to a hyphen, or by the path of a file; all where none is given.

    Raises
    ------
    InputError
        When a word names no claim; the message tells the ids that are near.
    """
    wanted = list(words)
    if not wanted:
        return load_catalog(folder)
    known = {path.stem: path for path in catalog_paths(folder)}
    chosen: dict[Path, None] = {}
    for word in wanted:
        if word.endswith(_SUFFIXES) or "/" in word:
            chosen[Path(word)] = None
            continue
        matching = [path for stem, path in known.items() if stem == word or stem.startswith(word.rstrip("-") + "-")]
        if not matching:
            near = difflib.get_close_matches(word, known, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            problem = f"is no claim ({hint}see `accelsim list claims`)"
            raise InputError(problem, where="claims", value=word, allowed="the id of a claim, or the path of a file")
        chosen.update(dict.fromkeys(matching))
    return [_loaded(path) for path in chosen]
