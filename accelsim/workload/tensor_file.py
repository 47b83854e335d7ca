"""Values of a network's tensors from an npz file: integers as stored, by tensor name."""

from __future__ import annotations

import difflib
import zipfile
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.operand_data import OperandData

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph


def tensor_values(path: Path, network: LayerGraph) -> dict[str, OperandData]:
    """Values from an npz file by tensor, each loaded when it is needed; names and shapes are checked at once.

    Raises
    ------
    WorkloadError
        When the file cannot be read or holds what is no tensor of the network, no integers, or another shape.
    """
    shapes = {name: tensor.shape for name, tensor in network.tensors.items()}
    for layer in network.layers:
        weight = network.weight_tensor(layer)
        if weight is not None:
            shapes[weight.name] = weight.shape
    headers = _headers(path)
    for name, (found, kind) in headers.items():
        if name not in shapes:
            near = difflib.get_close_matches(name, shapes, n=1)
            hint = f"a tensor of the network, such as {near[0]!r}" if near else "tensors of the network"
            raise WorkloadError("is no tensor of the network", where=path, key=name, allowed=hint)
        if not np.issubdtype(kind, np.integer):
            raise WorkloadError("holds no integers", where=path, key=name, value=str(kind), allowed="int8 and wider")
        if found[1:] != shapes[name][1:] or 0 in found or not found:
            allowed = f"{shapes[name]}, the first with any number"
            raise WorkloadError("has another shape than the tensor", where=path, key=name, value=found, allowed=allowed)
    return {
        name: OperandData(load=partial(_load, path, name, shapes[name]), load_shaped=partial(_load, path, name))
        for name in headers
    }


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shapes and types of the arrays in an npz file, without their values."""
    headers = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                with archive.open(entry) as file:
                    version = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, kind = read(file)
                headers[entry.removesuffix(".npy")] = (shape, kind)
    except FileNotFoundError:
        raise WorkloadError("no such file", where=path) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise WorkloadError(f"cannot be read as npz: {error}", where=path) from None
    return headers


def _load(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    """One array of a file; a feature map of another batch is repeated or cut to fit."""
    try:
        with np.load(path, allow_pickle=False) as file:
            values: np.ndarray[Any, np.dtype[Any]] = file[name]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise WorkloadError(f"cannot be read: {error}", where=path, key=name) from None
    if values.shape[0] != shape[0]:
        values = np.resize(values, shape)
    return values
