"""The npz archive that traces are kept in: a JSON header under ``trace``, and arrays beside it."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_archive(
    path: Path, arrays: tuple[str, ...], form: str, version: int, contents: str
) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Read header and arrays.

    Parameters
    ----------
    path
        The file.
    arrays
        Names of the arrays.
    form, version
        What the header has to say of itself.
    contents
        What the file is a trace of, for messages.

    Raises
    ------
    WorkloadError
        When the file is missing, damaged, or of another format or version.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as archive:
            header = json.loads(str(archive["trace"]))
            found = [archive[name] for name in arrays]
    except FileNotFoundError:
        raise WorkloadError("no such file", where=path) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        raise WorkloadError(f"is no trace of {contents}, or is damaged", where=path) from None
    if not isinstance(header, dict) or (header.get("format"), header.get("version")) != (form, version):
        raise WorkloadError("is of another format or version", where=path, allowed=f"{form} {version}")
    return header, found
