"""Networks that skip: what nobody skips costs what it did, and skipping more is never dearer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelsim
from accelsim.workload.annotations import Annotations
from accelsim.workload.gates import with_gates
from accelsim.workload.skip import SkipPlan
from accelsim.workload.skippable import early_exit, skippable_blocks
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.result import RunResult
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.skip import Gate

POLICIES = ("wait", "speculate", "speculate_weights")
MACHINES: dict[str, list[str]] = {
    "all maps on chip": [],
    "all maps in DRAM": ["mapping.keep_on_chip=false"],
    "some maps on chip": ["sram.scratchpad.capacity_kib=6"],
    "small": ["sram.scratchpad.capacity_kib=3", "sram.accumulator.capacity_kib=2"],
}


def residual_network(widths: tuple[int, ...], *, exits: bool = False) -> LayerGraph:
    """Residual blocks of the given widths, with a projection where the width changes, and an exit after the first."""
    net = NetworkBuilder(3, 12)
    made = net.conv_norm("stem", "image", widths[0], 3)
    for index, width in enumerate(widths):
        source = made
        made = net.conv_norm(f"b{index}.conv1", source, width, 3)
        made = net.conv_norm(f"b{index}.conv2", made, width, 3, activation=None)
        if net.channels(source) != width:
            source = net.conv(f"b{index}.project", source, width, 1)
        made = net.activation(f"b{index}.relu", net.sum(f"b{index}.add", made, source))
        if exits and index == 0:
            net.softmax("exit.test", net.gemm("exit.fc", net.global_pool("exit.pool", made), 10))
    net.gemm("fc", net.global_pool("pool", made), 10)
    return net.build("residual", "for tests")


def dense_network(widths: tuple[int, ...]) -> LayerGraph:
    """Layers that join channels of the given number to what they read, with a transition in the middle."""
    net = NetworkBuilder(3, 12)
    made = net.conv_norm("stem", "image", widths[0], 3)
    for index, width in enumerate(widths):
        made = net.concat(f"d{index}.concat", made, net.conv_norm(f"d{index}", made, width, 3))
        if index == len(widths) // 2:
            made = net.conv_norm("transition", made, net.channels(made) // 2, 1)
    net.gemm("fc", net.global_pool("pool", made), 10)
    return net.build("dense", "for tests")


NETWORKS = {"residual": residual_network, "dense": dense_network}


def planned(graph: LayerGraph, gates: tuple[Gate, ...], rows: Any) -> LayerGraph:  # noqa: ANN401 - any truth values
    return replace(graph, annotations=Annotations(skip=SkipPlan(gates, np.array(rows, np.bool_), "trace")))


def gated(widths: tuple[int, ...], form: str, kind: str = "residual") -> tuple[LayerGraph, tuple[Gate, ...]]:
    graph = NETWORKS[kind](widths)
    blocks = skippable_blocks(graph)
    return (graph, blocks) if form == "none" else with_gates(graph, form, blocks)  # type: ignore[arg-type]


def machine(name: str, policy: str, *more: str) -> HardwareConfig:
    return accelsim.load_hardware("edge_16x16", [*MACHINES[name], f"control.prefetch={policy}", *more])


def bytes_read(run: RunResult) -> dict[str, int]:
    return {layer.name: layer.dram_read_bytes for layer in run.layer_results}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("form", ["rnn", "none"])
@pytest.mark.parametrize("policy", POLICIES)
def test_what_nobody_skips_changes_no_cycle(kind: str, name: str, form: str, policy: str) -> None:
    graph, gates = gated((8, 8, 16), form, kind)
    plain = accelsim.simulate(machine(name, "wait"), graph)
    run = accelsim.simulate(machine(name, policy), planned(graph, gates, [[True] * len(gates)]))
    if policy == "speculate" or form == "none":
        assert run.totals == plain.totals
        assert run.layer_results == plain.layer_results
    else:  # what waits for a decision comes later, and nothing else
        assert run.totals.total_cycles >= plain.totals.total_cycles
        assert bytes_read(run) == bytes_read(plain)
        assert run.totals.compute_cycles == plain.totals.compute_cycles


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("policy", POLICIES)
def test_what_everybody_skips_costs_the_gates_and_what_was_fetched_in_vain(kind: str, name: str, policy: str) -> None:
    graph, gates = gated((8, 8, 16), "rnn", kind)
    whole = accelsim.simulate(machine(name, policy), graph)
    run = accelsim.simulate(machine(name, policy), planned(graph, gates, [[False] * len(gates)]))
    inside = {layer for gate in gates for layer in gate.layers}
    for layer, planned_layer in zip(run.layer_results, whole.layer_results, strict=True):
        if layer.name in inside:
            assert layer.skipped_fraction == 1
            assert layer.effective_macs == 0
            moved = "stands_for" in layer.mapping  # in the place of the block: a map between memories, or zeros
            assert (moved and kind == "residual") or layer.dram_read_bytes == layer.wasted_dram_bytes
        else:
            assert layer.skipped_fraction == 0
            assert layer.effective_macs == planned_layer.effective_macs
            assert layer.dram_read_bytes == planned_layer.dram_read_bytes
            assert layer.wasted_dram_bytes == 0
    assert run.samples is not None
    if policy == "wait":
        assert run.samples.wasted_dram_bytes == 0
    if kind == "dense":  # where there is no way around, zeros are written
        assert sum("stands_for" in layer.mapping for layer in run.layer_results) == len(gates)
    assert run.totals.total_cycles < whole.totals.total_cycles


@settings(max_examples=12, deadline=None)
@given(
    widths=st.lists(st.sampled_from([4, 8, 12]), min_size=2, max_size=4).map(tuple),
    kind=st.sampled_from(list(NETWORKS)),
    name=st.sampled_from(list(MACHINES)),
    policy=st.sampled_from(POLICIES),
    form=st.sampled_from(["rnn", "feedforward", "none"]),
    data=st.data(),
)
def test_skipping_more_is_never_dearer(
    widths: tuple[int, ...], kind: str, name: str, policy: str, form: str, data: st.DataObject
) -> None:
    """On a memory whose time for a transfer depends on nothing but its size."""
    graph, gates = gated(widths, form, kind)
    row = data.draw(st.lists(st.booleans(), min_size=len(gates), max_size=len(gates)))
    less = [runs and data.draw(st.booleans()) for runs in row]
    config = machine(name, policy, "dram.kind=ideal", "dram.ideal_bandwidth_gb_per_s=4")
    more_run, less_run = (accelsim.simulate(config, planned(graph, gates, [entry])) for entry in (row, less))
    assert less_run.totals.effective_macs <= more_run.totals.effective_macs
    assert less_run.totals.total_cycles <= more_run.totals.total_cycles
    assert less_run.totals.energy_pj <= more_run.totals.energy_pj


@settings(max_examples=12, deadline=None)
@given(
    widths=st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=4).map(tuple),
    name=st.sampled_from(list(MACHINES)),
    policy=st.sampled_from(POLICIES),
    delay=st.sampled_from([0, 3, 5000]),
    data=st.data(),
)
def test_sums_hold_over_samples(
    widths: tuple[int, ...], name: str, policy: str, delay: int, data: st.DataObject
) -> None:
    graph, gates = gated(widths, "rnn")
    rows = data.draw(
        st.lists(st.lists(st.booleans(), min_size=len(gates), max_size=len(gates)), min_size=1, max_size=6)
    )
    config = machine(name, policy, f"control.decision_cycles={delay}")
    run = accelsim.simulate(config, planned(graph, gates, rows))
    layers, samples = run.layer_results, run.samples
    assert samples is not None
    assert sum(layer.total_cycles for layer in layers) == run.totals.total_cycles
    for layer in layers:
        assert sum(layer.stalls.values()) == layer.stall_cycles
        assert layer.total_cycles == layer.compute_cycles + layer.stall_cycles
    assert sum(sum(actions.values()) for actions in run.energy_pj.values()) == run.totals.energy_pj
    assert samples.count == len(rows)
    assert sum(samples.latency_histogram.counts) == len(rows)
    assert samples.distinct == len({tuple(row) for row in rows})
    assert samples.latency_ns.p50 <= samples.latency_ns.p99
    rates = np.array(rows).mean(axis=0)
    assert list(samples.execution_rates.values()) == pytest.approx(rates.tolist())
    singles = [accelsim.simulate(config, planned(graph, gates, [row])) for row in rows]
    assert samples.latency_ns.mean == pytest.approx(np.mean([single.totals.latency_ns for single in singles]))
    assert samples.energy_pj.mean == pytest.approx(np.mean([single.totals.energy_pj for single in singles]))
    assert type(run).from_dict(run.to_dict()) == run


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MACHINES)
def test_nothing_runs_behind_an_exit_that_is_taken(name: str, policy: str) -> None:
    graph = residual_network((8, 8, 16), exits=True)
    gate = early_exit(graph, "exit", "exit.test")
    config = machine(name, policy)
    whole = accelsim.simulate(config, planned(graph, (gate,), [[True]]))
    out = accelsim.simulate(config, planned(graph, (gate,), [[False]]))
    both = accelsim.simulate(config, planned(graph, (gate,), [[True], [False]]))
    names = [layer.name for layer in graph.layers]
    behind = set(names[names.index("exit.test") + 1 :])
    assert {layer.name for layer in out.layer_results if layer.skipped_fraction} == behind
    assert all(layer.total_cycles == 0 for layer in out.layer_results[:-1] if layer.name in behind)
    assert out.totals.total_cycles < whole.totals.total_cycles
    assert both.totals.effective_macs == round((out.totals.effective_macs + whole.totals.effective_macs) / 2)
    assert both.samples is not None
    assert both.samples.latency_ns.p99 == whole.totals.latency_ns


def test_an_exit_makes_the_decisions_of_later_gates_void() -> None:
    graph = residual_network((8, 8), exits=True)
    gates = (early_exit(graph, "exit", "exit.test"), *skippable_blocks(graph)[1:])
    plan = SkipPlan(gates, np.array([[False, True], [False, False], [True, True]]), "trace")
    assert len(plan.distinct[0]) == 2
    assert plan.execution_rates() == {"exit": pytest.approx(1 / 3), "b1": pytest.approx(1 / 3)}


def test_several_samples_cannot_share_a_pass() -> None:
    graph, gates = gated((8, 8), "none")
    with pytest.raises(accelsim.InputError, match="each sample skips layers of its own; allowed: 1"):
        accelsim.simulate("edge_16x16", planned(graph.with_batch(2), gates, [[True] * len(gates)]))
