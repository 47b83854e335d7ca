"""Tilings that outlive a run: in memory, and in the cache on disk that all workers share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from accelsim.explore.canonical import NoTextError, canonical_text
from accelsim.mapping.tiling import Tiling, TilingProblem

if TYPE_CHECKING:
    from accelsim.explore.cache import StageCache

_STAGE = "tiling"
_MOST_IN_MEMORY = 50_000


class TilingStore(MutableMapping[TilingProblem, Tiling | None]):
    """Best tilings by problem, None where none fits.

    Parameters
    ----------
    cache
        Where they are kept on disk; None to keep them in memory only.

    Notes
    -----
    A problem on an array that is not accelsim's own stays in memory: its code is not part of what names an entry.
    """

    def __init__(self, cache: StageCache | None) -> None:
        self._cache = cache
        self._known: OrderedDict[TilingProblem, Tiling | None] = OrderedDict()

    def __getitem__(self, problem: TilingProblem) -> Tiling | None:
        if problem in self._known:
            self._known.move_to_end(problem)
            return self._known[problem]
        key = self._key(problem)
        entry = self._cache.read(_STAGE, key) if self._cache is not None and key is not None else None
        if entry is None:
            raise KeyError(problem)
        tiling = _tiling(entry["tiling"])
        self._remember(problem, tiling)
        return tiling

    def __setitem__(self, problem: TilingProblem, tiling: Tiling | None) -> None:
        self._remember(problem, tiling)
        key = self._key(problem)
        if self._cache is not None and key is not None:
            self._cache.write(_STAGE, key, {"tiling": None if tiling is None else asdict(tiling)})

    def __delitem__(self, problem: TilingProblem) -> None:
        del self._known[problem]

    def __iter__(self) -> Iterator[TilingProblem]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def _remember(self, problem: TilingProblem, tiling: Tiling | None) -> None:
        self._known[problem] = tiling
        while len(self._known) > _MOST_IN_MEMORY:
            self._known.popitem(last=False)

    def _key(self, problem: TilingProblem) -> str | None:
        if self._cache is None:
            return None
        try:
            return canonical_text(problem)
        except NoTextError:
            return None


def _tiling(entry: dict[str, object] | None) -> Tiling | None:
    """Tiling from its JSON form."""
    if entry is None:
        return None
    order, retention = entry["order"], entry["retention"]
    assert isinstance(order, list)  # noqa: S101 - as it was written
    assert isinstance(retention, list)  # noqa: S101 - as above
    sizes = {name: int(str(entry[name])) for name in ("groups", "m", "n", "k")}
    return Tiling(order=tuple(order), retention=(retention[0], retention[1], retention[2]), **sizes)
