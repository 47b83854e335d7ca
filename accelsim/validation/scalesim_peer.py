"""What SCALE-Sim 3.0.0 reports on two topologies; where the figures come from stands in ``scalesim/ORIGIN.md``."""

from __future__ import annotations

import csv
from pathlib import Path

_FOLDER = Path(__file__).parent / "scalesim"


def topology(network: str) -> Path:
    """Topology of a network, alexnet or resnet18, as SCALE-Sim reads it."""
    return _FOLDER / f"{network}_topology.csv"


def reference(network: str, dataflow: str) -> list[tuple[int, float]]:
    """Cycles of each layer, and mapping efficiency in percent.

    SCALE-Sim tells the index of the last cycle; here stands their number, one more.
    """
    with (_FOLDER / "compute_cycles.csv").open(encoding="utf-8") as file:
        return [
            (int(row["total_cycles"]) + 1, float(row["mapping_efficiency_percent"]))
            for row in csv.DictReader(file)
            if (row["network"], row["dataflow"]) == (network, dataflow)
        ]
