from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accelsim.atomic_file import written_whole
from accelsim.config.dram import DramConfig
from accelsim.errors import InputError, RunError
from accelsim.hardware.dram.replay import replay_trace
from accelsim.hardware.dram.trace_file import read_trace

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.hardware.dram.trace_file import MemoryTrace


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _interrupted(path: Path) -> None:
    with written_whole(path) as part:
        part.write_text("half of the n")
        raise KeyboardInterrupt


@pytest.fixture
def trace(tmp_path: Path) -> MemoryTrace:
    path = tmp_path / "requests.trace"
    path.write_text("".join(f"LD {number * 64:#x}\n" for number in range(64)))
    return read_trace(path)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(path)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["out.csv"]


def test_want_of_space_is_no_fault_of_the_input(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"out\.csv: cannot be written: No space left"),
        written_whole(tmp_path / "out.csv"),
    ):
        raise OSError(28, "No space left on device")
    assert _names(tmp_path) == []


def test_commands_of_each_channel_appear_together(tmp_path: Path, trace: MemoryTrace) -> None:
    folder = tmp_path / "new"
    replay_trace(trace, DramConfig(channels=2), commands_path=folder / "issued.csv")
    assert _names(folder) == ["issued.0.csv", "issued.1.csv"]
    lines = [line for file in folder.iterdir() for line in file.read_text().splitlines()]
    assert sum(",RD," in line for line in lines) == 64


def test_one_channel_that_cannot_be_written_leaves_none(tmp_path: Path, trace: MemoryTrace) -> None:
    folder = tmp_path / "new"
    (folder / "issued.1.csv").mkdir(parents=True)
    with pytest.raises(InputError, match=r"issued\.1\.csv: cannot be written: Is a directory"):
        replay_trace(trace, DramConfig(channels=2), commands_path=folder / "issued.csv")
    assert _names(folder) == ["issued.1.csv"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["", "requests.trace/issued.csv"])
def test_commands_go_to_no_folder_and_below_no_file(
    tmp_path: Path, trace: MemoryTrace, name: str, channels: int
) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        replay_trace(trace, DramConfig(channels=channels), commands_path=tmp_path / name)
    assert _names(tmp_path) == ["requests.trace"]
