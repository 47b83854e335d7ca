"""Draws the bits that flip when bytes are read from a DRAM below specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.hardware.dram.error_model import BitlineModel, DataDependentModel, ErrorModel, LineModel, line_spreads
from accelsim.hardware.dram.weak_cells import PER_BITLINE, PER_WORDLINE, SAME_EVERYWHERE, visit_weak_cells

if TYPE_CHECKING:
    from accelsim.hardware.dram.cell_region import CellRegion

ByteArray = NDArray[np.uint8]


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
    lines, weak_spread, flip_spread = SAME_EVERYWHERE, 0.0, 0.0
    if isinstance(model, LineModel):
        lines = PER_BITLINE if isinstance(model, BitlineModel) else PER_WORDLINE
        weak_spread, flip_spread = line_spreads(model)
    if isinstance(model, DataDependentModel):
        flip_one, flip_zero = model.flip_probability_one, model.flip_probability_zero
    else:
        flip_one = flip_zero = model.flip_probability
    data = np.ascontiguousarray(data)
    mask = np.zeros_like(data)
    visit_weak_cells(
        np.uint64(seed), np.uint64(access), region.bank, region.row, region.byte_column, region.size_bytes, data,
        lines, float(model.weak_fraction), weak_spread, float(flip_one), float(flip_zero), flip_spread, mask,
    )  # fmt: skip
    return mask


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
