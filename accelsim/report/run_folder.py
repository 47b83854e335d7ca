"""The folder of a run: written whole or not at all, and read back with every mistake named."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.atomic_file import current_umask, naming_the_path, written_whole
from accelsim.errors import InputError
from accelsim.report.chrome_trace import trace_parts
from accelsim.report.html import config_yaml, render_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from accelsim.result import RunResult

RUNS_FOLDER = Path("reports") / "runs"
"""Where runs go, relative to the current directory, unless the user says otherwise."""


def default_folder(run_id: str) -> Path:
    """Folder of a run for which the user named none."""
    return RUNS_FOLDER / run_id


def check_writable(path: Path, option: str = "--out", *, folder: bool = True) -> None:
    """Find out before a long run whether its result can be written.

    Raises
    ------
    InputError
        When `path` is taken by something else, or lies where nothing can be created.
    """
    if path.exists() and path.is_dir() != folder:
        problem = "is a file, not a folder" if folder else "is a folder, not a file"
        raise InputError(problem, where=option, value=str(path))
    nearest = next((parent for parent in (path, *path.absolute().parents) if parent.is_dir()), Path("/"))
    blocker = next((parent for parent in path.absolute().parents if parent.exists() and not parent.is_dir()), None)
    if blocker is not None:
        raise InputError(f"{blocker} is a file, not a folder", where=option, value=str(path))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"cannot be written: no permission for {nearest}", where=option, value=str(path))


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    InputError, RunError
        When it cannot be written, through the user's choice of `path` or for want of space.
    """
    with written_whole(path, "--out") as part:
        _write(part, text)


def write_run(result: RunResult, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write all files of a run.

    They are written into a hidden folder first. Where `folder` does not exist that one is renamed, so the run appears
    at once; where it does, each file replaces its predecessor at once.

    Parameters
    ----------
    result
        The run.
    folder
        Where its files shall lie.
    manifest
        Content of ``manifest.json``: all that differs between two runs of the same input.

    Raises
    ------
    InputError, RunError
        When it cannot be written, through the user's choice of `folder` or for want of space.
    """
    with naming_the_path(folder, "--out"):
        exists = folder.is_dir()
        parent = folder if exists else folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=parent))
        try:
            for name, content in _FILES.items():
                _write(hidden / name, content(result))
            _write(hidden / "manifest.json", json.dumps(manifest, indent=2) + "\n")
            hidden.chmod(0o777 & ~current_umask())
            if exists or not _renamed(hidden, folder):
                for name in (*_FILES, "manifest.json"):
                    (hidden / name).replace(folder / name)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _renamed(hidden: Path, folder: Path) -> bool:
    """Give the hidden folder its name; False where another run was quicker."""
    try:
        hidden.rename(folder)
    except OSError as problem:
        if problem.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _write(path: Path, content: str | Iterator[bytes | memoryview]) -> None:
    with path.open("wb") as file:
        file.writelines([content.encode("utf-8", errors="backslashreplace")] if isinstance(content, str) else content)


def layers_csv(result: RunResult) -> str:
    """Write one row per layer; nested figures become columns such as ``stalls.weight_fetch``, as in `RunResult`."""
    rows = [dict(_flat(vars(layer))) for layer in result.layer_results]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", entry) for name, entry in value.items())
        else:
            yield key, value


_FILES: dict[str, Callable[[RunResult], str | Iterator[bytes | memoryview]]] = {
    "config.resolved.yaml": config_yaml,
    "layers.csv": layers_csv,
    "trace.json": trace_parts,
    "report.html": render_report,
    "result.json": lambda result: result.to_json(),
}
