"""Training with feature maps kept at four bits (Chakrabarti and Moseley 2019) against training that keeps them."""

from __future__ import annotations

import pytest

from accelsim import simulate
from accelsim.workload.loader import load_workload
from accelsim.workload.training import TrainingStep, training_step

FP32 = ["pe_array.operand_bits=32"] + [f"precision.{name}_bits=32" for name in ("ifmap", "weight", "ofmap")]


def kept_bits(step: TrainingStep) -> int:
    return sum(step.graph.tensors[name].elements * (step.graph.tensors[name].bits or 32) for name in step.kept)


def test_four_bits_keep_an_eighth_and_change_no_work() -> None:
    whole, narrow = (training_step(load_workload(f"resnet164_training{suffix}")) for suffix in ("", "_4bit"))
    assert kept_bits(whole) / kept_bits(narrow) == pytest.approx(8, rel=0.01)
    for phase in ("forward", "data_gradient", "weight_gradient"):
        assert whole.macs(phase) == narrow.macs(phase)
    assert whole.state_bits == narrow.state_bits


def test_the_copies_are_written_beside_the_maps_and_read_instead_of_them() -> None:
    whole, narrow = (
        simulate("systolic_32x32", f"resnet164_training{suffix}", overrides=FP32, fidelity="estimate").totals
        for suffix in ("", "_4bit")
    )
    assert narrow.dram_write_bytes > whole.dram_write_bytes
    assert narrow.dram_read_bytes < whole.dram_read_bytes
    assert narrow.energy_pj < whole.energy_pj
