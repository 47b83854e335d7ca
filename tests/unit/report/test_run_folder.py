from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from sample_run import make_run

from accelsim.errors import InputError, RunError
from accelsim.report import run_folder
from accelsim.report.provenance import manifest
from accelsim.report.saved_run import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = ["config.resolved.yaml", "layers.csv", "manifest.json", "report.html", "result.json", "trace.json"]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_files_are_there_and_nothing_else(tmp_path: Path) -> None:
    run_folder.write_run(make_run(3, steps=3), tmp_path / "runs" / "one", {"seed": 0})
    assert _names(tmp_path / "runs") == ["one"]
    assert _names(tmp_path / "runs" / "one") == FILES


def test_what_is_written_is_what_the_run_said(tmp_path: Path) -> None:
    run = make_run(["a,b", 'say "x"', "ünï"], steps=3)
    run_folder.write_run(run, tmp_path / "one", manifest(run, ["accelsim", "run"], 1.23456, "resnet18"))
    assert read_run(tmp_path / "one") == run
    assert yaml.safe_load((tmp_path / "one" / "config.resolved.yaml").read_text("utf-8")) == run.resolved_config
    with (tmp_path / "one" / "layers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["a,b", 'say "x"', "ünï"]
    assert set(rows[0]) == set(run.layers.columns)
    assert sum(int(row["stalls.weight_fetch"]) for row in rows) == sum(
        layer.stalls["weight_fetch"] for layer in run.layer_results
    )
    written = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert written["wall_seconds"] == 1.235
    assert written["command"] == ["accelsim", "run"]
    assert written["versions"]["python"] == sys.version.split()[0]
    assert written["workload_file_sha256"] is None


def test_manifest_hashes_a_workload_file(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_bytes(b"abc")
    record = manifest(make_run(1), [], 0.0, str(tmp_path / "net.yaml"))
    assert record["workload_file_sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_two_runs_of_the_same_input_differ_in_the_manifest_alone(tmp_path: Path) -> None:
    for name, seconds in (("one", 1.0), ("two", 2.0)):
        run = make_run(4, steps=6)
        run_folder.write_run(run, tmp_path / name, manifest(run, [name], seconds, "x"))
    differing = [
        name for name in FILES if (tmp_path / "one" / name).read_bytes() != (tmp_path / "two" / name).read_bytes()
    ]
    assert differing == ["manifest.json"]


def test_an_old_run_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    run_folder.write_run(make_run(5, steps=3), tmp_path / "one", {})
    (tmp_path / "one" / "notes.txt").write_text("mine")
    run_folder.write_run(make_run(2, steps=3), tmp_path / "one", {})
    assert _names(tmp_path / "one") == sorted([*FILES, "notes.txt"])
    assert len(read_run(tmp_path / "one").layer_results) == 2


def test_files_follow_the_users_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        run_folder.write_run(make_run(1, steps=1), tmp_path / "one", {})
        run_folder.write_text(tmp_path / "page.html", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "one" / "result.json").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(path: Path, content: object) -> None:
        path.write_text(str(content)[:40])
        if path.name == "trace.json":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "_write", no_space)
    with pytest.raises(RunError, match=r"^.*/one: cannot be written: No space left on device$"):
        run_folder.write_run(make_run(1, steps=1), tmp_path / "one", {})
    assert _names(tmp_path) == []


def test_a_file_in_the_way_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(InputError) as caught:
        run_folder.check_writable(tmp_path / "taken")
    assert str(caught.value) == f"--out: '{tmp_path}/taken': is a file, not a folder"
    with pytest.raises(InputError) as caught:
        run_folder.check_writable(tmp_path / "taken" / "below")
    assert str(caught.value) == f"--out: '{tmp_path}/taken/below': {tmp_path}/taken is a file, not a folder"
    with pytest.raises(InputError, match="cannot be written"):
        run_folder.write_run(make_run(1, steps=1), tmp_path / "taken" / "below", {})
    with pytest.raises(InputError, match="is a folder, not a file"):
        run_folder.check_writable(tmp_path, folder=False)


def test_a_folder_without_permission_is_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match=f"cannot be written: no permission for {tmp_path}$"):
        run_folder.check_writable(tmp_path / "new" / "deeper")


def test_another_run_that_was_quicker_is_replaced_file_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "one"
    write = run_folder._write

    def rival(path: Path, content: str | Iterator[bytes | memoryview]) -> None:
        target.mkdir(exist_ok=True)
        (target / "result.json").write_text("old")
        write(path, content)

    monkeypatch.setattr(run_folder, "_write", rival)
    run_folder.write_run(make_run(2, steps=1), target, {})
    assert _names(tmp_path) == ["one"]
    assert len(read_run(target).layer_results) == 2


_KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from sample_run import make_run
from accelsim.report import run_folder

write, rename, seen = run_folder._write, Path.replace, 0

def pause():
    global seen
    if seen == {stop_at}:
        print("now", flush=True)
        time.sleep(60)
    seen += 1

def slow_write(path, content):
    text = content if isinstance(content, str) else b"".join(content).decode()
    with path.open("w", encoding="utf-8") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        pause()
        file.write(text[len(text) // 2 :])

def slow_replace(self, target):
    pause()
    return rename(self, target)

run_folder._write = slow_write
Path.replace = slow_replace
run_folder.write_run(make_run(7, steps=3, hardware="other"), Path({target!r}), {{"new": True}})
"""


def _kill_in_the_middle(target: Path, stop_at: int) -> None:
    script = _KILLED.format(tests=str(Path(__file__).parent), target=str(target), stop_at=stop_at)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("stop_at", [0, 3, 5])
def test_a_run_killed_while_writing_has_no_folder(tmp_path: Path, stop_at: int) -> None:
    _kill_in_the_middle(tmp_path / "one", stop_at)
    assert not (tmp_path / "one").exists()
    assert all(name.startswith(".one.") for name in _names(tmp_path))


@pytest.mark.parametrize("stop_at", [2, 6, 8])
def test_a_run_killed_over_an_old_one_leaves_only_whole_files(tmp_path: Path, stop_at: int) -> None:
    target = tmp_path / "one"
    old, new = make_run(2, steps=3), make_run(7, steps=3, hardware="other")
    run_folder.write_run(old, target, {"new": False})
    run_folder.write_run(new, tmp_path / "reference", {"new": True})
    before = {name: (target / name).read_bytes() for name in FILES}
    _kill_in_the_middle(target, stop_at)
    replaced = [name for name in FILES if (target / name).read_bytes() != before[name]]
    assert all((target / name).read_bytes() == (tmp_path / "reference" / name).read_bytes() for name in replaced)
    assert len(replaced) == max(stop_at - len(FILES), 0)
    assert read_run(target) == old  # the result comes last but for the manifest


def _damage(**changes: object) -> str:
    record = json.loads(make_run(2, steps=2).to_json())
    for path, value in changes.items():
        *parents, last = path.split("__")
        holder = record
        for key in parents:
            holder = holder[int(key) if key.isdigit() else key]
        if value is None:
            del holder[last]
        else:
            holder[last] = value
    return json.dumps(record)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1, column 1: not valid JSON: Expecting value"),
        ('{"schema": 1,\n "run"', "line 2, column 7: not valid JSON: Expecting ':' delimiter"),
        ("[1]", "holds a list, not a mapping of keys to values"),
        ('{"schema": NaN}', "not valid JSON: NaN is no number of JSON"),
        ("[" * 100_000, "not valid JSON: maximum recursion depth exceeded"),
        ("{}", "schema: is missing"),
        (_damage(schema=2), "schema = 2: not accepted; allowed: 1"),
        (_damage(schema="1"), "schema = '1': not accepted; allowed: 1"),
        (_damage(dram=None), "dram: is missing"),
        (_damage(totals__total_cycles=None), "totals.total_cycles: is missing"),
        (_damage(totals__total_cycles="x"), "totals.total_cycles = 'x': not accepted; allowed: a whole number"),
        (_damage(layers__1__name=7), "layers.1.name = 7: not accepted; allowed: text"),
        (_damage(layers={}), "layers = {}: not accepted; allowed: a list"),
        (
            _damage(moon=1),
            "moon: unknown key; allowed: one of accuracy, dram, energy_pj, layers, machine, run, samples, totals",
        ),
    ],
)
def test_a_damaged_result_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError) as caught:
        read_run(tmp_path)
    assert str(caught.value).split(" while decoding")[0] == f"{tmp_path}/result.json: {message}"


def test_a_folder_that_is_none_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, problem in (
        (tmp_path, "is no run folder: it holds no result.json"),
        (tmp_path / "file", "is a file, not a run folder"),
        (tmp_path / "absent", "no such run folder"),
    ):
        with pytest.raises(InputError) as caught:
            read_run(path)
        assert str(caught.value) == f"{path}: {problem}"


def test_a_result_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(InputError, match=r"result\.json: is a directory, not a file$"):
        read_run(tmp_path)
