"""How long a ResNet-50 (ONNX, 224 x 224, batch 1, int8) takes on `systolic_32x32` with DRAM per command."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from accelsim.config.loader import load_hardware
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.network import map_network
from accelsim.pipeline import memory_interface, simulate
from accelsim.simulation.simulator import run_stages
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

HARDWARE = "systolic_32x32"
RESNET50 = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"


def test_simulate_resnet50(benchmark: BenchmarkFixture) -> None:
    graph = load_workload(RESNET50)
    simulate(HARDWARE, graph)  # compile
    result = benchmark(simulate, HARDWARE, graph)
    benchmark.extra_info["total_cycles"] = result.totals.total_cycles
    if benchmark.enabled:
        tracemalloc.start()
        simulate(HARDWARE, graph)
        benchmark.extra_info["peak_python_mb"] = round(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    assert result.totals.effective_macs == graph.total_macs


def test_map_resnet50(benchmark: BenchmarkFixture) -> None:
    config, graph = load_hardware(HARDWARE), load_workload(RESNET50)
    memory = memory_interface(config, Dram(config.dram))
    mapping = benchmark(map_network, graph, config, memory, build_array(config))
    assert len(mapping.stages) > 50


def test_run_mapped_resnet50(benchmark: BenchmarkFixture) -> None:
    config, graph = load_hardware(HARDWARE), load_workload(RESNET50)
    mapping = map_network(graph, config, memory_interface(config, Dram(config.dram)), build_array(config))
    simulation = benchmark(run_stages, mapping.tiles, config)
    assert simulation.end_cycle > 0


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory of children is told by POSIX systems alone")
def test_command_line_resnet50(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "accelsim.cli", "run", HARDWARE, str(RESNET50), "--out", str(tmp_path), "--json"]
    if not Path(sys.executable).with_name("accelsim").exists():
        pytest.skip("the command is not installed beside the interpreter")
    command[:3] = [str(Path(sys.executable).with_name("accelsim"))]

    def run() -> int:
        return subprocess.run(command, capture_output=True, check=True).returncode

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1, iterations=1) == 0  # type: ignore[no-untyped-call]
    benchmark.extra_info["peak_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
