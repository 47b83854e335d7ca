from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def _run(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_run_imports_only_what_it_needs(tmp_path: Path) -> None:
    script = (
        "import sys; from accelsim.cli import run_command; code = run_command(sys.argv[1:]);"
        "heavy = {'onnx', 'onnxruntime', 'optuna', 'pandas', 'plotly', 'scipy.linalg', 'sklearn', 'torch'};"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    assert _run(script, "run", "systolic_32x32", "lenet5", "--out", str(tmp_path / "run")) == "0 []"


def test_linear_algebra_is_there_for_kernels_of_others() -> None:
    pytest.importorskip("scipy")
    script = (
        "import accelsim.jit, numba, numpy as np\n"
        "product = numba.njit(lambda left, right: np.dot(left, right))\n"
        "print(product(np.ones((2, 3)), np.ones((3, 2))).tolist())"
    )
    assert _run(script) == "[[3.0, 3.0], [3.0, 3.0]]"
