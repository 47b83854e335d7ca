"""Options, paths and the order that all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

WORKERS = 2
LIGHT = ("unit/config/", "unit/dram/")
"""Folders of tests that simulate no machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites the golden files."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code does now")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one of two workers compile the kernels of the machines while the other has tests that need none of them.

    pytest-xdist deals a quarter of each worker's share at first, in the order of the tests. Both began with machines,
    and where no kernel was on disk, each compiled all of them.
    """
    light: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        (light if any(folder in item.nodeid for folder in LIGHT) else others).append(item)
    dealt = len(items) // (4 * WORKERS)
    items[:] = [*others[:dealt], *light, *others[dealt:]]
