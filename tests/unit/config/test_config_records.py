"""Records of a config are frozen and strict, and their refusals read well."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import Field, ValidationError

from accelsim.config.loader import load_hardware
from accelsim.config.model import Record, validate
from accelsim.config.schema import MOST_BUFFERS, HardwareConfig
from accelsim.errors import ConfigError
from accelsim.mapping import tiling_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator


class Leaf(Record):
    size: int
    share: float = 1.0


class Tree(Record):
    name: str
    leaf: Leaf
    leaves: dict[str, Leaf] = Field(default_factory=dict)
    row: tuple[Leaf, ...] = ()
    bound: float | tuple[float, float] | Leaf = 0.0
    rate: Annotated[float, Field(le=1)] | dict[str, float] = 1.0


WHOLE: dict[str, Any] = {"name": "a", "leaf": {"size": 1}}


def message_of(data: dict[str, Any], model: type[Record] = Tree) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(model, data, "here", ConfigError)
    return str(caught.value)


def records(record: Record) -> Iterator[Record]:
    yield record
    for value in (getattr(record, name) for name in type(record).model_fields):
        if isinstance(value, Record):
            yield from records(value)
        for entry in value.values() if isinstance(value, dict) else ():
            if isinstance(entry, Record):
                yield from records(entry)


def test_every_record_of_a_machine_is_frozen() -> None:
    found = list(records(load_hardware("systolic_32x32")))
    assert len(found) > 8
    for record in found:
        for name in type(record).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(record, name, getattr(record, name))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"name": "a"}, "here: leaf: is missing; allowed: a mapping of keys to values"),
        ({"name": "a", "leaf": None}, "here: leaf: has no value; allowed: a mapping of keys to values"),
        ({"name": "a", "leaf": {"size": 1, "sise": 1}}, "here: leaf.sise: unknown key; allowed: one of share, size"),
        ({"name": "a", "leaf": {"sise": 1}}, "here: leaf.sise: unknown key; allowed: one of share, size"),
        (
            {"name": "a", "leaf": {"size": 1}, "leaves": {"x": {"z": 1}}},
            "here: leaves.x.z: unknown key; allowed: one of",
        ),
        (
            {"name": "a", "leaf": {"size": 1}, "row": [{"size": 1}, 3]},
            "here: row.1 = 3: not accepted; allowed: a mapping",
        ),
        ({"name": "a", "leaf": {"size": 1}, "row": {}}, "here: row = {}: not accepted; allowed: a list"),
        ({"name": 1, "leaf": {"size": 1}}, "here: name = 1: not accepted; allowed: text"),
        ({"name": "a", "leaf": {"size": "1"}}, "here: leaf.size = '1': not accepted; allowed: a whole number"),
        ({"name": "a", "leaf": {"size": 1.5}}, "here: leaf.size = 1.5: not accepted; allowed: a whole number"),
        ({"name": "a", "leaf": {"size": True}}, "here: leaf.size = True: not accepted; allowed: a whole number"),
        ({"name": "a", "leaf": {"size": 1, "share": "b"}}, "here: leaf.share = 'b': not accepted; allowed: a number"),
        ({**WHOLE, "rate": 1.5}, "here: rate = 1.5: not accepted; allowed: less than or equal to 1"),
        ({**WHOLE, "rate": "b"}, "here: rate = 'b': not accepted; allowed: a number or a mapping of keys to values"),
        ({**WHOLE, "rate": {"x": "b"}}, "here: rate.x = 'b': not accepted; allowed: a number"),
        ({**WHOLE, "bound": [1, "b"]}, "here: bound.1 = 'b': not accepted; allowed: a number"),
        ({**WHOLE, "bound": [1, 2, 3]}, "here: bound: has 3 entries; allowed: at most 2"),
        ({**WHOLE, "bound": {"size": "b"}}, "here: bound.size = 'b': not accepted; allowed: a whole number"),
        ({**WHOLE, "bound": {"sise": 1}}, "here: bound.sise: unknown key; allowed: one of share, size"),
        ({**WHOLE, "bound": {}}, "here: bound.size: is missing; allowed: a whole number"),
        (
            {**WHOLE, "bound": "b"},
            "here: bound = 'b': not accepted; allowed: a number or a list or a mapping of keys to values",
        ),
        (
            {"name": "a", "leaf": {"size": 1, "share": math.nan}},
            "leaf.share = nan: not accepted; allowed: a finite number",
        ),
        ({"name": "a", "leaf": {"size": 1, "share": -math.inf}}, "leaf.share = -inf: not accepted; allowed: a finite"),
        (
            {"name": "a", "leaf": {"size": {1, 2}}},
            "here: leaf.size = {1, 2}: is a set; allowed: a number, a text in quotes",
        ),
        ({"name": b"a", "leaf": {"size": 1}}, "here: name = b'a': is a bytes"),
        (
            {"name": datetime.date(2020, 1, 2), "leaf": {}},
            "here: name = datetime.date(2020, 1, 2): is a date; allowed:",
        ),
    ],
)
def test_refusals_name_key_value_and_what_is_allowed(data: dict[str, Any], expected: str) -> None:
    assert message_of(data).startswith(expected) or expected in message_of(data)


def test_a_value_nested_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert message_of({"name": deep, "leaf": {"size": 1}}) == "here: is nested too deeply"


def test_whole_numbers_are_taken_for_numbers() -> None:
    assert validate(Leaf, {"size": 1, "share": 2}, "here", ConfigError).share == 2.0


def test_a_machine_has_as_many_buffers_as_the_search_has_room_for() -> None:
    assert MOST_BUFFERS == tiling_kernel.MOST_BUFFERS
    data = load_hardware("systolic_32x32").resolved()
    data["sram"] = {f"b{index}": {"capacity_kib": 1, "operands": ["ifmap"]} for index in range(MOST_BUFFERS + 1)}
    assert message_of(data, HardwareConfig) == "here: sram: has 9 entries; allowed: at most 8"
