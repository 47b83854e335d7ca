"""The base of all config records, and the one place that turns a validation failure into a message for a user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from accelsim.errors import InputError


class Record(BaseModel):
    """A frozen record that refuses unknown keys, values of another type, NaN and infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


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
    try:
        text = json.dumps(data, default=_refuse)
    except (TypeError, ValueError, RecursionError) as problem:
        raise error(str(problem), where=where) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as problem:
        details = sorted(problem.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
        raise _as_input_error(details[0], model, where, error) from None


def _refuse(value: object) -> object:
    message = f"value {value} of type {type(value).__name__} is no number, text, list or mapping"
    raise TypeError(message)


def _as_input_error(detail: ErrorDetails, model: type[Record], where: object, error: type[InputError]) -> InputError:
    path = [part for part in detail["loc"] if not (isinstance(part, str) and "[" in part)]
    key = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        owner = _record_at(model, path[:-1])
        allowed = "one of " + ", ".join(sorted(owner.model_fields)) if owner else None
        return error("unknown key", where=where, key=key, allowed=allowed)
    if detail["type"] == "missing":
        return error("is missing", where=where, key=key)
    problem = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    value = detail["input"] if detail["loc"] else ...
    if detail["msg"].startswith("Input should be "):
        return error("not accepted", where=where, key=key, value=value, allowed=problem)
    return error(problem, where=where, key=key or None, value=... if isinstance(value, dict) else value)


def _record_at(model: type[Record], path: list[int | str]) -> type[Record] | None:
    """Find the class of the nested record that `path` leads to; None behind unions and lists of several kinds."""
    current: type[Record] | None = model
    for part in path:
        field = current.model_fields.get(str(part)) if current else None
        if field is None:
            candidates: list[type[Record]] = []
        else:
            candidates = [kind for kind in _records_in(field.annotation)]
        if field is None and current is not None:
            continue  # a key of a mapping of records: stay with the record found last
        current = candidates[0] if len(candidates) == 1 else None
    return current


def _records_in(annotation: object) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for argument in getattr(annotation, "__args__", ()) for record in _records_in(argument)]
