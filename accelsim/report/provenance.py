"""``manifest.json``: what a run was made with.

It is the only file of a run that differs between two runs of the same input.
"""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.result import RunResult

_LIBRARIES = ("numpy", "numba", "simpy", "networkx", "pydantic", "onnx", "plotly")


def manifest(result: RunResult, command: Sequence[str], wall_seconds: float, workload_source: str) -> dict[str, Any]:
    """Collect the provenance of a run.

    Parameters
    ----------
    result
        The run.
    command
        The command line that started it.
    wall_seconds
        Time that reading, mapping and simulating took.
    workload_source
        What the user named as workload; a file is hashed, a network of the zoo is pinned by accelsim's version.
    """
    run = result.run
    return {
        "run_id": run.run_id,
        "hardware": run.hardware,
        "workload": run.workload,
        "batch": run.batch,
        "seed": run.seed,
        "config_hash": run.config_hash,
        "workload_file_sha256": _file_hash(Path(workload_source)),
        "command": list(command),
        "versions": {"python": platform.python_version(), "accelsim": run.version}
        | {name: _version(name) for name in _LIBRARIES},
        "platform": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(wall_seconds, 3),
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _file_hash(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
