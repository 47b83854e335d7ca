"""Memory traces on which other simulators were measured, made by rule: requests of 64 bytes."""

from __future__ import annotations

import random
from functools import cache
from typing import Literal, get_args

import numpy as np

from accelsim.hardware.dram.trace_file import MemoryTrace

_GIB = 1 << 30
_BYTES = 64


def sequential_reads(count: int) -> MemoryTrace:
    """One block after the other."""
    return MemoryTrace(_BYTES * np.arange(count), np.zeros(count, np.bool_), None)


def random_reads(count: int) -> MemoryTrace:
    """Blocks anywhere in 8 GiB."""
    draw = random.Random(1)  # noqa: S311 - the very numbers that the others were given
    addresses = np.array([draw.randrange(0, 8 * _GIB) // _BYTES * _BYTES for _ in range(count)])
    return MemoryTrace(addresses, np.zeros(count, np.bool_), None)


def stream_triad(count: int) -> MemoryTrace:
    """Two reads and a write per element, from three arrays."""
    offset = _BYTES * np.arange(count)
    addresses = np.stack([offset, 2 * _GIB + offset, _GIB + offset], axis=1).ravel()
    return MemoryTrace(addresses, np.tile([False, False, True], count), None)


TraceName = Literal["seq1M", "rand200k", "mix21_stream600k"]
_RULES = {
    "seq1M": (sequential_reads, 1_000_000),
    "rand200k": (random_reads, 200_000),
    "mix21_stream600k": (stream_triad, 200_000),
}
NAMES: tuple[TraceName, ...] = get_args(TraceName)


@cache
def trace(name: str) -> MemoryTrace:
    """Make a trace by its name."""
    rule, count = _RULES[name]
    return rule(count)
