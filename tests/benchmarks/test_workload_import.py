from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from accelsim.workload.loader import list_workloads, load_workload

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_onnx_import(benchmark: BenchmarkFixture, name: str) -> None:
    graph = benchmark(load_workload, LIGHT / f"light_{name}.onnx")
    assert graph.total_macs > 0


def test_listing_builds_every_network(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(list_workloads)) > 20
