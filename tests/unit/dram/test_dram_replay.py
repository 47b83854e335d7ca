"""Traces in three forms, what a replay reports, and the command file."""

import json
from pathlib import Path

import numpy as np
import pytest

from accelsim.config.dram import DramConfig
from accelsim.errors import InputError
from accelsim.hardware.dram.replay import replay_trace
from accelsim.hardware.dram.trace_file import MemoryTrace, read_trace


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("LD 0x40\nST 0x1fC0\nLD 128\n", None),
        ("R 0x40\nW 0x1fc0\nR 0x80\n", None),
        ("0x40 READ 5\r\n0x1FC0 WRITE 5\r\n\r\n128\tread  900", [5, 5, 900]),
    ],
)
def test_all_forms_are_understood(tmp_path: Path, text: str, cycles: list[int] | None) -> None:
    path = tmp_path / "trace"
    path.write_bytes(text.encode())

    trace = read_trace(path)

    assert trace.addresses.tolist() == [0x40, 0x1FC0, 0x80]
    assert trace.is_write.tolist() == [False, True, False]
    assert (trace.cycles.tolist() if trace.cycles is not None else None) == cycles


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("LD 0x40\nLD 0xg\n", "line 2", "LD 0xg"),
        ("LD 0x40\nXX 0x40\n", "line 2", "XX 0x40"),
        ("LD\n", "line 1", "LD"),
        ("LD 0x40 7\n", "line 1", "LD 0x40 7"),
        ("\n\n0x40 READ\n", "line 3", "0x40 READ"),
        ("0x40 LD 3\n", "line 1", "0x40 LD 3"),
        ("LD -4\n", "line 1", "LD -4"),
        ("LD 0xffffffffffffffffff\n", "line 1", "LD 0xffffffffffffffffff"),
        ("LD 0x\n", "line 1", "LD 0x"),
        ("0x40 READ 9\n0x80 READ 3\n", "request 2", "3"),
        ("\xff\xfe\n", "line 1", ""),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, key: str, value: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(InputError) as caught:
        read_trace(path)

    assert "trace.txt" in str(caught.value)
    assert key in str(caught.value)
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "holds no memory request"), ("LD 0\n0x40 READ 3\n", "some requests have a cycle")]
)
def test_a_trace_that_makes_no_sense_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_trace(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_trace(tmp_path / "nowhere")
    with pytest.raises(InputError, match="directory"):
        read_trace(tmp_path)


KEYS = {
    "cycles_accepted", "cycles", "requests", "row_hits", "row_misses", "row_conflicts", "read_latency_cycles",
    "commands", "energy_pj", "bandwidth_gb_per_s", "kernel_s",
}  # fmt: skip


def test_the_json_form_has_the_keys_of_the_contract() -> None:
    trace = MemoryTrace(64 * np.arange(3_000), np.arange(3_000) % 3 == 2, None)

    record = json.loads(json.dumps(replay_trace(trace, DramConfig()).to_dict()))

    assert set(record) >= KEYS
    assert set(record["read_latency_cycles"]) == {"mean", "p50", "p99", "max"}
    assert set(record["commands"]) == {"ACT", "PRE", "RD", "WR", "REF"}
    assert record["commands"]["RD"] == 2_000
    assert record["commands"]["WR"] == 1_000
    energy = record["energy_pj"]
    assert energy.pop("total") == pytest.approx(sum(energy.values()), rel=1e-12)
    assert set(energy) == {
        "activate", "read", "write", "refresh", "active_standby", "precharge_standby", "power_down",
    }  # fmt: skip
    assert record["requests"] == 3_000
    assert record["bandwidth_gb_per_s"] == pytest.approx(64 * 3_000 / (record["cycles"] * 0.833), rel=1e-9)


def test_latency_percentiles_of_a_known_trace() -> None:
    trace = MemoryTrace(np.zeros(100, np.int64), np.zeros(100, np.bool_), 1_000 * np.arange(100))

    latency = replay_trace(trace, DramConfig(refresh="none")).read_latency_cycles

    assert (latency.p50, latency.p99, latency.max) == (21, 21, 37)  # one miss, then hits
    assert latency.mean == pytest.approx((37 + 99 * 21) / 100)


def test_a_read_of_a_queued_write_is_answered_at_once_and_a_second_write_merged() -> None:
    addresses = np.array([1 << 20, 0, 0, 0])
    result = replay_trace(MemoryTrace(addresses, np.array([False, True, True, False]), None), DramConfig())

    assert (result.merged, result.forwarded) == (1, 1)
    assert result.commands["WR"] == 1
    assert result.commands["RD"] == 1


def test_the_command_file_is_drampowers(tmp_path: Path) -> None:
    trace = MemoryTrace(np.array([0, 64, 1 << 26]), np.array([False, False, False]), None)
    path = tmp_path / "commands.csv"

    replay_trace(trace, DramConfig(refresh="none"), commands_path=path)

    assert path.read_text().splitlines() == ["1,ACT,0", "17,RD,0", "23,RD,0", "40,PRE,0", "56,ACT,0", "72,RD,0"]


def test_cycles_of_the_trace_are_respected() -> None:
    trace = MemoryTrace(np.array([0, 64]), np.zeros(2, np.bool_), np.array([100, 5_000]))

    result = replay_trace(trace, DramConfig(refresh="none"))

    assert result.cycles_accepted == 5_000
    assert result.cycles == 5_000 + 21


@pytest.mark.parametrize("timed", [False, True])
def test_serving_a_trace_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch, *, timed: bool) -> None:
    draw = np.random.default_rng(3)
    addresses = 64 * draw.integers(0, 1 << 16, 3_000)
    is_write = draw.random(3_000) < 0.3
    cycles = np.cumsum(draw.choice((0, 0, 1, 5, 400), 3_000)) if timed else None
    trace = MemoryTrace(addresses, is_write, cycles)
    whole = replay_trace(trace, DramConfig())

    for piece in (2, 7, 500):
        monkeypatch.setattr("accelsim.hardware.dram.replay._PIECE", piece)
        pieces = replay_trace(trace, DramConfig())
        for name in ("cycles_accepted", "cycles", "commands", "row_hits", "read_latency_cycles", "forwarded", "merged"):
            assert getattr(pieces, name) == getattr(whole, name), (piece, name)
