"""Device files: every number has a source, timings come out in the cycles that others state, mistakes are named."""

from pathlib import Path
from typing import Any

import pytest

from accelsim.config.dram import DramConfig
from accelsim.errors import ConfigError
from accelsim.hardware.dram.device import list_devices, load_device
from accelsim.hardware.dram.tables import resolve
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping

FILES = sorted((resource_folder("hw_configs") / "dram").glob("*.yaml"))


def numeric_leaves(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [
            leaf for key, entry in value.items() for leaf in numeric_leaves(entry, f"{path}.{key}" if path else key)
        ]
    return [path] if isinstance(value, int | float) else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_number_has_a_source(path: Path) -> None:
    document = load_mapping(path, ConfigError)
    sources: dict[str, str] = document.pop("sources")
    leaves = numeric_leaves(document)

    assert leaves
    for leaf in leaves:
        assert any(leaf == key or leaf.startswith(f"{key}.") for key in sources), leaf
    for key, text in sources.items():
        assert any(leaf == key or leaf.startswith(f"{key}.") for leaf in leaves), f"{key} belongs to no number"
        assert "assumption" in text or any(
            word in text for word in ("JESD", "Ramulator", "DRAMsim3", "DRAM", "tREFI")
        ), key


def test_the_devices_of_the_contract_are_there() -> None:
    names = list_devices()
    for name in (
        "DDR3_1600K_4Gb_x8", "DDR3L_1600K_4Gb_x8", "DDR4_2133P_8Gb_x8", "DDR4_2400R_8Gb_x8", "LPDDR3_1600_4Gb_x32",
        "LPDDR4_3200_8Gb_x16", "GDDR5_6000_8Gb_x32", "HBM2_2000_8Gb_x128",
    ):  # fmt: skip
        assert name in names
        assert resolve(DramConfig(device=name)).capacity_bytes > 0


CYCLES = {  # Ramulator 2 timing presets, in cycles
    "DDR4_2400P_8Gb_x8": {"CL": 15, "RCD": 15, "RP": 15, "RC": 54},
    "DDR4_2400R_8Gb_x8": {
        "CL": 16, "CWL": 12, "RCD": 16, "RP": 16, "RAS": 39, "RC": 55, "BL": 4, "CCD_S": 4, "CCD_L": 6, "RRD_S": 4,
        "RRD_L": 6,
        "FAW": 26, "WR": 18, "RTP": 9, "WTR_S": 3, "WTR_L": 9, "RTRS": 2, "RFC": 433, "REFI": 9364,
    },
    "DDR4_2400U_8Gb_x8": {"CL": 17, "RCD": 17, "RP": 17, "RC": 56},
    "DDR4_2400T_8Gb_x8": {"CL": 18, "RCD": 18, "RP": 18, "RC": 57},
    "DDR4_2133N_8Gb_x8": {"CL": 14, "RCD": 14, "RP": 14, "RAS": 36, "RC": 50},
    "DDR4_2133P_8Gb_x8": {"CL": 15, "RCD": 15, "RP": 15, "CWL": 11, "RAS": 36, "WR": 16, "CCD_L": 6, "FAW": 23},
    "DDR4_2133R_8Gb_x8": {"CL": 16, "RCD": 16, "RP": 16, "RC": 52},
    "DDR3_1600H_4Gb_x8": {"CL": 9, "RCD": 9, "RP": 9, "RC": 37},
    "DDR3_1600K_4Gb_x8": {"CL": 11, "CWL": 8, "RCD": 11, "RC": 39, "RRD_S": 5, "FAW": 24, "RFC": 208, "REFI": 6240},
}  # fmt: skip


@pytest.mark.parametrize("device", CYCLES)
def test_picoseconds_become_the_cycles_of_the_standard(device: str) -> None:
    timings = resolve(DramConfig(device=device)).timings[0]
    assert {name: timings[name] for name in CYCLES[device]} == CYCLES[device]


def test_a_bin_can_be_named_apart_from_the_device() -> None:
    assert load_device("DDR4_2400_8Gb_x8", "P")[1] == "P"
    assert load_device("DDR4_2400_8Gb_x8")[1] == "R"
    assert load_device("DDR4_2400U_8Gb_x8")[1] == "U"


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"device": "DDR4_2400X_8Gb_x8"}, "device = 'DDR4_2400X_8Gb_x8'", "DDR4_2400R_8Gb_x8"),
    ({"device": "../etc/passwd"}, "no such DRAM device", "DDR4"),
    ({"device": "missing.yaml"}, "missing.yaml", "no such file"),
    ({"speed_bin": "Z"}, "speed_bin = 'Z'", "P, R, U, T"),
    ({"device": "HBM2_2000_8Gb_x128", "speed_bin": "A"}, "speed_bin", "no bins"),
    ({"refresh": "per_bank"}, "refresh = 'per_bank'", "all_bank"),
    ({"bus_width_bits": 12}, "bus_width_bits = 12", "multiple of 8"),
    ({"address_map": "RoBa"}, "address_map = 'RoBa'", "missing"),
    ({"address_map": "row bank"}, "address_map", "missing"),
    ({"address_map": "row row bank bank_group rank column channel"}, "address_map", "named twice"),
    ({"address_map": "row column:9 bank bank_group rank column channel"}, "address_map", "do not add up"),
    ({"address_map": "a b c"}, "address_map", "cannot read 'a'"),
    ({"partitions": [{"name": "p", "scope": {"bank": 16}}]}, "partitions.0.scope.bank = 16", "0 to 15"),
    (
        {"partitions": [{"name": "p", "scope": {"first_subarray": 0, "last_subarray": 128}}]},
        "partitions.0.scope.last_subarray = 128",
        "0 to 127",
    ),
]


@pytest.mark.parametrize(("settings", "names", "allows"), MISTAKES)
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(
    settings: dict[str, Any], names: str, allows: str
) -> None:
    import json

    with pytest.raises(ConfigError) as caught:
        resolve(DramConfig.model_validate_json(json.dumps(settings)))
    assert names in str(caught.value)
    assert allows in str(caught.value)
    assert "\n" not in str(caught.value)


REFUSED = [
    {"channels": 3},
    {"ranks": 0},
    {"write_drain_low": 0.9},
    {"refresh_rate": 3},
    {"partitions": [{"name": "a"}, {"name": "a"}]},
    {"partitions": [{"name": "a", "scope": {"first_subarray": 1}}]},
    {"partitions": [{"name": "a", "scope": {"first_subarray": 2, "last_subarray": 1}}]},
    {"page_policy": "ajar"},
    {"unknown": 1},
]


@pytest.mark.parametrize("settings", REFUSED, ids=str)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    import json

    with pytest.raises(ValueError, match=r"validation error"):
        DramConfig.model_validate_json(json.dumps(settings))


def test_a_device_file_of_ones_own(tmp_path: Path) -> None:
    text = FILES[[path.stem for path in FILES].index("HBM2_2000_8Gb_x128")].read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("CL: {cycles: 14}", "CL: {cycles: 20}"))

    assert resolve(DramConfig(device=str(path))).timings[0]["CL"] == 20

    path.write_text(text.replace("  CL: {cycles: 14}\n", ""))
    path = path.rename(tmp_path / "incomplete.yaml")
    with pytest.raises(ConfigError, match="timing CL is missing"):
        resolve(DramConfig(device=str(path)))
