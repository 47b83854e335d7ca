"""``accelsim claims`` from its options to its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim import __version__
from accelsim.errors import InputError
from accelsim.report.claims_figures import shown_value
from accelsim.report.progress import StageProgress
from accelsim.report.run_folder import check_writable, write_text
from accelsim.validation.claim_file import chosen_claims
from accelsim.validation.claim_pool import run_claims
from accelsim.validation.reasons import reasons
from accelsim.validation.verdict import VERDICTS, judge, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from accelsim.validation.claim import Claim
    from accelsim.validation.claim_file import ClaimFile
    from accelsim.validation.claim_result import ClaimResult
    from accelsim.validation.verdict import Verdict

CLAIMS_FOLDER = Path("reports") / "claims"
"""Where results are kept unless the user says otherwise."""


@dataclass(frozen=True)
class Judged:
    """A claim, what came of it, and the verdict."""

    claim: Claim
    result: ClaimResult

    @property
    def verdict(self) -> Verdict:
        """By the claim's own tolerance; what could not be run is not testable."""
        return judge(self.claim, self.result.value)

    @property
    def ratio(self) -> float | None:
        """Simulated over claimed."""
        outcome = self.result.outcome
        return ratio(self.claim, self.result.value, None if outcome is None else outcome.ratio)

    @property
    def why(self) -> list[str]:
        """Sentences."""
        return reasons(self.claim, self.result, shown_value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        record = self.claim.model_dump(mode="json", exclude={"experiment", "reduced"})
        result = self.result.to_dict()
        outcome = result.pop("outcome") or {}
        del result["id"]
        return {
            **record,
            "system": self.claim.system,
            "simulated": outcome.get("value"),
            "ratio": self.ratio,
            "verdict": self.verdict,
            "why": self.why,
            "points": list(outcome.get("points", ())),
            "breakdowns": list(outcome.get("breakdowns", ())),
            "notes": list(outcome.get("notes", ())),
            **result,
        }


@dataclass(frozen=True)
class ClaimsOptions:
    """Options of the command line, by their names."""

    words: tuple[str, ...] = ()
    catalog: Path | None = None
    workers: int = 1
    out: Path | None = None
    reduced: bool = False
    fresh: bool = False
    cache: Path | None = None
    use_cache: bool = True
    publish: bool = False


@dataclass(frozen=True)
class ClaimsRun:
    """Claims that were run, and the command that ran them."""

    judged: tuple[Judged, ...]
    folder: Path
    command: str
    date: str
    reduced: bool

    @property
    def document(self) -> dict[str, Any]:
        """The run as JSON."""
        verdicts = [entry.verdict for entry in self.judged]
        return {
            "claims_schema": 1,
            "command": self.command,
            "version": __version__,
            "date": self.date,
            "reduced": self.reduced,
            "verdicts": {verdict: verdicts.count(verdict) for verdict in VERDICTS},
            "claims": [entry.to_dict() for entry in self.judged],
        }

    @property
    def failed(self) -> dict[str, str]:
        """By id why experiments failed."""
        return {entry.claim.id: entry.result.error for entry in self.judged if entry.result.error is not None}

    def summary(self, width: int) -> RenderableType:
        """The run as the terminal shows it."""
        from accelsim.report.claims_summary import claims_summary

        return claims_summary(self, width)


def run_claims_command(options: ClaimsOptions, command: Sequence[str]) -> ClaimsRun:
    """Run claims and write what came of them.

    Raises
    ------
    InputError
        When a claim is unknown or its file wrong, or the folder cannot be written.
    RunError
        When a worker process fails.
    """
    if options.publish:
        _check_publication(options)
    chosen = chosen_claims(options.words, options.catalog)
    folder = options.out or CLAIMS_FOLDER
    check_writable(folder)
    if not options.publish:
        done = _run(chosen, folder, options, " ".join(command), reduced=options.reduced)
        write_claims(done, folder)
        return done
    from accelsim.report.claims_publication import COMMAND, publish_claims

    done = _run(chosen, folder, options, COMMAND, reduced=False)
    publish_claims(done, _run(chosen, folder, options, f"{COMMAND} (reduced)", reduced=True))
    return done


def _check_publication(options: ClaimsOptions) -> None:
    """Refuse to publish anything but all claims that ship, at full size."""
    narrowed = {"ID": options.words, "--reduced": options.reduced, "--catalog": options.catalog}
    for name, value in narrowed.items():
        if value:
            shown = ", ".join(value) if isinstance(value, tuple) else str(value)
            raise InputError("does not go with --publish", where=name, value=shown, allowed="all claims at full size")


def _run(
    chosen: Sequence[ClaimFile], folder: Path, options: ClaimsOptions, command: str, *, reduced: bool
) -> ClaimsRun:
    from accelsim.explore.cache import default_cache_folder

    cache = (options.cache or default_cache_folder()) if options.use_cache else None
    with StageProgress() as progress:
        results = run_claims(
            chosen, folder, workers=options.workers, reduced=reduced, fresh=options.fresh, cache=cache,
            progress=progress.update,
        )  # fmt: skip
    judged = tuple(Judged(claim.claim, result) for claim, result in zip(chosen, results, strict=True))
    return ClaimsRun(judged, folder, command, datetime.now(UTC).date().isoformat(), reduced)


def write_claims(done: ClaimsRun, folder: Path) -> None:
    """Write ``claims.json`` and the page."""
    from accelsim.report.claims_page import render_claims

    write_text(folder / "claims.json", json.dumps(done.document, indent=1, allow_nan=False) + "\n")
    write_text(folder / "claims.html", render_claims(done))
