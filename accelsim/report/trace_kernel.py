"""Kernels that write the events of a trace as text: long runs have a million of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelsim.jit import kernel
from accelsim.units import PS_PER_US, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

NUMBER, TIME, NAME = range(3)
"""Kinds of fields: a whole number, picoseconds as microseconds with six decimals, and a text by its number."""

_MOST_DIGITS = 21
"""Of a number of 64 bits, or of a time, whose point counts as one."""
_SEPARATOR = ",\n"
_AT_ONCE = 1 << 12
"""Events written at one time: so few that their text stays in the caches."""
_WORD = 8
"""Bytes of a text that are written at once."""
_DECIMALS = 6


class _Texts(NamedTuple):
    """Texts, each in whole words: the first word and the bytes of each."""

    words: NDArray[np.uint64]
    first: NDArray[np.int64]
    size: NDArray[np.int64]


def write_events(
    pieces: Sequence[str], kinds: Sequence[int], columns: Sequence[NDArray[np.int64]], names: Sequence[str] = ()
) -> Iterator[memoryview]:
    """Write one event for each entry of the columns, with commas between them.

    Parameters
    ----------
    pieces
        Text before, between and behind the fields, in ASCII.
    kinds
        Kind of each field: `NUMBER` or `TIME`, neither below zero, or `NAME`.
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
    around = _in_words([*pieces[:-1], pieces[-1] + _SEPARATOR])
    named = _in_words(names)
    widest = sum(len(piece) for piece in pieces) + len(_SEPARATOR)
    widest += sum(max(map(len, names)) if kind == NAME else _MOST_DIGITS for kind in kinds)
    out = np.empty(min(number, _AT_ONCE) * widest + _WORD, np.uint8)
    for begin in range(0, number, _AT_ONCE):
        values = np.column_stack([np.asarray(column[begin : begin + _AT_ONCE], np.int64) for column in columns])
        end = _write(values, np.array(kinds), around, named, out)
        yield out[: end if begin + _AT_ONCE < number else end - len(_SEPARATOR)].data


def _in_words(texts: Sequence[str]) -> _Texts:
    sizes = np.array([len(text) for text in texts], np.int64)
    padded = [text.encode("ascii").ljust(ceil_div(len(text), _WORD) * _WORD) for text in texts]
    first = np.cumsum([0, *(len(text) // _WORD for text in padded)])
    words = np.frombuffer(b"".join(padded), "<u8").astype(np.uint64)  # the kernel takes the lowest byte first
    return _Texts(words, first.astype(np.int64), sizes)


@kernel
def _copy(texts: _Texts, number: int, out: NDArray[np.uint8], at: int) -> int:
    """Write one text word by word; what its last word has too much is written over by what follows."""
    place = at
    end: int = at + texts.size[number]
    word = texts.first[number]
    while place < end:
        for byte in range(_WORD):
            out[place + byte] = np.uint8(texts.words[word] >> np.uint64(8 * byte))
        place += _WORD
        word += 1
    return end


@kernel
def _write_digits(value: int, digits: int, out: NDArray[np.uint8], at: int) -> int:
    end = at + digits
    place = end
    while place > at:
        place -= 1
        rest = value // 10
        out[place] = ord("0") + value - rest * 10
        value = rest
    return end


@kernel
def _write_number(value: int, out: NDArray[np.uint8], at: int) -> int:
    digits, rest = 1, value // 10
    while rest > 0:
        digits, rest = digits + 1, rest // 10
    return _write_digits(value, digits, out, at)


@kernel
def _write(
    values: NDArray[np.int64], kinds: NDArray[np.int64], around: _Texts, names: _Texts, out: NDArray[np.uint8]
) -> int:
    """Write all events; the number of bytes written."""
    at = 0
    for row in range(values.shape[0]):
        for field in range(values.shape[1]):
            at = _copy(around, field, out, at)
            value = values[row, field]
            if kinds[field] == NAME:
                at = _copy(names, value, out, at)
            elif kinds[field] == NUMBER:
                at = _write_number(value, out, at)
            else:
                whole = value // PS_PER_US
                at = _write_number(whole, out, at)
                out[at] = ord(".")
                at = _write_digits(value - whole * PS_PER_US, _DECIMALS, out, at + 1)
        at = _copy(around, values.shape[1], out, at)
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
