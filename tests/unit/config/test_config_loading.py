"""Presets by name, `extends`, `--set`, and the resolved config that goes with every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from accelsim.cli import run_command
from accelsim.config.loader import apply_overrides, find_preset, list_presets, load_hardware, merge
from accelsim.errors import ConfigError
from accelsim.hardware.pe_array.systolic import SystolicConfig

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.config.schema import HardwareConfig

MACHINES = [preset.name for preset in list_presets("accelerators")]


def shape_of(config: HardwareConfig) -> tuple[int, int, str]:
    """Rows, columns and dataflow of a systolic machine."""
    array = config.pe_array
    assert isinstance(array, SystolicConfig)
    return array.rows, array.cols, array.dataflow


def write(path: Path, data: str | dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False), "utf-8")
    return path


def message_of(source: str | Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_hardware(source, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_preset_and_its_file_give_the_same_config() -> None:
    by_name = load_hardware("edge_16x16")
    assert load_hardware(find_preset("accelerators", "edge_16x16")) == by_name
    assert load_hardware(by_name) is by_name
    assert shape_of(by_name) == (16, 16, "WS")


@pytest.mark.parametrize(
    ("name", "near"), [("systolic32x32", "systolic_32x32"), ("eyeris", "eyeriss"), ("TPU_v1", "tpu_v1")]
)
def test_a_near_name_is_proposed(name: str, near: str) -> None:
    message = message_of(name)
    assert f"hardware = {name!r}: is no preset and no file (did you mean {near!r}?" in message
    assert "`accelsim list hardware`" in message


def test_a_name_like_no_other_is_told_all_that_there_are() -> None:
    message = message_of("zzz")
    assert "did you mean" not in message
    assert message.endswith("; allowed: " + ", ".join(MACHINES))


def test_names_of_other_roles_are_no_hardware() -> None:
    assert "hardware = '28nm': is no preset" in message_of("28nm")


# -- extends -----------------------------------------------------------------------------------------------------------


def test_a_file_extends_a_preset_key_by_key(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", {"extends": "systolic_32x32", "pe_array": {"rows": 8}})
    base, mine = load_hardware("systolic_32x32"), load_hardware(path)
    assert mine.pe_array == base.pe_array.model_copy(update={"rows": 8})
    assert mine.sram == base.sram
    assert (mine.name, mine.description) == ("mine", base.description)


def test_files_extend_in_chains_and_count_from_their_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "base" / "a.yaml", {"extends": "edge_16x16", "pe_array": {"rows": 4, "cols": 4}})
    write(tmp_path / "base" / "b.yaml", {"extends": "a.yaml", "pe_array": {"cols": 5}})
    path = write(tmp_path / "top" / "c.yaml", {"extends": "../base/b.yaml", "vector_unit": {"lanes": 3}})
    config = load_hardware(path)
    assert (*shape_of(config)[:2], config.vector_unit.lanes) == (4, 5, 3)
    assert load_hardware("top/c.yaml") == config


def test_a_null_takes_a_mapping_of_the_base_away(tmp_path: Path) -> None:
    one = {"capacity_kib": 64, "operands": ["ifmap", "weight", "ofmap", "psum"]}
    gone = dict.fromkeys(load_hardware("systolic_32x32").sram)
    path = write(tmp_path / "mine.yaml", {"extends": "systolic_32x32", "sram": {**gone, "one": one}})
    assert list(load_hardware(path).sram) == ["one"]


def test_files_named_in_a_config_count_from_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", {"extends": "eyeriss", "energy": {"table": "energy.yaml"}})
    assert load_hardware(path).energy.table == str(tmp_path / "energy.yaml")
    below = write(tmp_path / "sub" / "below.yaml", {"extends": "../mine.yaml", "dram": {"device": "dram.yml"}})
    config = load_hardware(below)
    assert config.dram.device == str(tmp_path / "sub" / "dram.yml")
    assert config.energy.table == str(tmp_path / "sub" / ".." / "energy.yaml")


@pytest.mark.parametrize(
    ("extends", "expected"),
    [
        ("absent", "mine.yaml: extends = 'absent': is no preset and no file"),
        ("eyeris", "extends = 'eyeris': is no preset and no file (did you mean 'eyeriss'?"),
        ("absent.yaml", "mine.yaml: extends = 'absent.yaml': no such file"),
        ("../absent.yaml", "mine.yaml: extends = '../absent.yaml': no such file"),
        ("./", ": is a directory, not a file"),
        (7, "mine.yaml: extends = 7: not accepted; allowed: a preset name or a path"),
        (["eyeriss"], "mine.yaml: extends = ['eyeriss']: not accepted; allowed: a preset name or a path"),
        ("mine.yaml", "mine.yaml: extends = 'mine.yaml -> mine.yaml': extends itself"),
        ("a.yaml", "a.yaml: extends = 'a.yaml -> b.yaml -> a.yaml': extends itself"),
        ("list.yaml", "list.yaml: holds a list, not a mapping of keys to values"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, extends: object, expected: str) -> None:
    write(tmp_path / "a.yaml", {"extends": "./b.yaml"})
    write(tmp_path / "b.yaml", {"extends": "../" + tmp_path.name + "/a.yaml"})
    write(tmp_path / "list.yaml", "[1]")
    path = write(tmp_path / "mine.yaml", {"extends": extends})
    message = message_of(path)
    if extends == "a.yaml":  # the chain begins at the file that was asked for
        expected = "a.yaml: extends = 'mine.yaml -> a.yaml -> b.yaml -> a.yaml': extends itself"
    assert expected in message


# -- overrides ---------------------------------------------------------------------------------------------------------


def test_overrides_are_yaml_and_apply_in_order() -> None:
    config = load_hardware(
        "systolic_32x32",
        [
            "pe_array.rows=4",
            "pe_array={cols: 5, dataflow: OS}",
            " pe_array.rows = 6 ",
            "pe_array.clock_mhz=1e3",
            "mapping.keep_on_chip=false",
            "sram.accumulator.operands=[psum]",
            "dram.partitions=[{name: low, scope: {bank: 1}, operating_point: {vdd_v: 1.1}}]",
            "energy.table=45nm",
            "name=a=b",
        ],
    )
    assert shape_of(config) == (6, 5, "OS")
    assert config.pe_array.clock_mhz == 1000
    assert config.pe_array.clock.frequency_khz == 1_000_000
    assert not config.mapping.keep_on_chip
    assert config.dram.partitions[0].operating_point.vdd_v == 1.1
    assert (config.energy.table, config.name) == ("45nm", "a=b")


def test_overrides_apply_to_a_config_too() -> None:
    base = load_hardware("edge_16x16")
    assert shape_of(load_hardware(base, ["pe_array.rows=3"]))[0] == 3
    assert shape_of(base)[0] == 16


def test_a_null_takes_a_buffer_away() -> None:
    config = load_hardware("systolic_32x32", ["sram.accumulator=null"])
    assert list(config.sram) == ["global_buffer", "weight_buffer"]
    assert config.buffer_of("psum") == "global_buffer"


def test_another_kind_of_array_keeps_only_what_every_kind_has() -> None:
    base = {"pe_array": {"kind": "systolic", "rows": 4, "clock_mhz": 5}, "name": "x"}
    assert merge(base, {"pe_array": {"kind": "other", "lanes": 2}})["pe_array"] == {
        "kind": "other",
        "lanes": 2,
        "clock_mhz": 5,
    }
    assert merge(base, {"pe_array": {"kind": "systolic", "rows": 2}})["pe_array"]["clock_mhz"] == 5
    assert merge(base, {"pe_array": {"rows": 2}})["pe_array"] == {"kind": "systolic", "rows": 2, "clock_mhz": 5}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("", "--set: '': not accepted; allowed: key.key=value"),
        ("pe_array.rows", "--set: 'pe_array.rows': not accepted; allowed: key.key=value"),
        ("=3", "--set: '=3': not accepted"),
        ("pe_array..rows=3", "--set: 'pe_array..rows=3': not accepted"),
        ("pe_array.rows=[", "--set pe_array.rows: line 2, column 1: not valid YAML"),
        ("pe_array.rows={a: 1, a: 2}", "--set pe_array.rows: line 1, column 8: not valid YAML: duplicate key 'a'"),
        ("pe_array.rows.deep=3", "--set: pe_array.rows: is no group of keys, so it has no 'deep'"),
        ("name.first=3", "--set: name: is no group of keys, so it has no 'first'"),
        ("pe_array.moons=4", "eyeriss with --set: pe_array.moons: unknown key; allowed: one of clock_mhz, cols,"),
        ("moons.phase=4", "eyeriss with --set: moons: unknown key; allowed: one of control, description, dma, dram,"),
        ("extends=tpu_v1", "eyeriss with --set: extends: unknown key"),
        ("pe_array=3", "pe_array = 3: not accepted; allowed: a mapping of keys to values"),
        ("pe_array.rows=", "eyeriss with --set: pe_array.rows: has no value; allowed: a whole number"),
        ("pe_array.rows=null", "pe_array.rows: has no value; allowed: a whole number"),
        ("pe_array.rows='4'", "pe_array.rows = '4': not accepted; allowed: a whole number"),
        ("pe_array.rows=4.0", "pe_array.rows = 4.0: not accepted; allowed: a whole number"),
        ("pe_array.rows=true", "pe_array.rows = True: not accepted; allowed: a whole number"),
        ("pe_array.rows=[4]", "pe_array.rows = [4]: not accepted; allowed: a whole number"),
        ("pe_array=null", "eyeriss with --set: pe_array: is missing"),
        ("description=2020-01-01", "description = datetime.date(2020, 1, 1): is a date; allowed: a number, a text in"),
        ("dram.partitions.0.name=a", "dram.partitions = {'0': {'name': 'a'}}: not accepted; allowed: a list"),
    ],
)
def test_overrides_that_are_refused(override: str, expected: str) -> None:
    assert expected in message_of("eyeriss", override)


def test_merging_leaves_its_arguments_alone() -> None:
    base: dict[str, Any] = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": {"g": 3}}
    changes = {"a": {"c": {"d": 5}}, "e": [3], "f": None, "h": None}
    assert merge(base, changes) == {"a": {"b": 1, "c": {"d": 5}}, "e": [3], "h": None}
    assert apply_overrides(base, ["a.c.d=7"])["a"]["c"]["d"] == 7
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": {"g": 3}}


# -- hash and resolved config ------------------------------------------------------------------------------------------


def test_the_hash_is_the_same_in_every_process_and_for_every_spelling(tmp_path: Path) -> None:
    config = load_hardware("systolic_32x32")
    turned = dict(reversed(list(config.resolved().items())))
    assert load_hardware(write(tmp_path / "turned.yaml", turned)).content_hash == config.content_hash
    assert load_hardware("systolic_32x32", ["pe_array.clock_mhz=1000.0"]).content_hash == config.content_hash
    assert len(config.content_hash) == 16
    assert int(config.content_hash, 16) > 0


@pytest.mark.parametrize("text", ["name=other", "description=other", "sources.pe_array=other", "sources={}"])
def test_texts_do_not_change_the_hash(text: str) -> None:
    assert load_hardware("eyeriss", [text]).content_hash == load_hardware("eyeriss").content_hash


def test_every_number_changes_the_hash() -> None:
    config = load_hardware("edge_16x16")
    changes = [
        "pe_array.rows=13",
        "pe_array.cols=13",
        "pe_array.dataflow=OS",
        "pe_array.clock_mhz=201",
        "vector_unit.lanes=15",
        "pe_array.operand_bits=9",
        "precision.ifmap_bits=7",
        "precision.weight_bits=7",
        "precision.ofmap_bits=7",
        "precision.psum_bits=31",
        "sram.scratchpad.capacity_kib=109",
        "sram.scratchpad.double_buffer=false",
        "dram.kind=ideal",
        "dram.device=DDR4_2400R_8Gb_x8",
        "dram.channels=2",
        "dram.ranks=2",
        "dram.refresh_rate=2",
        "dram.read_queue_entries=31",
        "dram.write_queue_entries=31",
        "dram.write_drain_high=0.7",
        "dram.row_hit_limit=5",
        "dram.write_drain_low=0.1",
        "dram.ideal_latency_ns=1.5",
        "dram.voltage_exponents.read=2.0",
        "dram.partitions=[{name: a}]",
        "mapping.objective=dram_traffic",
        "mapping.keep_on_chip=false",
        "energy.table=65nm",
        "mapping.layers={c1: {order: mnk, m: 1, n: 1, k: 1}}",
    ]
    hashes = {load_hardware("edge_16x16", [change]).content_hash for change in changes}
    assert len(hashes | {config.content_hash}) == len(changes) + 1


@pytest.mark.parametrize("name", MACHINES)
def test_the_resolved_config_loads_to_the_same(name: str, tmp_path: Path) -> None:
    config = load_hardware(name)
    again = load_hardware(write(tmp_path / "config.resolved.yaml", config.resolved()))
    assert again == config
    assert again.content_hash == config.content_hash


def test_the_config_that_a_run_leaves_gives_the_same_run(tmp_path: Path) -> None:
    first = tmp_path / "first"
    assert run_command(["run", "edge_16x16", "lenet5", "--set", "pe_array.rows=8", "--out", str(first)]) == 0
    again = tmp_path / "again"
    assert run_command(["run", str(first / "config.resolved.yaml"), "lenet5", "--out", str(again)]) == 0
    assert (again / "result.json").read_bytes() == (first / "result.json").read_bytes()
