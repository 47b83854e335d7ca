"""What databases say when they cannot do what they are asked, as one line that names the storage."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna
import sqlalchemy.exc

from accelsim.errors import InputError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def told_clearly(url: str) -> Iterator[None]:
    """Turn what databases say into one line.

    Raises
    ------
    InputError
        When the storage cannot be reached, written or unlocked.
    RunError
        When it fails in any other way.
    """
    shown = shown_url(url)
    try:
        yield
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as problem:
        reason = f"needs a database driver that is not installed: {problem}"
        raise InputError(_one_line(reason), where="--storage", value=shown) from None
    except sqlalchemy.exc.ArgumentError:
        raise InputError("is no URL of a database", where="--storage", value=shown,
                         allowed="a path, sqlite:///..., postgresql://..., mysql://...") from None  # fmt: skip
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as problem:
        text = _one_line(str(problem.__cause__ or problem))
        for words, reason in _REASONS.items():
            if words in text:
                raise InputError(reason, where="--storage", value=shown) from None
        message = f"--storage: {shown}: {text}"
        raise RunError(message) from None
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where="--storage", value=shown) from None


_REASONS = {
    "database is locked": "is locked by another program",
    "unable to open database file": "cannot be opened: no such folder, or no permission",
    "readonly database": "cannot be written: read-only",
    "file is not a database": "is a file, but no database",
    "disk I/O error": "cannot be written: the disk fails or is full",
    "disk is full": "cannot be written: the disk is full",
    "could not connect": "does not answer",
    "Connection refused": "does not answer",
    "Can't connect": "does not answer",
}


def shown_url(url: str) -> str:
    """URL without its password."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


def _one_line(text: str) -> str:
    return " ".join(text.partition("(Background on this error")[0].split())
