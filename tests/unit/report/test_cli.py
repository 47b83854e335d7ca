from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import typer
from sample_run import make_run

import accelsim
from accelsim.cli import run_command
from accelsim.cli.program import app
from accelsim.errors import ConfigError, RunError
from accelsim.numerics.accuracy_request import AccuracyRequest

if TYPE_CHECKING:
    from accelsim.result import RunResult


class _Pipeline(ModuleType):
    """Stands in for the pipeline: notes what it was asked and returns a made-up run."""

    DEFAULT_HARDWARE = "systolic_32x32"
    DEFAULT_WORKLOAD = "fashion_cnn"

    def __init__(self) -> None:
        super().__init__("accelsim.pipeline")
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.failure: BaseException | None = None

    def simulate(self, hardware: str, workload: str, **options: Any) -> RunResult:  # noqa: ANN401 - as given
        options.pop("progress")("simulating", 0.5)
        self.calls.append((hardware, workload, options))
        if self.failure is not None:
            raise self.failure
        return make_run(3, steps=3, hardware=hardware, workload=workload)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Pipeline:
    stand_in = _Pipeline()
    monkeypatch.setitem(sys.modules, "accelsim.pipeline", stand_in)
    monkeypatch.setattr(accelsim, "pipeline", stand_in, raising=False)
    monkeypatch.chdir(tmp_path)
    return stand_in


def test_every_option_out_has_the_same_short_form() -> None:
    commands = typer.main.get_group(app).commands
    outs = {
        name: option.opts for name, command in commands.items() for option in command.params if option.name == "out"
    }
    assert set(outs) >= {"run", "compare", "explore", "tolerate", "claims", "study", "import", "decompose"}
    assert {frozenset(names) for names in outs.values()} == {frozenset({"-o", "--out"})}


