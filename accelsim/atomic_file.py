"""Files that are there whole or not at all: written beside their place and moved there when they are done."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.errors import InputError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

_USERS_FAULT = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextmanager
def naming_the_path(path: Path, option: str | None = None) -> Iterator[None]:
    """Turn a failure to write into one line that names `path`, and the command-line `option` that asked for it.

    Raises
    ------
    InputError, RunError
        When it cannot be written, through the user's choice of `path` or for want of space.
    """
    try:
        yield
    except OSError as problem:
        reason = f"cannot be written: {problem.strerror}"
        if problem.errno not in _USERS_FAULT:
            message = f"{path}: {reason}"
            raise RunError(message) from None
        if option is None:
            raise InputError(reason, where=path) from None
        raise InputError(reason, where=option, value=str(path)) from None


@contextmanager
def written_whole(path: Path, option: str | None = None) -> Iterator[Path]:
    """Give a hidden file beside `path` to write to, which takes its place at the end, and is gone after a failure.

    Raises
    ------
    InputError, RunError
        When it cannot be written, through the user's choice of `path` or for want of space.
    """
    with naming_the_path(path, option):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(descriptor)
        part = Path(name)
        try:
            yield part
            part.chmod(0o666 & ~current_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def current_umask() -> int:
    """Permissions that the user wants new files not to have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
