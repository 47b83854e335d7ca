"""Channels that samples skip: what idles, what is dealt out anew, and what neither is computed nor fetched."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

import accelsim
from accelsim.errors import WorkloadError
from accelsim.workload.annotations import Annotations
from accelsim.workload.channel_skip import channel_gate
from accelsim.workload.decision_trace import DecisionTrace, GatedBlock, save_trace
from accelsim.workload.loader import load_workload
from accelsim.workload.operand_data import OperandData
from accelsim.workload.pot.decompose import decompose_layer
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.pruning import prune_vectors
from accelsim.workload.pot.reshaping import slice_layout
from accelsim.workload.pot_annotations import known_operand
from accelsim.workload.skip import SkipPlan
from accelsim.workload.skip_annotation import SkipRecord, with_skips
from accelsim.workload.skippable import skippable_blocks
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.result import LayerResult, RunResult
    from accelsim.workload.graph import LayerGraph

WIDTH = 32


def network() -> LayerGraph:
    net = NetworkBuilder(3, 8)
    made = net.conv_norm("stem", "image", WIDTH, 3)
    for name in ("a", "b"):
        inside = net.conv_norm(f"{name}.conv1", made, WIDTH, 3)
        inside = net.conv_norm(f"{name}.conv2", inside, WIDTH, 3, activation=None)
        made = net.activation(f"{name}.relu", net.sum(f"{name}.add", inside, made))
    net.gemm("fc", net.global_pool("pool", made), 10)
    return net.build("residual", "for tests")


def run(hardware: str, open_channels: Any, *sets: str, runs: bool = True) -> RunResult:  # noqa: ANN401 - truth values
    """The second block with these channels open, (samples, channels), known beforehand."""
    graph = network()
    block = skippable_blocks(graph)[1]
    channels = np.atleast_2d(np.array(open_channels, np.bool_))
    decisions = np.full((len(channels), 1), runs)
    plan = SkipPlan((block,), decisions, "trace", None, (channel_gate(graph, block),), channels)
    config = accelsim.load_hardware(hardware, ["control.prefetch=wait", "dram.kind=ideal", *sets])
    return accelsim.simulate(config, replace(graph, annotations=Annotations(skip=plan)))


def layers(result: RunResult) -> dict[str, LayerResult]:
    return {layer.name: layer for layer in result.layer_results}


def first(count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.arange(WIDTH) < count


SYSTOLIC = "edge_16x16"
"""16 x 16, weight stationary."""
TAPS, PIXELS = 9, 64


@pytest.mark.parametrize("hardware", ["edge_16x16", "eyeriss", "smartexchange"])
def test_open_channels_change_nothing(hardware: str) -> None:
    plain = accelsim.simulate(accelsim.load_hardware(hardware, ["dram.kind=ideal"]), network())
    gated = run(hardware, first(WIDTH))
    assert gated.totals == plain.totals
    assert layers(gated) == layers(plain)


def test_columns_idle_and_empty_folds_fall_away() -> None:
    """16 columns for 32 filters: two folds; 9 * 32 rows in folds of 16."""
    whole = layers(run(SYSTOLIC, first(WIDTH)))
    half, some, spread = (layers(run(SYSTOLIC, mask)) for mask in (first(16), first(10), np.arange(32) % 3 == 0))
    dense = WIDTH * WIDTH * TAPS * PIXELS
    for name in ("b.conv1", "b.conv2"):
        assert whole[name].effective_macs == dense
        assert half[name].effective_macs == dense // 2
        assert some[name].effective_macs == dense * 10 // 32
        assert spread[name].effective_macs == dense * 11 // 32
        assert spread[name].skipped_fraction == pytest.approx(1 - 11 / 32)
    assert some["b.conv1"].compute_cycles == half["b.conv1"].compute_cycles  # ten of sixteen columns, in one fold
    assert half["b.conv1"].compute_cycles < 0.6 * whole["b.conv1"].compute_cycles
    assert spread["b.conv1"].compute_cycles == whole["b.conv1"].compute_cycles  # each fold has open ones
    assert spread["b.conv1"].dram_read_bytes == whole["b.conv1"].dram_read_bytes
    assert some["b.conv2"].compute_cycles < half["b.conv2"].compute_cycles  # 90 rows of 288: six folds, not nine
    weights = WIDTH * WIDTH * TAPS
    assert whole["b.conv1"].dram_read_bytes - half["b.conv1"].dram_read_bytes == weights // 2
    assert whole["b.conv2"].dram_read_bytes - half["b.conv2"].dram_read_bytes == weights // 2
    assert half["a.conv1"] == whole["a.conv1"]


@pytest.mark.parametrize("hardware", ["eyeriss", "smartexchange"])
def test_work_is_dealt_out_anew_where_an_array_can(hardware: str) -> None:
    whole, spread, together = (layers(run(hardware, mask)) for mask in (first(32), np.arange(32) % 4 == 0, first(8)))
    assert spread == together  # how many are open is all that counts
    for name in ("b.conv1", "b.conv2"):
        assert spread[name].effective_macs == whole[name].effective_macs // 4
        assert spread[name].compute_cycles <= whole[name].compute_cycles
    assert spread["b.conv2"].compute_cycles < whole["b.conv2"].compute_cycles  # filters may all fit side by side
    bits = accelsim.load_hardware(hardware).precision.weight_bits
    saved = WIDTH * WIDTH * TAPS * bits // 8 * 3 // 4
    assert whole["b.conv1"].dram_read_bytes - spread["b.conv1"].dram_read_bytes == pytest.approx(saved, rel=0.02)


@pytest.mark.parametrize("hardware", ["edge_16x16", "eyeriss", "smartexchange"])
def test_fewer_open_channels_are_never_dearer(hardware: str) -> None:
    order = np.random.default_rng(1).permutation(WIDTH)
    costs = [run(hardware, np.isin(np.arange(WIDTH), order[:count])).totals for count in (32, 23, 12, 5, 1, 0)]
    for more, less in pairwise(costs):
        assert less.total_cycles <= more.total_cycles
        assert less.energy_pj <= more.energy_pj
        assert less.dram_read_bytes <= more.dram_read_bytes
        assert less.effective_macs < more.effective_macs


def test_samples_of_equal_patterns_share_a_simulation() -> None:
    masks = np.stack([first(16), first(10), np.roll(first(10), 16), ~first(16), first(32)])
    systolic, reassigned = run("edge_16x16", masks), run("smartexchange", masks)
    assert systolic.samples is not None
    assert systolic.samples.distinct == 3  # sixteen open, ten open, all: wherever they lie, as many folds have any
    assert reassigned.samples is not None
    assert reassigned.samples.distinct == 3
    singles = [run("edge_16x16", mask) for mask in masks]
    mean = np.mean([single.totals.effective_macs for single in singles])
    assert systolic.totals.effective_macs == pytest.approx(mean, abs=len(systolic.layer_results) / 2)  # layer by layer
    assert systolic.samples.latency_ns.mean == pytest.approx(np.mean([one.totals.latency_ns for one in singles]))
    assert systolic.samples.execution_rates["b.channels"] == pytest.approx(masks.mean())


def test_channels_of_a_skipped_block_are_of_no_account() -> None:
    skipped = run("edge_16x16", np.stack([first(4), first(20)]), runs=False)
    assert skipped.samples is not None
    assert skipped.samples.distinct == 1
    assert layers(skipped)["b.conv1"].effective_macs == 0


def test_channels_are_fetched_once_it_is_decided_which() -> None:
    graph, plan = with_skips(network(), SkipRecord(gates="rnn", rate=1.0, channels=0.5, samples=4), Path("x.yaml"))
    assert plan.channel_gates[0].decided_by == "b.gate.channels_sigmoid"
    head = next(layer for layer in graph.layers if layer.name == "b.gate.channels")
    assert graph.dense_macs(head) == 10 * WIDTH
    gated = replace(graph, annotations=Annotations(skip=plan))
    found = [
        accelsim.simulate(accelsim.load_hardware("edge_16x16", [f"control.prefetch={policy}"]), gated)
        for policy in ("wait", "speculate")
    ]
    reads = [layers(result)["b.conv1"].dram_read_bytes for result in found]
    assert reads[0] == reads[1]
    assert found[1].samples is not None
    assert found[1].samples.wasted_dram_bytes == 0


def test_traces_hold_blocks_and_channels(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    decisions = generator.random((6, 1 + WIDTH)) > 0.4
    trace = DecisionTrace("net", (GatedBlock("blocks.1", 0.4, WIDTH),), decisions, np.ones(6, np.bool_))
    save_trace(tmp_path / "trace.npz", trace)
    record = SkipRecord(gates="rnn", trace="trace.npz")
    _, plan = with_skips(network(), record, tmp_path / "net.yaml")
    assert (plan.decisions[:, 0] == decisions[:, 0]).all()
    assert plan.channels is not None
    assert (plan.channels == decisions[:, 1:]).all()
    save_trace(
        tmp_path / "trace.npz", replace(trace, blocks=(GatedBlock("blocks.1", 0.4, 7),), decisions=decisions[:, :8])
    )
    with pytest.raises(WorkloadError, match="decides on 7 channels of 'b', which has 32"):
        with_skips(network(), record, tmp_path / "net.yaml")


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ({"rate": 1.0, "channels": 1.5}, "skip.channels"),
        ({"rate": 1.0, "channels": {"layer9": 0.5}}, "skip.channels.layer9: is no gated block"),
        ({"trace": "t.npz", "channels": 0.5}, "a trace says itself which channels are computed"),
    ],
)
def test_annotations_on_channels_that_are_refused(tmp_path: Path, skip: dict[str, Any], message: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump({"accelsim_workload": 1, "network": "resnet18", "skip": skip}), "utf-8")
    with pytest.raises(WorkloadError) as caught:
        load_workload(path)
    assert message in str(caught.value)


def test_results_do_not_depend_on_who_simulates_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelsim import samples

    monkeypatch.setattr(samples, "ROWS_PER_WORKER", 2)
    record = SkipRecord(gates="rnn", rate=0.5, channels=0.7, samples=6, seed=3)
    graph, plan = with_skips(network(), record, Path("x.yaml"))
    gated = replace(graph, annotations=Annotations(skip=plan))
    alone, shared = (accelsim.simulate("edge_16x16", gated, workers=workers) for workers in (1, 2))
    assert alone.samples is not None
    assert alone.samples.distinct >= 4
    assert shared.to_json() == alone.to_json()


def with_known_weights(kind: str, zeros: float) -> LayerGraph:
    """The network, its weights known as integers or powers of two; so many vectors are zero, the same in 32 filters."""
    graph = network()
    shape = (WIDTH, WIDTH, 3, 3)
    values = np.random.default_rng(5).normal(0, 0.1, shape).astype(np.float32)
    values = prune_vectors(values, zeros, slice_layout(shape))
    if kind == "pot":
        data = known_operand(decompose_layer(values, parameters=PotParameters(theta=0.0, index="vector")), "vector")
    else:
        data = OperandData(load=lambda: np.rint(values * 200).clip(-127, 127).astype(np.int8))
    operands = {f"{block}.{conv}.weight": data for block in "ab" for conv in ("conv1", "conv2")}
    return replace(graph, annotations=Annotations(operands=operands))


@pytest.mark.parametrize(
    ("kind", "hardware"), [("pot", "smartexchange"), ("int8", "cambricon_x"), ("pot", "edge_16x16")]
)
def test_known_weights_around_closed_channels_count_by_their_sparsity(kind: str, hardware: str) -> None:
    graph = with_known_weights(kind, 0.5)
    block = skippable_blocks(graph)[1]
    sets = ["control.prefetch=wait", "dram.kind=ideal"]
    if hardware == "cambricon_x":  # it saves whole blocks of the mapping
        halves = "b.conv1: {order: mnk, m: 64, n: 16, k: 288}, b.conv2: {order: mnk, m: 64, n: 32, k: 144}"
        sets.append(f"mapping.layers={{{halves}}}")
    config = accelsim.load_hardware(hardware, sets)

    def layers_with(*masks: Any) -> dict[str, LayerResult]:  # noqa: ANN401 - truth values
        channels = np.array(masks, np.bool_)
        plan = SkipPlan((block,), np.ones((len(channels), 1), np.bool_), "trace", None,
                        (channel_gate(graph, block),), channels)  # fmt: skip
        return layers(accelsim.simulate(config, replace(graph, annotations=replace(graph.annotations, skip=plan))))

    whole, most, half = (layers_with(first(count)) for count in (WIDTH, WIDTH - 1, WIDTH // 2))
    for name in ("b.conv1", "b.conv2"):
        if hardware != "edge_16x16":
            assert whole[name].mapping["operands"]["weight"] == "tensor"
            assert half[name].mapping["operands"]["weight"] == "statistics"
        assert half[name].effective_macs == pytest.approx(whole[name].effective_macs / 2, rel=0.05)
        assert most[name].effective_macs == pytest.approx(whole[name].effective_macs * (WIDTH - 1) / WIDTH, rel=0.05)
        for reads in ("dram_read_bytes", "compute_cycles"):
            assert getattr(half[name], reads) <= getattr(most[name], reads) <= 1.1 * getattr(whole[name], reads)
