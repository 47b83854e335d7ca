"""The base of all config records, and the one place that turns a validation failure into a message for a user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from accelsim.errors import InputError


class Record(BaseModel):
    """A frozen record that refuses unknown keys, values of another type, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def kind_of(cls, data: object) -> type[Record]:  # noqa: ARG003 - for records that come in kinds
        """Class that checks `data`: this one, or one derived from it where it stands for several kinds."""
        return cls


_Model = TypeVar("_Model", bound=Record)


def validate(model: type[_Model], data: Mapping[str, Any], where: object, error: type[InputError]) -> _Model:
    """Build a record from plain data, as YAML or JSON gives it.

    Parameters
    ----------
    model
        Class of the record.
    data
        Nested mappings, lists and scalars.
    where
        File or preset that the data came from, for messages.
    error
        Class of the error to raise.

    Raises
    ------
    InputError
        Of class `error`; names the first offending key, its value and what is allowed.
    """
    odd = _odd_value(data)
    if odd is not None:
        key, value = odd
        raise error(f"is a {type(value).__name__}", where=where, key=key, value=value, allowed=_PLAIN)
    try:
        text = json.dumps(data)
    except RecursionError:
        raise error("is nested too deeply", where=where) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as problem:
        raise _as_input_error(problem.errors(), model, data, where, error) from None


_PLAIN = "a number, a text in quotes, true or false, a list or a mapping"


def _odd_value(data: Mapping[str, Any]) -> tuple[str, object] | None:
    """Find what YAML makes of a date or of a tag such as ``!!binary``, with the dotted key it stands under."""
    waiting: list[tuple[str, object]] = [("", data)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(f"{key}.{name}".removeprefix("."), entry) for name, entry in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{key}.{index}", entry) for index, entry in enumerate(value)]
        elif not isinstance(value, str | int | float | bool | None):
            return key, value
    return None


_EXPECTED = {
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "list_type": "a list",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "string_too_short": "at least {min_length} letter",
}
"""What is allowed, by pydantic's type of error, where pydantic's own words are those of another language."""


def _as_input_error(
    details: list[ErrorDetails], model: type[Record], data: object, where: object, error: type[InputError]
) -> InputError:
    path, alternatives = _told_first(details, data)
    detail = next((entry for entry in alternatives if not entry["type"].endswith("_type")), alternatives[0])
    key = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        owner = _record_at(model, data, path[:-1])
        allowed = "one of " + ", ".join(sorted(owner.model_fields)) if owner else None
        return error("unknown key", where=where, key=key, allowed=allowed)
    if detail["type"] == "missing":
        owner = _record_at(model, data, path[:-1])
        field = owner.model_fields.get(str(path[-1])) if owner else None
        return error("is missing", where=where, key=key, allowed=field and _words_for(field.annotation))
    alike = alternatives if detail["type"].endswith("_type") else [detail]
    words = " or ".join(dict.fromkeys(_words_of(entry) for entry in alike))
    if words and detail["input"] is None:
        return error("has no value", where=where, key=key, allowed=words)
    if detail["type"] in {"too_short", "too_long"}:
        return error(f"has {len(detail['input'])} entries", where=where, key=key, allowed=words)
    value = detail["input"] if detail["loc"] else ...
    if words:
        return error("not accepted", where=where, key=key, value=value, allowed=words)
    problem = detail["msg"].removeprefix("Value error, ")
    return error(problem, where=where, key=key or None, value=... if isinstance(value, dict) else value)


def _told_first(details: list[ErrorDetails], data: object) -> tuple[list[int | str], list[ErrorDetails]]:
    """The place that is told of, and what is wrong there.

    Unknown keys go first, for they may be why others are missing. Where a key takes values of several kinds, each kind
    has an error of its own: the one that got farthest is told, those that got equally far together.
    """
    paths = [_path_in(data, entry) for entry in details]
    unknown = [path for path, entry in zip(paths, details, strict=True) if entry["type"] == "extra_forbidden"]
    first = (unknown or paths)[0]
    path = max((path for path in paths if path[: len(first)] == first), key=len)
    return path, [entry for known, entry in zip(paths, details, strict=True) if known == path]


def _path_in(data: object, detail: ErrorDetails) -> list[int | str]:
    """Keys and places in lists that lead to an error, without the kinds of values that pydantic tried on the way."""
    path: list[int | str] = []
    for part in detail["loc"]:
        is_place = isinstance(data, list | tuple) and isinstance(part, int)
        if is_place or (isinstance(data, Mapping) and part in data):
            data = data[part]  # type: ignore[index]
            path.append(part)
    return [*path, detail["loc"][-1]] if detail["type"] == "missing" else path


def _words_of(detail: ErrorDetails) -> str:
    """Say what would have been accepted; nothing where pydantic does not."""
    words = _EXPECTED.get(detail["type"], "").format(**detail.get("ctx", {}))
    if not words and detail["msg"].startswith("Input should be "):
        words = detail["msg"].removeprefix("Input should be ")
    return words


def _words_for(annotation: object) -> str | None:
    """Say what a key takes: values one by one where they are listed, else the kind of value."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return _EXPECTED["model_type"]
    if get_origin(annotation) is Literal:
        return ", ".join(str(value) for value in get_args(annotation))
    name = getattr(get_origin(annotation) or annotation, "__name__", "").replace("str", "string")
    return _EXPECTED.get(f"{name}_type")


def _record_at(model: type[Record], data: object, path: list[int | str]) -> type[Record] | None:
    """Find the class of the nested record that `path` leads to; None behind unions and lists of several kinds."""
    current: type[Record] | None = model
    for part in path:
        if isinstance(data, Mapping) or (isinstance(data, list | tuple) and isinstance(part, int)):
            data = data[part]  # type: ignore[index]
        field = current.model_fields.get(str(part)) if current else None
        if field is None:
            continue  # a key of a mapping of records, or a place in a list of them: stay with the record found last
        candidates = _records_in(field.annotation)
        current = candidates[0].kind_of(data) if len(candidates) == 1 else None
    return current


def _records_in(annotation: object) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for argument in getattr(annotation, "__args__", ()) for record in _records_in(argument)]
