"""Skipping, sparse powers of two and approximate DRAM in one network."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.resources import resource_folder
from accelsim.validation.combined_study import decomposed_decisions
from accelsim.workload.decision_trace import load_trace

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.shared
def test_the_decomposed_network_decides_as_its_trace_says() -> None:
    if not (SHARED / "cifar10_test.npz").is_file():
        pytest.skip("needs the CIFAR-10 test set in the folder shared/ beside the checkout")
    found, kept = (
        decomposed_decisions(SHARED),
        load_trace(resource_folder("workloads") / "skip" / "resnet20_gated_50_pot.npz"),
    )
    assert (found.decisions == kept.decisions).all()
    assert (found.right == kept.right).all()
