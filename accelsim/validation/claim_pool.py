"""Runs many claims in worker processes; what finished is kept, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accelsim.errors import RunError
from accelsim.explore.local_workers import LocalWorkers
from accelsim.validation.claim_result import ClaimResult
from accelsim.validation.claim_runs import known_result, result_path, run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from accelsim.validation.claim_file import ClaimFile

_TASK = "accelsim.validation.claim_runs:run_task"
_GLANCE_S = 1.0
"""How often finished results are counted while groups are at work."""


def run_claims(
    claims: Sequence[ClaimFile],
    folder: Path,
    *,
    workers: int = 1,
    reduced: bool = False,
    fresh: bool = False,
    cache: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> list[ClaimResult]:
    """Run claims, as far as their results are not known.

    Parameters
    ----------
    claims
        The claims.
    folder
        Where results are kept, one file each, whole or not at all.
    workers
        Processes; with one, all happens in this process.
    reduced
        Whether the reduced experiments are run.
    fresh
        Run all of them again.
    cache
        Folder of simulations and mappings that all processes share.
    progress
        Called with what was finished last and the share that is done.

    Returns
    -------
    list
        Results in the order of the claims.

    Raises
    ------
    RunError
        When a worker process fails.
    """
    waiting = [claim for claim in claims if fresh or known_result(folder, claim, reduced=reduced) is None]
    tasks: list[dict[str, Any]] = [
        {
            "claims": [str(claim.path.absolute()) for claim in group],
            "folder": str(folder.absolute()),
            "cache": None if cache is None else str(cache.absolute()),
            "reduced": reduced,
        }
        for group in _groups(waiting)
    ]
    for claim in waiting:  # what is out of date must not be taken for finished
        result_path(folder, claim.claim.id, reduced=reduced).unlink(missing_ok=True)

    def tell() -> None:
        if progress is not None:
            left = sum(not result_path(folder, claim.claim.id, reduced=reduced).exists() for claim in waiting)
            done = len(claims) - left
            progress(f"{done} of {len(claims)} claims", done / max(len(claims), 1))

    tell()
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            run_task(task)
            tell()
    else:
        _in_processes(tasks, min(workers, len(tasks)), tell)
    return [_read(folder, claim, reduced=reduced) for claim in claims]


def _groups(claims: Sequence[ClaimFile]) -> list[list[ClaimFile]]:
    """Claims that share simulations, together; the largest groups first."""
    groups: dict[str, list[ClaimFile]] = {}
    for claim in claims:
        group = claim.experiment().group if claim.claim.experiment is not None else ""
        groups.setdefault(group, []).append(claim)
    return sorted(groups.values(), key=len, reverse=True)


def _in_processes(tasks: Sequence[dict[str, Any]], workers: int, tell: Callable[[], None]) -> None:
    with LocalWorkers(workers, _TASK) as pool:
        for number, task in enumerate(tasks):
            pool.submit(number, task)
        while pool.outstanding:
            for _, outcome in pool.next_outcomes(_GLANCE_S):
                if "error" in outcome:
                    raise RunError(str(outcome["error"]))
            tell()


def _read(folder: Path, claim: ClaimFile, *, reduced: bool) -> ClaimResult:
    """What was found in this run or before; of code that was changed meanwhile, it is out of date for the next run."""
    path = result_path(folder, claim.claim.id, reduced=reduced)
    return ClaimResult.from_dict(json.loads(path.read_text("utf-8")))
