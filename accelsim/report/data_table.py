"""What the data folder holds, as a table and as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from accelsim.report.labels import printable
from accelsim.workload.data_folder import PUBLISHED, SOURCES, VARIABLE, DataState, check_data

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.report.catalogue import Headings


def states(folder: Path | None) -> list[DataState]:
    """State of every published set; without a folder all are missing."""
    if folder is not None:
        return check_data(folder)
    return [
        DataState(entry.name, entry.split, "missing", 0, f"get it from {SOURCES[entry.name]}") for entry in PUBLISHED
    ]


def data_record(folder: Path | None) -> dict[str, Any]:
    """Return the states as data."""
    return {"folder": None if folder is None else str(folder), "sets": [asdict(state) for state in states(folder)]}


def data_rows(folder: Path | None) -> tuple[str, Headings, list[tuple[str, ...]]]:
    """Return title, headings and rows of a table."""
    title = f"no data folder: name one with --data or {VARIABLE}" if folder is None else printable(str(folder))
    headings: Headings = (("dataset", True), ("split", True), ("state", True), ("images", False), ("", True))
    rows: list[tuple[str, ...]] = [
        (state.name, state.split, state.state, f"{state.images:,}" if state.images else "", printable(state.detail))
        for state in states(folder)
    ]
    return title, headings, rows
