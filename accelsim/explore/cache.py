"""A cache of stages on disk, shared by all processes that are pointed at its folder.

An entry is addressed by what it was computed from and by the code that computed it, so it is never out of date; one
file each, written under a name of its own and then renamed, so that readers see it whole or not at all and writers
never meet. When the folder outgrows its limit the entries that were used longest ago go. Losing an entry costs time and
nothing else: no failure to read or write one reaches the caller.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from accelsim import __version__

DEFAULT_LIMIT_BYTES = 512 * 1024 * 1024
"""Size at which entries are thrown out."""
_AFTER_TRIM = 0.8
_WRITES_BETWEEN_TRIMS = 2_000
_FRESH_S = 600
_BLOCK_BYTES = 4_096
"""What the smallest file takes on most file systems."""
_ELSEWHERE = ("cli.py", "explore", "report", "training", "validation")
"""Parts of accelsim that compute nothing that is cached."""


def default_cache_folder() -> Path:
    """The user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "accelsim"


@cache
def code_hash() -> str:
    """Hash of accelsim's version and of all code that computes what is cached."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.parts[0] not in _ELSEWHERE:
            digest.update(str(place).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class StageCache:
    """Results of stages by what they follow from.

    Parameters
    ----------
    folder
        Where the entries lie; made when the first one is written.
    limit_bytes
        Size above which the oldest entries go. Between two clean-ups each process may add 2,000 entries.
    code
        What names the code that computes the entries; the hash of accelsim's own where left out.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES, code: str | None = None) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._code = code or code_hash()
        self._writes = 0

    def read(self, stage: str, key: str) -> Any | None:  # noqa: ANN401 - any JSON value
        """Look an entry up; None where there is none.

        Parameters
        ----------
        stage
            Name of the stage.
        key
            Text that holds all that the entry follows from, the code aside.
        """
        path = self._path(stage, key)
        try:
            text = path.read_text(encoding="utf-8")
            checksum, _, content = text.partition("\n")
            if checksum != _checksum(content):
                return None
            if time.time() - path.stat().st_mtime > _FRESH_S:
                os.utime(path)  # used again: what goes first is what was used longest ago
            return json.loads(content)
        except (OSError, ValueError):
            return None

    def write(self, stage: str, key: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Keep an entry, if it can be written."""
        path = self._path(stage, key)
        content = json.dumps(value)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(f"{_checksum(content)}\n{content}")
                Path(name).replace(path)
            finally:
                Path(name).unlink(missing_ok=True)
        self._writes += 1
        if self._writes % _WRITES_BETWEEN_TRIMS == 0:
            self.trim()

    def trim(self) -> None:
        """Throw out what was used longest ago until the folder is well below its limit; safe beside other processes."""
        entries = []
        with suppress(OSError):
            for path in self._folder.rglob("*"):
                with suppress(OSError):
                    found = path.stat()
                    if path.is_file():
                        size = -(-found.st_size // _BLOCK_BYTES) * _BLOCK_BYTES
                        entries.append((found.st_mtime, str(path), size))
        total = sum(size for *_, size in entries)
        if total <= self._limit_bytes:
            return
        for _, oldest, size in sorted(entries):
            with suppress(OSError):
                Path(oldest).unlink()
            total -= size
            if total <= self._limit_bytes * _AFTER_TRIM:
                return

    def _path(self, stage: str, key: str) -> Path:
        digest = hashlib.sha256(f"{self._code}\0{stage}\0{key}".encode()).hexdigest()
        return self._folder / stage / digest[:2] / digest


def _checksum(content: str) -> str:
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
