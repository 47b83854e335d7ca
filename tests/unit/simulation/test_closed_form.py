"""The closed form against the simulation of the same mapping, and what of it has to be exact."""

from __future__ import annotations

import pytest

from accelsim.pipeline import simulate

MACHINES = ("systolic_32x32", "edge_16x16")


@pytest.mark.parametrize("hardware", MACHINES)
@pytest.mark.parametrize("workload", ["lenet5", "tiny_cnn", "transformer_block"])
def test_an_estimate_is_close_to_the_simulation_and_consistent(hardware: str, workload: str) -> None:
    full = simulate(hardware, workload, accuracy=False)
    guess = simulate(hardware, workload, accuracy=False, fidelity="estimate")
    assert guess.totals.latency_ns == pytest.approx(full.totals.latency_ns, rel=0.15)
    assert guess.totals.energy_pj == pytest.approx(full.totals.energy_pj, rel=0.15)
    # work and traffic follow from the mapping alone
    for name in ("compute_cycles", "dense_macs", "effective_macs", "dram_read_bytes", "dram_write_bytes"):
        assert getattr(guess.totals, name) == getattr(full.totals, name), name
    assert guess.totals.total_cycles == guess.totals.compute_cycles + guess.totals.stall_cycles
    for layer in guess.layer_results:
        assert sum(layer.stalls.values()) == layer.stall_cycles
    assert guess.profile is None
    assert guess.run.run_id == full.run.run_id


def test_an_ideal_memory_without_limits_leaves_compute_alone() -> None:
    changes = ("dram.kind=ideal",)
    guess = simulate("edge_16x16", "lenet5", accuracy=False, overrides=changes, fidelity="estimate")
    assert guess.totals.total_cycles == guess.totals.compute_cycles
    limited = simulate(
        "edge_16x16", "lenet5", accuracy=False, fidelity="estimate",
        overrides=(*changes, "dram.ideal_bandwidth_gb_per_s=0.5", "dram.ideal_latency_ns=100"),
    )  # fmt: skip
    assert limited.totals.total_cycles > guess.totals.total_cycles


@pytest.mark.parametrize("changes", [("dram.page_policy=closed",), ("dram.refresh=none",), ("dram.ranks=2",),
                                     ("dram.partitions=[{name: all, operating_point: {vdd_v: 1.0}}]",)])  # fmt: skip
def test_dram_energy_follows_the_settings_of_the_memory(changes: tuple[str, ...]) -> None:
    full = simulate("edge_16x16", "tiny_cnn", accuracy=False, overrides=changes)
    guess = simulate("edge_16x16", "tiny_cnn", accuracy=False, overrides=changes, fidelity="estimate")
    assert guess.totals.dram_energy_pj == pytest.approx(full.totals.dram_energy_pj, rel=0.25)
    usual = simulate("edge_16x16", "tiny_cnn", accuracy=False, fidelity="estimate")
    assert guess.totals.dram_energy_pj != usual.totals.dram_energy_pj
