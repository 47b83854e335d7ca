"""Studies with real workers: processes of this machine and of a Dask cluster, killed in the middle of their work."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from spaces import ShuffledWorkers, explore, small_space, write_space

from accelsim.explore.dask_workers import DaskWorkers
from accelsim.explore.evaluation import evaluate
from accelsim.explore.local_workers import LocalWorkers
from accelsim.explore.preparation import task_of
from accelsim.explore.run import StudyOptions, run_study
from accelsim.explore.space_file import load_space
from accelsim.explore.storage import read_study
from accelsim.explore.trial import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE_S = 120.0
TRIALS = 40


def wait_until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def finished(database: Path) -> int:
    """Finished trials of a study that another process may be creating or writing."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
    ):
        (count,) = connection.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
        return int(count)
    return 0


def hear_interrupts() -> None:
    """What a shell starts in the background, as it may these tests, ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(*command: object, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Process that is gone at the end, whatever happens."""
    with (folder / "output.txt").open("ab") as output:
        words = [str(word) for word in command]
        process = subprocess.Popen(
            words, cwd=folder, stdout=output, stderr=output,
            preexec_fn=hear_interrupts,  # noqa: PLW1509 - it takes no lock
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def command(space: Path, *options: object) -> list[object]:
    return [
        sys.executable,
        "-m",
        "accelsim.cli",
        "explore",
        space,
        "--no-cache",
        "--out",
        space.parent / "out",
        *options,
    ]


def times(database: Path) -> dict[int, tuple[str, str]]:
    """When each finished trial began and ended."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT number, datetime_start, datetime_complete FROM trials WHERE state = 'COMPLETE'"
        ).fetchall()
    return {number: (begin, end) for number, begin, end in rows}


@pytest.mark.parametrize(
    ("sampler", "kills"), [("random", (12,)), pytest.param("nsga2", (3, 12, 1), marks=pytest.mark.slow)]
)
def test_a_head_that_is_killed_loses_and_repeats_nothing(tmp_path: Path, sampler: str, kills: tuple[int, ...]) -> None:
    space = write_space(tmp_path, sampler=sampler, trials=TRIALS, generation=10)
    database = tmp_path / "out" / "study.db"
    before: dict[int, tuple[str, str]] = {}
    for more in kills:
        with started(*command(space, "--resume", "--workers", 2), folder=tmp_path) as head:
            target = len(before) + more
            wait_until(lambda: finished(database) >= target or head.poll() is not None)  # noqa: B023 - used at once
            assert head.poll() is None, (tmp_path / "output.txt").read_text()
            os.kill(head.pid, signal.SIGKILL)
            head.wait(PATIENCE_S)
        now = times(database)
        assert now.items() >= before.items(), "a finished trial was lost or run again"
        before = now
    assert len(before) < TRIALS
    done = subprocess.run(
        [str(word) for word in command(space, "--resume", "--workers", 2)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert times(database).items() >= before.items()
    _, trials = read_study(str(database))
    assert [record.index for record in trials] == list(range(TRIALS))
    assert {record.state for record in trials} == {COMPLETE}
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM trials").fetchone() == (TRIALS,), "each was run exactly once"
    whole = explore(load_space(space), tmp_path / "whole", ShuffledWorkers(1, evaluate=evaluate))
    assert [record.to_dict() for record in trials] == [record.to_dict() for record in whole.trials]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["grid", "random", "qmc", "tpe", "nsga2"])
def test_one_worker_and_four_find_the_same(tmp_path: Path, sampler: str) -> None:
    changes: dict[str, Any] = {"sampler": sampler, "trials": 24}
    if sampler == "grid":
        changes["parameters"] = {"pe_array.rows": [4, 8, 16], "pe_array.cols": [4, 8, 16], "batch": [1, 2, 3]}
    space = small_space(tmp_path, **changes)
    one, four = (
        run_study(space, StudyOptions(storage=str(tmp_path / f"{count}.db"), workers=count, use_cache=count == 4,
                                      cache=tmp_path / "cache"))
        for count in (1, 4)
    )  # fmt: skip
    assert [record.to_dict() for record in one.trials] == [record.to_dict() for record in four.trials]
    assert {record.state for record in one.trials} == {COMPLETE}


def task(tmp_path: Path, workload: str = "lenet5") -> dict[str, Any]:
    space = small_space(tmp_path, workload=workload)
    return task_of(space, {entry.path: entry.examples[0] for entry in space.parameters}, "full")


def outcomes(workers: LocalWorkers, count: int) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    end = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < end:
        found.update(workers.next_outcomes(0.1))
    return found


@pytest.mark.slow
def test_a_worker_that_dies_costs_no_trial(tmp_path: Path) -> None:
    with LocalWorkers(2) as workers:
        for number in range(8):
            workers.submit(number, task(tmp_path))
        found = outcomes(workers, 2)
        os.kill(workers.process_ids[0], signal.SIGKILL)
        found |= outcomes(workers, 8 - len(found))
    assert sorted(found) == list(range(8))
    assert all(set(outcome) == {"metrics", "wall_s"} for outcome in found.values())
    assert len({str(outcome["metrics"]) for outcome in found.values()}) == 1


def test_a_trial_that_kills_its_workers_fails(tmp_path: Path) -> None:
    found: dict[int, dict[str, Any]] = {}

    def at_work() -> bool:
        found.update(workers.next_outcomes(0.01))
        return workers._processes[0].task is not None

    with LocalWorkers(1) as workers:
        workers.submit(7, task(tmp_path, "resnet152"))
        for _ in range(2):
            wait_until(at_work)
            (process,) = workers.process_ids
            os.kill(process, signal.SIGKILL)
            wait_until(lambda: workers.process_ids != [process] or not at_work())  # noqa: B023 - used at once
        found |= outcomes(workers, 1 - len(found))
        workers.submit(8, task(tmp_path))
        found |= outcomes(workers, 1)
    assert found[7]["error"] == "its worker process died twice (signal 9)"
    assert "metrics" in found[8], "the pool goes on"


@pytest.mark.slow
def test_workers_end_with_their_head(tmp_path: Path) -> None:
    space = write_space(tmp_path, trials=500)
    with started(*command(space, "--workers", 2), folder=tmp_path) as head:
        wait_until(lambda: finished(tmp_path / "out" / "study.db") >= 1 or head.poll() is not None)
        workers = children(head.pid)
        assert len(workers) >= 2
        os.kill(head.pid, signal.SIGKILL)
        head.wait(PATIENCE_S)
        wait_until(lambda: not any(alive(pid) for pid in workers))


@pytest.mark.slow
def test_an_interrupted_head_says_so_and_leaves_a_study_to_resume(tmp_path: Path) -> None:
    space = write_space(tmp_path, trials=500)
    with started(*command(space, "--workers", 1), folder=tmp_path) as head:
        wait_until(lambda: finished(tmp_path / "out" / "study.db") >= 3 or head.poll() is not None)
        os.kill(head.pid, signal.SIGINT)
        assert head.wait(PATIENCE_S) == 130
    assert (tmp_path / "output.txt").read_text() == "accelsim: error: interrupted; --resume continues the study\n"
    _, trials = read_study(str(tmp_path / "out" / "study.db"))
    assert sum(record.state == COMPLETE for record in trials) >= 3


def children(parent: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)  # noqa: S607
    return [int(word) for word in found.stdout.split()]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "state=", "-p", str(process)], capture_output=True, text=True, check=False)  # noqa: S607
    return state.stdout.strip() not in ("", "Z")


# -- Dask --------------------------------------------------------------------------------------------------------------


@contextmanager
def scheduler(folder: Path) -> Iterator[Path]:
    """Scheduler on loopback, a process; the file that says where."""
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with started(*dask, "--no-dashboard", "--scheduler-file", file, folder=folder):
        wait_until(file.exists)
        yield file


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Path, Sequence[subprocess.Popen[bytes]]]]:
    """Scheduler and two workers on loopback, each a process."""
    with scheduler(folder) as file:
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", "1",
                  "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]  # fmt: skip
        with started(*worker, folder=folder) as first, started(*worker, folder=folder) as second:
            yield file, (first, second)


def address_in(file: Path) -> str:
    import json

    found: str = json.loads(file.read_text("utf-8"))["address"]
    return found


def test_a_cluster_without_workers_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with scheduler(tmp_path) as file, DaskWorkers(address := address_in(file)) as workers:
        assert workers.next_outcomes(timeout_s=0.1) == []
        assert workers.next_outcomes(timeout_s=0.1) == []
    told = [record.getMessage() for record in caplog.records if record.name == "accelsim.explore.dask_workers"]
    assert told == [f"the Dask cluster at {address} has no workers yet; waiting for some"]


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_no_trial(tmp_path: Path) -> None:
    space = write_space(tmp_path, trials=TRIALS)
    database = tmp_path / "out" / "study.db"
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster") as (file, workers):
        with started(*command(space, "--dask", address_in(file)), folder=tmp_path) as head:
            wait_until(lambda: finished(database) >= 10 or head.poll() is not None)
            assert finished(database) < TRIALS
            os.kill(workers[0].pid, signal.SIGKILL)
            assert head.wait(PATIENCE_S) == 0, (tmp_path / "output.txt").read_text()
        assert workers[1].poll() is None, "the cluster goes on"
    _, trials = read_study(str(database))
    assert [record.index for record in trials] == list(range(TRIALS))
    assert {record.state for record in trials} == {COMPLETE}
    local = explore(load_space(space), tmp_path / "local", ShuffledWorkers(1, evaluate=evaluate))
    assert [record.to_dict() for record in trials] == [record.to_dict() for record in local.trials]
