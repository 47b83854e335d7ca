"""Checkpoints that a killed run leaves whole."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import torch

from accelsim.atomic_file import written_whole
from accelsim.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

State = dict[str, Any]


def save_checkpoint(path: Path, state: State) -> None:
    """Write `state` to `path`, whole or not at all."""
    with written_whole(path) as part:
        torch.save(state, part)


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
