from __future__ import annotations

import pytest

from accelsim.errors import ConfigError
from accelsim.explore.expression import parse_expression


def value(text: str, **values: object) -> object:
    return parse_expression(text, "file", "key").value({name.replace("__", "."): v for name, v in values.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.rows * a.cols", 12),
        ("a.rows * a.cols <= 12 and not a.cols > 4", True),
        ("2 ** 3 + 7 // 2 - 7 % 4", 8),
        ("min(a.rows, 2) + max(a.rows, 2) + abs(-1) + ceil(1.5) + log2(8)", 11),
        ("a.name in ['x', \"DDR4_2400R.y\"]", True),
        ("a.name == 'DDR4_2400R.y'", True),
        ("1 < a.rows < 4", True),
        ("a.name not in ('x',) or false", True),
        ("a.parts.0.volt >= 1e0", True),
        ("a.none == null", True),
    ],
)
def test_expressions_have_the_values_of_python(text: str, expected: object) -> None:
    found = value(text, a__rows=3, a__cols=4, a__name="DDR4_2400R.y", a__parts__0__volt=1.2, a__none=None)
    assert found == expected


def test_names_are_told_once_each_in_order() -> None:
    assert parse_expression("b.c + a - b.c * max(d, 1)", "file", "key").names == ("b.c", "a", "d")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "open('x')", "a.rows.__class__()", "[x for x in a]", "lambda: 1", "a[0]",
        "a if b else c", "{'a': 1}", "f'{a}'", "a := 3", "a.rows(", "", "max(*a)", "max(a, key=b)",
        "(" * 300 + ")" * 300,
        "x" * 3000,
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expression(text, "file", "key")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("file: key")


@pytest.mark.parametrize("text", ["a / 0", "a * 'b'", "a ** 1e9", "10 ** 10 ** 10", "-'a'", "a < 'b'", "log2(0)"])
def test_what_cannot_be_computed_is_told_with_its_values(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be computed"):
        value(text, a=7)


def test_a_condition_tells_how_far_it_is_from_being_met() -> None:
    assert parse_expression("a <= 5", "file", "key").violation({"a": 5}) == 0
    assert parse_expression("a <= 5", "file", "key").violation({"a": 8}) == 3
    assert parse_expression("a > 5", "file", "key").violation({"a": 5}) == 1.0  # met by no distance, yet not met
    assert parse_expression("a <= 5 and b", "file", "key").violation({"a": 8, "b": True}) == 1.0
    assert parse_expression("a == 'x'", "file", "key").violation({"a": "y"}) == 1.0
