"""Accuracies without bit errors that outlive a run: in memory, and in the cache on disk that all workers share."""

from __future__ import annotations

from collections import UserDict
from dataclasses import asdict
from typing import TYPE_CHECKING

from accelsim.result import AccuracyResult

if TYPE_CHECKING:
    from accelsim.explore.cache import StageCache

_STAGE = "accuracy"


class AccuracyStore(UserDict[str, AccuracyResult]):
    """Accuracies by what they follow from.

    Parameters
    ----------
    cache
        Where they are kept on disk; None to keep them in memory only.
    """

    def __init__(self, cache: StageCache | None) -> None:
        super().__init__()
        self._cache = cache

    def __missing__(self, key: str) -> AccuracyResult:
        entry = self._cache.read(_STAGE, key) if self._cache is not None else None
        if entry is None:
            raise KeyError(key)
        found = AccuracyResult(**entry)
        self.data[key] = found
        return found

    def get(self, key: str, default: AccuracyResult | None = None) -> AccuracyResult | None:  # type: ignore[override]
        """Look an entry up, on disk as well."""
        try:
            return self[key]
        except KeyError:
            return default

    def __setitem__(self, key: str, value: AccuracyResult) -> None:
        super().__setitem__(key, value)
        if self._cache is not None:
            self._cache.write(_STAGE, key, asdict(value))
