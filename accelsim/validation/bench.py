"""What experiments run on: simulations that are known from before, and mappings that are shared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from accelsim.explore.tiling_store import TilingStore
from accelsim.validation.content import claims_code, named_files
from accelsim.validation.figures import RunFigures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from accelsim.explore.cache import StageCache
    from accelsim.validation.runs import RunRecord

_Found = TypeVar("_Found")


class Bench:
    """Runs simulations, each of them once.

    Parameters
    ----------
    cache
        Where runs and mappings are kept on disk; None to keep them in memory only.
    """

    def __init__(self, cache: StageCache | None = None) -> None:
        self.solutions = TilingStore(cache)
        self.where: Path
        self._cache = cache
        self._known: dict[str, Any] = {}

    def seen_from(self, where: Path) -> Bench:
        """The bench, with paths that count from another claim file."""
        self.where = where
        return self

    def figures(self, run: RunRecord) -> RunFigures:
        """Figures of a run, simulated where they are not known."""
        document = run.model_dump(mode="json", exclude_unset=True)
        machine = run.machine(self.where).resolved()
        key = json.dumps([document, machine, self.files(document)], sort_keys=True)

        def simulated() -> dict[str, Any]:
            return run.simulated(self.where, self.solutions).to_dict()

        return RunFigures.from_dict(self.once("run", key, simulated))

    def files(self, document: Any) -> dict[str, str]:  # noqa: ANN401 - any plain data
        """Hashes of the files that a document names, for a key."""
        return named_files(document, self.where.parent)

    def once(self, stage: str, key: str, compute: Callable[[], _Found]) -> _Found:
        """Compute something unless it is known by this key, which holds all that it follows from but the code.

        What is computed has to be plain data, as JSON holds it.
        """
        place = f"{stage}\0{claims_code()}\0{key}"
        if place not in self._known:
            found = self._cache.read(f"claims-{stage}", place) if self._cache is not None else None
            if found is None:
                found = json.loads(json.dumps(compute()))  # the same whether it was kept or has just been computed
                if self._cache is not None:
                    self._cache.write(f"claims-{stage}", place, found)
            self._known[place] = found
        known: _Found = self._known[place]
        return known
