"""Which blocks may be skipped, what gates cost, and which annotations are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml

from accelsim.errors import WorkloadError
from accelsim.workload.decision_trace import DecisionTrace, GatedBlock, save_trace
from accelsim.workload.gates import with_gates
from accelsim.workload.loader import load_workload
from accelsim.workload.skip import Gate, drawn_decisions
from accelsim.workload.skippable import checked_gate, skippable_blocks
from accelsim.workload.zoo.resnet import resnet_cifar

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("resnet18", 8), ("resnet50", 16), ("resnet101", 33), ("mobilenet_v2", 10), ("vgg16", 0), ("resnet164_cifar", 54)],
)
def test_every_residual_block_may_be_skipped(name: str, blocks: int) -> None:
    graph = load_workload(name)
    found = skippable_blocks(graph)
    assert len(found) == blocks
    for gate in found:
        assert checked_gate(graph, gate) is gate
        assert graph.tensors[gate.source].shape == graph.tensors[gate.result].shape


def test_a_block_holds_its_branch_the_sum_and_the_function_behind_it_but_no_projection() -> None:
    gate = skippable_blocks(load_workload("resnet18"))[2]
    assert gate.name == "layer2.0"
    assert {name.rpartition(".")[0] for name in gate.layers} <= {"layer2.0", "layer2.0.conv1", "layer2.0.conv2"}
    assert gate.result == "layer2.0.relu"
    assert not [name for name in gate.layers if "downsample" in name]
    assert gate.source.startswith("layer2.0.downsample")


def test_a_layer_of_a_densenet_leaves_zeros_where_it_does_not_run() -> None:
    graph = load_workload("densenet121")
    found = skippable_blocks(graph)
    assert len(found) == 58
    for gate in found:
        assert checked_gate(graph, gate) is gate
        assert gate.source == ""
        assert graph.tensors[gate.result].shape[1] == 32
        assert {name.rpartition(".conv")[0] for name in gate.layers} == {gate.name}


@pytest.mark.parametrize("name", ["googlenet", "squeezenet1_1", "yolov2"])
def test_branches_that_are_joined_with_other_branches_may_not_be_skipped(name: str) -> None:
    assert skippable_blocks(load_workload(name)) == ()


@pytest.mark.parametrize(("depth", "share"), [(38, 0.00025), (74, 0.00025), (110, 0.00025)])
def test_recurrent_gates_are_as_small_as_published(depth: int, share: float) -> None:
    """ddi.md B4: some 970 to 1,450 MACs a gate, 0.025 % of a whole CIFAR ResNet."""
    graph = resnet_cifar(depth)
    gated, gates = with_gates(graph)
    assert len(gates) == (depth - 2) // 2 - 1
    extra = gated.total_macs - graph.total_macs
    assert extra / graph.total_macs == pytest.approx(share, rel=0.1)
    per_gate = [
        sum(gated.dense_macs(layer) for layer in gated.layers if layer.name.startswith(f"{gate.name}.gate."))
        for gate in gates[1:]
    ]
    assert set(per_gate) == {16 * 10 + 10 * 40 * 2 + 10, 32 * 10 + 810, 64 * 10 + 810}
    assert gated.total_parameters - graph.total_parameters < 64 * 10 * len(gates) + 2_000  # the LSTM is shared


def test_feedforward_gates_cost_an_eighth_of_their_blocks() -> None:
    """SkipNet: FFGate-II is 12.5 % of a residual block's work."""
    graph = resnet_cifar(38)
    gated, gates = with_gates(graph, "feedforward")
    for gate in gates:
        block = sum(graph.dense_macs(layer) for layer in graph.layers if layer.name in gate.layers)
        cost = sum(gated.dense_macs(layer) for layer in gated.layers if layer.name.startswith(f"{gate.name}.gate."))
        same_size = (
            graph.tensors[gate.source].shape
            == gated.input_shapes(next(layer for layer in gated.layers if layer.name == f"{gate.name}.gate.conv"))[0]
        )
        if same_size:
            assert cost / block == pytest.approx(0.125, rel=0.01)


def test_rates_are_met_exactly_and_drawn_by_the_seed() -> None:
    rates = [0.7, 0.0, 1.0, 0.333]
    decisions = drawn_decisions(rates, 1000, seed=4)
    assert decisions.sum(axis=0).tolist() == [700, 0, 1000, 333]
    assert (decisions == drawn_decisions(rates, 1000, seed=4)).all()
    assert (decisions != drawn_decisions(rates, 1000, seed=5)).any()


