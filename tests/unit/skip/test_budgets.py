"""Exits and budgets: where inferences stop, what that costs, and how often the answer is right there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

import accelsim
from accelsim.cli import run_command
from accelsim.errors import InputError, WorkloadError
from accelsim.pipeline import simulate
from accelsim.workload.exit_trace import ExitTrace, load_exits, save_exits
from accelsim.workload.loader import load_workload
from accelsim.workload.skip import Budget
from accelsim.workload.yaml_io import dump_yaml
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from pathlib import Path

EXITS = ("first", "second")
SAMPLES = 60


def trace(seed: int = 1) -> ExitTrace:
    """Later exits are more often right, and surer where they are right."""
    generator = np.random.default_rng(seed)
    right = generator.random((SAMPLES, 3)) < np.array([0.5, 0.7, 0.9])
    confidence = (0.3 + 0.3 * right + 0.4 * generator.random((SAMPLES, 3))).astype(np.float32)
    return ExitTrace("net", (*EXITS, "end"), confidence, right)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    net = NetworkBuilder(3, 12)
    made = net.conv_norm("stem", "image", 16, 3)
    for index, name in enumerate((*EXITS, "last")):
        inside = net.conv_norm(f"b{index}.conv1", made, 16, 3)
        inside = net.conv_norm(f"b{index}.conv2", inside, 16, 3, activation=None)
        made = net.activation(f"b{index}.relu", net.sum(f"b{index}.add", inside, made))
        net.softmax(f"{name}.test", net.gemm(f"{name}.fc", net.global_pool(f"{name}.pool", made), 10))
    (tmp_path / "plain.yaml").write_text(dump_yaml(net.build("exits", "for tests")), "utf-8")
    save_exits(tmp_path / "exits.npz", trace())
    return tmp_path


def annotated(folder: Path, **skip: Any) -> Path:  # noqa: ANN401 - anything YAML can say
    exits = [{"name": name, "test": f"{name}.test"} for name in EXITS]
    document = {"accelsim_workload": 1, "network": "plain.yaml", "skip": {"exits": exits, **skip}}
    (folder / "net.yaml").write_text(yaml.safe_dump(document), "utf-8")
    return folder / "net.yaml"


def test_files_give_back_what_was_written(folder: Path) -> None:
    found, kept = load_exits(folder / "exits.npz"), trace()
    assert (found.network, found.exits) == (kept.network, kept.exits)
    assert (found.confidence == kept.confidence).all()
    assert (found.right == kept.right).all()
    (folder / "exits.npz").write_bytes((folder / "exits.npz").read_bytes()[:-40])
    with pytest.raises(WorkloadError, match="is damaged"):
        load_exits(folder / "exits.npz")


def test_confidence_decides_which_exit_is_taken(folder: Path) -> None:
    kept = trace()
    plan = load_workload(annotated(folder, exit_trace="exits.npz", confidence=[0.8, 0.7])).annotations.skip
    assert plan is not None
    expected = [0 if row[0] >= 0.8 else 1 if row[1] >= 0.7 else 2 for row in kept.confidence.tolist()]
    assert plan.taken_exits.tolist() == expected
    assert plan.right is not None
    assert plan.right.tolist() == [bool(kept.right[index, taken]) for index, taken in enumerate(expected)]


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0, 2.0, 40.0])
def test_exits_are_taken_in_the_shares_of_msdnet(share: float) -> None:
    kept = trace()
    found = np.bincount(kept.taken(kept.thresholds(share)), minlength=3)
    wanted = np.array([1, share, share**2]) / (1 + share + share**2) * SAMPLES
    assert np.abs(found - wanted).max() <= 1.5


def test_thresholds_come_from_other_images(folder: Path) -> None:
    other = trace(seed=9)
    save_exits(folder / "validation.npz", other)
    path = annotated(folder, exit_trace="exits.npz", exit_share=1.0, calibration="validation.npz")
    plan = load_workload(path).annotations.skip
    assert plan is not None
    assert (plan.taken_exits == trace().taken(other.thresholds(1.0))).all()


def test_budgets_stop_at_the_last_exit_that_fits(folder: Path) -> None:
    path, kept = annotated(folder, exit_trace="exits.npz", confidence=[0.8, 0.8]), trace()
    free = simulate("edge_16x16", path).samples
    assert free is not None
    costs = free.exits
    assert [entry.name for entry in costs] == ["first", "second", "end"]
    assert costs[0].latency_ns < costs[1].latency_ns < costs[2].latency_ns
    assert costs[0].energy_pj < costs[1].energy_pj < costs[2].energy_pj
    assert [entry.accuracy for entry in costs] == pytest.approx(kept.right.mean(axis=0).tolist())
    assert sum(entry.share for entry in costs) == pytest.approx(1)
    taken = kept.taken((0.8, 0.8))
    for number, entry in enumerate(costs):
        for budget in (Budget(latency_us=entry.latency_ns / 1e3), Budget(energy_uj=entry.energy_pj / 1e6)):
            held = simulate("edge_16x16", path, budget=budget)
            samples = held.samples
            assert samples is not None
            assert samples.stopped_at == entry.name
            assert samples.latency_ns.p99 <= entry.latency_ns
            assert samples.energy_pj.p99 <= entry.energy_pj
            stop = np.minimum(taken, number)
            assert samples.accuracy == pytest.approx(kept.right[np.arange(SAMPLES), stop].mean())
            assert held.run.run_id != simulate("edge_16x16", path).run.run_id
            assert type(held).from_dict(held.to_dict()) == held


def test_anytime_answers_are_those_of_the_exit_at_that_time(folder: Path) -> None:
    path = annotated(folder, exit_trace="exits.npz")
    whole = simulate("edge_16x16", path)
    assert whole.samples is not None
    for number, entry in enumerate(whole.samples.exits):
        held = simulate("edge_16x16", path, budget=Budget(latency_us=entry.latency_ns / 1e3 * 1.0001)).samples
        assert held is not None
        assert held.latency_ns.mean == pytest.approx(entry.latency_ns)
        assert held.accuracy == pytest.approx(trace().right[:, number].mean())


def test_a_budget_may_stand_in_the_workload(folder: Path) -> None:
    path = annotated(folder, exit_trace="exits.npz", budget={"latency_us": 1e6})
    samples = simulate("edge_16x16", path).samples
    assert samples is not None
    assert samples.stopped_at == "end"


def test_skipped_blocks_and_exits_go_together(folder: Path) -> None:
    path = annotated(folder, exit_trace="exits.npz", confidence=[0.8, 0.8], gates="rnn", rate=0.5)
    samples = simulate("edge_16x16", path).samples
    assert samples is not None
    assert set(samples.execution_rates) == {"b1", "b2", "first", "second"}


def test_the_command_takes_budgets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = annotated(folder, exit_trace="exits.npz", confidence=[0.8, 0.8])
    command = ["run", "edge_16x16", str(path), "--out", str(folder / "run"), "--budget-latency-us"]
    assert run_command([*command, "1000"]) == 0
    assert "past end" in (folder / "run" / "report.html").read_text("utf-8")
    capsys.readouterr()
    assert run_command([*command, "0.01"]) == 2
    assert "budget: '0.01 us': is too small for the first exit; allowed: at least" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ({"exit_trace": "exits.npz", "confidence": [0.5]}, "has not one threshold for each exit but the end"),
        ({"exit_trace": "exits.npz", "confidence": [0.5, 0.5], "exit_share": 1.0}, "takes either confidence or"),
        ({"rate": 1.0, "exit_share": 1.0}, "belong to an exit_trace"),
        ({"exit_trace": "nosuch.npz"}, "no such file"),
        ({"exit_trace": "exits.npz", "budget": {"latency_us": 0}}, "skip.budget.latency_us = 0"),
        ({"exit_trace": "exits.npz", "exits": [{"name": "x", "test": "first.test"}]}, "is of other exits"),
    ],
)
def test_exits_that_are_refused(folder: Path, skip: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load_workload(annotated(folder, **skip))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_networks_without_exits_take_no_budget() -> None:
    with pytest.raises(InputError, match="has no exits"):
        accelsim.simulate("edge_16x16", "tiny_cnn", budget=Budget(latency_us=1))
