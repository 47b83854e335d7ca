"""How long a row of decisions takes: a ResNet-74 with recurrent gates that runs half of its blocks, 357 stages."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim import samples
from accelsim.pipeline import simulate
from accelsim.workload.annotations import Annotations
from accelsim.workload.skip_annotation import SkipRecord, with_skips
from accelsim.workload.zoo.resnet import resnet_cifar

if TYPE_CHECKING:
    import pytest
    from pytest_benchmark.fixture import BenchmarkFixture

    from accelsim.sample_figures import RowFigures

ROWS = 200


def test_row_of_resnet74(benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row in a warm process; 10,000 times this by the number of processors is a distribution over a test set."""
    graph, plan = with_skips(
        resnet_cifar(74), SkipRecord(gates="rnn", rate=0.5234, samples=ROWS if benchmark.enabled else 2), Path("none")
    )
    seen: list[samples.SampleRuns] = []
    figures = samples.SampleRuns.figures

    def noted(runs: samples.SampleRuns, row: int) -> RowFigures:
        seen.append(runs)
        return figures(runs, row)

    monkeypatch.setattr(samples.SampleRuns, "figures", noted)
    simulate("systolic_32x32", replace(graph, annotations=Annotations(skip=plan)))
    runs = seen[-1]
    rows = cycle(range(runs.rows))
    found = benchmark(lambda: figures(runs, next(rows)))
    assert found.totals[0] > 0
