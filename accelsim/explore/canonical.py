"""A text for a record that is the same for equal records only, in every process: entries of the cache go by it."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoTextError(Exception):
    """A record holds something whose equality no text can stand for, or code that is not accelsim's own."""


def canonical_text(value: Any) -> str:  # noqa: ANN401 - records hold anything
    """Write a record out.

    Parameters
    ----------
    value
        Frozen dataclasses of accelsim, sequences, mappings, sets, arrays and scalars, nested. Fields that do not take
        part in comparisons are left out.

    Raises
    ------
    NoTextError
        When anything else is in it.
    """
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return repr(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    if is_dataclass(value) and type(value).__module__.startswith("accelsim."):
        parts = [
            f"{entry.name}={canonical_text(getattr(value, entry.name))}" for entry in fields(value) if entry.compare
        ]
        return f"{type(value).__module__}.{type(value).__qualname__}({','.join(parts)})"
    return _collection_text(value)


def _collection_text(value: Any) -> str:  # noqa: ANN401 - as above
    if isinstance(value, tuple | list):
        return f"[{','.join(canonical_text(entry) for entry in value)}]"
    if isinstance(value, set | frozenset):
        return f"{{{','.join(sorted(canonical_text(entry) for entry in value))}}}"
    if isinstance(value, dict):
        entries: Mapping[Any, Any] = value
        return f"{{{','.join(sorted(f'{canonical_text(key)}:{canonical_text(entries[key])}' for key in entries))}}}"
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array({value.dtype.str},{value.shape},{content})"
    raise NoTextError(type(value).__qualname__)
