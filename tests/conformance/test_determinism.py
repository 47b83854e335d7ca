from __future__ import annotations

import os
import subprocess
import sys

import pytest

from accelsim.pipeline import simulate

PROGRAM = "import sys; from accelsim import simulate; sys.stdout.write(simulate(sys.argv[1], sys.argv[2]).to_json())"


@pytest.mark.parametrize(("hardware", "workload"), [("edge_16x16", "two_towers"), ("eyeriss", "lenet5")])
def test_result_does_not_depend_on_the_process(hardware: str, workload: str) -> None:
    """Byte for byte the same with other hashes of strings, which decide the order of sets."""
    here = simulate(hardware, workload).to_json()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", PROGRAM, hardware, workload]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert there.stdout == here
