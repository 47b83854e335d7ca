"""Imports run one way through the package, inside functions as well as at the top of a module."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import pytest

import accelsim

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(accelsim.__file__).parent

LAYERS = (
    {"units", "errors", "jit", "resources", "atomic_file", "strict_yaml"},
    {"sample_result", "result"},
    {"config", "workload"},
    {"mapping"},
    {"hardware"},
    {"simulation"},
    {"energy", "numerics"},
    {
        "stage_figures",
        "run_profile",
        "accounting",
        "sample_figures",
        "row_figures",
        "samples",
        "budgets",
        "pipeline",
        "tolerance_result",
        "tolerate",
        "training",
        "arrays",
    },
    {"validation", "explore"},
    {"report"},
    {"cli", "__main__"},
)
"""Parts of the package from the lowest up; a part may import from those below, and, in no cycle, from its own layer."""

RANKS = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
ROOT_NAMES = {"__version__"}
"""What a module may take from the package itself, whose other names import everything."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(source: str, own: str) -> Iterator[tuple[str, int]]:
    """Parts of accelsim that a module imports, each with its line; a name of the package itself counts as ``*``."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [f"accelsim.{own}"]  # relative: only within its own part
        elif isinstance(node, ast.ImportFrom) and node.module == "accelsim":
            names = [f"accelsim.{alias.name}" for alias in node.names if alias.name not in ROOT_NAMES]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top, _, rest = name.partition(".")
            if top == "accelsim":
                part = rest.partition(".")[0]
                yield part if part in RANKS else "*", getattr(node, "lineno", 0)


def edges() -> Iterator[tuple[str, str, str]]:
    for path in modules():
        own = part_of(path)
        for part, line in imported_parts(path.read_text("utf-8"), own):
            if part != own:
                yield own, part, f"{path.relative_to(PACKAGE.parent)}:{line}"


def test_every_part_has_its_layer() -> None:
    assert {part_of(path) for path in modules()} <= set(RANKS)


def test_imports_run_one_way() -> None:
    upward = [
        f"{place} imports {part}"
        for own, part, place in edges()
        if own != "cli" and RANKS.get(part, len(LAYERS)) > RANKS[own]
    ]
    assert not upward


def test_no_two_parts_import_each_other() -> None:
    graph = nx.DiGraph([(own, part) for own, part, _ in edges() if part != "*"])
    assert nx.is_directed_acyclic_graph(graph), nx.find_cycle(graph)


def test_nothing_but_the_command_line_imports_the_report() -> None:
    assert {own for own, part, _ in edges() if part == "report"} <= {"cli"}


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("import accelsim.report.page", ["report"]),
        ("from accelsim.cli import main", ["cli"]),
        ("from accelsim import __version__", []),
        ("from accelsim import pipeline", ["pipeline"]),
        ("from accelsim import simulate", ["*"]),
        ("import accelsim", ["*"]),
        ("def f():\n    from accelsim.units import Clock", ["units"]),
        ("if TYPE_CHECKING:\n    from accelsim.result import RunResult", ["result"]),
        ("import numpy\nfrom . import tables", ["mapping"]),
    ],
)
def test_all_ways_to_import_are_seen(source: str, parts: list[str]) -> None:
    assert [part for part, _ in imported_parts(source, "mapping")] == parts
