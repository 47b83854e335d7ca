"""Claims: the schema, verdicts, what a result is kept by, the command, and every file that ships."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rich.console import Console

from accelsim.cli import run_command
from accelsim.errors import ConfigError, InputError
from accelsim.report.claims_figures import FARTHEST, band
from accelsim.report.claims_page import render_claims
from accelsim.report.claims_publication import ratios_svg
from accelsim.report.claims_summary import claims_summary
from accelsim.report.judged_claims import ClaimsRun, Judged, shown_claimed, shown_ratio, shown_value
from accelsim.validation.aggregates import aggregate
from accelsim.validation.bench import Bench
from accelsim.validation.claim_file import catalog_paths, changed, chosen_claims, load_claim
from accelsim.validation.claim_result import ClaimResult, Sweep
from accelsim.validation.claim_runs import claim_key, keep_result, known_result, run_claim
from accelsim.validation.content import named_files
from accelsim.validation.experiment import Breakdown, Outcome, Point
from accelsim.validation.reasons import reasons
from accelsim.validation.verdict import judge, ratio, side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.validation.claim_file import ClaimFile

DOCUMENT: dict[str, Any] = {
    "id": "made-speedup",
    "says": "Twice the rows make it faster.",
    "source": {"paper": "none"},
    "standing": "derived",
    "metric": {"name": "speedup", "unit": "x", "better": "higher", "neutral": 1},
    "claimed": 2.0,
    "tolerance": {"relative": 0.1},
    "partly": {"same_direction": 0.1},
    "experiment": {
        "kind": "comparison",
        "all": {"workload": "tiny_cnn"},
        "baseline": {"hardware": "edge_16x16", "set": {"pe_array.rows": 8}},
        "candidate": {"hardware": "edge_16x16"},
        "value": "baseline.compute_cycles / candidate.compute_cycles",
    },
    "assumptions": [
        {
            "text": "Output stationary would do as well.",
            "why": "Nobody says.",
            "parameter": "set.pe_array.dataflow",
            "values": ["OS"],
        }
    ],
}


def written(folder: Path, change: Mapping[str, Any] | None = None, name: str = "made-speedup") -> Path:
    document = json.loads(json.dumps(DOCUMENT)) | dict(change or {})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


@pytest.mark.parametrize("path", catalog_paths(), ids=lambda path: path.stem)
def test_every_claim_that_ships_is_accepted_with_all_its_sweeps(path: Path) -> None:
    assert load_claim(path).claim.id == path.stem


def test_every_system_of_the_project_has_claims() -> None:
    systems = {path.stem.partition("-")[0] for path in catalog_paths()}
    assert systems >= {"eden", "smartdeal", "ddi", "combined", "fidelity", "related"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "other-name"}, "id = 'other-name': is not the name of its file"),
        ({"standing": "guessed"}, "standing = 'guessed': not accepted"),
        ({"claimed": None}, "needs an experiment and a published figure"),
        ({"tolerance": None}, "tolerance is missing"),
        ({"tolerance": {"relative": 0.1, "absolute": 1}}, "needs relative or absolute, one of the two"),
        ({"claimed": [3.0, 2.0]}, "the lower end of the range comes first"),
        ({"metric": {"name": "n", "unit": "x", "better": "more"}}, "metric.better = 'more'"),
        ({"metric": {"name": "n", "better": "higher"}}, "same_direction needs metric.neutral"),
        ({"extra": 1}, "extra: unknown key"),
    ],
)
def test_what_is_wrong_with_a_claim_is_said_in_a_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"made-speedup\.yaml") as caught:
        load_claim(written(tmp_path, change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("kind", "guess", "is no kind of experiment; allowed: "),
        ("kind", None, "kind: is missing; allowed: combined, "),
        ("value", "baseline.speed", "is no figure of a run"),
        ("value", "base.latency_ns", "names no run of the experiment"),
        ("value", "__import__('os')", "is no expression"),
        ("baseline.hardware", "edge_17x17", "is no preset"),
        ("all.workload", "resnet51", "no workload has this name"),
        ("set.pe_array.rowss", 8, "unknown key"),
        ("aggregate", "median", "not accepted"),
        ("only", ["vgg11"], "is none of"),
        ("cases", ["lenet5", "tiny_cnn", "lenet5"], "'lenet5' stands twice"),
    ],
)
def test_what_is_wrong_with_an_experiment_is_found_before_it_runs(
    tmp_path: Path, parameter: str, value: object, message: str
) -> None:
    experiment = changed(DOCUMENT["experiment"], parameter, value, "test")
    with pytest.raises(InputError, match=message) as caught:
        load_claim(written(tmp_path, {"experiment": experiment, "assumptions": []}))
    assert str(caught.value).startswith(str(tmp_path / "made-speedup.yaml"))


@pytest.mark.parametrize(
    "experiment",
    [
        {"kind": "gate_overhead", "network": "WRONG"},
        {"kind": "weight_storage", "networks": [{"network": "tiny_cnn", "against": "WRONG"}]},
        {"kind": "pot_storage", "rows": [{"network": "WRONG", "sparsity": 0.5, "claimed": 1}]},
        {"kind": "tolerance", "runs": {"a": {"hardware": "edge_16x16", "workload": "WRONG"}}, "value": "a.rate"},
        {
            "kind": "combined", "hardware": "edge_16x16", "reductions": {}, "bit_errors": {"table": "WRONG"},
            "value": "none.energy_pj",
        },
        {"kind": "dram_trace", "peer": "ramulator2", "set": {"address_map": "WRONG"}},
        {"kind": "smartexchange", "networks": ["WRONG"], "value": "of.energy_pj", "aggregate": "max"},
        {"kind": "skipping", "hardware": "eyeriss", "networks": ["WRONG"], "value": "plain.energy_pj"},
    ],
    ids=lambda experiment: experiment["kind"],
)  # fmt: skip
def test_names_that_are_none_are_found_before_anything_runs(tmp_path: Path, experiment: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'WRONG'") as caught:
        load_claim(written(tmp_path, {"experiment": experiment, "assumptions": []}))
    assert str(caught.value).startswith(str(tmp_path / "made-speedup.yaml"))


def test_networks_count_from_the_folder_of_the_claim(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text("{accelsim_workload: 1, network: lenet5, bits: {default: {weight: 8}}}\n")
    stored = {"network": "narrow.yaml", "against": "lenet5"}
    claim = claim_with(tmp_path, experiment={"kind": "weight_storage", "networks": [stored]}, assumptions=[])
    assert run_claim(claim, Bench(), reduced=True).value == pytest.approx(4)


def test_a_sweep_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    wrong = {"text": "t", "why": "w", "parameter": "cases.7.name", "values": [1]}
    with pytest.raises(ConfigError, match="leads to no key of the experiment"):
        load_claim(written(tmp_path, {"assumptions": [wrong]}))


def test_a_dotted_path_changes_one_key_and_leaves_the_rest() -> None:
    document = {"set": {"a.b": 1}, "cases": [{"x": {"y": 1}}, "z"]}
    assert changed(document, "set.a.b", 2, "t") == {"set": {"a.b": 2}, "cases": [{"x": {"y": 1}}, "z"]}
    assert changed(document, "cases.0.set.a.c", 3, "t")["cases"][0] == {"x": {"y": 1}, "set": {"a.c": 3}}
    assert document["set"] == {"a.b": 1}


def claim_with(tmp_path: Path, **change: Any) -> ClaimFile:  # noqa: ANN401 - parts of a claim
    return load_claim(written(tmp_path, change))


@pytest.mark.parametrize(
    ("claimed", "simulated", "verdict", "share"),
    [
        (2.0, 2.0, "reproduced", 1.0),
        (2.0, 2.2, "reproduced", 1.1),
        (2.0, 2.21, "partly", 1.105),
        (2.0, 1.1, "partly", 0.55),
        (2.0, 1.09, "not reproduced", 0.545),
        (2.0, 0.9, "not reproduced", 0.45),
        ([2.0, 4.0], 3.0, "reproduced", 1.0),
        ([2.0, 4.0], 1.8, "reproduced", 0.9),
        ([2.0, 4.0], 5.0, "partly", 1.25),
        ([2.0, 4.0], (1.9, 4.3), "reproduced", (0.95 * 1.075) ** 0.5),
        ([2.0, 4.0], (1.9, 3.0), "partly", (0.95 * 0.75) ** 0.5),
        ([2.0, 4.0], (1.05, 4.0), "not reproduced", (0.525 * 1.0) ** 0.5),
    ],
)
def test_verdicts_follow_the_claims_own_tolerance(
    tmp_path: Path,
    claimed: object,
    simulated: float | tuple[float, float],
    verdict: str,
    share: float,
) -> None:
    claim = claim_with(tmp_path, claimed=claimed).claim
    assert judge(claim, simulated) == verdict
    assert ratio(claim, simulated) == pytest.approx(share)


def test_bounds_hold_on_one_side_only(tmp_path: Path) -> None:
    change = {"claimed": {"at_most": 0.1}, "tolerance": {"absolute": 0}, "partly": {"absolute": 0.05}}
    claim = claim_with(tmp_path, **change).claim
    assert [judge(claim, value) for value in (-1.0, 0.1, 0.15, 0.16)] == [
        "reproduced", "reproduced", "partly", "not reproduced",
    ]  # fmt: skip
    assert judge(claim, None) == "not testable"
    assert judge(claim_with(tmp_path, not_testable="for once").claim, 2.0) == "not testable"


def test_nothing_to_divide_by_gives_no_ratio(tmp_path: Path) -> None:
    claim = claim_with(tmp_path, claimed=0.0, tolerance={"absolute": 0.01}, partly={"absolute": 0.1}).claim
    assert ratio(claim, 0.005) is None
    assert judge(claim, 0.005) == "reproduced"
    assert shown_ratio(None) == "-"


def test_a_claim_runs_and_its_assumption_is_swept(tmp_path: Path) -> None:
    claim = claim_with(tmp_path)
    result = run_claim(claim, Bench(), reduced=False)
    assert result.error is None
    assert isinstance(result.value, float)
    assert result.value > 1
    (sweep,) = result.sweeps
    assert sweep.reference == result.value
    assert sweep.points[0][0] == "OS"
    outcome = result.outcome
    assert outcome is not None
    assert [entry.title for entry in outcome.breakdowns] == ["energy", "time"]
    for entry in outcome.breakdowns:
        for shares in entry.shares.values():
            assert sum(shares.values()) == pytest.approx(1)
    assert ClaimResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_what_a_result_follows_from_is_in_its_key(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    machine = tmp_path / "a" / "machine.yaml"
    machine.write_text("extends: edge_16x16\n", "utf-8")
    change = changed(DOCUMENT["experiment"], "candidate.hardware", "machine.yaml", "t")
    claim = load_claim(written(tmp_path / "a", {"experiment": change}))
    first = claim_key(claim)
    machine.write_text("extends: edge_16x16\ndescription: another\n", "utf-8")
    assert claim_key(claim) != first
    assert {"machine.yaml", "edge_16x16.yaml"} <= set(named_files(change, tmp_path / "a"))
    wider = load_claim(written(tmp_path / "a", {"experiment": change, "tolerance": {"relative": 0.5}}))
    assert claim_key(wider) == claim_key(claim)  # judging is done anew each time


def test_results_are_taken_over_unless_they_are_out_of_date(tmp_path: Path) -> None:
    claim = claim_with(tmp_path)
    result = ClaimResult(claim.claim.id, reduced=True, key=claim_key(claim), outcome=Outcome(2.0, (Point("a", 2.0),)))
    keep_result(tmp_path, result)
    assert known_result(tmp_path, claim, reduced=True) == result
    assert known_result(tmp_path, claim, reduced=False) is None
    keep_result(tmp_path, ClaimResult(claim.claim.id, reduced=True, key="another", outcome=result.outcome))
    assert known_result(tmp_path, claim, reduced=True) is None
    (tmp_path / "results" / "made-speedup.reduced.json").write_text('{"id": "made', "utf-8")
    assert known_result(tmp_path, claim, reduced=True) is None


def test_an_experiment_that_fails_is_told_and_others_go_on(tmp_path: Path) -> None:
    unknown = {"layers": {"no_such_layer": {"ifmap": {"density": 0.5}}}}
    experiment = changed(DOCUMENT["experiment"], "all.statistics", unknown, "t")
    claim = claim_with(tmp_path, experiment=experiment, assumptions=[])
    result = run_claim(claim, Bench(), reduced=True)
    assert result.outcome is None
    assert result.error
    told = reasons(claim.claim, result, shown_value)
    assert told[-1].startswith("The experiment failed: ")


@pytest.mark.parametrize(
    ("workload", "told"),
    [("lenet5", "error"), ("resnet20_trained", "reason")],  # shapes alone, and images that the test has taken away
)
def test_missing_images_are_no_mistake_of_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workload: str, told: str
) -> None:
    monkeypatch.setenv("ACCELSIM_DATA", str(tmp_path))
    run = {"workload": workload, "accuracy": {"images": 1}}
    claim = claim_with(tmp_path, experiment=DOCUMENT["experiment"] | {"all": run}, assumptions=[])
    result = run_claim(claim, Bench(), reduced=True)
    words = {"error": "accuracy cannot be measured: it has shapes only", "reason": "needs data that are not here"}
    assert words[told] in getattr(result, told)
    assert (result.error is None) is (told == "reason")


def test_aggregates() -> None:
    points = [Point("a", 1.0, 2.0), Point("b", 4.0, 4.0)]
    assert aggregate(points, "geometric_mean") == pytest.approx(2)
    assert aggregate(points, "range") == (1.0, 4.0)
    assert aggregate(points, "mean_error") == pytest.approx(0.25)
    assert aggregate(points, "worst_difference") == 1.0
    assert aggregate(points, "mismatches") == 1
    with pytest.raises(InputError, match="has no case with a published figure"):
        aggregate([Point("a", 1.0)], "mean_error")
    with pytest.raises(InputError, match="has no geometric mean"):
        aggregate([Point("a", -1.0)], "geometric_mean")


def judged(tmp_path: Path) -> Judged:
    claim = claim_with(tmp_path, says="Rows <b>matter</b> & more.")
    shares = {"baseline": {"dram": 0.75, "sram": 0.25}, "candidate": {"dram": 0.4, "pe_array": 0.6}}
    outcome = Outcome(1.5, (Point("a", 1.5, 2.0), Point("b", 1.6)), (Breakdown("energy", shares),))
    sweep = Sweep(
        "Output stationary would do as well.", "set.pe_array.dataflow", "full", 1.5, (("OS", 2.1), ("IS", None))
    )
    return Judged(claim.claim, ClaimResult("made-speedup", reduced=False, key="k", outcome=outcome, sweeps=(sweep,)))


@pytest.mark.parametrize(
    ("claimed", "own", "limits"),
    [
        ({"at_most": 0.01}, None, (1 / FARTHEST, 1.0)),  # a figure may be as far below as it likes
        ({"at_most": 0.1}, 1.05, (0.9, 1.1)),  # an error of a table: the mean of its rows may be off by it
        ({"at_least": 4}, None, (1.0, FARTHEST)),
        (2.0, None, (0.9, 1.1)),
    ],
)
def test_the_figure_marks_the_ratios_that_count_as_reproduced(
    tmp_path: Path, claimed: object, own: float | None, limits: tuple[float, float]
) -> None:
    tolerance = {"relative": 0.1} if claimed == 2.0 else {"absolute": 0}
    metric = {"name": "n", "unit": "%", "better": "lower", "neutral": 1}
    claim = claim_with(tmp_path, claimed=claimed, metric=metric, tolerance=tolerance, partly=None).claim
    outcome = Outcome(0.5, (Point("a", 0.5),), (), own)
    entry = Judged(claim, ClaimResult("made-speedup", reduced=False, key="k", outcome=outcome))
    assert band(entry) == pytest.approx(limits)


@pytest.mark.parametrize(
    ("better", "claimed", "simulated", "lies"),
    [
        ("higher", 2.0, 2.3, "better"),
        ("higher", 2.0, 1.7, "worse"),
        ("lower", 2.0, 2.3, "worse"),
        ("lower", 2.0, 2.1, None),  # reproduced
        ("equal", 2.0, 2.3, None),
        ("higher", {"at_least": 4.0}, 3.0, "worse"),
        ("lower", {"at_most": 4.0}, 5.0, "worse"),
        ("higher", (2.0, 4.0), (5.0, 6.0), "better"),
        ("higher", (2.0, 4.0), (1.0, 6.0), None),  # on both sides
        ("higher", 2.0, None, None),
    ],
)
def test_a_figure_that_is_off_is_better_or_worse_than_claimed(
    tmp_path: Path, better: str, claimed: object, simulated: float | tuple[float, float] | None, lies: str | None
) -> None:
    metric = {"name": "n", "unit": "x", "better": better, "neutral": 1}
    claim = claim_with(tmp_path, claimed=claimed, metric=metric, partly=None).claim
    assert side(claim, simulated) == lies


def test_the_terminal_and_the_page_say_which_way_a_figure_is_off(tmp_path: Path) -> None:
    found = judged(tmp_path)
    high = replace(found.result, outcome=Outcome(9.0, (Point("a", 9.0),), ()))
    done = ClaimsRun((replace(found, result=high),), tmp_path, "accelsim claims", "2026-01-01", reduced=False)
    assert "simulated 9.00x, better than claimed</span>" in render_claims(done)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(claims_summary(done, 100))
    assert "partly, better than claimed, speedup" in console.export_text()


def test_why_names_the_breakdown_and_the_assumption_that_decides(tmp_path: Path) -> None:
    told = " ".join(judged(tmp_path).why)
    assert "baseline: dram 75%, sram 25%" in told
    assert "a 1.50x (2.00x)" in told
    assert "OS: 2.10x, IS: -." in told
    assert "With OS it would be reproduced." in told


def test_the_page_is_whole_and_escapes_what_claims_say(tmp_path: Path) -> None:
    done = ClaimsRun((judged(tmp_path),), tmp_path, "accelsim claims", "2026-01-01", reduced=False)
    page = render_claims(done)
    assert "Rows &lt;b&gt;matter&lt;/b&gt; &amp; more." in page
    assert "<b>matter</b>" not in page
    assert 'id="ratios-made"' in page
    assert 'id="sweeps-made"' in page
    assert "http" not in page.split("</head>")[1].split("<script")[0]
    assert ratios_svg(done.judged).count("<circle") == 1 + 3  # the claim and the legend


@pytest.mark.parametrize(
    ("claimed", "unit", "text"),
    [(0.21, "%", "21 %"), ([2.0, 6.7], "x", "2 to 6.7x"), ({"at_least": 4}, "", ">= 4"), (10_000, "x", "10,000x")],
)
def test_claimed_figures_have_no_digit_that_was_not_stated(
    tmp_path: Path, claimed: object, unit: str, text: str
) -> None:
    metric = {"name": "n", "unit": unit, "better": "higher", "neutral": 1}
    claim = claim_with(tmp_path, claimed=claimed, metric=metric, partly=None).claim
    assert shown_claimed(claim) == text


def test_the_command_runs_a_users_own_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    command = ["claims", str(path), "--reduced", "-j", "1", "--no-cache", "--out", str(out)]
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "claims.json").read_text("utf-8"))
    (entry,) = document["claims"]
    assert entry["verdict"] in {"reproduced", "partly"}
    assert entry["tolerance"] == {"relative": 0.1, "absolute": None}
    assert (out / "claims.html").exists()
    assert run_command([*command]) == 0  # from the result that was kept
    assert "made-speedup" in capsys.readouterr().out


def test_the_command_says_which_experiment_failed_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = DOCUMENT["experiment"] | {"layers": {"names": ["no_such_layer"]}}
    path = written(tmp_path, {"experiment": experiment, "assumptions": []})
    assert run_command(["claims", str(path), "-j", "1", "--no-cache", "--out", str(tmp_path / "out"), "--json"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("accelsim: error: 1 of 1 experiments failed: made-speedup: ")
    assert "experiment.layers = 'all': chooses no layer" in told


def test_unknown_claims_are_refused_with_those_that_are_near(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["claims", "eden-boost"]) == 2
    assert "did you mean eden-boosting" in capsys.readouterr().err
    assert run_command(["claims", "eden-boosting", "--publish"]) == 2
    assert "does not go with --publish" in capsys.readouterr().err
    with pytest.raises(InputError, match="is no folder with claim files"):
        chosen_claims([], Path("/nonexistent"))


def test_claims_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "claims", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"id", "system", "source"} <= set(listed[0])
    assert [entry["id"] for entry in listed] == [path.stem for path in catalog_paths()]
