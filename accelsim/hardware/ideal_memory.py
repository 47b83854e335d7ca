"""A memory that is a pipe: a latency and, if wanted, a bandwidth, without banks, rows or commands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from accelsim.units import BYTES_PER_GB, PS_PER_S, ceil_div

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class IdealMemory:
    """Serves transfers one after the other at a constant bandwidth, each a constant latency later.

    Parameters
    ----------
    burst_bytes
        Bytes of one access.
    latency_ps
        Time from the last byte on the bus to its arrival.
    bandwidth_gb_per_s
        10^9 bytes per second; None for no limit.
    """

    def __init__(self, burst_bytes: int, latency_ps: int = 0, bandwidth_gb_per_s: float | None = None) -> None:
        self.burst_bytes = burst_bytes
        self._latency_ps = latency_ps
        self._bytes_per_s = None if bandwidth_gb_per_s is None else round(bandwidth_gb_per_s * BYTES_PER_GB)
        self._bus_free_ps = 0
        self._last_data_ps = 0
        self._completions: deque[tuple[int, int]] = deque()
        self.reads = 0
        self.writes = 0

    @property
    def latency_ps(self) -> int:
        """Time from the last byte on the bus to its arrival."""
        return self._latency_ps

    @property
    def bytes_per_s(self) -> int | None:
        """Bandwidth; None for no limit."""
        return self._bytes_per_s

    def take_over(self, reads: int, writes: int, last_data_ps: int) -> None:
        """Note what somebody has done who kept the bus himself."""
        self.reads, self.writes, self._last_data_ps = reads, writes, last_data_ps

    @property
    def busy(self) -> bool:
        """Whether completions are still to be told."""
        return bool(self._completions)

    def submit(
        self,
        transfer: int,
        stream: int,  # noqa: ARG002 - one pipe serves all streams
        is_write: bool,  # noqa: FBT001 - reads and writes differ in nothing else
        addresses: NDArray[np.int64],
        at_ps: int,
    ) -> None:
        """Put the bursts on the bus behind all that were offered before."""
        bursts = len(addresses)
        self.reads += 0 if is_write else bursts
        self.writes += bursts if is_write else 0
        begin = max(at_ps, self._bus_free_ps)
        if self._bytes_per_s is not None:
            begin += ceil_div(bursts * self.burst_bytes * PS_PER_S, self._bytes_per_s)
        self._bus_free_ps = begin
        self._last_data_ps = max(self._last_data_ps, begin + self._latency_ps)
        self._completions.append((transfer, begin + self._latency_ps))

    def advance(self, until_ps: int) -> list[tuple[int, int]]:  # noqa: ARG002 - completions are known at once
        """Tell all completions that are known; a pipe knows them when it is offered the transfer."""
        known = list(self._completions)
        self._completions.clear()
        return known

    def finish(self) -> int:
        """Time of the last data beat in picoseconds."""
        return self._last_data_ps
