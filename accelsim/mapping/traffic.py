"""What passes on chip in each step, and the cycles that ports of limited width need for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from accelsim.config.schema import BufferConfig


@dataclass(frozen=True)
class StepLimit:
    """Something that a step may have to wait for beside the compute unit.

    Parameters
    ----------
    cause
        What the waiting is charged to.
    cycles
        Per step the least that it takes.
    latency_cycles
        Cycles before the first step of the stage can begin.
    """

    cause: str
    cycles: NDArray[np.int64]
    latency_cycles: int = 0


@dataclass(frozen=True)
class StepTraffic:
    """Bits per step, each a dictionary by what they belong to.

    Parameters
    ----------
    reads, writes
        By operand, from its buffer to the array or vector unit, and back.
    ports
        By buffer, all that is read from it or written to it on chip. Tiles that come from DRAM or go to it are left
        out: they pass over many steps, in the cycles that a port has left.
    """

    reads: dict[str, NDArray[np.int64]]
    writes: dict[str, NDArray[np.int64]]
    ports: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def spread(total: int, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share a total out in proportion to weights, in whole numbers that add up to it."""
    ends = np.cumsum(weights, dtype=np.float64)
    if not len(ends) or ends[-1] == 0:
        ends = np.arange(1.0, len(weights) + 1)
    until = np.floor(ends / ends[-1] * total + 0.5).astype(np.int64)
    until[-1] = total
    parts: NDArray[np.int64] = np.diff(until, prepend=0)
    return parts


def sum_at(steps: NDArray[np.int64], bits: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Add bits up by the step in which they pass."""
    total = np.zeros(number, np.int64)
    np.add.at(total, steps, bits)
    return total


def port_limits(buffers: Mapping[str, BufferConfig], traffic: StepTraffic) -> list[StepLimit]:
    """Limits by the buffers whose ports have a stated width."""
    limits = []
    for name, bits in traffic.ports.items():
        width = buffers[name].bytes_per_cycle
        if width is not None:
            cycles = np.ceil(bits / (width * BITS_PER_BYTE)).astype(np.int64)
            limits.append(StepLimit("buffer_bandwidth", cycles))
    return limits
