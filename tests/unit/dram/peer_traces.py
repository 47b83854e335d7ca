"""The traces on which other simulators were measured, and Ramulator 2's policy in our options."""

import random

import numpy as np

from accelsim.hardware.dram.trace_file import MemoryTrace

_GIB = 1 << 30


def sequential_reads(count: int) -> MemoryTrace:
    return MemoryTrace(64 * np.arange(count), np.zeros(count, np.bool_), None)


def random_reads(count: int) -> MemoryTrace:
    draw = random.Random(1)  # noqa: S311 - the very numbers that the others were given
    addresses = np.array([draw.randrange(0, 8 * _GIB) // 64 * 64 for _ in range(count)])
    return MemoryTrace(addresses, np.zeros(count, np.bool_), None)


def stream_triad(count: int) -> MemoryTrace:
    """Two reads and a write per element, from three arrays."""
    offset = 64 * np.arange(count)
    addresses = np.stack([offset, 2 * _GIB + offset, _GIB + offset], axis=1).ravel()
    return MemoryTrace(addresses, np.tile([False, False, True], count), None)


TRACES = {
    "seq1M": sequential_reads(1_000_000),
    "rand200k": random_reads(200_000),
    "mix21_stream600k": stream_triad(200_000),
}
