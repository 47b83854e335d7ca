"""Trials that were made, kept in a file as they are made, so that a search that is stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from accelsim.atomic_file import naming_the_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TrialLog:
    """Results by what was asked, one line of JSON each.

    Parameters
    ----------
    path
        File to read and to add to; None keeps them in memory alone.
    subject
        Hash of all else that a result depends on: results of another subject are not found.
    """

    def __init__(self, path: Path | None, subject: str) -> None:
        self._path = path
        self._subject = subject
        self._known: dict[str, float] = {}
        if path is not None and path.exists():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                self._remember(line)

    def _remember(self, line: str) -> None:
        """Take over a line; the last one of a process that was killed may be cut short."""
        try:
            entry = json.loads(line)
            self._known[entry["trial"]] = float(entry["accuracy"])
        except (ValueError, KeyError, TypeError):
            return

    def _name(self, key: Mapping[str, Any]) -> str:
        content = json.dumps([self._subject, key], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def find(self, key: Mapping[str, Any]) -> float | None:
        """Result of a trial; None where it was never made."""
        return self._known.get(self._name(key))

    def add(self, key: Mapping[str, Any], accuracy: float) -> None:
        """Note a result, in the file at once.

        Raises
        ------
        InputError, RunError
            When the file cannot be written.
        """
        name = self._name(key)
        self._known[name] = accuracy
        if self._path is None:
            return
        with naming_the_path(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            line = json.dumps({"trial": name, "accuracy": accuracy, **key}, sort_keys=True) + "\n"
            with self._path.open("ab") as file:
                if file.tell() and not _ends_line(self._path):
                    line = "\n" + line
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())

    def __len__(self) -> int:
        return len(self._known)


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
