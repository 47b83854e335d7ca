"""Claim files: what a file states, checked before anything runs, and the files that ship."""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.config.model import validate
from accelsim.errors import ConfigError, InputError
from accelsim.strict_yaml import load_mapping
from accelsim.validation.claim import Claim
from accelsim.validation.experiment import Experiment, experiment_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CATALOG = Path(__file__).parent / "catalog"
"""Claims that ship with accelsim."""

_SUFFIXES = (".yaml", ".yml")
_SYSTEMS = ("eden", "smartdeal", "ddi", "combined", "fidelity", "related")
"""Order in which claims are told; others come behind."""


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
    try:
        for reduced in (False, True):
            found.experiment(reduced=reduced).check(path)
        for assumption in claim.assumptions:
            for value in assumption.values or ():
                change = (assumption.parameter or "", value)
                found.experiment(reduced=assumption.size == "reduced", change=change).check(path)
    except InputError as error:
        raise error.within(path) from None
    return found


def catalog_paths(folder: Path | None = None) -> list[Path]:
    """Claim files of a folder, of those that ship where none is given.

    Raises
    ------
    InputError
        When the folder has none.
    """
    place = folder or CATALOG
    paths = list(place.glob("*.yaml"))
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
