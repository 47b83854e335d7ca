from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from accelsim.cli import run_command

if TYPE_CHECKING:
    from pathlib import Path

TRACE = "".join(f"{'ST' if number % 4 == 0 else 'LD'} {number * 64:#x}\n" for number in range(400))


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requests.trace").write_text(TRACE)
    (tmp_path / "broken.trace").write_text("LD 0x40\nXX 12\n")
    return "requests.trace"


def test_a_trace_is_replayed_and_shown(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["dram", trace, "--device", "DDR4_2400R_8Gb_x8"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("DDR4_2400R_8Gb_x8, 1 channel(s) x 1 rank(s), address map RoBaRaCoCh\n")
    rows = {line[:31].strip(): line[31:].strip() for line in out.splitlines()}
    assert rows["requests"] == "400"
    assert any(line.split() == ["RD", "commands", "300"] for line in out.splitlines())
    assert any(line.startswith("total") and line.endswith("100.0%") for line in out.splitlines())


def test_options_reach_the_memory(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--ranks", "2", "--map", "ChRaBaRoCo", "--set", "refresh=none", "--commands", "issued.csv", "--json"]
    assert run_command(["dram", trace, *options]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["requests"] == record["row_hits"] + record["row_misses"] + record["row_conflicts"] == 400
    assert record["commands"]["REF"] == 0
    commands = (tmp_path / "issued.csv").read_text().splitlines()
    assert sum(line.split(",")[1] == "RD" for line in commands) == record["commands"]["RD"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["broken.trace"], "broken.trace: line 2 = 'XX 12': not a memory request"),
        (["absent.trace"], "absent.trace: no such file"),
        (["requests.trace", "--ranks", "3"], "options of `accelsim dram`: ranks = 3 is no power of two"),
        (["requests.trace", "--set", "moon=1"], "options of `accelsim dram`: moon: unknown key; allowed: one of"),
        (["requests.trace", "--set", "refresh"], "--set: 'refresh': not accepted; allowed: key.key=value"),
        (["requests.trace", "--set", "kind=ideal"], "options of `accelsim dram`: kind = 'ideal': replays nothing"),
        (["requests.trace", "--device", "SRAM"], "device = 'SRAM': no such DRAM device; allowed: "),
        (["requests.trace", "--commands", "."], "--commands: '.': is a folder, not a file"),
    ],
)
@pytest.mark.usefixtures("trace")
def test_wrong_input_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["dram", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"accelsim: error: {message}")
    assert captured.err.count("\n") == 1
