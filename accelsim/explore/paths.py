"""Dotted paths into nested plain data; a number in a path counts into a list."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def flatten(data: object, prefix: str = "") -> dict[str, Any]:
    """Every scalar by its dotted path."""
    if isinstance(data, dict):
        entries = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, list):
        entries = [(str(index), value) for index, value in enumerate(data)]
    else:
        return {prefix: data}
    flat: dict[str, Any] = {}
    for key, value in entries:
        flat |= flatten(value, f"{prefix}.{key}".removeprefix("."))
    return flat


def value_at(data: object, path: str) -> Any:  # noqa: ANN401 - plain data holds any value
    """What stands under a path; None where there is nothing."""
    for key in path.split("."):
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        else:
            return None
    return data


def with_value(data: Any, path: str, value: object) -> Any:  # noqa: ANN401 - plain data holds any value
    """Copy of nested data with another value under a path; what the path does not touch is shared.

    Raises
    ------
    TypeError, IndexError
        When the path leads through a scalar, or beyond the end of a list.
    """
    key, _, rest = path.partition(".")
    if isinstance(data, list):
        if not key.isdecimal():
            raise TypeError(key)
        changed = list(data)
        changed[int(key)] = with_value(data[int(key)], rest, value) if rest else value
        return changed
    if data is not None and not isinstance(data, dict):
        raise TypeError(key)
    holder: dict[str, Any] = dict(data or {})
    holder[key] = with_value(holder.get(key), rest, value) if rest else value
    return holder


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most like `name`, also where only its last part is; None where none is."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if found:
        return found[0]
    tails: dict[str, str] = {}
    for entry in known:
        tails.setdefault(entry.rsplit(".", 1)[-1], entry)
    found = difflib.get_close_matches(name.rsplit(".", 1)[-1], tails, n=1, cutoff=0.7)
    return tails[found[0]] if found else None