def test_run_without_arguments_takes_the_defaults(
    pipeline: _Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run"]) == 0
    options = {"overrides": (), "batch": None, "seed": 0, "accuracy": AccuracyRequest(), "budget": None}
    assert pipeline.calls[0][2].pop("workers") >= 1
    assert pipeline.calls == [("systolic_32x32", "fashion_cnn", options)]
    folder = "reports/runs/fashion_cnn-systolic_32x32-0011223344"
    assert (tmp_path / folder / "report.html").exists()
    captured = capsys.readouterr()
    assert f"Run folder: {folder}(open report.html)" in captured.out.replace("\n", "").replace(" (", "(")
    assert captured.err == ""


def test_run_hands_every_option_on(pipeline: _Pipeline, tmp_path: Path) -> None:
    line = ["run", "hw", "net", "--set", "a.b=1", "--set", "c=2", "--batch", "4", "--seed", "9", "--out", "here"]
    line += ["--accuracy", "--data", "there", "--images", "50", "--modules", "3", "--correction", "saturate"]
    line += ["--arithmetic", "integer", "--workers", "3", "--budget-latency-us", "20"]
    assert run_command(line) == 0
    request = AccuracyRequest(
        wanted=True, data=Path("there"), samples=50, seeds=3, correction="saturate", arithmetic="integer"
    )
    options = {"overrides": ["a.b=1", "c=2"], "batch": 4, "seed": 9, "accuracy": request, "workers": 3}
    assert pipeline.calls[0][2].pop("budget").latency_us == 20
    assert pipeline.calls == [("hw", "net", options)]
    assert (tmp_path / "here" / "result.json").exists()
    assert not (tmp_path / "reports").exists()


@pytest.mark.usefixtures("pipeline")
def test_json_is_the_result_file_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--json", "--out", "here"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (tmp_path / "here" / "result.json").read_text("utf-8")
    assert json.loads(captured.out)["schema"] == 1
    assert captured.err == ""


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (ConfigError("is missing", where="hw.yaml", key="pe_array"), 2, "hw.yaml: pe_array: is missing"),
        (RunError("deadlock:\nDMA waits"), 1, "deadlock: DMA waits"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    pipeline: _Pipeline, capsys: pytest.CaptureFixture[str], failure: BaseException, code: int, message: str
) -> None:
    pipeline.failure = failure
    assert run_command(["run", "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"accelsim: error: {message}\n"


def test_an_interrupted_kernel_is_an_interrupt(pipeline: _Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.failure = SystemError("returned a result with an exception set")
    pipeline.failure.__cause__ = KeyboardInterrupt()
    assert run_command(["run"]) == 130
    assert capsys.readouterr().err == "accelsim: error: interrupted\n"
    pipeline.failure = SystemError("something else")
    with pytest.raises(SystemError, match="something else"):
        run_command(["run"])


def test_out_is_checked_before_the_simulation(
    pipeline: _Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run_command(["run", "--out", "file"]) == 2
    assert capsys.readouterr().err == "accelsim: error: --out: 'file': is a file, not a folder\n"
    assert pipeline.calls == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["run", "--batch", "x"], "Invalid value for '--batch'"),
        (["run", "--batch", "0"], "Invalid value for '--batch'"),
        (["run", "a", "b", "c"], "Got unexpected extra argument"),
        (["run", "--moon"], "No such option: --moon"),
        (["list", "moons"], "Invalid value for"),
        (["import", "x.onnx"], "Missing option"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["compare"], "Missing argument"),
        (["compare", "one"], "compare: 'one': needs at least two run folders"),
        (["compare", "one", "two"], "one: no such run folder"),
        (["show", "resnet19"], "show: 'resnet19': no preset, network or claim has this name; did you mean 'resnet18'?"),
        (["show", "absent.onnx"], "absent.onnx: no such file"),
        (["import", "absent.onnx", "-o", "out.yaml"], "absent.onnx: no such file"),
    ],
)
def test_a_wrong_line_is_told_in_one_line(
    line: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"accelsim: error: {message}")
    assert captured.err.count("\n") == 1
    assert "Value error" not in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("pipeline")
def test_compare_shows_writes_and_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for hardware in ("one", "two"):
        assert run_command(["run", hardware, "--out", hardware]) == 0
    capsys.readouterr()
    assert run_command(["compare", "one", "two", "--out", "both.html"]) == 0
    assert "[2] two: fashion_cnn on two, batch 1 (two)" in capsys.readouterr().out
    assert "<h1>Comparison of one, two</h1>" in (tmp_path / "both.html").read_text("utf-8")
    assert run_command(["compare", "one", "two", "--json"]) == 0
    assert [run["label"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["one", "two"]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"accelsim {accelsim.__version__}\n"
    assert run_command(["--help"]) == 0
    assert run_command([]) == 0
    assert "Simulate a network on an accelerator" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["hardware", "workloads", "dram", "energy"])
def test_lists_name_everything_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", kind, "--json"]) == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert run_command(["list", kind]) == 0
    out = capsys.readouterr().out
    assert names
    assert len(set(names)) == len(names)
    assert all(name in out for name in names)


@pytest.mark.parametrize("kind", ["hardware", "dram", "energy", "spaces", "claims"])
def test_every_preset_can_be_shown(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(["list", kind, "--json"])
    for name in [entry.get("name", entry.get("id")) for entry in json.loads(capsys.readouterr().out)]:
        assert run_command(["show", name]) == 0
        assert ":" in capsys.readouterr().out
        assert run_command(["show", name, "--json"]) == 0
        assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_a_network_is_shown_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["show", "lenet5", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert sum(layer["macs"] for layer in record["layers"]) == record["macs"] == 416_520
    assert run_command(["show", "lenet5"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("lenet5: ")
    assert all(layer["name"] in out for layer in record["layers"])


def test_import_writes_a_workload_that_loads_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelsim.workload.loader import load_workload

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.csv").write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
        "Conv1, 32, 32, 3, 3, 3, 16, 1,\n"
    )
    assert run_command(["import", "net.csv", "-o", "deep/net.yaml"]) == 0
    assert "written to deep/net.yaml" in capsys.readouterr().out
    assert load_workload(tmp_path / "deep" / "net.yaml").total_macs == 30 * 30 * 27 * 16


@pytest.mark.parametrize("line", [["--help"], ["--version"], ["list", "workloads"], ["list", "hardware", "--json"]])
def test_help_and_lists_import_nothing_heavy(line: list[str]) -> None:
    script = (
        "import sys; from accelsim.cli import run_command; code = run_command(sys.argv[1:]);"
        "heavy = {'onnx', 'numba', 'pandas', 'plotly', 'simpy', 'onnxruntime'} & set(sys.modules);"
        "print(sorted(heavy), code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *line], capture_output=True, text=True, check=True)
    needed = ["onnx"] if "workloads" in line else []  # the shapes of the networks that ship trained are in their files
    assert done.stderr == f"{needed} 0\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"'{sys.executable}' -m accelsim.cli list workloads --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)  # noqa: S607 - any bash
    assert done.stderr == ""
    assert done.stdout.strip() in {"141", "0"}  # 0 where the pipe took everything before its reader left


def test_a_terminal_without_unicode_gets_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "accelsim.cli", "list", "workloads"],
        capture_output=True, check=True, env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert b"resnet18" in done.stdout
    assert done.stderr == b""
