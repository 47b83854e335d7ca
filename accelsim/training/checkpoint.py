"""Checkpoints that a killed run leaves whole."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch

from accelsim.errors import InputError

State = dict[str, Any]


def save_checkpoint(path: Path, state: State) -> None:
    """Write `state` beside `path`, then give it that name in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def load_checkpoint(path: Path) -> State:
    """Read what `save_checkpoint` wrote; only tensors and plain values are accepted, never code.

    Raises
    ------
    InputError
        When the file is missing, damaged, or no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError("no such checkpoint", where=path) from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError):
        raise InputError("is no checkpoint, or is damaged", where=path) from None
    if not isinstance(state, dict) or not {"name", "model", "epoch"} <= state.keys():
        raise InputError("is no checkpoint of accelsim", where=path)
    return state
