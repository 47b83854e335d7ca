"""The command line with the real pipeline behind it."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

import pytest

from accelsim import pipeline
from accelsim.cli import run_command
from accelsim.report.saved_run import read_run
from accelsim.result import sum_layers

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["config.resolved.yaml", "layers.csv", "manifest.json", "report.html", "result.json", "trace.json"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    parent = tmp_path_factory.mktemp("runs")
    for name in ("first", "second"):
        assert run_command(["run", "systolic_32x32", "lenet5", "--batch", "2", "--out", str(parent / name)]) == 0
    return parent / "first", parent / "second"


def test_the_same_input_gives_the_same_bytes(folders: tuple[Path, Path]) -> None:
    first, second = folders
    assert sorted(path.name for path in first.iterdir()) == FILES
    different = {name for name in FILES if (first / name).read_bytes() != (second / name).read_bytes()}
    assert different <= {"manifest.json"}  # which holds date and wall time; two quick runs may share even those


def test_files_agree_with_one_another(folders: tuple[Path, Path]) -> None:
    run = read_run(folders[0])
    assert run.run.batch == 2
    assert run.totals == sum_layers(
        run.layer_results, round(run.totals.latency_ns * 1000), run.machine.peak_macs_per_cycle
    )
    with (folders[0] / "layers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["total_cycles"]) for row in rows) == run.totals.total_cycles
    manifest = json.loads((folders[0] / "manifest.json").read_text())
    assert manifest["run_id"] == run.run.run_id
    assert manifest["wall_seconds"] > 0


def test_the_trace_covers_the_run_and_moves_its_bytes(folders: tuple[Path, Path]) -> None:
    run = read_run(folders[0])
    events = json.loads((folders[0] / "trace.json").read_text())["traceEvents"]
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    phases = [event for event in events if event["ph"] == "X" and event["tid"] > 0]
    assert {tracks[event["tid"]].split(" #")[0] for event in phases} >= {"ifmap fetch", "weight fetch", "PE array"}
    assert max(event["ts"] + event["dur"] for event in phases) <= run.totals.latency_ns / 1000 + 0.001
    layers = [event for event in events if event["ph"] == "X" and event["tid"] == 0]
    assert sum(event["args"]["cycles"] for event in layers) == run.totals.total_cycles


def test_runs_compare(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["compare", *map(str, folders), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert all(ratio in {1.0, None} for row in record["totals"] for ratio in row["ratios"])


def test_help_names_the_defaults_of_the_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--help"]) == 0
    text = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    assert f"default: {pipeline.DEFAULT_HARDWARE}" in text
    assert f"default: {pipeline.DEFAULT_WORKLOAD}" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "no_such_machine"], ["no_such_machine", "is no preset and no file"]),
        (["run", "systolic_32x32", "no_such_net"], ["no_such_net", "no workload has this name"]),
        (["run", "--set", "pe_array.rows=many"], ["pe_array.rows = 'many'", "allowed: a whole number"]),
        (["run", "--set", "dram.kind=idea"], ["dram.kind = 'idea'", "'command' or 'ideal'"]),
        (["run", "--set", "pe_array.moons=1"], ["pe_array.moons", "unknown key", "allowed: one of"]),
    ],
)
def test_wrong_input_names_key_value_and_what_is_allowed(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("accelsim: error: ")
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)
    assert list(tmp_path.iterdir()) == []
