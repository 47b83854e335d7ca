"""Which DRAM cells hold which bytes: the bridge from a tensor's addresses to the cells whose errors it meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError

IntArray = NDArray[np.int64]
AddressFields = Callable[[IntArray], tuple[IntArray, IntArray, IntArray]]
"""Splits byte addresses into bank, row and byte column; bank numbers run through channels, ranks and bank groups."""


@dataclass(frozen=True, eq=False)
class CellRegion:
    """Consecutive bytes of a buffer as runs of consecutive bytes in DRAM rows.

    Attributes
    ----------
    bank, row
        Where each run lies. `bank` counts all banks of all channels and ranks, so that no two share cells.
    byte_column
        Byte within the row at which each run begins; bit ``k`` of a byte lies in bit column ``8 * byte_column + k``.
    size_bytes
        Length of each run. Run follows run in the buffer.
    """

    bank: IntArray
    row: IntArray
    byte_column: IntArray
    size_bytes: IntArray

    def __post_init__(self) -> None:
        for name in ("bank", "row", "byte_column", "size_bytes"):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.int64)
            if values.ndim != 1 or len(values) != len(self.bank):
                raise ConfigError("is no list as long as the others", where="cell region", key=name)
            if len(values) and values.min() < 0:
                raise ConfigError(
                    "not accepted", where="cell region", key=name, value=int(values.min()), allowed=">= 0"
                )
            object.__setattr__(self, name, values)

    @property
    def total_bytes(self) -> int:
        """Length of the buffer in bytes."""
        return int(self.size_bytes.sum())

    def part(self, first_byte: int, size_bytes: int) -> CellRegion:
        """Return the region of the bytes ``first_byte .. first_byte + size_bytes`` of the buffer."""
        if not 0 <= first_byte <= first_byte + size_bytes <= self.total_bytes:
            raise ConfigError(
                "lies outside the region",
                where="cell region",
                value=(first_byte, size_bytes),
                allowed=f"first byte and size within {self.total_bytes} bytes",
            )
        end = np.cumsum(self.size_bytes)
        begin = end - self.size_bytes
        head = np.maximum(begin, first_byte)
        size = np.minimum(end, first_byte + size_bytes) - head
        keep = size > 0
        return CellRegion(
            self.bank[keep], self.row[keep], (self.byte_column + head - begin)[keep], np.maximum(size, 0)[keep]
        )


def map_bytes(first_byte: int, size_bytes: int, burst_bytes: int, address_fields: AddressFields) -> CellRegion:
    """Find the cells that hold the DRAM bytes ``first_byte .. first_byte + size_bytes``.

    Parameters
    ----------
    first_byte, size_bytes
        Physical byte range.
    burst_bytes
        Largest power of two that the address map never splits: the bytes of one burst.
    address_fields
        The address map. Gets the addresses of the bursts (multiples of `burst_bytes`) and of the first byte, as one
        array; returns bank (counted through channels and ranks), row, and byte within the row.

    Raises
    ------
    ConfigError
        When the range is negative or the map returns negative fields.
    """
    if first_byte < 0 or size_bytes < 0 or burst_bytes < 1:
        raise ConfigError(
            "not accepted", where="byte range", value=(first_byte, size_bytes, burst_bytes), allowed="sizes >= 0"
        )
    end = first_byte + size_bytes
    begins = np.arange(first_byte // burst_bytes * burst_bytes, end, burst_bytes, dtype=np.int64)
    heads = np.maximum(begins, first_byte)
    bank, row, byte_column = address_fields(begins)
    return CellRegion(bank, row, byte_column + heads - begins, np.minimum(begins + burst_bytes, end) - heads)


def row_interleaved(banks: int, row_bytes: int) -> AddressFields:
    """Return the plainest address map: a row of bank 0, then a row of bank 1, and so on."""

    def split(address: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        row_number = address // row_bytes
        return row_number % banks, row_number // banks, address % row_bytes

    return split