def test_few_samples_imply_the_computation_that_the_rates_say() -> None:
    """Five samples at 0.68: 3.4 a gate, so that some gates run for three of them and others for four."""
    decisions = drawn_decisions([0.68] * 20, 5, seed=0)
    assert set(decisions.sum(axis=0).tolist()) == {3, 4}
    assert decisions.sum() == 68
    heavy = drawn_decisions([0.5, 0.5, 0.5], 1, seed=0, weights=[10.0, 1.0, 9.0])
    assert heavy[0].tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (Gate("g", "layer_skip", ("nosuch",), "conv1.relu", "layer1.0.relu"), "g = 'nosuch': is no layer"),
        (Gate("g", "layer_skip", ("conv1",), "image", "conv1"), "makes (1, 16, 32, 32) of (1, 3, 32, 32)"),
        (
            Gate("g", "layer_skip", ("layer1.0.conv1",), "conv1.relu", "layer1.0.relu"),
            "'layer1.0.conv1.norm' reads 'layer1.0.conv1' inside it",
        ),
        (
            Gate("g", "layer_skip", ("layer1.0.conv1",), "layer1.0.conv1", "layer1.0.conv2"),
            "cannot stand for what it is",
        ),
    ],
)
def test_gates_that_do_not_fit_the_network_are_refused(gate: Gate, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        checked_gate(resnet_cifar(20), gate)
    assert message in str(caught.value)


def _annotated(folder: Path, skip: dict[str, Any], network: str = "resnet18") -> Path:
    path = folder / "net.yaml"
    path.write_text(yaml.safe_dump({"accelsim_workload": 1, "network": network, "skip": skip}), "utf-8")
    return path


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ({}, "skip: needs either a trace or a rate"),
        ({"rate": 0.5, "trace": "x.npz"}, "skip: needs either a trace or a rate"),
        ({"rate": 1.5}, "skip.rate"),
        ({"rate": 0.5, "gates": "lstm"}, "skip.gates = 'lstm': not accepted; allowed: 'rnn', 'feedforward' or 'none'"),
        ({"rate": 0.5, "blocks": ["layer9.1"]}, "skip.blocks = 'layer9.1': is no block that may be skipped"),
        ({"rate": {"layer9.1": 0.5}}, "skip.rate.layer9.1: is no gate"),
        ({"rate": 0.5, "samples": 0}, "skip.samples = 0"),
        ({"trace": "nosuch.npz"}, "nosuch.npz: no such file"),
        ({"trace": "nosuch.parquet"}, "nosuch.parquet: cannot be read as parquet"),
        ({"rate": 0.5, "exits": [{"name": "e", "test": "nosuch"}]}, "e = 'nosuch': is no layer"),
        ({"rate": 0.5, "exits": [{"name": "e", "test": "conv1"}]}, "cannot be a confidence test"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, skip: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load_workload(_annotated(tmp_path, skip))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_a_way_around_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="has neither a block that may be skipped nor an exit"):
        load_workload(_annotated(tmp_path, {"rate": 0.5}, "vgg16"))


def test_traces_are_laid_over_the_gates_in_order(tmp_path: Path) -> None:
    blocks = tuple(GatedBlock(f"b{index}", 0.1) for index in range(7))
    decisions = np.random.default_rng(1).random((20, 7)) > 0.5
    right = np.arange(20) % 4 > 0
    save_trace(tmp_path / "trace.npz", DecisionTrace("net", blocks, decisions, right))
    plan = load_workload(_annotated(tmp_path, {"trace": "trace.npz", "gates": "rnn"})).annotations.skip
    assert plan is not None
    assert (plan.decisions == decisions).all()
    assert plan.right is not None
    assert plan.right.mean() == 0.75
    rows, which = plan.distinct
    assert (rows[which] == decisions).all()
    save_trace(tmp_path / "trace.npz", DecisionTrace("net", blocks[:3], decisions[:, :3], right))
    with pytest.raises(WorkloadError, match="holds decisions of 3 gates, the network has 7"):
        load_workload(_annotated(tmp_path, {"trace": "trace.npz"}))


def test_traces_come_as_tables_too(tmp_path: Path) -> None:
    names = [gate.name for gate in skippable_blocks(load_workload("resnet18"))[1:]]
    table = pd.DataFrame(np.random.default_rng(2).random((9, 7)) > 0.3, columns=names[::-1])
    table.to_parquet(tmp_path / "trace.parquet")
    plan = load_workload(_annotated(tmp_path, {"trace": "trace.parquet"})).annotations.skip
    assert plan is not None
    assert (plan.decisions == table[names].to_numpy()).all()
    table.drop(columns=names[2]).to_parquet(tmp_path / "trace.parquet")
    with pytest.raises(WorkloadError, match=f"{names[2]}: has no column for this gate"):
        load_workload(_annotated(tmp_path, {"trace": "trace.parquet"}))
    table.astype(float).to_parquet(tmp_path / "trace.parquet")
    with pytest.raises(WorkloadError, match="holds no truth values"):
        load_workload(_annotated(tmp_path, {"trace": "trace.parquet"}))
