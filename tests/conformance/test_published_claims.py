"""What stands in reports/ is what claims give: by their files today, and, at reduced size, by a fresh run."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from accelsim.report.claims_publication import headline_table
from accelsim.report.judged_claims import Judged
from accelsim.validation.claim_file import ClaimFile, load_catalog
from accelsim.validation.claim_pool import run_claims
from accelsim.validation.claim_result import ClaimResult
from accelsim.validation.experiment import experiment_record
from accelsim.validation.verdict import judge, ratio

REPORTS = Path(__file__).parents[2] / "reports"
RESULT = ("reduced", "key", "sweeps", "reason", "error", "cpu_s")


@cache
def published(name: str) -> dict[str, dict[str, Any]]:
    document = json.loads((REPORTS / f"{name}.json").read_text("utf-8"))
    return {entry["id"]: entry for entry in document["claims"]}


def claims() -> list[ClaimFile]:
    return load_catalog()


def result_of(entry: dict[str, Any]) -> ClaimResult:
    """The result that a published entry was made from."""
    outcome = None
    if entry["simulated"] is not None:
        outcome = {
            "value": entry["simulated"], "points": entry["points"], "breakdowns": entry["breakdowns"],
            "ratio": entry["ratio"], "notes": entry["notes"], "point_unit": None,
        }  # fmt: skip
    return ClaimResult.from_dict({"id": entry["id"], "outcome": outcome, **{name: entry[name] for name in RESULT}})


@pytest.mark.parametrize("name", ["claims", "claims.reduced"])
def test_every_claim_is_published_as_its_file_states_it(name: str) -> None:
    known = published(name)
    assert set(known) == {entry.claim.id for entry in claims()}
    for entry in claims():
        stated = entry.claim.model_dump(mode="json", exclude={"experiment", "reduced"})
        assert {key: known[entry.claim.id][key] for key in stated} == stated, entry.claim.id


def test_every_assumption_that_names_a_parameter_was_swept_over_its_values() -> None:
    for entry in claims():
        known = published("claims")[entry.claim.id]
        if known["simulated"] is None:
            continue
        stated = [(one.parameter, len(one.values or ())) for one in entry.claim.assumptions if one.parameter]
        assert [(one["parameter"], len(one["points"])) for one in known["sweeps"]] == stated, entry.claim.id


@pytest.mark.parametrize("name", ["claims", "claims.reduced"])
def test_published_verdicts_are_those_of_the_published_figures(name: str) -> None:
    for entry in claims():
        known = published(name)[entry.claim.id]
        result = result_of(known)
        assert known["error"] is None, entry.claim.id
        assert known["verdict"] == judge(entry.claim, result.value), entry.claim.id
        if known["ratio"] is not None and not isinstance(known["claimed"], dict):
            assert known["ratio"] == pytest.approx(ratio(entry.claim, result.value, known["ratio"]))


def test_the_page_and_the_tables_name_command_version_and_date() -> None:
    document = json.loads((REPORTS / "claims.json").read_text("utf-8"))
    for name in ("claims.md", "claims.html"):
        text = (REPORTS / name).read_text("utf-8")
        for part in (document["command"], document["version"], document["date"]):
            assert part in text, name


def test_the_readme_shows_the_published_headlines() -> None:
    readme = (REPORTS.parent / "README.md").read_text("utf-8")
    known = published("claims")
    judged = [Judged(entry.claim, result_of(known[entry.claim.id])) for entry in claims()]
    assert headline_table(judged) in readme
    assert "](reports/claims.svg)" in readme


@pytest.mark.slow
def test_a_fresh_reduced_run_agrees_with_what_is_published(tmp_path: Path) -> None:
    """Each within the noise that its kind of experiment has; accuracy on images that are not here is left out."""
    chosen = [entry for entry in claims() if published("claims.reduced")[entry.claim.id]["simulated"] is not None]
    for entry, found in zip(chosen, run_claims(chosen, tmp_path, workers=2, reduced=True), strict=True):
        assert found.error is None, (entry.claim.id, found.error)
        if found.reason is not None:
            continue
        noise = experiment_record(entry.claim.experiment or {}).noise
        known = published("claims.reduced")[entry.claim.id]
        expected = known["simulated"]
        value = list(found.value) if isinstance(found.value, tuple) else found.value
        assert value == pytest.approx(expected, rel=noise, abs=noise * 1e-3), entry.claim.id
        assert found.outcome is not None
        assert [point.name for point in found.outcome.points] == [one["name"] for one in known["points"]]
