"""``accelsim explore`` with the real simulator, from its command line to its files."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from spaces import write_space

from accelsim.cli import run_command

if TYPE_CHECKING:
    from pathlib import Path

GRID: dict[str, Any] = {
    "sampler": "grid",
    "trials": None,
    "parameters": {"pe_array.rows": [4, 8], "pe_array.dataflow": ["WS", "OS"], "sram.scratchpad.capacity_kib": [1, 32]},
    "constraints": ["accuracy_loss <= 1.0"],
    "workload": "lenet5",
}


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a study of eight points, with the runs of its front."""
    folder = tmp_path_factory.mktemp("study")
    space = write_space(folder, **(GRID | {"constraints": []}))
    options = ["--out", str(folder / "out"), "--workers", "2", "--cache", str(folder / "cache"), "--runs", "front"]
    assert run_command(["explore", str(space), *options]) == 0
    return folder


def test_the_folder_of_a_study(explored: Path) -> None:
    names = {path.name for path in (explored / "out").iterdir()}
    assert {"report.html", "study.db", "study.json", "trials.csv", "trials.parquet", "runs"} <= names
    document = json.loads((explored / "out" / "study.json").read_text("utf-8"))
    assert document["trials"] == {"complete": 8}
    assert list((explored / "cache" / "tiling").rglob("*"))
    runs = sorted(path.name for path in (explored / "out" / "runs").iterdir())
    assert runs == sorted(f"trial-{entry['trial']:04}" for entry in document["front"])
    for entry in document["front"]:  # simulated again, with the same result
        run = json.loads((explored / "out" / "runs" / f"trial-{entry['trial']:04}" / "result.json").read_text("utf-8"))
        assert run["totals"]["energy_pj"] == entry["metrics"]["energy_pj"]
        assert run["totals"]["latency_ns"] == entry["metrics"]["latency_ns"]


def test_runs_of_chosen_points_can_be_compared(explored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--out", str(explored / "out"), "--resume", "--runs", "0,3", "--cache", str(explored / "cache")]
    assert run_command(["explore", str(explored / "space.yaml"), *options]) == 0
    assert "0 evaluations" in capsys.readouterr().out, "nothing is run again"
    folders = [str(explored / "out" / "runs" / name) for name in ("trial-0000", "trial-0003")]
    assert run_command(["compare", *folders, "--json"]) == 0


def test_json_is_one_document(explored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--out", str(explored / "out"), "--resume", "--json", "--no-cache"]
    assert run_command(["explore", str(explored / "space.yaml"), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == str(explored / "out")
    assert document["front"]


def test_another_machine_is_compared(explored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (explored / "fast.yaml").write_text("extends: edge_16x16\nname: fast\npe_array: {clock_mhz: 1000}\n", "utf-8")
    options = ["--hardware", str(explored / "fast.yaml"), "--out", str(explored / "fast"), "--no-cache", "--json"]
    options += ["--workers", "1", "--fidelity", "estimate", "--check", "2", "--transfer-from", str(explored / "out")]
    assert run_command(["explore", str(explored / "space.yaml"), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["hardware"] == "fast"
    assert document["transfer"]["source"] == "space"
    assert document["transfer"]["matched"] == 8
    assert document["transfer"]["spearman"] > 0.8
    assert document["estimate_errors"][0]["points"] == 2
    assert document["estimate_errors"][0]["median_ape"] < 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "holds a study 'space' already; --resume"),
        (["--workers", "1", "--dask", "tcp://127.0.0.1:1"], "one of the two"),
        (["--name", "x", "--dask", "tcp://127.0.0.1:1"], "no Dask scheduler answers"),
        (["--resume", "--fidelity", "multi"], "with another fidelity"),
        (["--resume", "--runs", "99"], "is no complete trial"),
        (["--resume", "--runs", "some"], "allowed: front, or numbers"),
        (["--resume", "--transfer-from", "none.db"], "no such file"),
        (["--storage", "sqlite:////proc/nothing/x.db"], "cannot be"),
        (["--resume", "--cache", "FILE/cache"], "--cache"),
        (["--hardware", "edge_17x17"], "edge_16x16"),
        (["--fidelity", "guess"], "guess"),
    ],
)
def test_mistakes_exit_with_2_and_one_line(
    explored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.setattr("accelsim.explore.dask_workers._PATIENCE", "500ms")
    options = [option.replace("FILE", str(explored / "space.yaml")) for option in options]
    code = run_command(["explore", str(explored / "space.yaml"), "--out", str(explored / "out"), *options])
    message = capsys.readouterr().err
    assert code == 2, message
    assert message.startswith("accelsim: error: ")
    assert message.count("\n") == 1
    assert words in message


def test_accuracy_needs_a_workload_that_has_it(explored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (explored / "with").mkdir()
    space = write_space(explored / "with", **GRID)
    assert run_command(["explore", str(space), "--out", str(explored / "none")]) == 2
    assert "accuracy cannot be measured" in capsys.readouterr().err


def test_a_study_without_a_point_that_runs_fails(explored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (explored / "tiny").mkdir()
    space = write_space(explored / "tiny", **(GRID | {"constraints": [], "changes": {"dram": {"channels": 3}}}))
    assert run_command(["explore", str(space), "--out", str(explored / "none")]) == 2
    assert "no power of two" in capsys.readouterr().err
    parameters = {"sram.accumulator.capacity_kib": [0.001, 0.002]}
    space = write_space(explored / "tiny", **(GRID | {"constraints": [], "parameters": parameters}))
    out = explored / "all failed"
    assert run_command(["explore", str(space), "--out", str(out), "--workers", "1", "--no-cache"]) == 1
    assert "all 2 trials failed, the first one with:" in capsys.readouterr().err
    assert (out / "report.html").exists()


@pytest.mark.parametrize("package", ["optuna", "sklearn", "pyarrow"])
def test_a_package_that_is_missing_is_named(
    explored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert run_command(["explore", str(explored / "space.yaml"), "--out", str(explored / "new")]) == 2
    assert f"needs the package {package}: pip install 'accelsim[explore]'" in capsys.readouterr().err
