"""Page, tables and summary of a study, from studies that were never run."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from accelsim.explore.fidelity import FidelityPlan
from accelsim.explore.metrics import METRICS
from accelsim.explore.space_file import load_space
from accelsim.explore.study import StudyResult
from accelsim.explore.transfer import compare_studies
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED, TrialRecord
from accelsim.report.metric_words import metric_title, short_names, written
from accelsim.report.study_folder import pareto_front, study_document, write_study
from accelsim.report.study_page import render_study
from accelsim.report.study_summary import study_summary
from accelsim.report.study_table import trial_rows, trials_csv

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.explore.fidelity import FidelityMode

SPACE = """
hardware: edge_16x16
workload: lenet5
parameters:
  pe_array.rows: [4, 8, 16]
  pe_array.dataflow: [WS, OS]
  sram.scratchpad.capacity_kib: {low: 8, high: 256, log: true}
constraints: ["latency_ns <= 900"]
objectives: %s
sampler: random
"""


def study(folder: Path, objectives: str = "[latency_ns, energy_pj]", mode: FidelityMode = "full") -> StudyResult:
    (folder / "a <b> & c.yaml").write_text(SPACE % objectives, "utf-8")
    space = load_space(folder / "a <b> & c.yaml")
    trials = []
    for index in range(24):
        rows, size = (4, 8, 16)[index % 3], 8 + 9 * index
        point: dict[str, Any] = {"pe_array.rows": rows, "pe_array.dataflow": ("WS", "OS")[index % 2],
                                 "sram.scratchpad.capacity_kib": size}  # fmt: skip
        latency = 4000.0 / rows + 800.0 / size
        metrics = {"latency_ns": latency, "energy_pj": 100.0 * rows + size, "edp_pj_ns": latency * 5, "pe_count": rows}
        state = FAILED if index == 5 else PRUNED if mode == "multi" and index % 4 == 3 else COMPLETE
        trials.append(
            TrialRecord(
                index, point, state,
                metrics=metrics if state == COMPLETE else {},
                estimate={name: value * 1.02 for name, value in metrics.items()} if mode == "multi" else {},
                violations={"latency_ns <= 900": max(0.0, latency - 900)} if state == COMPLETE else {},
                error="layer 'x</script>' fits into no buffer" if state == FAILED else None,
            )
        )  # fmt: skip
    return StudyResult(space.name, space, FidelityPlan(mode), tuple(trials), 24, 2.0, exhausted=False)


@pytest.mark.parametrize(
    "objectives", ["[latency_ns]", "[latency_ns, energy_pj]", "[energy_pj, latency_ns, edp_pj_ns]"]
)
@pytest.mark.parametrize("mode", ["full", "multi"])
def test_the_page_shows_every_part_and_escapes_what_the_user_named(
    tmp_path: Path, objectives: str, mode: FidelityMode
) -> None:
    result = study(tmp_path, objectives, mode)
    front = pareto_front(result)
    page = render_study(result, front)
    assert page == render_study(result, front), "the same study gives the same bytes"
    for title in ("Parallel coordinates", "Importance of parameters", "Best so far", "Trials", "Space"):
        assert f"<h2>{title}</h2>" in page
    assert ("Estimates and simulations" in page) == (mode == "multi")
    assert "a &lt;b&gt; &amp; c" in page
    assert "x</script>" not in page
    assert not re.findall(r"<script src|<link|<img", page), "self-contained"
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    placed = set(re.findall(r'class="plot" id="(\w+)"', page))
    assert placed == set(figures)
    hover = [text for trace in figures["front_0"]["data"] for text in trace.get("customdata", [])]
    assert all("pe_array.dataflow = " in text and "sram.scratchpad.capacity_kib = " in text for text in hover)
    shown = sum(record.state == COMPLETE or record.state == PRUNED for record in result.trials)
    assert len(hover) == shown


def test_figures_hold_the_data_of_the_study(tmp_path: Path) -> None:
    result = study(tmp_path)
    front = pareto_front(result)
    page = render_study(result, front)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    traces = {trace["name"]: trace for trace in figures["front_0"]["data"]}
    assert len(traces["Pareto front"]["x"]) == len(front)
    assert traces["Pareto front"]["x"] == sorted(traces["Pareto front"]["x"])
    assert len(traces["breaks a condition"]["x"]) == sum(any(r.violations.values()) for r in result.trials)
    best = figures["best_0"]["data"][1]
    assert best["y"] == sorted(best["y"], reverse=True)
    assert best["x"][-1] == 23
    (parallel,) = figures["parallel"]["data"]
    assert len(parallel["dimensions"]) == 5
    assert parallel["dimensions"][1]["ticktext"] == ["OS", "WS"]
    assert {len(dimension["values"]) for dimension in parallel["dimensions"]} == {
        sum(r.feasible for r in result.trials)
    }
    assert {trace["name"] for trace in figures["importance"]["data"]} == {"Latency", "Energy"}


def test_a_study_in_which_all_failed_still_has_a_page(tmp_path: Path) -> None:
    result = study(tmp_path)
    failed = tuple(replace(record, state=FAILED, metrics={}, violations={}, error="no") for record in result.trials)
    page = render_study(replace(result, trials=failed), [])
    assert "<h2>Trials</h2>" in page
    assert "<h2>Parallel" not in page


def test_a_transfer_is_shown(tmp_path: Path) -> None:
    result = study(tmp_path)
    transfer = compare_studies(result.trials, result.trials, names=("other <one>", "this"))
    page = render_study(result, pareto_front(result), transfer)
    assert "Transfer between devices" in page
    assert "other &lt;one&gt;" in page
    assert "Spearman 1.0000" in page
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(study_summary(result, pareto_front(result), tmp_path, transfer=transfer))
    assert "Spearman 1.000" in console.export_text()


def test_tables_hold_every_trial(tmp_path: Path) -> None:
    result = study(tmp_path, mode="multi")
    front = pareto_front(result)
    write_study(result, tmp_path / "out", front)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.html", "study.json", "trials.csv", "trials.parquet",
    ]  # fmt: skip
    with (tmp_path / "out" / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert rows[5]["error"].startswith("layer 'x</script>'")
    assert rows[0]["estimate.latency_ns"] == str(result.trials[0].estimate["latency_ns"])
    table = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert table == trial_rows(result, front)
    assert sum(row["front"] for row in table) == len(front)
    document = json.loads((tmp_path / "out" / "study.json").read_text("utf-8"))
    assert document == json.loads(json.dumps(study_document(result, front)))
    assert document["trials"] == {"complete": 17, "failed": 1, "pruned": 6}
    assert [entry["trial"] for entry in document["front"]] == [record.index for record in front]
    assert document["estimate_errors"][0]["median_ape"] == pytest.approx(0.02)


def test_no_trials_are_an_empty_table() -> None:
    assert trials_csv([]) == "trial\n"


def test_the_summary_fits_its_window(tmp_path: Path) -> None:
    result = study(tmp_path, mode="multi")
    for width in (60, 120):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(study_summary(result, pareto_front(result), tmp_path / "out", [tmp_path / "run"]))
        text = console.export_text()
        assert max(len(line) for line in text.splitlines()) <= width
        for words in ("24 points", "1 failed", "fits into no", "Pareto front", "median error 2.0%"):
            assert words in " ".join(text.split())


def test_metrics_are_written_with_units() -> None:
    assert written("latency_ns", 1.5e6) == "1.500 ms"
    assert written("edp_pj_ns", 6e11) == "600.0 pJ s"
    assert written("area_proxy_mm2", 2.5) == "2.500 mm²"
    assert written("stall_cycles", 12345) == "12,345"
    assert written("accuracy_loss", 0.0123) == "1.23%"
    assert metric_title("edp_pj_ns") == "EDP"
    assert metric_title("total_cycles") == "Total cycles"
    assert all(written(name, 3.0) and metric_title(name) for name in METRICS)


def test_short_names_tell_paths_apart() -> None:
    paths = ["pe_array.rows", "sram.a.capacity_kib", "sram.b.capacity_kib"]
    assert list(short_names(paths).values()) == ["rows", "a.capacity_kib", "b.capacity_kib"]
