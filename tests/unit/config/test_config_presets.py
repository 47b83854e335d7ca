"""Every preset that ships loads, and says of every number where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from accelsim.config.loader import list_presets, load_hardware
from accelsim.energy.table import load_energy_table
from accelsim.hardware.dram.device import list_devices, load_device
from accelsim.resources import resource_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = resource_folder("hw_configs")
FILES = sorted(path for role in ("accelerators", "dram", "energy") for path in (FOLDER / role).glob("*.yaml"))
MACHINES = [preset.name for preset in list_presets("accelerators")]


def numbers(data: object, key: str = "") -> Iterator[str]:
    """Dotted keys of all numbers in nested mappings and lists."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield from numbers(value, f"{key}.{name}".lstrip("."))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from numbers(value, f"{key}.{index}")
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield key


def covers(source: str, key: str) -> bool:
    return key == source or key.startswith(f"{source}.")


def uncovered(data: dict[str, Any], sources: dict[str, str]) -> list[str]:
    return [key for key in numbers(data) if not any(covers(source, key) for source in sources)]


def test_a_number_without_a_source_is_found() -> None:
    data = {"a": {"b": 1, "bc": 2.5}, "d": [{"e": 3}], "f": True, "g": "text"}
    assert uncovered(data, {"a.b": "x"}) == ["a.bc", "d.0.e"]
    assert uncovered(data, {"a": "x", "d": "y"}) == []


def test_all_presets_asked_for_are_there() -> None:
    assert set(MACHINES) >= {"systolic_32x32", "tpu_v1", "eyeriss", "edge_16x16", "scalesim_32x32"}
    assert {preset.name for preset in list_presets("energy")} >= {"45nm", "65nm", "28nm"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_number_has_a_source(path: Path) -> None:
    data = yaml.safe_load(path.read_text("utf-8"))
    sources = data.pop("sources")
    assert uncovered(data, sources) == []
    for key, citation in sources.items():
        # a citation names a year, a version, a standard or a part, and so has a digit in it
        assert "assumption" in citation or any(letter.isdigit() for letter in citation), key
        assert len(citation.split()) >= 2, key


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_source_speaks_of_something(path: Path) -> None:
    data = yaml.safe_load(path.read_text("utf-8"))
    sources = data.pop("sources")
    if path.parent.name == "accelerators":
        data = load_hardware(path).resolved()
    for source in sources:
        value: Any = data
        for key in source.split("."):
            assert key in value, source
            value = value[key]


@pytest.mark.parametrize("name", MACHINES)
def test_defaults_that_a_machine_takes_have_a_source_too(name: str) -> None:
    resolved = load_hardware(name).resolved()
    sources = resolved.pop("sources")
    assert uncovered(resolved, sources) == []


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_names_a_device_and_a_table_that_exist(name: str) -> None:
    config = load_hardware(name)
    device, _ = load_device(config.dram.device, config.dram.speed_bin)
    assert device.geometry.rows > 0
    assert load_energy_table(config.energy.table).node_nm > 0
    assert config.name == name
    assert config.description


def test_devices_of_all_bins_load() -> None:
    for name in list_devices():
        assert load_device(name)[0].description
