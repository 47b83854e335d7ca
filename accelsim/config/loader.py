"""Loads hardware configs: a preset by name or a file, `extends`, overrides, then the checked record."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.config.model import validate
from accelsim.config.pe_array import DEFAULT_KIND, PeArrayConfig
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError, InputError
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping, parse_yaml, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Preset:
    """A config that ships with accelsim."""

    name: str
    description: str
    path: Path


def list_presets(role: str) -> list[Preset]:
    """List the presets of a role: ``accelerators``, ``dram`` or ``energy``."""
    folder = resource_folder("hw_configs") / role
    presets = []
    for path in sorted(folder.glob("*.yaml")):
        description = load_mapping(path, ConfigError).get("description", "")
        presets.append(Preset(path.stem, " ".join(str(description).split()), path))
    return presets


def find_preset(role: str, source: str | Path, key: str | None = None, where: object = None) -> Path:
    """Find a config file by preset name or path.

    Parameters
    ----------
    role
        ``accelerators``, ``dram`` or ``energy``.
    source
        Name of a preset, or a path (anything with a ``/`` or a YAML suffix).
    key
        Key that holds `source`, for messages.
    where
        File that holds `key`, for messages.

    Raises
    ------
    ConfigError
        When there is neither such a preset nor such a file.
    """
    text = str(source)
    if isinstance(source, Path) or "/" in text or text.endswith(_SUFFIXES):
        return Path(source)
    known = {preset.stem: preset for preset in sorted((resource_folder("hw_configs") / role).glob("*.yaml"))}
    if text in known:
        return known[text]
    near = difflib.get_close_matches(text.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"is no preset and no file ({hint}see `accelsim list {_LISTED_AS[role]}`)",
        where=where,
        key=key or "hardware",
        value=text,
        allowed=", ".join(known),
    )


_LISTED_AS = {"accelerators": "hardware", "dram": "dram", "energy": "energy"}


def load_hardware(source: str | Path | HardwareConfig, overrides: Sequence[str] = ()) -> HardwareConfig:
    """Load, extend, override and check a hardware config.

    Parameters
    ----------
    source
        Preset name, path of a YAML file, or a config, to which the overrides are then applied.
    overrides
        Texts ``a.b=value`` with a YAML value, applied in order.

    Raises
    ------
    ConfigError
        When anything in the file or an override is not accepted.
    """
    if isinstance(source, HardwareConfig):
        if not overrides:
            return source
        data = source.resolved()
    else:
        path = find_preset("accelerators", source)
        data = _load_extended(path, ())
        data.setdefault("name", path.stem)
    data = apply_overrides(data, overrides)
    return validate(HardwareConfig, data, origin(source, overrides), ConfigError)


def origin(source: str | Path | HardwareConfig, overrides: Sequence[str] = ()) -> str:
    """Name the place that a config came from, for messages."""
    name = source.name if isinstance(source, HardwareConfig) else str(source)
    return f"{name} with --set" if overrides else name


@contextmanager
def seen_from(place: str, section: str = "", name: str | None = None) -> Iterator[None]:
    """Make errors that name no file name `place`, the config that led to them, and its `section`.

    One that names only the machine, which the config calls `name`, counts as such.
    """
    try:
        yield
    except InputError as error:
        raise error.seen_from(place, section, name) from None


def _load_extended(path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
    data = load_mapping(path, ConfigError)
    resolved = path.resolve()
    if resolved in below:
        chain = " -> ".join(file.name for file in (*below, resolved))
        raise ConfigError("extends itself", where=path, key="extends", value=chain)
    _name_files_beside(path, data)
    parent = data.pop("extends", None)
    if parent is None:
        return data
    if not isinstance(parent, str):
        raise ConfigError("not accepted", where=path, key="extends", value=parent, allowed="a preset name or a path")
    found = find_preset("accelerators", parent, "extends", path)
    if found == Path(parent):  # a path, which counts from the file that it stands in
        found = path.parent / found
        if not found.exists():
            raise ConfigError("no such file", where=path, key="extends", value=parent)
    return merge(_load_extended(found, (*below, resolved)), data)


_FILES = (("dram", "device"), ("dram", "bit_errors", "table"), ("energy", "table"))
"""Keys that hold a preset or a path."""


def _name_files_beside(path: Path, data: dict[str, Any]) -> None:
    """Make relative paths inside a config count from its own folder, not from where the program was started."""
    for *sections, key in _FILES:
        holder = _value_at(data, sections)
        value = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and isinstance(value, str) and value.endswith(_SUFFIXES):
            holder[key] = str(path.parent / value)


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay `changes` over `base`: mappings are merged key by key, a null takes one away, anything else is replaced.

    An array of another kind keeps of the one before only the keys that every kind has.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if key == "pe_array" and isinstance(old, dict) and isinstance(value, dict):
            old = _of_any_kind(old, value.get("kind"))
        if isinstance(old, dict) and value is None:
            del merged[key]
        else:
            merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _of_any_kind(array: dict[str, Any], kind: object) -> dict[str, Any]:
    """Keys of an array that one of kind `kind` takes over: all where it is of the same kind."""
    if kind in (None, array.get("kind", DEFAULT_KIND)):
        return array
    return {key: value for key, value in array.items() if key in PeArrayConfig.model_fields}


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply texts of the form ``a.b=value``.

    Raises
    ------
    ConfigError
        When a text has no ``=``, its value is no YAML, or its path leads through something that is no mapping.
    """
    for text in overrides:
        path, separator, value = text.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys):
            raise ConfigError("not accepted", where="--set", value=text, allowed="key.key=value")
        change: Any = parse_yaml(value, f"--set {path}", ConfigError)
        for depth, key in enumerate(keys):
            holder = _value_at(data, keys[:depth])
            if depth and not isinstance(holder, dict | None):
                raise ConfigError(
                    f"is no group of keys, so it has no {key!r}", where="--set", key=".".join(keys[:depth])
                )
        for key in reversed(keys):
            change = {key: change}
        data = merge(data, change)
    return data


def _value_at(data: dict[str, Any], keys: list[str]) -> object:
    value: object = data
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def preset_text(path: Path) -> str:
    """Text of a preset, for `accelsim show`."""
    return read_text(path, ConfigError)
