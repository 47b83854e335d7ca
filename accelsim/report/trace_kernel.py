"""Kernels that write the events of a trace as text: long runs have a million of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.jit import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

NUMBER, FRACTION, NAME = range(3)
"""Kinds of fields: a whole number, the six digits behind a point, and a text by its number."""

_FRACTION_DIGITS = 6
_MOST_DIGITS = 20
_SEPARATOR = ",\n"
_AT_ONCE = 1 << 12
"""Events written at one time: so few that their text stays in the caches."""


def write_events(
    pieces: Sequence[str], kinds: Sequence[int], columns: Sequence[NDArray[np.int64]], names: Sequence[str] = ()
) -> Iterator[memoryview]:
    """Write one event for each entry of the columns, with commas between them.

    Parameters
    ----------
    pieces
        Text before, between and behind the fields, in ASCII.
    kinds
        Kind of each field: `NUMBER` or `FRACTION`, neither below zero, or `NAME`.
    columns
        Values of each field.
    names
        Texts that a field of kind `NAME` selects from, in ASCII.

    Yields
    ------
    memoryview
        Some of the events; the next ones are written over them.
    """
    number = len(columns[0])
    texts, text_ends = _joined([*pieces[:-1], pieces[-1] + _SEPARATOR])
    name_texts, name_ends = _joined(names)
    widest = max((len(name) for name in names), default=0)
    widths = {NUMBER: _MOST_DIGITS, FRACTION: _FRACTION_DIGITS, NAME: widest}
    out = np.empty(min(number, _AT_ONCE) * (len(texts) + sum(widths[kind] for kind in kinds)), np.uint8)
    for begin in range(0, number, _AT_ONCE):
        values = np.column_stack([np.asarray(column[begin : begin + _AT_ONCE], np.int64) for column in columns])
        end = _write(values, np.array(kinds), texts, text_ends, name_texts, name_ends, out)
        yield out[: end if begin + _AT_ONCE < number else end - len(_SEPARATOR)].data


def _joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of all texts, and where each of them ends, behind a zero."""
    ends = np.cumsum([0, *(len(text) for text in texts)])
    return np.frombuffer("".join(texts).encode("ascii"), np.uint8), ends


@kernel
def _copy(texts: NDArray[np.uint8], begin: int, end: int, out: NDArray[np.uint8], at: int) -> int:
    for place in range(begin, end):
        out[at + place - begin] = texts[place]
    return at + end - begin


@kernel
def _write(
    values: NDArray[np.int64],
    kinds: NDArray[np.int64],
    texts: NDArray[np.uint8],
    text_ends: NDArray[np.int64],
    names: NDArray[np.uint8],
    name_ends: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Write all events; the number of bytes written."""
    at = 0
    for row in range(values.shape[0]):
        for field in range(values.shape[1]):
            at = _copy(texts, text_ends[field], text_ends[field + 1], out, at)
            value = values[row, field]
            if kinds[field] == NAME:
                at = _copy(names, name_ends[value], name_ends[value + 1], out, at)
                continue
            digits = _FRACTION_DIGITS
            if kinds[field] == NUMBER:
                digits, rest = 1, value // 10
                while rest > 0:
                    digits, rest = digits + 1, rest // 10
            for place in range(digits - 1, -1, -1):
                out[at + place] = ord("0") + value % 10
                value //= 10
            at += digits
        at = _copy(texts, text_ends[-2], text_ends[-1], out, at)
    return at


@kernel
def deal(start_ps: NDArray[np.int64], end_ps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lane of each phase: the first that is free when it starts, or a new one."""
    chosen = np.zeros(len(start_ps), np.int64)
    busy_until = np.zeros(16, np.int64)
    lanes = 0
    for phase in range(len(start_ps)):
        lane = 0
        while lane < lanes and busy_until[lane] > start_ps[phase]:
            lane += 1
        if lane == len(busy_until):
            busy_until = np.concatenate((busy_until, np.zeros(lane, np.int64)))
        lanes = max(lanes, lane + 1)
        busy_until[lane] = end_ps[phase]
        chosen[phase] = lane
    return chosen
