"""What the README says of exploring is so, and the script for clusters explores."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from accelsim.cli import run_command
from accelsim.explore.fidelity import FidelityPlan
from accelsim.explore.preparation import check_space
from accelsim.explore.space_file import load_space

CHECKOUT = Path(__file__).parents[3]


def test_the_space_in_the_readme_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^```\n(hardware: .*?)^```", (CHECKOUT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "space.yaml").write_text(block, "utf-8")
    check_space(load_space(tmp_path / "space.yaml"), FidelityPlan())


def test_the_options_in_the_readme_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = (CHECKOUT / "README.md").read_text("utf-8")
    section = text.partition("## Exploring designs")[2].partition("\n## ")[0]
    assert run_command(["explore", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in re.findall(r"`[^`]*?(--[a-z-]+)", section))


@pytest.mark.slow
def test_the_script_for_clusters_explores(tmp_path: Path) -> None:
    options = ["lenet5_buffers", "--trials", "6", "--out", str(tmp_path / "out"), "--no-cache"]
    done = subprocess.run(
        [sys.executable, "-m", "accelsim.explore.on_cluster", "local", "--cores", "2", "--", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "6 complete" in done.stdout
