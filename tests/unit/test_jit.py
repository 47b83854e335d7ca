from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytest

from accelsim.jit import _PlainIndices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


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


def test_kernels_take_indices_as_they_are_and_functions_of_others_count_from_the_end() -> None:
    def pick(values: NDArray[np.int64], place: int) -> int:
        return int(values[place])

    def last(values: NDArray[np.int64]) -> int:
        return int(values[-1])

    values = np.array([3, 5, 8])
    compiled: Any = numba.njit  # its types know no pipeline_class
    plain, others = compiled(pipeline_class=_PlainIndices)(pick), compiled(pick)

    assert [plain(values, 1), others(values, 1), others(values, -1)] == [5, 5, 8]
    assert compiled(pipeline_class=_PlainIndices)(last)(values) == 8
    comparisons = [next(iter(each.inspect_llvm().values())).count("icmp slt") for each in (plain, others)]
    assert comparisons[0] < comparisons[1]
