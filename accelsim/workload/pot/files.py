"""The file of sparse power-of-two weights: an npz archive of plain arrays, format version 1.

`header` holds UTF-8 text, the JSON of `FileHeader`: what the file is, how it was made, and for each weight array its
name, shape and cut. The arrays of layer number `i`, counted from 0 in the order of the header, are

- ``coefficients_i``  uint8, the 4-bit codes, two to a byte (see `accelsim.workload.pot.encoding`);
- ``index_i``         uint8, the index, eight bits to a byte;
- ``basis_i``         int8 ``(slices, 3, 3)``, in units of the layer's `basis_scale`;
- ``plain_i``         float32, in place of these three where the layer is not decomposed.

Nothing is pickled, nothing is compressed. The arrays take the bits that `PotWeights.storage` says, each rounded up to
whole bytes.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from accelsim.atomic_file import current_umask
from accelsim.config.model import Record, validate
from accelsim.errors import InputError, WorkloadError
from accelsim.workload.graph import MAX_ELEMENTS
from accelsim.workload.pot.encoding import EncodingError, decode, encode
from accelsim.workload.pot.parameters import Index, PotParameters, magnitudes_of
from accelsim.workload.pot.reshaping import SliceLayout
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

FORMAT = "accelsim-pot-weights"
VERSION = 1
_MOST_EXPONENT = 120
_DAMAGE = (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError)
"""What NumPy raises on a file that is no archive of plain arrays, or a damaged one."""

Arrays = dict[str, "np.ndarray[Any, Any]"]


class ParametersRecord(Record):
    """How the weights were made; see `PotParameters`."""

    theta: float
    theta_decay: float
    row_mode: bool
    row_factor: float
    scale_columns: bool
    iterations: int
    tolerance: float
    rcond: float
    max_exponent: int
    index: Index
    basis_bits: int


class PotLayerRecord(Record):
    """A decomposed weight array; see `PotLayer` and `SliceLayout`."""

    kind: Literal["pot"] = "pot"
    name: str
    weight_shape: tuple[int, ...]
    slices: int = Field(ge=1)
    rows: int = Field(ge=1)
    basis: Literal[3] = 3
    lowest_exponent: int = Field(ge=-1100, le=_MOST_EXPONENT)
    basis_scale: float = Field(gt=0)
    error: float = Field(ge=0)


class PlainLayerRecord(Record):
    """A weight array that is not decomposed; see `PlainLayer`."""

    kind: Literal["plain"] = "plain"
    name: str
    weight_shape: tuple[int, ...]
    reason: str


class FileHeader(Record):
    """All that is in a file besides the arrays."""

    format: str
    version: int
    network: str
    parameters: ParametersRecord
    layers: tuple[Annotated[PotLayerRecord | PlainLayerRecord, Field(discriminator="kind")], ...] = Field(min_length=1)


def to_arrays(weights: PotWeights) -> Arrays:
    """Arrays of a file, by name, `header` first."""
    records: list[PotLayerRecord | PlainLayerRecord] = []
    arrays: Arrays = {}
    for number, layer in enumerate(weights.layers):
        if isinstance(layer, PlainLayer):
            records.append(PlainLayerRecord(name=layer.name, weight_shape=layer.weight_shape, reason=layer.reason))
            arrays[f"plain_{number}"] = np.ascontiguousarray(layer.weights, "<f4")
            continue
        records.append(_record(layer))
        codes, index = encode(layer.levels, layer.layout, weights.parameters.index)
        arrays |= {f"coefficients_{number}": codes, f"index_{number}": index, f"basis_{number}": layer.basis}
    header = FileHeader(
        format=FORMAT,
        version=VERSION,
        network=weights.network,
        parameters=ParametersRecord(**weights.parameters.to_dict()),
        layers=tuple(records),
    )
    text = json.dumps(header.model_dump(mode="json"), allow_nan=False)
    return {"header": np.frombuffer(text.encode(), np.uint8), **arrays}


def _record(layer: PotLayer) -> PotLayerRecord:
    return PotLayerRecord(
        name=layer.name,
        weight_shape=layer.weight_shape,
        slices=layer.layout.slices,
        rows=layer.layout.rows,
        lowest_exponent=layer.lowest_exponent,
        basis_scale=layer.basis_scale,
        error=layer.error,
    )


def save_pot_weights(weights: PotWeights, path: str | Path) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    InputError
        When it cannot be written at `path`.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, allow_pickle=False, **to_arrays(weights))
            part.chmod(0o666 & ~current_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where=path) from None


def load_pot_weights(path: str | Path) -> PotWeights:
    """Read a file, every bit of it checked.

    Raises
    ------
    WorkloadError
        When the file is missing, truncated, of another version or no such file at all, or when arrays and header do
        not fit one another.
    """
    path = Path(path)
    arrays = load_arrays(path)
    if "header" not in arrays:
        raise WorkloadError("is no file of power-of-two weights: it has no header", where=path)
    header = _read_header(arrays.pop("header"), path)
    layers = tuple(_read_layer(number, record, header, arrays, path) for number, record in enumerate(header.layers))
    if arrays:
        raise WorkloadError("is an array that the header does not know", where=path, key=sorted(arrays)[0])
    parameters = PotParameters(**header.parameters.model_dump())
    return PotWeights(header.network, layers, parameters)


def load_arrays(path: Path) -> Arrays:
    """Read all arrays of an npz file.

    Raises
    ------
    WorkloadError
        When the file is missing, damaged, or holds anything but plain arrays.
    """
    if path.is_dir():
        raise WorkloadError("is a directory, not a file", where=path)
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.lib.npyio.NpzFile):
                return {name: archive[name] for name in archive.files}
            raise WorkloadError("is one array, not an npz archive of arrays", where=path)
    except FileNotFoundError:
        raise WorkloadError("no such file", where=path) from None
    except PermissionError as problem:
        raise WorkloadError(f"cannot be read: {problem.strerror}", where=path) from None
    except _DAMAGE as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        if "pickle" in reason:  # NumPy's advice how to load it nevertheless is not for here
            reason = "it holds objects, or something else entirely"
        raise WorkloadError(f"is no npz archive of plain arrays, or a damaged one ({reason})", where=path) from None


def _read_header(array: np.ndarray[Any, Any], path: Path) -> FileHeader:
    try:
        data: Any = json.loads(array.astype(np.uint8, casting="no").tobytes())
    except (ValueError, TypeError, RecursionError):
        raise WorkloadError("is no JSON text", where=path, key="header") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise WorkloadError("is no file of power-of-two weights", where=path, key="header")
    if data.get("version") != VERSION:
        raise WorkloadError(
            "is a version that this accelsim does not read", where=path, key="version", value=data.get("version"),
            allowed=str(VERSION),
        )  # fmt: skip
    return validate(FileHeader, data, path, WorkloadError)


def _read_layer(
    number: int, record: PotLayerRecord | PlainLayerRecord, header: FileHeader, arrays: Arrays, path: Path
) -> PotLayer | PlainLayer:
    shape = record.weight_shape
    if len(shape) < 2 or min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise WorkloadError("is no shape of weights", where=path, key=f"{record.name}.weight_shape", value=shape)
    if isinstance(record, PlainLayerRecord):
        plain = _take(arrays, f"plain_{number}", np.dtype("<f4"), shape, record.name, path)
        if not np.isfinite(plain).all():
            raise WorkloadError("some of its weights are not finite", where=path, key=record.name)
        return PlainLayer(record.name, plain, record.reason)
    layout = SliceLayout(shape, record.slices, record.rows)
    room = layout.slices * layout.rows * layout.basis
    if not layout.filter_weights <= room or (layout.slices - 1) * layout.rows * layout.basis >= layout.filter_weights:
        problem = f"{layout.slices} slices of {layout.rows} rows do not hold filters of {layout.filter_weights} weights"
        raise WorkloadError(problem, where=path, key=record.name)
    basis_shape = (layout.all_slices, layout.basis, layout.basis)
    basis = _take(arrays, f"basis_{number}", np.dtype(np.int8), basis_shape, record.name, path)
    codes = _take(arrays, f"coefficients_{number}", np.dtype(np.uint8), (None,), record.name, path)
    bits = _take(arrays, f"index_{number}", np.dtype(np.uint8), (None,), record.name, path)
    index = header.parameters.index
    if record.lowest_exponent + magnitudes_of(index) - 1 > _MOST_EXPONENT:
        raise WorkloadError("too large", where=path, key=f"{record.name}.lowest_exponent", value=record.lowest_exponent)
    try:
        levels = decode(codes, bits, layout, index)
    except EncodingError as problem:
        raise WorkloadError(str(problem), where=path, key=record.name) from None
    return PotLayer(record.name, layout, levels, record.lowest_exponent, basis, record.basis_scale, record.error)


def _take(
    arrays: Arrays, name: str, dtype: np.dtype[Any], shape: tuple[int | None, ...], layer: str, path: Path
) -> np.ndarray[Any, Any]:
    """Take an array that has to be there with this type and shape; None stands for any length."""
    array = arrays.pop(name, None)
    if array is None:
        raise WorkloadError(f"its array {name} is missing", where=path, key=layer)
    fits = len(array.shape) == len(shape)
    fits = fits and all(wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True))
    if array.dtype != dtype or not fits:
        wanted = "x".join("any" if size is None else str(size) for size in shape)
        problem = f"its array {name} is {array.dtype} of shape {array.shape}, not {dtype} of {wanted}"
        raise WorkloadError(problem, where=path, key=layer)
    return array
