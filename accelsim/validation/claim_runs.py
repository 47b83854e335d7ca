"""Runs claims: each one's experiment and sweeps, its result kept in a file, so that no finished work is done twice."""

from __future__ import annotations

import hashlib
import json
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim import __version__
from accelsim.atomic_file import written_whole
from accelsim.errors import AccelsimError, InputError, MissingDataError
from accelsim.explore.cache import StageCache
from accelsim.validation.bench import Bench
from accelsim.validation.claim_file import load_claim
from accelsim.validation.claim_result import ClaimResult, Sweep
from accelsim.validation.content import claims_code, named_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.validation.claim import AssumptionRecord
    from accelsim.validation.claim_file import ClaimFile
    from accelsim.validation.experiment import Outcome

_LIMIT_BYTES = 512 * 1024 * 1024


def claim_key(claim: ClaimFile) -> str:
    """Hash of all that a claim's result follows from: its file, the files that this one names, the code."""
    document = claim.claim.model_dump(mode="json")
    tried = {name: document[name] for name in ("experiment", "reduced", "assumptions")}
    content = [__version__, claims_code(), tried, named_files(tried, claim.path.parent)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def run_claim(claim: ClaimFile, bench: Bench, *, reduced: bool) -> ClaimResult:
    """Run the experiment of a claim, and, at full size, the sweeps of its assumptions.

    What goes wrong becomes part of the result: other claims are not to suffer for it.
    """
    begin, key = time.process_time(), claim_key(claim)

    def result(outcome: Outcome | None = None, sweeps: tuple[Sweep, ...] = (), **why: str) -> ClaimResult:
        return ClaimResult(
            claim.claim.id, reduced, key, outcome, sweeps, why.get("reason"), why.get("error"),
            round(time.process_time() - begin, 2),
        )  # fmt: skip

    if claim.claim.experiment is None:
        return result()
    bench.seen_from(claim.path)
    try:
        outcome = claim.experiment(reduced=reduced).conduct(bench)
        sweeps = () if reduced else run_sweeps(claim, bench, outcome)
    except MissingDataError as error:
        return result(reason=f"needs data that are not here: {error}")
    except AccelsimError as error:
        return result(error=str(error))
    except Exception as error:
        return result(error=f"defect: {type(error).__name__}: {' '.join(str(error).split())}")
    return result(outcome, sweeps)


def run_sweeps(claim: ClaimFile, bench: Bench, outcome: Outcome) -> tuple[Sweep, ...]:
    """Run the experiment with other values for what was assumed."""
    found = []
    references = {"full": outcome.value}
    for assumption in claim.claim.assumptions:
        if assumption.parameter is None:
            continue
        if assumption.size not in references:
            references[assumption.size] = claim.experiment(reduced=True).conduct(bench).value
        points = tuple((_shown(value), _swept(claim, assumption, value, bench)) for value in assumption.values or ())
        reference = _single(references[assumption.size])
        found.append(Sweep(assumption.text, assumption.parameter, assumption.size, reference, points))
    return tuple(found)


def _swept(claim: ClaimFile, assumption: AssumptionRecord, value: object, bench: Bench) -> float | None:
    change = (assumption.parameter or "", value)
    try:
        outcome = claim.experiment(reduced=assumption.size == "reduced", change=change).conduct(bench)
    except InputError:
        return None  # a machine that does not hold the network, for instance
    return _single(outcome.value)


def _single(value: float | tuple[float, float]) -> float:
    """What a sweep follows: of a range, its upper end."""
    return value[1] if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def result_path(folder: Path, identifier: str, *, reduced: bool) -> Path:
    """File of a claim's result."""
    return folder / "results" / f"{identifier}{'.reduced' if reduced else ''}.json"


def known_result(folder: Path, claim: ClaimFile, *, reduced: bool) -> ClaimResult | None:
    """A result from before; None where there is none, or what it follows from has changed."""
    path = result_path(folder, claim.claim.id, reduced=reduced)
    try:
        found = ClaimResult.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = found.key == claim_key(claim) and found.reduced == reduced
    return found if same and found.error is None and found.reason is None else None


def keep_result(folder: Path, result: ClaimResult) -> None:
    """Write a result, whole or not at all."""
    with written_whole(result_path(folder, result.id, reduced=result.reduced), "--out") as part:
        part.write_text(json.dumps(result.to_dict(), indent=1) + "\n", "utf-8")


def run_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Run the claims of one group in a worker process, and keep the result of each as soon as it is there.

    Parameters
    ----------
    task
        ``claims``: paths of claim files; ``folder``: where results go; ``cache``: folder of the cache or None;
        ``reduced``.
    """
    bench = _bench(task["cache"])
    for path in task["claims"]:
        claim = load_claim(Path(path))
        keep_result(Path(task["folder"]), run_claim(claim, bench, reduced=task["reduced"]))
    return {"done": len(task["claims"])}


@lru_cache(maxsize=2)
def _bench(cache: str | None) -> Bench:
    return Bench(None if cache is None else StageCache(Path(cache), _LIMIT_BYTES))
