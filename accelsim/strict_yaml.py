"""Reads YAML the strict way: safe types only, no duplicate keys, every error one line that names the place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.errors import InputError

MAX_FILE_BYTES = 64 * 1024 * 1024


class _StrictLoader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Safe loader that refuses duplicate keys and aliases (a few lines of nested aliases can fill the memory)."""

    def get_single_node(self) -> yaml.Node | None:
        root: yaml.Node | None = super().get_single_node()
        seen: set[int] = set()
        waiting = [] if root is None else [root]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:  # what an alias names is there twice; LibYAML composes below any method of ours
                problem = "aliases (*name) are not accepted"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                waiting.extend(node.value)
            elif isinstance(node, yaml.MappingNode):
                waiting.extend(part for pair in node.value for part in pair)
        return root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - signature of PyYAML
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise yaml.constructor.ConstructorError(None, None, "keys have to be plain words", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_StrictLoader.add_implicit_resolver(  # YAML 1.1 takes 1e3 for text; everybody else takes it for a number
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_text(path: Path, error: type[InputError]) -> str:
    """Read a text file; anything that prevents it becomes one `error` that names the file."""
    try:
        if path.is_dir():
            raise error("is a directory, not a file", where=path)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise error("is larger than 64 MiB", where=path)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error("no such file", where=path) from None
    except UnicodeDecodeError:
        raise error("is not a text file in UTF-8", where=path) from None
    except ValueError:  # a null character in the name
        raise error("is no name of a file", where=path) from None
    except OSError as problem:
        raise error(f"cannot be read: {problem.strerror}", where=path) from None


def parse_yaml(text: str, where: object, error: type[InputError]) -> Any:  # noqa: ANN401 - a YAML document is any value
    """Parse one YAML document.

    Parameters
    ----------
    text
        The document.
    where
        Name of its origin, for messages.
    error
        Class of the error to raise.

    Raises
    ------
    InputError
        Of class `error`, naming line and column, when the text is no strict YAML.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - the loader derives from the safe one
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise error(f"not valid YAML: {problem.problem}", where=where, key=place) from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        if "integer string conversion" in reason:  # Python's words for it are about Python
            reason = "a number has more than 4300 digits"
        raise error(f"not valid YAML: {reason}", where=where) from None


def load_mapping(path: Path, error: type[InputError]) -> dict[str, Any]:
    """Load a YAML file whose top level has to be a mapping with text keys."""
    document = parse_yaml(read_text(path, error), path, error)
    if document is None:
        raise error("is empty", where=path, allowed="a mapping of keys to values")
    if not isinstance(document, dict):
        kind = {"list": "a list", "str": "text"}.get(type(document).__name__, f"the value {document}")
        raise error(f"holds {kind}, not a mapping of keys to values", where=path)
    for key in document:
        if not isinstance(key, str):
            raise error("key is not text", where=path, key=repr(key))
    return document
