"""Rows of decisions that are simulated many at a time: the same figures as of single runs, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import accelsim
from accelsim import samples
from accelsim.config.loader import load_hardware
from accelsim.sample_figures import RowFigures
from accelsim.workload.annotations import Annotations
from accelsim.workload.gates import with_gates
from accelsim.workload.skip import SkipPlan
from accelsim.workload.skippable import skippable_blocks
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

MACHINES = {
    "waits": ("edge_16x16", ["control.prefetch=wait"]),
    "speculates": ("edge_16x16", ["control.prefetch=speculate", "control.decision_cycles=90"]),
    "keeps some on chip": ("edge_16x16", ["sram.scratchpad.capacity_kib=6", "control.prefetch=speculate"]),
    "ideal memory": ("systolic_32x32", ["dram.kind=ideal", "dram.ideal_bandwidth_gb_per_s=4"]),
    "two channels": ("systolic_32x32", ["dram.channels=2", "control.prefetch=speculate_weights"]),
    "has operations of its own": ("eyeriss", ["control.prefetch=speculate"]),
}


def network() -> tuple[LayerGraph, tuple[object, ...]]:
    net = NetworkBuilder(3, 12)
    made = net.conv_norm("stem", "image", 8, 3)
    for block in range(4):
        inner = net.conv_norm(f"b{block}.conv1", made, 8, 3)
        outer = net.conv_norm(f"b{block}.conv2", inner, 8, 3, activation=None)
        made = net.activation(f"b{block}.relu", net.sum(f"b{block}.add", outer, made))
    net.gemm("fc", net.global_pool("pool", made), 10)
    graph = net.build("residual", "for tests")
    return with_gates(graph, "rnn", skippable_blocks(graph))


def assert_same(found: RowFigures, expected: RowFigures) -> None:
    for name in ("totals", "counts", "skipped", "dram"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in ("stalls", "energies", "actions"):
        one, other = getattr(found, name), getattr(expected, name)
        assert list(one) == list(other), f"{name} in the same order"
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=f"{name} {key}")


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compare every row that is simulated; what is returned counts them."""
    rows: list[int] = []
    quick = samples.SampleRuns.figures

    def figures(runs: samples.SampleRuns, row: int) -> RowFigures:
        found = quick(runs, row)
        assert runs._accounts is not None
        assert_same(found, RowFigures.of(runs.run(runs.mapping_of(row), with_profile=False)))
        rows.append(row)
        return found

    monkeypatch.setattr(samples.SampleRuns, "figures", figures)
    return rows


@pytest.mark.parametrize("name", MACHINES)
def test_rows_of_blocks(name: str, compared: list[int]) -> None:
    graph, gates = network()
    rows = np.random.default_rng(5).random((8, len(gates))) < 0.5
    plan = SkipPlan(gates, rows, "trace")  # type: ignore[arg-type]
    run = accelsim.simulate(load_hardware(*MACHINES[name]), replace(graph, annotations=Annotations(skip=plan)))
    assert run.samples is not None
    assert len(compared) == run.samples.distinct > 3
