"""What a claim's result follows from: the code, and every file that the claim names, directly or not."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from accelsim.explore.cache import code_hash
from accelsim.resources import resource_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_NAME = 200
_TEXT = {".yaml", ".yml"}
_TABLES = ("dram", "energy")
"""Folders of tables that machines name in several ways: all of them count."""
_JUDGES = ("claim.py", "claim_pool.py", "claim_result.py", "reasons.py", "verdict.py")
"""What only says what a result means."""
_FOLDERS = ("models", "weights", "skip", "images", "topologies")


@cache
def claims_code() -> str:
    """Hash of all code that a claim's result follows from."""
    digest = hashlib.sha256(code_hash().encode())
    here = Path(__file__).parent
    for path in sorted((*here.glob("*.py"), *(here / "experiments").glob("*.py"))):
        if path.name in _JUDGES:
            continue
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for folder in _TABLES:
        for path in sorted((resource_folder("hw_configs") / folder).rglob("*.yaml")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def named_files(document: Any, folder: Path) -> dict[str, str]:  # noqa: ANN401 - any plain data
    """Hashes of the files that texts in plain data name, and of those that these files name in turn.

    Parameters
    ----------
    document
        Mappings, lists and scalars. A text names a file by its path from `folder`, or as a preset.
    folder
        Where paths count from.

    Returns
    -------
    dict
        Hash of the content by the file's name.
    """
    found: dict[Path, str] = {}
    waiting = [(text, folder) for text in _texts(document)]
    while waiting:
        text, place = waiting.pop()
        for path in _candidates(text, place):
            if path in found:
                continue
            content = path.read_bytes()
            found[path] = hashlib.sha256(content).hexdigest()[:16]
            if path.suffix in _TEXT:
                waiting += [(inner, path.parent) for inner in _texts(yaml.safe_load(content))]
    return {path.name: found[path] for path in sorted(found)}


def _texts(document: Any) -> Iterator[str]:  # noqa: ANN401 - any plain data
    if isinstance(document, str):
        if 0 < len(document) <= _LONGEST_NAME and "\n" not in document and "\0" not in document:
            yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from _texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)


def _candidates(text: str, folder: Path) -> Iterator[Path]:
    beside = folder / text
    if beside.is_file():
        yield beside.resolve()
    yield from _presets().get(_folded(text), ())


@cache
def _presets() -> dict[str, list[Path]]:
    """Files that ship, by their folded names."""
    known: dict[str, list[Path]] = {}
    workloads = resource_folder("workloads")
    places = [resource_folder("hw_configs") / "accelerators", *(workloads / name for name in _FOLDERS)]
    for place in places:
        for path in sorted(place.glob("*.*")):
            known.setdefault(_folded(path.stem), []).append(path.resolve())
    return known


def _folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "-_. ")
