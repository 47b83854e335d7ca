"""Expressions over dotted names, as a space file writes them: ``pe_array.rows * pe_array.cols <= 4096``.

They are parsed by Python's own parser and walked here over a short list of node types; nothing is ever executed.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"""("[^"]*"|'[^']*')|([A-Za-z_]\w*(?:\.\w+)*)""")
_WORDS = {"and", "or", "not", "in", "True", "False", "None", "true", "false", "null"}
_YAML_WORDS = {"true": "True", "false": "False", "null": "None"}
_LARGEST = 1e300
_LONGEST = 2_000

_ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, options: value in options,
    ast.NotIn: lambda value, options: value not in options,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
}
_ALLOWED = (
    "dotted names, numbers, texts, lists, + - * / // % **, < <= > >= == !=, in, and, or, not, "
    f"and the functions {', '.join(_FUNCTIONS)}"
)


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Parameters
    ----------
    text
        As the user wrote it.
    names
        Dotted names that it reads, in order of appearance.
    where, key
        File and key that it stands in, for messages.
    """

    text: str
    names: tuple[str, ...]
    where: object
    key: str
    _tree: ast.expr = field(repr=False, compare=False)
    _aliases: Mapping[str, str] = field(repr=False, compare=False)

    def value(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an expression has any value
        """Evaluate.

        Raises
        ------
        ConfigError
            When the values do not suit the operators: a text times a number, a division by zero.
        """
        try:
            return _evaluate(self._tree, {alias: values[name] for alias, name in self._aliases.items()})
        except (TypeError, ValueError, ArithmeticError) as problem:
            shown = ", ".join(f"{name} = {values[name]!r}" for name in self.names)
            problem_text = f"cannot be computed{' with ' if shown else ''}{shown}: {problem}"
            raise ConfigError(problem_text, where=self.where, key=self.key, value=self.text) from None

    def violation(self, values: Mapping[str, Any]) -> float:
        """How far a condition is from being met; zero where it is met.

        The difference of the two sides where the expression compares numbers by order, else 1.

        Raises
        ------
        ConfigError
            When the expression cannot be computed.
        """
        if self.value(values):
            return 0.0
        tree = self._tree
        if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], _ORDERS):
            bound = {alias: values[name] for alias, name in self._aliases.items()}
            left, right = _evaluate(tree.left, bound), _evaluate(tree.comparators[0], bound)
            distance = abs(float(left) - float(right))
            return distance if 0 < distance < math.inf else 1.0
        return 1.0


_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def parse_expression(text: object, where: object, key: str) -> Expression:
    """Parse an expression.

    Parameters
    ----------
    text
        What the user wrote; a plain number counts as an expression.
    where, key
        File and key that it stands in.

    Raises
    ------
    ConfigError
        When it is no expression, or uses anything that is not on the list.
    """
    if not isinstance(text, str | int | float) or isinstance(text, bool) or not str(text).strip():
        raise ConfigError("is no expression", where=where, key=key, value=text, allowed=_ALLOWED)
    source = str(text).strip()
    if len(source) > _LONGEST:
        raise ConfigError(f"is longer than {_LONGEST} letters", where=where, key=key, value=source)
    aliases: dict[str, str] = {}

    def alias(token: re.Match[str]) -> str:
        quoted, name = token.group(1), token.group(2)
        if quoted or name in _WORDS or name in _FUNCTIONS or _ends_a_number(source, token.start()):
            return _YAML_WORDS.get(token.group(), token.group())
        found = next((short for short, known in aliases.items() if known == name), f"_name{len(aliases)}")
        aliases[found] = name
        return found

    try:
        tree = ast.parse(_TOKEN.sub(alias, source), mode="eval").body
        _check(tree)
    except (SyntaxError, RecursionError, MemoryError) as problem:
        reason = problem.msg if isinstance(problem, SyntaxError) else "it is nested too deeply"
        raise ConfigError(
            f"is no expression ({reason})", where=where, key=key, value=source, allowed=_ALLOWED
        ) from None
    return Expression(source, tuple(aliases.values()), where, key, tree, aliases)


def _ends_a_number(source: str, position: int) -> bool:
    """Whether letters belong to the digits before them, as in 1e3."""
    return position > 0 and (source[position - 1].isalnum() or source[position - 1] == ".")


def _check(tree: ast.expr) -> None:
    """Refuse every node that is not on the list."""
    for node in ast.walk(tree):
        known = isinstance(
            node,
            ast.BoolOp | ast.And | ast.Or | ast.UnaryOp | ast.Not | ast.USub | ast.UAdd | ast.BinOp | ast.Compare
            | ast.Name | ast.Load | ast.Tuple | ast.List,
        )  # fmt: skip
        known = known or type(node) in _ARITHMETIC or type(node) in _COMPARISONS
        known = known or (isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None))
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
        if not known:
            word = type(node).__name__.lower()
            raise SyntaxError(f"{word} is not among what it may hold")


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one case per node
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return values[node.id] if node.id in values else _FUNCTIONS[node.id]
        case ast.Tuple() | ast.List():
            return [_evaluate(entry, values) for entry in node.elts]
        case ast.BoolOp(op=ast.And()):
            return all(_evaluate(entry, values) for entry in node.values)
        case ast.BoolOp():
            return any(_evaluate(entry, values) for entry in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return not _evaluate(node.operand, values)
        case ast.UnaryOp():
            value = _evaluate(node.operand, values)
            return -value if isinstance(node.op, ast.USub) else +value
        case ast.BinOp():
            return _arithmetic(node, values)
        case ast.Compare():
            return _compare(node, values)
        case ast.Call():
            return _evaluate(node.func, values)(*(_evaluate(entry, values) for entry in node.args))
    raise TypeError(type(node).__name__)


def _arithmetic(node: ast.BinOp, values: Mapping[str, Any]) -> float:
    """Combine two numbers; large powers go through floats, so that no expression takes long or much memory."""
    left, right = _evaluate(node.left, values), _evaluate(node.right, values)
    for value in (left, right):
        if not isinstance(value, int | float):
            message = f"{value!r} is no number"
            raise TypeError(message)
    if isinstance(node.op, ast.Pow) and (abs(right) > 64 or abs(left) > 1e6):
        left, right = float(left), float(right)
    result: float = _ARITHMETIC[type(node.op)](left, right)
    if isinstance(result, complex) or abs(result) > _LARGEST:
        raise OverflowError("the result is out of range")
    return result


def _compare(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    left = _evaluate(node.left, values)
    for comparison, right_node in zip(node.ops, node.comparators, strict=True):
        right = _evaluate(right_node, values)
        if not _COMPARISONS[type(comparison)](left, right):
            return False
        left = right
    return True
