"""``accelsim claims`` from its options to its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.errors import InputError
from accelsim.report.judged_claims import ClaimsRun, Judged
from accelsim.report.progress import StageProgress
from accelsim.report.run_folder import check_writable, write_text
from accelsim.validation.claim_file import chosen_claims
from accelsim.validation.claim_pool import run_claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.validation.claim_file import ClaimFile

CLAIMS_FOLDER = Path("reports") / "claims"
"""Where results are kept unless the user says otherwise."""


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

    write_text(folder / "claims.json", done.text)
    write_text(folder / "claims.html", render_claims(done))
