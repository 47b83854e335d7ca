"""The study of what skipping saves: published rates are met, and what it finds holds together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.cli import run_command
from accelsim.errors import InputError
from accelsim.validation import ddi_study
from accelsim.validation.gated_networks import PUBLISHED, PublishedSkip, gated_share, planned_at
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.network)
def test_effective_macs_are_those_that_published_rates_imply(entry: PublishedSkip) -> None:
    """Within half a percent, gates left out; the simulator runs exactly these decisions (see tests/property)."""
    graph = load_workload(entry.network)
    plan = planned_at(graph, entry.kept).annotations.skip
    assert plan is not None
    shares = np.array([gated_share(graph, gate.layers) for gate in plan.gates])
    kept = 1 - (shares * (1 - plan.decisions.mean(axis=0))).sum()
    assert kept == pytest.approx(entry.kept, rel=0.005)
    assert np.ptp(plan.decisions.mean(axis=0)) <= 0.16  # all blocks alike, but for rounding


def test_the_command_writes_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", "ddi", "--platform", "systolic", "--network", "resnet20_gated_35", "--out", str(tmp_path)]
    assert run_command([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "ddi.json").read_text("utf-8"))
    cases = {case["policy"]: case for case in found["cases"]}
    assert set(cases) == set(ddi_study.POLICIES)
    for case in cases.values():
        assert case["kept"] == pytest.approx(case["implied"], rel=0.005)  # gates are 0.03 % of the work
        assert case["kept"] < min(case["latency"], case["energy"])  # machines save less than the computation
        assert case["gate_latency"] > 100 * 0.0003  # gates weigh more in time than in work
        assert case["accuracy"] == pytest.approx(0.8, abs=0.1)
    assert cases["wait"]["wasted_bytes"] == 0
    assert cases["wait"]["gate_latency"] >= cases["speculate"]["gate_latency"]
    energy = {case["techniques"]: case["energy_pj"] for case in found["combined"]}
    assert energy["all three"] < min(energy[name] for name in ("none", "skipping", "PoT weights", "approximate DRAM"))
    assert energy["all three"] < energy["skipping, PoT weights"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Accuracy against energy" in page
    assert "http" not in page.split("</head>")[1].split("<script")[0]


def test_names_that_are_not_in_the_study_are_refused() -> None:
    with pytest.raises(InputError, match="begins no name of this study"):
        ddi_study.run_study(["tpu"])
    with pytest.raises(InputError, match="begins no name of this study"):
        ddi_study.run_study([], ["vgg"])
