"""Reads memory traces: Ramulator 2's load/store and read/write forms and DRAMsim3's.

One request per line: ``LD 0x40`` or ``ST 64``; ``R 0x40`` or ``W 0x40``; ``0x40 READ 100`` or ``0x40 WRITE 100`` with
the cycle from which it is offered. Blank lines are skipped. The whole file is parsed by one kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import InputError
from accelsim.jit import kernel

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMS = "LD|ST 0xADDR, R|W 0xADDR, or 0xADDR READ|WRITE cycle"
_NEWLINE, _RETURN, _SPACE, _TAB = b"\n\r \t"
_ZERO, _NINE, _LOWER_A, _LOWER_F, _LOWER_X = b"09afx"
_READS = (b"ld", b"r", b"read")
_WRITES = (b"st", b"w", b"write")


@dataclass(frozen=True)
class MemoryTrace:
    """Requests in their order.

    Parameters
    ----------
    addresses
        Byte addresses.
    is_write
        Whether each request writes.
    cycles
        Cycle from which each request is offered; None where the trace has none.
    """

    addresses: NDArray[np.int64]
    is_write: NDArray[np.bool_]
    cycles: NDArray[np.int64] | None


def read_trace(path: Path) -> MemoryTrace:
    """Read a trace file.

    Raises
    ------
    InputError
        When the file cannot be read or holds no request, or a line cannot be understood; names file and line.
    """
    try:
        text = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror}", where=path) from None
    lines = int(np.count_nonzero(text == _NEWLINE)) + 1
    addresses, cycles = np.zeros(lines, np.int64), np.zeros(lines, np.int64)
    is_write = np.zeros(lines, np.bool_)
    count, bad_line, timed = _parse(text, addresses, is_write, cycles)
    if bad_line:
        line = bytes(text).split(b"\n", bad_line)[bad_line - 1].decode("utf-8", "replace").strip()
        raise InputError("not a memory request", where=path, key=f"line {bad_line}", value=line, allowed=FORMS)
    if count == 0:
        raise InputError("holds no memory request", where=path, allowed=FORMS)
    if timed not in (0, count):
        raise InputError("some requests have a cycle and some have none", where=path, allowed=FORMS)
    times = cycles[:count] if timed else None
    if times is not None and np.any(np.diff(times) < 0):
        line_number = int(np.argmax(np.diff(times) < 0)) + 2
        raise InputError(
            "cycle lies before that of the request above", where=path, key=f"request {line_number}",
            value=int(times[line_number - 1]),
        )  # fmt: skip
    return MemoryTrace(addresses[:count], is_write[:count], times)


@kernel
def _parse(
    text: NDArray[np.uint8], addresses: NDArray[np.int64], is_write: NDArray[np.bool_], cycles: NDArray[np.int64]
) -> tuple[int, int, int]:
    """Fill the arrays; return the requests, the first bad line (0 for none) and the requests with a cycle."""
    size = text.shape[0]
    at = 0
    count = 0
    timed = 0
    line = 0
    while at < size:
        line += 1
        words = 0
        kind = -1
        kind_at = -1
        numbers = 0
        address = 0
        cycle = 0
        while at < size and text[at] != _NEWLINE:
            if text[at] in (_SPACE, _TAB, _RETURN):
                at += 1
                continue
            end = at
            while end < size and text[end] not in (_SPACE, _TAB, _RETURN, _NEWLINE):
                end += 1
            if _ZERO <= text[at] <= _NINE:
                value = _number(text, at, end)
                if value < 0:
                    return count, line, timed
                if numbers == 0:
                    address = value
                else:
                    cycle = value
                numbers += 1
            else:
                kind = _kind(text, at, end)
                if kind < 0 or kind_at >= 0:
                    return count, line, timed
                kind_at = words
            words += 1
            at = end
        at += 1
        if words == 0:
            continue
        short = words == 2 and kind_at == 0 and kind < 4
        long = words == 3 and kind_at == 1 and kind >= 4
        if not (short or long):
            return count, line, timed
        addresses[count] = address
        is_write[count] = kind % 2 == 1
        cycles[count] = cycle
        timed += int(long)
        count += 1
    return count, 0, timed


@kernel
def _number(text: NDArray[np.uint8], start: int, end: int) -> int:
    """Value of a decimal or hexadecimal number; -1 when it is none or does not fit."""
    value = 0
    base = 10
    if end - start > 2 and text[start] == _ZERO and (text[start + 1] | 32) == _LOWER_X:
        base = 16
        start += 2
    for at in range(start, end):
        letter = text[at] | 32
        if _ZERO <= text[at] <= _NINE:
            digit = int(text[at]) - _ZERO
        elif base == 16 and _LOWER_A <= letter <= _LOWER_F:
            digit = int(letter) - _LOWER_A + 10
        else:
            return -1
        if value > ((1 << 62) - digit) // base:
            return -1
        value = value * base + digit
    return value


@kernel
def _kind(text: NDArray[np.uint8], start: int, end: int) -> int:
    """Read (even) or write (odd), by the word's form; -1 for another word."""
    for form in range(3):
        for side in range(2):
            word = _WRITES[form] if side else _READS[form]
            if len(word) == end - start:
                same = True
                for k in range(len(word)):
                    same = same and (text[start + k] | 32) == word[k]
                if same:
                    return 2 * form + side
    return -1
