"""Draws the bits that flip when bytes are read from a DRAM below specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.hardware.dram.error_model import BitlineModel, DataDependentModel, ErrorModel, LineModel, line_spreads
from accelsim.hardware.dram.weak_cells import (
    PER_BITLINE,
    PER_WORDLINE,
    SAME_EVERYWHERE,
    list_weak_cells,
    visit_weak_cells,
)

if TYPE_CHECKING:
    from accelsim.hardware.dram.cell_region import CellRegion

ByteArray = NDArray[np.uint8]

WEAK_CELL_DTYPE = np.dtype(
    [
        ("byte", "i8"), ("bit", "u1"), ("bank", "i4"), ("row", "i4"), ("column", "i4"), ("factor", "f8"),
        ("flip_one", "f8"), ("flip_zero", "f8"),
    ]
)  # fmt: skip
"""A weak cell: byte and bit of the buffer that lie in it, its place, and its flip probabilities by the bit stored."""


def draw_flips(model: ErrorModel, region: CellRegion, data: ByteArray, *, seed: int, access: int) -> ByteArray:
    """Draw which bits flip on one access to the bytes that lie in `region`.

    Parameters
    ----------
    model
        Error model of the partition that holds the bytes, at its operating point.
    region
        Where the bytes lie; a tensor in several partitions is drawn part by part (`CellRegion.part`).
    data
        The bytes as stored, shape (region.total_bytes,), uint8.
    seed
        Names the module: the same seed has the same weak cells. 0 to 2**64 - 1.
    access
        Number of the access (of the load, the sample, the training step), 0 to 2**64 - 1.

    Returns
    -------
    array of uint8, shape of `data`
        Set bits flip. Depends on the arguments alone, not on how a buffer is cut into calls or the order of the calls.

    Raises
    ------
    ConfigError
        When `data` is not as long as the region or a number is out of range.
    """
    _check_counter("seed", seed)
    _check_counter("access", access)
    if data.dtype != np.uint8 or data.shape != (region.total_bytes,):
        raise ConfigError(
            f"holds {data.dtype} of shape {data.shape}",
            where="draw_flips",
            key="data",
            allowed=f"uint8 of shape ({region.total_bytes},), as long as the region",
        )
    lines, weak_spread, flip_spread = _lines(model)
    flip_one, flip_zero = flip_probabilities(model)
    data = np.ascontiguousarray(data)
    mask = np.zeros_like(data)
    visit_weak_cells(
        np.uint64(seed), np.uint64(access), region.bank, region.row, region.byte_column, region.size_bytes, data,
        lines, float(model.weak_fraction), weak_spread, float(flip_one), float(flip_zero), flip_spread, mask,
    )  # fmt: skip
    return mask


def _lines(model: ErrorModel) -> tuple[int, float, float]:
    """Kind of the lines that differ, and the spreads of weak fraction and flip probability over them."""
    if not isinstance(model, LineModel):
        return SAME_EVERYWHERE, 0.0, 0.0
    return PER_BITLINE if isinstance(model, BitlineModel) else PER_WORDLINE, *line_spreads(model)


def flip_probabilities(model: ErrorModel) -> tuple[float, float]:
    """Mean probability that a weak cell flips on one access when it stores 1, and when it stores 0."""
    if isinstance(model, DataDependentModel):
        return model.flip_probability_one, model.flip_probability_zero
    return model.flip_probability, model.flip_probability


def weak_cells(model: ErrorModel, region: CellRegion, *, seed: int) -> NDArray[np.void]:
    """List the weak cells of a region: those that `draw_flips` may flip.

    Returns
    -------
    array of `WEAK_CELL_DTYPE`
        In the order of the region's runs; `byte` counts from its first byte.
    """
    _check_counter("seed", seed)
    lines, weak_spread, flip_spread = _lines(model)
    flip_one, flip_zero = flip_probabilities(model)
    expected = 8.0 * region.total_bytes * model.weak_fraction
    room = int(expected + 8.0 * np.sqrt(expected)) + 64
    while True:
        cells = np.zeros(room, WEAK_CELL_DTYPE)
        found = list_weak_cells(
            np.uint64(seed), region.bank, region.row, region.byte_column, region.size_bytes,
            lines, float(model.weak_fraction), weak_spread, flip_spread, cells,
        )  # fmt: skip
        if found <= room:
            break
        room = found
    cells = cells[:found]
    cells["flip_one"], cells["flip_zero"] = cells["factor"] * flip_one, cells["factor"] * flip_zero
    return cells


def _check_counter(name: str, value: int) -> None:
    if not 0 <= value < 2**64:
        raise ConfigError("not accepted", where="draw_flips", key=name, value=value, allowed="0 to 2**64 - 1")


def inject(model: ErrorModel, region: CellRegion, data: ByteArray, *, seed: int, access: int) -> ByteArray:
    """Return the bytes as one access reads them: `data` with the bits of `draw_flips` inverted."""
    return data ^ draw_flips(model, region, data, seed=seed, access=access)


def flipped_bits(mask: ByteArray) -> NDArray[np.int64]:
    """List the positions of the set bits of a mask, ``8 * byte + bit``, in rising order."""
    touched = np.flatnonzero(mask)
    inside = np.unpackbits(mask[touched], bitorder="little").reshape(-1, 8)
    where, bit = np.nonzero(inside)
    return touched[where] * 8 + bit


def count_flips(mask: ByteArray) -> int:
    """Count the set bits of a mask."""
    return int(np.bitwise_count(mask).sum(dtype=np.int64))
