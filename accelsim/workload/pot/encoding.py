"""Coefficients as 4-bit codes and a 1-bit index, exactly and both ways.

In memory a coefficient is a signed level: 0 for zero, else plus or minus 1 + (exponent - lowest exponent). Stored are

- the index: one bit per coefficient, per row, or per row of 32 filters at once, the first bit highest in its byte; set
  where something is stored;
- the codes of what is stored, two to a byte, the first in the lower half: the sign in bit 3, and in bits 2 to 0 the
  level less 1 where every stored coefficient is a nonzero (index per element), or the level, 0 being zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.units import BITS_PER_BYTE, bits_to_bytes, ceil_div
from accelsim.workload.pot.parameters import CODE_BITS, GROUP_FILTERS, Index
from accelsim.workload.pot.storage import index_bits

if TYPE_CHECKING:
    from accelsim.workload.pot.reshaping import SliceLayout

    Levels = np.ndarray[Any, np.dtype[np.int8]]
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

_SIGN = 1 << (CODE_BITS - 1)
_CODES_PER_BYTE = BITS_PER_BYTE // CODE_BITS


class EncodingError(ValueError):
    """Stored bits that no coefficients encode to; the text says why, the caller adds where."""


def to_levels(coefficients: np.ndarray[Any, Any], lowest: int) -> Levels:
    """Signed levels of signed powers of two and zeros."""
    _, exponents = np.frexp(coefficients)
    levels: Levels = (np.sign(coefficients) * (exponents - lowest)).astype(np.int8)
    return levels


def from_levels(levels: Levels, lowest: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Signed powers of two and zeros of signed levels."""
    magnitudes = np.abs(levels).astype(np.int32)
    return np.where(levels == 0, 0.0, np.ldexp(np.sign(levels).astype(np.float64), magnitudes - 1 + lowest))


def encode(levels: Levels, layout: SliceLayout, index: Index) -> tuple[Bytes, Bytes]:
    """Pack the levels of a layer.

    Parameters
    ----------
    levels
        ``(all slices, rows, basis)``.
    layout
        Cut of the layer.
    index
        What a bit of the index stands for.

    Returns
    -------
    tuple of ndarray
        Codes and index, as bytes.
    """
    named = _named(levels, layout, index)
    stored = levels[_spread(named, layout, index)]
    sizes = np.abs(stored).astype(np.uint8)
    codes = np.zeros(_CODES_PER_BYTE * ceil_div(stored.size, _CODES_PER_BYTE), np.uint8)
    codes[: stored.size] = (stored < 0).astype(np.uint8) * np.uint8(_SIGN) | sizes - np.uint8(index == "element")
    packed = codes[0::2] | np.left_shift(codes[1::2], CODE_BITS, dtype=np.uint8)
    return packed, np.packbits(named)


def decode(codes: Bytes, index_bytes: Bytes, layout: SliceLayout, index: Index) -> Levels:
    """Unpack the levels of a layer: the inverse of `encode`.

    Raises
    ------
    EncodingError
        When the bytes are not what `encode` gives for any levels of this layout.
    """
    count = index_bits(layout, index)
    if index_bytes.size != bits_to_bytes(count):
        raise EncodingError(f"its index has {index_bytes.size} bytes, the layer needs {bits_to_bytes(count)}")
    bits = np.unpackbits(index_bytes).astype(np.bool_)
    if bits[count:].any():
        raise EncodingError("bits are set behind the end of its index")
    kept = _spread(bits[:count].reshape(_index_shape(layout, index)), layout, index)
    stored = int(kept.sum())
    if codes.size != ceil_div(stored, _CODES_PER_BYTE):
        raise EncodingError(f"its index names {stored} coefficients, {codes.size} bytes of codes do not fit that")
    nibbles = np.empty((codes.size, _CODES_PER_BYTE), np.uint8)
    nibbles[:, 0], nibbles[:, 1] = codes & (_SIGN * 2 - 1), codes >> CODE_BITS
    if nibbles.ravel()[stored:].any():
        raise EncodingError("bits are set behind the end of its codes")
    nibbles = nibbles.ravel()[:stored]
    sizes = (nibbles & (_SIGN - 1)).astype(np.int8) + (index == "element")
    if (nibbles[sizes == 0] != 0).any():
        raise EncodingError("it has a negative zero")
    levels = np.zeros((layout.all_slices, layout.rows, layout.basis), np.int8)
    levels[kept] = np.where(nibbles & _SIGN, -sizes, sizes)
    if not np.array_equal(_named(levels, layout, index), bits[:count].reshape(_index_shape(layout, index))):
        raise EncodingError("its index names vectors without any nonzero")
    return levels


def stored_coefficients(levels: Levels, layout: SliceLayout, index: Index) -> int:
    """Coefficients that get a code."""
    return int(_spread(_named(levels, layout, index), layout, index).sum())


def named_rows(levels: Levels, layout: SliceLayout, index: Index) -> Mask:
    """Rows of which anything is stored, ``(filters, rows of all slices)``: what a machine sees of the index."""
    named = _named(levels, layout, index)
    rows = _any_in_row(named) if index == "element" else named
    if index == "group":
        rows = named.repeat(GROUP_FILTERS, axis=0)[: layout.filters]
    return rows.reshape(layout.filters, layout.slices * layout.rows)


def _index_shape(layout: SliceLayout, index: Index) -> tuple[int, ...]:
    if index == "element":
        return (layout.all_slices, layout.rows, layout.basis)
    if index == "vector":
        return (layout.all_slices, layout.rows)
    return (ceil_div(layout.filters, GROUP_FILTERS), layout.slices, layout.rows)


def _named(levels: Levels, layout: SliceLayout, index: Index) -> Mask:
    """Index, one truth value per bit."""
    nonzero: Mask = np.not_equal(levels, 0)
    if index == "element":
        return nonzero
    rows = _any_in_row(nonzero)
    if index == "vector":
        return rows
    by_filter = rows.reshape(layout.filters, layout.slices, layout.rows)
    starts = np.arange(0, layout.filters, GROUP_FILTERS)
    groups: Mask = np.logical_or.reduceat(by_filter, starts, axis=0)
    return groups


def _any_in_row(nonzero: Mask) -> Mask:
    """Whether a row has any nonzero; column by column, which is faster than a reduction over three."""
    rows: Mask = nonzero[..., 0].copy()
    for column in range(1, nonzero.shape[-1]):
        rows |= nonzero[..., column]
    return rows


def _spread(named: Mask, layout: SliceLayout, index: Index) -> Mask:
    """Index spread to one truth value per coefficient."""
    if index == "element":
        return named
    rows = named
    if index == "group":
        rows = named.repeat(GROUP_FILTERS, axis=0)[: layout.filters].reshape(layout.all_slices, layout.rows)
    elements: Mask = rows[..., None].repeat(layout.basis, axis=2)
    return elements
