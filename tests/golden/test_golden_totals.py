"""Totals of a few runs, exactly; ``pytest --update-golden`` rewrites them when a change is meant to move them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.pipeline import simulate

FOLDER = Path(__file__).parent
PAIRS = [
    (hardware, workload) for workload in ("resnet18", "mobilenetv2") for hardware in ("systolic_32x32", "edge_16x16")
]


@pytest.mark.parametrize(("hardware", "workload"), PAIRS)
def test_totals_are_those_of_the_golden_file(request: pytest.FixtureRequest, hardware: str, workload: str) -> None:
    result = simulate(hardware, workload).to_dict()
    found = {"totals": result["totals"], "energy_pj": result["energy_pj"], "dram": result["dram"]}
    path = FOLDER / f"{workload}-{hardware}.json"
    if request.config.getoption("--update-golden"):
        path.write_text(json.dumps(found, indent=2) + "\n")
        return
    assert found == json.loads(path.read_text())
