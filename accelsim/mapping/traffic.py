"""What passes on chip in each step, and the cycles that ports of limited width need for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.mapping.array_costs import Ports
from accelsim.units import BITS_PER_BYTE, ceil_div

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from accelsim.config.schema import BufferConfig

Words = NDArray[np.int64]
"""Words per step, of one route or (routes, steps)."""


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


@dataclass(frozen=True)
class Route:
    """The way of one operand in one direction.

    Parameters
    ----------
    ports
        Places at which it enters or leaves the array.
    fan_out
        Neighbouring places that get each word; of a group of them that sends, the first one does.
    returns
        Whether it goes from the array to the buffer.
    """

    ports: int = 1
    fan_out: int = 1
    returns: bool = False

    @property
    def groups(self) -> int:
        """Groups of ports, over which words are dealt out in turn."""
        return ceil_div(self.ports, self.fan_out)

    def ports_of(self, group: int) -> tuple[int, int]:
        """First and last port of a group."""
        first = group * self.fan_out
        return first, min(first + self.fan_out, self.ports) - 1


class Interconnect(Protocol):
    """What lies between the buffers and the array."""

    @property
    def bits_per_cycle(self) -> int:
        """Bits of a word, which a link takes per cycle."""

    def busy_cycles(self, routes: Sequence[Route], words: Words) -> Words:
        """Cycles per step for which the busiest link is taken by `words`, (routes, steps)."""

    def completion_cycles(self, routes: Sequence[Route], words: Sequence[int]) -> int:
        """Cycles until the last of the words of one step has arrived, where nothing else is on its way."""

    def hops(self, route: Route) -> float:
        """Links that a word charges on its way, on average."""


@dataclass(frozen=True)
class EdgeTraffic:
    """What passes the edge of the array in each step, and on which ways.

    Parameters
    ----------
    routes
        Ways, one for each operand and direction that carries anything.
    bits
        Bits on them, (routes, steps).
    """

    routes: tuple[Route, ...]
    bits: Words

    @classmethod
    def of(cls, traffic: StepTraffic, ports: Mapping[str, Ports]) -> EdgeTraffic:
        """Traffic of an array whose operands enter and leave at `ports`."""
        routes, bits = [], []
        for returns, passing in ((False, traffic.reads), (True, traffic.writes)):
            for operand, per_step in passing.items():
                at = ports.get(operand, Ports())
                if per_step.any():
                    routes.append(Route(at.number, at.fan_out, returns))
                    bits.append(per_step)
        steps = len(next(iter(traffic.reads.values()), ()))
        return cls(tuple(routes), np.array(bits, np.int64).reshape(len(routes), steps))

    def limit(self, interconnect: Interconnect) -> StepLimit:
        """Cycles that the interconnect needs; the first words of a stage are late by the way that they have."""
        words = -(-self.bits // interconnect.bits_per_cycle)
        cycles = interconnect.busy_cycles(self.routes, words)
        if not cycles.any():
            return StepLimit("interconnect", cycles)
        first = int(np.flatnonzero(cycles)[0])
        latency = interconnect.completion_cycles(self.routes, words[:, first].tolist()) - int(cycles[first])
        return StepLimit("interconnect", cycles, latency)

    def bit_hops(self, interconnect: Interconnect) -> float:
        """Bits times the links that they charge."""
        totals = self.bits.sum(axis=1).tolist()
        return float(sum(bits * interconnect.hops(route) for route, bits in zip(self.routes, totals, strict=True)))
