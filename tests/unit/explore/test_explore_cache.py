from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from spaces import small_space

from accelsim.explore import cache as cache_module
from accelsim.explore.cache import StageCache, code_hash, default_cache_folder
from accelsim.explore.canonical import NoTextError, canonical_text
from accelsim.explore.evaluation import evaluate
from accelsim.explore.preparation import task_of
from accelsim.explore.tiling_store import TilingStore
from accelsim.mapping import layer_tiler
from accelsim.mapping.tiling import BufferSpace, Tiling

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.mapping.tiling import TilingProblem


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cache = StageCache(tmp_path / "cache")
    assert cache.read("stage", "key") is None
    cache.write("stage", "key", {"a": [1, None, "x"]})
    assert cache.read("stage", "key") == {"a": [1, None, "x"]}
    assert cache.read("other", "key") is None
    assert StageCache(tmp_path / "cache").read("stage", "key") == {"a": [1, None, "x"]}
    assert StageCache(tmp_path / "cache", code="of another version").read("stage", "key") is None


@pytest.mark.parametrize("damage", [b"", b"half", b"0123456789abcdef\n{}", b"\xff\xfe"])
def test_a_damaged_entry_counts_as_missing(tmp_path: Path, damage: bytes) -> None:
    cache = StageCache(tmp_path)
    cache.write("stage", "key", [1])
    (path,) = files(tmp_path)
    path.write_bytes(damage)
    assert cache.read("stage", "key") is None
    cache.write("stage", "key", [2])
    assert cache.read("stage", "key") == [2]


def test_writers_do_not_meet(tmp_path: Path) -> None:
    def work(number: int) -> None:
        cache = StageCache(tmp_path)
        for turn in range(60):
            cache.write("stage", str(turn % 5), ["x" * 20_000, number])
            found = cache.read("stage", str(turn % 5))
            assert found is not None
            assert found[0] == "x" * 20_000

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(files(tmp_path)) == 5, "no part is left over"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = StageCache(tmp_path, limit_bytes=10 * 4096)
    for number in range(12):
        cache.write("stage", str(number), number)
        path = cache._path("stage", str(number))
        os.utime(path, times=(time.time() - 10_000 + number,) * 2)
    assert cache.read("stage", "0") == 0, "which makes it the one used last"
    cache.trim()
    left = {number for number in range(12) if cache.read("stage", str(number)) is not None}
    assert left == {0, 5, 6, 7, 8, 9, 10, 11}
    cache.trim()
    assert len(files(tmp_path)) == 8


def test_the_folder_stays_bounded_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_WRITES_BETWEEN_TRIMS", 10)
    cache = StageCache(tmp_path, limit_bytes=20 * 4096)
    for number in range(100):
        cache.write("stage", str(number), number)
        assert len(files(tmp_path)) <= 30


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = StageCache(tmp_path / "file")
    cache.write("stage", "key", 1)
    assert cache.read("stage", "key") is None
    cache.trim()


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "accelsim"


def test_entries_are_named_by_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "accelsim"
    for name in ("mapping/tiling.py", "report/page.py"):
        (package / name).parent.mkdir(parents=True)
        (package / name).write_text("first")
    monkeypatch.setattr(cache_module, "__file__", str(package / "explore" / "cache.py"))
    before = code_hash.__wrapped__()
    (package / "report" / "page.py").write_text("second")
    assert code_hash.__wrapped__() == before, "the report computes nothing that is kept"
    (package / "mapping" / "tiling.py").write_text("second")
    assert code_hash.__wrapped__() != before


# -- texts of records ------------------------------------------------------------------------------------------------


def test_equal_records_have_equal_texts_and_others_do_not() -> None:
    space = BufferSpace(index=(0, 1, 2), free_bits=(1, 2, 3), copies=(1, 1, 2))
    same = BufferSpace(index=(np.int64(0), 1, 2), free_bits=(1, 2, 3), copies=(1, 1, 2))  # type: ignore[arg-type]
    assert canonical_text(space) == canonical_text(same)
    values: list[Any] = [space, replace(space, free_bits=(1, 2, 4)), 1, 1.0, "1", None, True, (1, 2), (1, 3), {"a": 1},
                         {"a": 2}, np.arange(3), np.arange(3.0), np.arange(4)]  # fmt: skip
    assert len({canonical_text(value) for value in values}) == len(values)
    assert canonical_text({"a": 1, "b": 2}) == canonical_text({"b": 2, "a": 1})


@dataclass(frozen=True)
class Foreign:
    """A record of somebody else's code."""

    size: int = field(default=1)


@pytest.mark.parametrize("value", [Foreign(), (1, lambda: 2), object(), np.array([object()])])
def test_what_no_text_can_stand_for_is_told(value: object) -> None:
    with pytest.raises(NoTextError):
        canonical_text(value)


# -- tilings ---------------------------------------------------------------------------------------------------------


def test_tilings_are_found_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelsim.explore import evaluation

    space = small_space(tmp_path)
    point: dict[str, Any] = {"pe_array.rows": 8, "pe_array.cols": 8, "pe_array.dataflow": "WS",
                             "sram.scratchpad.capacity_kib": 64}  # fmt: skip
    cache = {"folder": str(tmp_path / "cache"), "limit_bytes": 10_000_000}
    evaluation._tilings.cache_clear()
    first = evaluate(task_of(space, point, "full", cache=cache))
    assert files(tmp_path / "cache")
    evaluation._tilings.cache_clear()  # as in another process

    def search(problem: TilingProblem) -> Tiling | None:
        raise AssertionError(problem)

    monkeypatch.setattr(layer_tiler, "search_tiling", search)
    again = evaluate(task_of(space, point, "full", cache=cache))
    without = evaluate(task_of(space, point, "full"))
    assert first["metrics"] == again["metrics"]
    assert without["error"].startswith("defect: AssertionError"), "what is not cached is searched for"


def test_a_problem_without_a_solution_is_remembered_too(tmp_path: Path) -> None:
    problem: Any = BufferSpace(index=(0, 1, 2), free_bits=(1, 2, 3), copies=(1, 1, 2))  # any hashable record will do
    TilingStore(StageCache(tmp_path))[problem] = None
    assert TilingStore(StageCache(tmp_path))[problem] is None
    store = TilingStore(StageCache(tmp_path))
    other: Any = Foreign()
    with pytest.raises(KeyError):
        store[other]
    store[other] = Tiling(("m", "n", "k"), 1, 2, 3, 4, (3, 3, 0))
    assert store[other] == Tiling(("m", "n", "k"), 1, 2, 3, 4, (3, 3, 0))
    assert list(store) == [other]
    assert len(files(tmp_path)) == 1, "no file for a record of foreign code"


def test_more_than_fits_into_memory_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.explore.tiling_store._MOST_IN_MEMORY", 3)
    store = TilingStore(None)
    for number in range(5):
        problem: Any = number
        store[problem] = None
    left: list[Any] = list(store)
    assert left == [2, 3, 4]
