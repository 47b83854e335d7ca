"""Studies with workers inside the process, which answer by a formula and in any order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from spaces import SMALL, ShuffledWorkers, explore, priced, small_space

from accelsim.errors import ConfigError, InputError, RunError
from accelsim.explore.fidelity import FidelityPlan, estimate_errors
from accelsim.explore.sampling import build_sampler, fixed_points
from accelsim.explore.storage import read_study
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED, point_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from accelsim.explore.fidelity import FidelityMode
    from accelsim.explore.trial import TrialRecord

TRIALS = 24
ALL = ("random", "qmc", "tpe", "nsga2")
GRID: dict[str, Any] = {
    "sampler": "grid",
    "trials": None,
    "parameters": {"pe_array.rows": [4, 8, 16, 32], "pe_array.cols": {"low": 8, "high": 33, "step": 8}},
}


@pytest.mark.parametrize("sampler", ALL)
def test_the_number_and_the_order_of_workers_change_nothing(tmp_path: Path, sampler: str) -> None:
    space = small_space(tmp_path, sampler=sampler, constraints=["pe_array.rows < 32", "latency_ns <= 20000"])
    found = [
        explore(space, tmp_path / f"{count}-{seed}", ShuffledWorkers(count, seed)).trials
        for count, seed in ((1, 0), (4, 1), (7, 2))
    ]
    (tmp_path / "first").mkdir()
    one, *others = [[record.to_dict() for record in trials] for trials in found]
    assert len(one) == TRIALS
    assert all(other == one for other in others)
    assert len({point_key(record.point) for record in found[0]}) == TRIALS, "no point is tried twice"
    assert all(record.point["pe_array.rows"] != 32 for record in found[0])
    assert 0 < sum(record.feasible for record in found[0]) < TRIALS


@pytest.mark.parametrize("sampler", ALL)
def test_a_longer_study_begins_with_the_shorter_one(tmp_path: Path, sampler: str) -> None:
    space = small_space(tmp_path, sampler=sampler)
    short = explore(space, tmp_path, trials=10)
    longer = explore(space, tmp_path, resume=True, trials=TRIALS)
    fresh = explore(space, tmp_path / "fresh")
    assert [record.to_dict() for record in longer.trials] == [record.to_dict() for record in fresh.trials]
    assert longer.trials[:10] == short.trials
    assert longer.evaluations == TRIALS - 10, "what had finished is not run again"


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samplers_that_learn_find_better_points_than_chance(tmp_path: Path, sampler: str) -> None:
    changes: dict[str, Any] = {"objectives": ["energy_pj"], "trials": 64, "constraints": []}
    changes["parameters"] = {f"pe_array.{side}": {"low": 1, "high": 200} for side in ("rows", "cols")} | {
        "sram.scratchpad.capacity_kib": {"low": 1, "high": 4000}
    }
    best = {
        name: min(record.metrics["energy_pj"] for record in explore(
            small_space(tmp_path, sampler=name, **changes), tmp_path / name).trials)
        for name in ("random", sampler)
    }  # fmt: skip
    assert best[sampler] < best["random"]


class Interrupted(ShuffledWorkers):
    """Workers whose head is interrupted after some outcomes."""

    def __init__(self, after: int) -> None:
        super().__init__(3)
        self.after = after

    def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, dict[str, Any]]]:
        if len(self.evaluated) == self.after:
            raise KeyboardInterrupt
        return super().next_outcomes(timeout_s)


@pytest.mark.parametrize("sampler", ["random", "nsga2"])
@pytest.mark.parametrize("mode", ["full", "multi"])
def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path: Path, sampler: str, mode: FidelityMode) -> None:
    space, plan = small_space(tmp_path, sampler=sampler), FidelityPlan(mode)
    ran = 0
    for after in (5, 0, 7):
        workers = Interrupted(after)
        with pytest.raises(KeyboardInterrupt):
            explore(space, tmp_path, workers, plan=plan, resume=True)
        ran += len(workers.evaluated)
    last = ShuffledWorkers(2)
    result = explore(space, tmp_path, last, plan=plan, resume=True)
    whole = ShuffledWorkers(2)
    fresh = explore(space, tmp_path / "fresh", whole, plan=plan)
    assert [record.to_dict() for record in result.trials] == [record.to_dict() for record in fresh.trials]
    assert ran + len(last.evaluated) == len(whole.evaluated), "nothing was run twice"


def test_a_grid_is_gone_through_once(tmp_path: Path) -> None:
    result = explore(small_space(tmp_path, constraints=[], **GRID), tmp_path)
    points = {(record.point["pe_array.rows"], record.point["pe_array.cols"]) for record in result.trials}
    assert points == {(rows, cols) for rows in (4, 8, 16, 32) for cols in (8, 16, 24, 32)}
    assert len(result.trials) == 16
    assert not result.exhausted


def test_a_space_may_hold_fewer_points_than_wanted(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {"parameters": {"pe_array.rows": [4, 8], "pe_array.cols": [4, 8]}}
    for sampler in ALL:
        result = explore(small_space(tmp_path, **parameters, sampler=sampler, trials=9), tmp_path / sampler)
        assert len(result.trials) == 4
        assert result.exhausted


def test_a_grid_that_is_too_large_is_refused(tmp_path: Path) -> None:
    parameters = {f"pe_array.{side}": {"low": 1, "high": 2000} for side in ("rows", "cols")}
    space = small_space(tmp_path, parameters=parameters, sampler="grid")
    with pytest.raises(ConfigError, match="4,000,000 points"):
        fixed_points(space, 3)


def test_failing_points_are_recorded_and_do_not_stop_the_study(tmp_path: Path) -> None:
    def evaluate(task: dict[str, Any]) -> dict[str, Any]:
        if "machine" in task and task["machine"]["pe_array"]["rows"] == 4:
            return {"error": "does not fit", "wall_s": 0.1}
        return priced(task)

    for sampler in ALL:
        space = small_space(tmp_path, sampler=sampler, derived={"vector_unit.lanes": "16 / (pe_array.cols - 8)"})
        result = explore(space, tmp_path / sampler, ShuffledWorkers(2, evaluate=evaluate))
        states = {record.state for record in result.trials}
        assert states == {COMPLETE, FAILED}
        for record in result.trials:
            failing = record.point["pe_array.rows"] == 4 or record.point["pe_array.cols"] == 8
            assert (record.state == FAILED) == failing
            assert bool(record.error) == failing
        _, stored = read_study(str(tmp_path / sampler / "study.db"))
        assert [record.to_dict() for record in stored] == [record.to_dict() for record in result.trials]


def test_a_missing_metric_fails_the_trial(tmp_path: Path) -> None:
    space = small_space(tmp_path, objectives=["latency_ns", "edp_pj_ns"])
    result = explore(space, tmp_path)
    assert {record.error for record in result.trials} == {"the run has no edp_pj_ns"}


def test_the_storage_is_an_optuna_study_with_directions_names_and_constraints(tmp_path: Path) -> None:
    space = small_space(tmp_path, objectives=["latency_ns", "energy_pj"], constraints=["latency_ns <= 20000"])
    result = explore(space, tmp_path)
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/study.db")
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["latency_ns", "energy_pj"]
    assert [trial.params for trial in study.trials] == [record.point for record in result.trials]
    assert [trial.values for trial in study.trials] == [list(record.metrics.values()) for record in result.trials]
    feasible = [all(value <= 0 for value in trial.constraints.values()) for trial in study.trials]
    assert feasible == [record.feasible for record in result.trials]
    assert 0 < sum(feasible) < len(feasible)


def test_multi_fidelity_simulates_what_promises_something(tmp_path: Path) -> None:
    space = small_space(tmp_path, trials=60)
    full = explore(space, tmp_path / "full")
    workers = ShuffledWorkers(3)
    multi = explore(space, tmp_path / "multi", workers, plan=FidelityPlan("multi", keep=0.2, margin=0.05))
    simulated = [record for record in multi.trials if record.state == COMPLETE]
    assert {record.state for record in multi.trials} == {COMPLETE, PRUNED}
    assert 12 <= len(simulated) < 40
    assert len(workers.evaluated) == 60 + len(simulated)
    assert all(record.estimate for record in multi.trials)

    def best(trials: Sequence[TrialRecord], name: str) -> float:
        return min(record.metrics[name] for record in trials if record.state == COMPLETE)

    for name in space.objectives:
        assert best(multi.trials, name) == best(full.trials, name)
    (latency,) = estimate_errors(multi.trials, ["latency_ns"])
    assert latency.points == len(simulated)
    assert 0.026 < latency.median_ape <= latency.max_ape < 0.03
    assert latency.spearman is not None
    assert latency.spearman > 0.99


def test_an_estimated_study_measures_its_error(tmp_path: Path) -> None:
    workers = ShuffledWorkers(3)
    result = explore(small_space(tmp_path), tmp_path, workers, plan=FidelityPlan("estimate", checked=6))
    assert {record.state for record in result.trials} == {COMPLETE}
    assert len(workers.evaluated) == TRIALS + 6
    assert sum(record.metrics != record.estimate for record in result.trials) == 6
    (latency,) = estimate_errors(result.trials, ["latency_ns"])
    assert latency.points == 6


# -- storages ----------------------------------------------------------------------------------------------------------


def test_a_study_that_exists_has_to_be_resumed_and_to_be_the_same(tmp_path: Path) -> None:
    explore(small_space(tmp_path, trials=3), tmp_path)
    with pytest.raises(InputError, match="--resume continues it"):
        explore(small_space(tmp_path, trials=3), tmp_path)
    with pytest.raises(InputError, match="with another space"):
        explore(small_space(tmp_path, trials=3, seed=5), tmp_path, resume=True)
    with pytest.raises(InputError, match="with another fidelity"):
        explore(small_space(tmp_path, trials=3), tmp_path, plan=FidelityPlan("multi"), resume=True)
    explore(small_space(tmp_path, trials=3, seed=5), tmp_path, name="other")
    assert len(read_study(str(tmp_path / "study.db"), "study")[1]) == 3
    with pytest.raises(InputError, match=r"allowed: other, study|allowed: study, other"):
        read_study(str(tmp_path / "study.db"))


def test_a_locked_storage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.explore.storage._LOCK_PATIENCE_S", 0.1)
    explore(small_space(tmp_path, trials=3), tmp_path)
    with closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"--storage: .*is locked by another program"):
            explore(small_space(tmp_path, trials=6), tmp_path, resume=True)
    assert len(explore(small_space(tmp_path, trials=6), tmp_path, resume=True).trials) == 6


def test_a_storage_that_is_lost_in_mid_run_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.explore.storage._LOCK_PATIENCE_S", 0.1)
    space = small_space(tmp_path)
    connection = sqlite3.connect(tmp_path / "study.db", isolation_level=None)

    class Locking(ShuffledWorkers):
        def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, dict[str, Any]]]:
            if len(self.evaluated) == 9:
                connection.execute("BEGIN EXCLUSIVE")
            return super().next_outcomes(timeout_s)

    with closing(connection), pytest.raises(InputError, match="is locked"):
        explore(space, tmp_path, Locking(2))
    finished = [record for record in read_study(str(tmp_path / "study.db"))[1] if record.state == COMPLETE]
    assert len(finished) == 9
    result = explore(space, tmp_path, resume=True)
    assert len(result.trials) == TRIALS
    assert result.evaluations == TRIALS - 9


def test_two_heads_do_not_share_a_study(tmp_path: Path) -> None:
    class Nested(ShuffledWorkers):
        def next_outcomes(self, timeout_s: float | None = None) -> list[tuple[int, dict[str, Any]]]:
            with pytest.raises(InputError, match="in use by another accelsim explore"):
                explore(small_space(tmp_path), tmp_path, resume=True)
            return super().next_outcomes(timeout_s)

    explore(small_space(tmp_path, trials=2), tmp_path, Nested(1))


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("mongodb://host/db", "database driver|no URL of a database"),
        ("postgresql://someone:secret@127.0.0.1:1/db", "driver|does not answer"),
        ("sqlite:////proc/none/study.db", "cannot be written|cannot be opened"),
        ("://", "is no URL"),
    ],
)
def test_storages_that_cannot_be_reached_are_told(storage: str, words: str) -> None:
    from accelsim.explore.storage import open_study

    with pytest.raises(InputError, match=words) as caught:
        open_study(storage, "study", {}, ["latency_ns"], resume=False)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("something else, long enough to be looked at as a header" * 20)
    with pytest.raises(InputError, match="is a file, but no database"):
        explore(small_space(tmp_path), tmp_path)


def test_another_study_in_the_storage_is_left_alone(tmp_path: Path) -> None:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/study.db", study_name="study")
    study.tell(study.ask(), 1.0)
    with pytest.raises(InputError, match="none of accelsim's"):
        explore(small_space(tmp_path), tmp_path, resume=True)


def test_points_that_come_out_differently_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = small_space(tmp_path, sampler="tpe", trials=8)
    explore(space, tmp_path)
    monkeypatch.setattr(
        "accelsim.explore.learning.build_sampler", lambda space, _: build_sampler(replace(space, seed=9), 0)
    )
    with pytest.raises(RunError, match="another point than the sampler proposes"):
        explore(space, tmp_path, resume=True, trials=16)


def test_smalls_text_is_a_space(tmp_path: Path) -> None:
    assert small_space(tmp_path, SMALL).trials == TRIALS
