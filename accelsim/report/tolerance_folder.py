"""The folder of a search for tolerable error rates, and what the terminal shows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rich.console import Group
from rich.text import Text

from accelsim.report import quantities
from accelsim.report.labels import title_of
from accelsim.report.run_folder import write_text
from accelsim.report.tables import fitted_table
from accelsim.report.tolerance_figures import DATASHEET_WORDS
from accelsim.report.tolerance_page import render_tolerance

if TYPE_CHECKING:
    from rich.console import RenderableType

    from accelsim.tolerance_result import ToleranceResult

TOLERANCE_FOLDER = Path("reports") / "tolerance"
"""Where searches go, relative to the current directory, unless the user says otherwise."""


def default_folder(hardware: str, workload: str) -> Path:
    """Folder of a search for which the user named none: one for each pair, so that a stopped one goes on."""
    words = f"{Path(workload).stem}-{Path(hardware).stem}".lower()
    return TOLERANCE_FOLDER / "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in words)


def write_tolerance(result: ToleranceResult, folder: Path, hardware: str) -> None:
    """Write ``tolerance.json``, ``report.html`` and ``machine.yaml``, the machine with its tensors in partitions.

    Raises
    ------
    InputError, RunError
        When a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "tolerance.json", json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")
    write_text(folder / "report.html", render_tolerance(result))
    base = str(Path(hardware).resolve()) if Path(hardware).suffix in {".yaml", ".yml"} else hardware
    overlay = {"extends": base, **result.overlay()}
    write_text(folder / "machine.yaml", yaml.safe_dump(overlay, sort_keys=False))


def tolerance_summary(result: ToleranceResult, width: int, folder: Path) -> RenderableType:
    """What the terminal shows: the coarse rates, then the tensors."""
    title = Text(f"{result.workload} on {result.hardware}: ", style="bold")
    title.append(
        f"{100 * result.clean:.2f} % of {result.images:,} images right, {100 * result.target:.2f} % accepted", style=""
    )
    coarse = fitted_table(
        [("error model", True), ("tolerable rate", False)],
        [(title_of(entry.kind), f"{'>= ' if entry.bounded else ''}{entry.rate:.2e}") for entry in result.coarse],
        width,
    )
    tensors = fitted_table(
        [("tensor", True), ("in DRAM", False), ("tolerable rate", False), ("partition", True)],
        [
            (entry.name, quantities.capacity(entry.size_bytes), f"{entry.rate:.2e}", entry.partition or DATASHEET_WORDS)
            for entry in result.tensors
        ],
        width,
    )
    return Group(title, coarse, tensors, Text(f"Folder: {folder} (open report.html)", overflow="fold"))
