"""Names that a user chose go through every file of a run unharmed, and harm none."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
import yaml

from accelsim.cli import run_command
from accelsim.config.loader import load_hardware
from accelsim.report.saved_run import read_run

if TYPE_CHECKING:
    from pathlib import Path

ODD = [
    "</script><b>",
    "say \"hi\", 'you'",
    "a/b\\c:d",
    "tab\tand\nnewline",
    "größe 尺寸 \U0001f600",
    "=1+1",
    "[red]rich[/red]",
    "{0} %s $x",
    "x" * 300,
    " ",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a machine and a network whose buffers and layers have the odd names."""
    folder = tmp_path_factory.mktemp("odd")
    operands = (["ifmap", "psum"], ["weight"], ["ofmap"])
    buffers = {name: {"capacity_kib": 64, "operands": held} for name, held in zip(ODD, operands, strict=False)}
    gone: dict[str, object] = dict.fromkeys(load_hardware("edge_16x16").sram)
    machine = {"extends": "edge_16x16", "name": ODD[0], "sram": gone | buffers}
    (folder / "machine.yaml").write_text(yaml.safe_dump(machine, allow_unicode=True), "utf-8")
    layers = [{"name": name, "op": "conv", "out_channels": 4, "kernel": 3, "padding": 1} for name in ODD]
    network = {"accelsim_workload": 1, "name": ODD[1], "inputs": {"in \t<&>": [1, 3, 8, 8]}, "layers": layers}
    (folder / "net.yaml").write_text(yaml.safe_dump(network, allow_unicode=True, sort_keys=False), "utf-8")
    return folder / "machine.yaml", folder / "net.yaml"


def test_odd_names_go_through_a_run(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    machine, network = map(str, files)
    assert run_command(["run", machine, network]) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "reports" / "runs").iterdir()
    run = read_run(folder)
    assert [layer.name for layer in run.layer_results] == ODD
    assert (run.run.hardware, run.run.workload) == (ODD[0], ODD[1])
    with (folder / "layers.csv").open(encoding="utf-8", newline="") as rows:
        assert [row["name"] for row in csv.DictReader(rows)] == ODD
    json.loads((folder / "trace.json").read_text("utf-8"))
    assert load_hardware(folder / "config.resolved.yaml") == load_hardware(machine)
    page = (folder / "report.html").read_text("utf-8")
    assert "</script><b>" not in page
    assert run_command(["compare", str(folder), str(folder), "--out", "both.html"]) == 0
    assert "</script><b>" not in (tmp_path / "both.html").read_text("utf-8")


def test_odd_names_can_be_shown_and_mapped_by_hand(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    machine, network = map(str, files)
    assert run_command(["show", network]) == 0
    assert "[red]rich[/red]" in capsys.readouterr().out
    mapping = {name: {"order": "mnk", "m": 64, "n": 4, "k": 36} for name in ODD[1:]}
    assert (
        run_command(
            [
                "run",
                machine,
                network,
                "--out",
                "here",
                "--set",
                f"mapping.layers={json.dumps(mapping, ensure_ascii=False)}",
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert (
        run_command(["run", machine, network, "--set", 'mapping.layers={"no\\nsuch": {order: mnk, m: 1, n: 1, k: 1}}'])
        == 2
    )
    assert capsys.readouterr().err.count("\n") == 1
