"""Broken input as a person meets it: through the command line, told in one line, with exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from accelsim.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = "extends: systolic_32x32\n"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NET = "accelsim_workload: 1\nname: net\ninputs: {image: [1, 3, 8, 8]}\nlayers:\n"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line, hold it to its manners, return the message."""
    before = sorted(Path().rglob("*"))
    monkeypatch.setattr(sys, "argv", ["accelsim", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    assert caught.value.code == 2, captured.err
    assert captured.out == ""
    assert captured.err.startswith("accelsim: error: ")
    assert captured.err.endswith("\n")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert sorted(Path().rglob("*")) == before, "a refused run left a file behind"
    return captured.err.removeprefix("accelsim: error: ").rstrip("\n")


CONFIGS: list[tuple[str | bytes, str]] = [
    # the file itself
    ("", "is empty; allowed: a mapping of keys to values"),
    ("# only a comment\n", "is empty; allowed: a mapping of keys to values"),
    ("hello\n", "holds text, not a mapping of keys to values"),
    ("3\n", "holds the value 3, not a mapping of keys to values"),
    ("- pe_array\n", "holds a list, not a mapping of keys to values"),
    ("7: 3\n", "7: key is not text"),
    ("? [a, b]\n: 1\n", "line 1, column 3: not valid YAML: keys have to be plain words"),
    (bytes(range(256)), "is not a text file in UTF-8"),
    (b"name: a\x00b\n", "not valid YAML: unacceptable character #x0000: control characters are not allowed"),
    (b"\xff\xfep\x00e\x00", "is not a text file in UTF-8"),
    (BASE + "pe_array: {rows: 4\n", "line 3, column 1: not valid YAML: did not find expected ',' or '}'"),
    (BASE + "pe_array:\n\trows: 4\n", "line 3, column 1: not valid YAML: found character that cannot start any token"),
    (BASE + "pe_array: {rows: 4, rows: 8}\n", "line 2, column 21: not valid YAML: duplicate key 'rows'"),
    (BASE + "dram: {}\ndram: {}\n", "line 3, column 1: not valid YAML: duplicate key 'dram'"),
    (BASE + "a: &x {rows: 4}\npe_array: *x\n", "line 2, column 4: not valid YAML: aliases (*name) are not accepted"),
    (BASE + "name: !!python/name:os.system\n", "line 2, column 7: not valid YAML: could not determine a constructor"),
    (BASE + "---\nname: b\n", "line 2, column 1: not valid YAML: but found another document"),
    (BASE + f"pe_array: {{rows: {'9' * 5000}}}\n", "not valid YAML: a number has more than 4300 digits"),
    (BASE + f"pe_array: {'[' * 3000}{']' * 3000}\n", "is nested too deeply"),
    # keys
    (
        BASE + "pe_aray: {rows: 4}\n",
        "pe_aray: unknown key; allowed: one of control, description, dma, dram, energy, host,",
    ),
    (BASE + "pe_array: {row: 4}\n", "pe_array.row: unknown key; allowed: one of clock_mhz, cols, dataflow, kind,"),
    (
        BASE + "sram: {accumulator: {size: 4}}\n",
        "sram.accumulator.size: unknown key; allowed: one of banks, bytes_per_cycle, capa",
    ),
    (
        BASE + "dram: {partitions: [{name: a, scope: {bnk: 1}}]}\n",
        "dram.partitions.0.scope.bnk: unknown key; allowed: ",
    ),
    ("pe_array: {rows: 8, cols: 8, dataflow: WS, clock_mhz: 100}\n", "vector_unit: is missing"),
    (BASE + "pe_array:\n", "pe_array: is missing"),
    (BASE + "pe_array: {rows: }\n", "pe_array.rows: has no value; allowed: a whole number"),
    # values of another type
    (BASE + "pe_array: 32x32\n", "pe_array = '32x32': not accepted; allowed: a mapping of keys to values"),
    (BASE + "sram: [512, 256, 128]\n", "sram = [512, 256, 128]: not accepted; allowed: a mapping of keys to values"),
    (BASE + "sram: {accumulator: 128}\n", "sram.accumulator = 128: not accepted; allowed: a mapping of keys to values"),
    (BASE + "dram: []\n", "dram = []: not accepted; allowed: a mapping of keys to values"),
    (BASE + "pe_array: {rows: true}\n", "pe_array.rows = True: not accepted; allowed: a whole number"),
    (BASE + "pe_array: {rows: 8.5}\n", "pe_array.rows = 8.5: not accepted; allowed: a whole number"),
    (BASE + "pe_array: {rows: 8.0}\n", "pe_array.rows = 8.0: not accepted; allowed: a whole number"),
    (BASE + "pe_array: {rows: '8'}\n", "pe_array.rows = '8': not accepted; allowed: a whole number"),
    (BASE + "vector_unit: {lanes: many}\n", "vector_unit.lanes = 'many': not accepted; allowed: a whole number"),
    (BASE + "pe_array: {clock_mhz: fast}\n", "pe_array.clock_mhz = 'fast': not accepted; allowed: a number"),
    (BASE + "mapping: {keep_on_chip: maybe}\n", "mapping.keep_on_chip = 'maybe': not accepted; allowed: true or false"),
    (BASE + "sources: {pe_array: 2017}\n", "sources.pe_array = 2017: not accepted; allowed: text"),
    (BASE + "name: 32\n", "name = 32: not accepted; allowed: text"),
    (
        BASE + "description: 2020-01-01\n",
        "description = datetime.date(2020, 1, 1): is a date; allowed: a number, a text",
    ),
    (BASE + "description: !!binary aGVsbG8=\n", "description = b'hello': is a bytes; allowed: a number, a text"),
    # numbers out of range
    (BASE + "pe_array: {rows: -1}\n", "pe_array.rows = -1: not accepted; allowed: greater than or equal to 1"),
    (BASE + "pe_array: {cols: 0}\n", "pe_array.cols = 0: not accepted; allowed: greater than or equal to 1"),
    (
        BASE + f"pe_array: {{rows: {10**30}}}\n",
        f"pe_array.rows = {10**30}: not accepted; allowed: less than or equal to",
    ),
    (BASE + "pe_array: {clock_mhz: .nan}\n", "pe_array.clock_mhz = nan: not accepted; allowed: a finite number"),
    (BASE + "pe_array: {clock_mhz: -.inf}\n", "pe_array.clock_mhz = -inf: not accepted; allowed: a finite number"),
    (BASE + "pe_array: {clock_mhz: 0}\n", "pe_array.clock_mhz = 0: not accepted; allowed: greater than or equal to"),
    (
        BASE + "sram: {accumulator: {capacity_kib: -4}}\n",
        "sram.accumulator.capacity_kib = -4: not accepted; allowed: gr",
    ),
    (BASE + "precision: {weight_bits: 0}\n", "precision.weight_bits = 0: not accepted; allowed: greater than or equal"),
    (BASE + "precision: {weight_bits: 16}\n", "precision.weight_bits = 16 may not exceed pe_array.operand_bits = 8"),
    (BASE + f"dram: {{channels: {2**40}}}\n", f"dram.channels = {2**40}: not accepted; allowed: less than or equal to"),
    (BASE + "dram: {ranks: 65536}\n", "dram.ranks = 65536: not accepted; allowed: less than or equal to"),
    (BASE + "dram: {channels: 3}\n", "dram: channels = 3 is no power of two"),
    (BASE + "dram: {bus_width_bits: 7}\n", "dram.bus_width_bits = 7: does not fit the device; allowed: a power of two"),
    (BASE + "dram: {write_drain_low: 0.9}\n", "dram: write_drain_low has to lie below write_drain_high"),
    (BASE + "sram: {accumulator: {capacity_kib: 0.0001}}\n", "sram.accumulator.capacity_kib = 0.0001: layer 'c1'"),
    # names that mean nothing here
    (BASE + "pe_array: {dataflow: RS}\n", "pe_array.dataflow = 'RS': not accepted; allowed: 'WS', 'OS' or 'IS'"),
    (BASE + "pe_array: {kind: optical}\n", "pe_array.kind = 'optical': not accepted; allowed: "),
    (BASE + "mapping: {objective: speed}\n", "mapping.objective = 'speed': not accepted; allowed: 'latency', 'dram_tr"),
    (BASE + "dram: {kind: magic}\n", "dram.kind = 'magic': not accepted; allowed: 'command' or 'ideal'"),
    (BASE + "dram: {device: DDR9}\n", "dram.device = 'DDR9': no such DRAM device; allowed: DDR3L_1600H_4Gb_x8,"),
    (BASE + "dram: {device: absent.yaml}\n", "absent.yaml: no such file"),
    (
        BASE + "dram: {speed_bin: Z}\n",
        "dram.speed_bin = 'Z': no such speed bin of DDR4_2400R_8Gb_x8; allowed: P, R, U, T",
    ),
    (BASE + "dram: {address_map: zigzag}\n", "dram.address_map = 'zigzag': cannot read 'zi'; allowed: RoBaRaCoCh,"),
    (BASE + "dram: {partitions: [{name: a}, {name: a}]}\n", "dram: two partitions have the same name"),
    (
        BASE + "dram: {partitions: [{name: a, scope: {bank: 99}}]}\n",
        "dram.partitions.0.scope.bank = 99: lies outside of",
    ),
    (
        BASE + "energy: {table: 3nm}\n",
        "energy.table = '3nm': is no preset and no file (see `accelsim list energy`); allo",
    ),
    (BASE + "energy: {table: absent.yaml}\n", "absent.yaml: no such file"),
    (BASE + "energy: {table: 28}\n", "energy.table = 28: not accepted; allowed: text"),
    # buffers
    (
        BASE + "sram: {more: {capacity_kib: 1, operands: [weight]}}\n",
        "weight stands in both sram.weight_buffer and sram.more",
    ),
    (BASE + "sram: {accumulator: {operands: [psum, psum]}}\n", "operand psum stands twice in sram.accumulator"),
    (
        BASE + "sram: {accumulator: {operands: [output]}}\n",
        "sram.accumulator.operands.0 = 'output': not accepted; allowed",
    ),
    (
        BASE + "sram: {accumulator: {operands: psum}}\n",
        "sram.accumulator.operands = 'psum': not accepted; allowed: a list",
    ),
    (BASE + "sram: {accumulator: {operands: []}}\n", "sram.accumulator.operands: has 0 entries; allowed: at least 1"),
    (BASE + "sram: {weight_buffer: null}\n", "no buffer under sram holds weight"),
    (BASE + "sram:\n", "sram: is missing"),
    (
        BASE + "sram: {" + ", ".join(f"b{index}: {{capacity_kib: 1, operands: [psum]}}" for index in range(9)) + "}\n",
        "sram: has 12 entries; allowed: at most 8",
    ),
    (
        BASE + 'sram: {"a \\t\\n<b>é": {capacity_kib: 0, operands: [psum]}}\n',
        "sram.a \\t\\n<b>é.capacity_kib = 0: not accepted; allowed: greater than 0",
    ),
    # mappings by hand
    (
        BASE + "mapping: {layers: {c1: {order: mnq, m: 1, n: 1, k: 1}}}\n",
        "mapping.layers.c1.order = 'mnq': not accepted",
    ),
    (BASE + "mapping: {layers: {c1: {order: mnk, m: 1, n: 1}}}\n", "mapping.layers.c1.k: is missing"),
    (
        BASE + "mapping: {layers: {c1: {order: mnk, m: 0, n: 1, k: 1}}}\n",
        "mapping.layers.c1.m = 0: not accepted; allowed",
    ),
    (
        BASE + "mapping: {layers: {c99: {order: mnk, m: 1, n: 1, k: 1}}}\n",
        "mapping.layers.c99: is no layer of the network",
    ),
    # extends
    (
        "extends: systolic_32x23\n",
        "extends = 'systolic_32x23': is no preset and no file (did you mean 'systolic_32x32'?",
    ),
    ("extends: absent.yaml\n", "extends = 'absent.yaml': no such file"),
    ("extends: machine.yaml\n", "extends = 'machine.yaml -> machine.yaml': extends itself"),
    ("extends: [eyeriss, tpu_v1]\n", "extends = ['eyeriss', 'tpu_v1']: not accepted; allowed: a preset name or a path"),
    ("extends: ./\n", "is a directory, not a file"),
]


@pytest.mark.parametrize(("content", "expected"), CONFIGS)
def test_a_broken_config_is_refused(
    content: str | bytes, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("machine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(["run", "machine.yaml", "lenet5"], monkeypatch, capsys)
    assert expected in message
    file = "absent.yaml" if "absent.yaml: no" in expected else "." if "directory" in expected else "machine.yaml: "
    assert message.startswith(file)


LINES: list[tuple[list[str], str]] = [
    (["absent.yaml"], "absent.yaml: no such file"),
    (["folder"], "hardware = 'folder': is no preset and no file"),
    (["folder/"], "folder: is a directory, not a file"),
    (["folder.yaml"], "folder.yaml: is a directory, not a file"),
    (["./absent"], "absent: no such file"),
    (["systolic"], "hardware = 'systolic': is no preset and no file (did you mean 'systolic_32x32'?"),
    (["28nm"], "hardware = '28nm': is no preset and no file"),
    ([""], "hardware = '': is no preset and no file"),
    (["a\0b"], "hardware = 'a\\x00b': is no preset and no file"),
    (["a/\0b"], "a/\\x00b: is no name of a file"),
    (["a" * 5000], "hardware = 'aaaa"),
    (["a/" + "a" * 5000], "a/aaaa"),
    (["eyeriss", "lenet5", "--set", "pe_array.rows"], "--set: 'pe_array.rows': not accepted; allowed: key.key=value"),
    (["eyeriss", "lenet5", "--set", "pe_array.rows=x"], "eyeriss with --set: pe_array.rows = 'x': not accepted; allow"),
    (
        ["eyeriss", "lenet5", "--set", "dram.device=x"],
        "eyeriss with --set: dram.device = 'x': no such DRAM device; all",
    ),
    (
        ["eyeriss", "lenet5", "--set", "energy.table=x"],
        "eyeriss with --set: energy.table = 'x': is no preset and no fi",
    ),
    (
        ["eyeriss", "lenet5", "--set", "pe_array.rows.x=1"],
        "--set: pe_array.rows: is no group of keys, so it has no 'x'",
    ),
    (
        ["eyeriss", "lenet5", "--set", "energy.table=eyeriss.yaml"],
        "eyeriss.yaml: pe_array: unknown key; allowed: one of",
    ),
    (
        ["eyeriss", "lenet5", "--set", "dram.device=eyeriss.yaml"],
        "eyeriss.yaml: pe_array: unknown key; allowed: one of",
    ),
    (
        ["eyeriss", "lenet5", "--set", "sram.global_buffer.capacity_kib=0.001"],
        "eyeriss with --set: sram.global_buffer.capacity_kib = 0.001: layer 'c1' fits into buffer 'global_buffer'",
    ),
    (["eyeriss", "lenet5", "--batch", "0"], "Invalid value for '--batch': it should be greater than or equal to 1"),
    (["eyeriss", "lenet5", "--seed", "-1"], "Invalid value for '--seed': it should be greater than or equal to 0"),
    (["eyeriss", "lenet5", "--out", "eyeriss.yaml"], "--out: 'eyeriss.yaml': is a file, not a folder"),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_a_wrong_command_line_is_refused(
    line: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    Path("folder.yaml").mkdir()
    Path("eyeriss.yaml").write_text("pe_array: {rows: 12}\n", "utf-8")
    assert refusal(["run", *line], monkeypatch, capsys).startswith(expected)


def truncated_onnx() -> bytes:
    return (LIGHT / "light_squeezenet.onnx").read_bytes()[:5000]


WORKLOADS: list[tuple[str, str | bytes, str]] = [
    ("net.onnx", b"", "is empty; allowed: an ONNX model"),
    ("net.onnx", truncated_onnx(), "is no ONNX model, or a truncated one"),
    ("net.onnx", b"Conv1, 32, 32, 3, 3, 3, 16, 1\n", "is no ONNX model, or a truncated one"),
    ("net.csv", "", "is empty"),
    (
        "net.csv",
        "Layer name, Height,\nConv1, 32,\n",
        "line 1 = 'Layer name, Height': is no header of a SCALE-Sim topology",
    ),
    ("net.csv", bytes(range(256)), "is not a text file in UTF-8"),
    ("net.yaml", "", "is empty; allowed: a mapping of keys to values"),
    ("net.yaml", "name: net\n", "accelsim_workload: is missing"),
    ("net.yaml", NET + "  - {name: c, op: conv, out_channels: -4, kernel: 3}\n", "layers[0] (c): out_channels = -4"),
    ("net.yaml", NET + "  - {name: c, op: conv, out_channels: 0, kernel: 3}\n", "layers[0] (c): out_channels = 0"),
    ("net.yaml", NET + "  - {name: c, op: lstm}\n", "layers[0] (c).op = 'lstm': unknown operator; allowed: conv,"),
    ("net.yaml", NET + "  - {name: c, op: conv, out_channels: .nan, kernel: 3}\n", "layers[0] (c): out_channels = nan"),
    (
        "net.yaml",
        NET + "  - {name: a, op: softmax, inputs: [b]}\n  - {name: b, op: softmax, inputs: [a]}\n",
        "layers: these layers form a cycle: a -> b",
    ),
    (
        "net.yaml",
        NET.replace("8, 8", "8, 99999999999999") + "  - {name: s, op: softmax}\n",
        "inputs.image.shape.3 = 99999999999999: not accepted",
    ),
    ("net.pt", b"x", "'.pt': is no workload format by its suffix; allowed: .onnx, .csv, .yaml, .yml"),
]


@pytest.mark.parametrize(("name", "content", "expected"), WORKLOADS)
def test_a_broken_workload_is_refused(
    name: str,
    content: str | bytes,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(["run", "eyeriss", name], monkeypatch, capsys)
    assert message.startswith(f"{name}: ")
    assert expected in message


@pytest.mark.parametrize("suffix", ["onnx", "csv", "yaml"])
def test_a_workload_that_is_no_file_is_refused(
    suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"net.{suffix}"
    assert refusal(["run", "eyeriss", name], monkeypatch, capsys) == f"{name}: no such file"
    Path(name).mkdir()
    assert refusal(["run", "eyeriss", name], monkeypatch, capsys) == f"{name}: is a directory, not a file"
