from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from sample_run import make_run

from accelsim.report.comparison import Comparison, compare
from accelsim.report.comparison_view import comparison_summary, render_comparison


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    first = make_run(["a", "b", "only first"], steps=3)
    second = make_run(["a", "b", "only second"], steps=3, seed=2, hardware="edge_16x16")
    return compare([first, second], ["runs/x", "runs/y"])


def test_ratios_are_to_the_first(comparison: Comparison) -> None:
    row = next(row for row in comparison.totals if row.name == "total_cycles")
    first, second = (run.totals.total_cycles for run in comparison.runs)
    assert row.values == (first, second)
    assert row.ratios == (1.0, second / first)


def test_layers_match_by_name(comparison: Comparison) -> None:
    assert [row.name for row in comparison.layers] == ["a", "b", "only first", "only second"]
    assert comparison.layers[2].total_cycles.values[1] is None
    assert comparison.layers[3].total_cycles.values[0] is None
    assert comparison.layers[3].total_cycles.ratios == (None, None)


def test_layers_and_components_add_up_to_the_totals(comparison: Comparison) -> None:
    for index, run in enumerate(comparison.runs):
        assert sum(row.total_cycles.values[index] or 0 for row in comparison.layers) == run.totals.total_cycles
        energy = sum(row.values[index] or 0 for row in comparison.energy_pj)
        assert energy == pytest.approx(run.totals.energy_pj)


def test_a_zero_has_no_ratio() -> None:
    run = make_run(1, steps=1)
    row = next(row for row in compare([run, run], ["x", "y"]).totals if row.name == "stall_cycles")
    assert row.values[0] == 0 or row.ratios == (1.0, 1.0)


@pytest.mark.parametrize(
    ("runs", "folders", "expected"),
    [
        ([("hw1", "net"), ("hw2", "net")], ["a", "b"], ("hw1", "hw2")),
        ([("hw", "net1"), ("hw", "net2")], ["a", "b"], ("net1", "net2")),
        ([("hw1", "net1"), ("hw2", "net2")], ["a", "b"], ("hw1 net1", "hw2 net2")),
        ([("hw", "net"), ("hw", "net")], ["runs/a", "runs/b/"], ("a", "b")),
        ([("hw", "net"), ("hw", "net")], ["x/a", "y/a"], ("a (1)", "a (2)")),
    ],
)
def test_labels_tell_the_runs_apart(runs: list[tuple[str, str]], folders: list[str], expected: tuple[str, ...]) -> None:
    made = [make_run(1, steps=1, hardware=hardware, workload=workload) for hardware, workload in runs]
    assert compare(made, folders).labels == expected


def test_json_form_has_runs_totals_energy_and_layers(comparison: Comparison) -> None:
    record = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert [run["label"] for run in record["runs"]] == ["systolic_32x32", "edge_16x16"]
    assert record["layers"][3]["total_cycles"]["values"][0] is None
    assert {row["name"] for row in record["totals"]} >= {"total_cycles", "energy_pj", "frames_per_s", "dram_bytes"}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_summary_fits_the_window_and_cuts_no_number(width: int, count: int) -> None:
    runs = [make_run(3, steps=9, seed=seed, hardware=f"machine_{seed}") for seed in range(count)]
    text = io.StringIO()
    Console(file=text, width=width).print(comparison_summary(compare(runs, ["f"] * count), width))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text.getvalue()
    assert f"{runs[0].totals.total_cycles:,}" in text.getvalue()


def test_page_shows_every_run_and_escapes_names() -> None:
    first = make_run(["<script>"], steps=2)
    page = render_comparison(compare([first, make_run(["<script>"], steps=2, seed=5)], ["<a>", "b"]))
    assert "&lt;script&gt;" in page
    assert "<a>" not in page
    assert "<script></td>" not in page
