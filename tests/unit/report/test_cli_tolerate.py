"""`accelsim tolerate` from end to end, with few images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

import accelsim
from accelsim.cli import run_command

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = {
    "extends": "systolic_32x32",
    "dram": {
        "address_map": "ChRaBaRoCo",
        "bit_errors": {"table": "eden_table3"},
        "partitions": [{"name": "mild", "scope": {"bank": 3}, "operating_point": {"vdd_v": 1.1}}],
    },
}


def command(folder: Path, *more: str) -> list[str]:
    machine = folder / "machine.yaml"
    machine.write_text(yaml.safe_dump(MACHINE), "utf-8")
    return [
        "tolerate",
        str(machine),
        "fashion_cnn",
        "--images",
        "60",
        "--modules",
        "1",
        "--out",
        str(folder / "out"),
        *more,
    ]


def test_a_search_writes_what_it_found_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(command(tmp_path, "--json", "--fine-images", "30", "--drop", "0.3")) == 0
    first = json.loads(capsys.readouterr().out)
    log = (tmp_path / "out" / "trials.jsonl").read_text("utf-8")
    assert run_command(command(tmp_path, "--json", "--fine-images", "30", "--drop", "0.3")) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert (tmp_path / "out" / "trials.jsonl").read_text("utf-8") == log  # nothing was tried again
    assert json.loads((tmp_path / "out" / "tolerance.json").read_text("utf-8")) == first
    coarse = first["coarse"][0]
    assert 1e-4 < coarse["rate"] < 0.2
    rates = {entry["name"]: entry["rate"] for entry in first["tensors"]}
    assert all(rate >= coarse["rate"] for rate in rates.values())
    mapped = accelsim.load_hardware(tmp_path / "out" / "machine.yaml")
    assert mapped.mapping.partitions == {
        entry["name"]: entry["partition"] for entry in first["tensors"] if entry["partition"]
    }
    assert all(rates[name] >= 0.005 for name in mapped.mapping.partitions)  # what the table says of 1.1 V
    assert "Accuracy against bit-error rate" in (tmp_path / "out" / "report.html").read_text("utf-8")
    run = accelsim.simulate(mapped, "fashion_cnn", accuracy=False)
    assert run.totals.total_cycles > 0


def test_the_terminal_shows_rates_and_partitions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(command(tmp_path, "--coarse", "--error-model", "bitline", "--error-model", "uniform")) == 0
    shown = capsys.readouterr().out
    for words in ("fashion_cnn on machine", "uniform", "bitline", "conv1.weight", "datasheet"):
        assert words in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--error-model", "gamma"], "--error-model: 'gamma': not accepted; allowed: uniform, bitline, wordline"),
        (["--drop", "0"], "--drop: 0.0: not accepted"),
        (["--set", "dram.bit_errors=null"], "dram.bit_errors: is missing"),
        (["--set", "dram.address_map=MOP4CLXOR"], "dram.address_map = 'MOP4CLXOR': spreads pages"),
    ],
)
def test_searches_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert run_command(command(tmp_path, *more)) == 2
    assert message in capsys.readouterr().err


def test_a_network_of_shapes_alone_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(["tolerate", "systolic_32x32", "resnet18", "--out", str(tmp_path / "out")]) == 2
    assert "it has shapes only, and no ONNX model with weights" in capsys.readouterr().err
