"""The link to a host: a pipe in each direction beside the DRAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.ideal_memory import IdealMemory
from accelsim.mapping.address_pattern import HOST_ADDRESS
from accelsim.units import PS_PER_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import simpy
    from numpy.typing import NDArray

    from accelsim.config.interconnect import HostConfig
    from accelsim.simulation.dma import Dma


class HostLink:
    """Sends what lies in DRAM through the DMA, and what lies at the host over a link of its own.

    Parameters
    ----------
    env
        The event loop.
    dma
        The way to the DRAM.
    config
        The link; bandwidth is stated.
    """

    def __init__(self, env: simpy.Environment, dma: Dma, config: HostConfig) -> None:
        self._env = env
        self._dma = dma
        latency_ps = round((config.latency_ns or 0) * PS_PER_NS)
        self._pipes = {
            is_write: IdealMemory(dma.burst_bytes, latency_ps, config.bandwidth_gb_per_s) for is_write in (False, True)
        }
        self._on_link = 0

    @property
    def burst_bytes(self) -> int:
        """Bytes of one access."""
        return self._dma.burst_bytes

    @property
    def outstanding(self) -> int:
        """Transfers that have not been completed."""
        return self._dma.outstanding + self._on_link

    def transfer(
        self, stream: int, addresses: NDArray[np.int64], completed: Callable[[], None], *, is_write: bool = False
    ) -> None:
        """Move the bursts of a tile; `completed` is called when all have been moved, from wherever they are."""
        away = addresses >= HOST_ADDRESS
        left = int(away.any()) + int(not away.all())

        def one_completed() -> None:
            nonlocal left
            left -= 1
            if not left:
                completed()

        if not away.all():
            self._dma.transfer(stream, addresses[~away], one_completed, is_write=is_write)
        if away.any():
            self._over_link(stream, addresses[away], one_completed, is_write=is_write)

    def _over_link(
        self, stream: int, addresses: NDArray[np.int64], completed: Callable[[], None], *, is_write: bool
    ) -> None:
        """Put bursts on the link; a pipe knows at once when they will have arrived."""
        now, pipe = int(self._env.now), self._pipes[is_write]
        pipe.submit(0, stream, is_write, addresses, now)
        ((_, time_ps),) = pipe.advance(now)
        self._on_link += 1

        def arrived(_: simpy.Event) -> None:
            self._on_link -= 1
            completed()

        event = self._env.timeout(time_ps - now)
        event.callbacks.append(arrived)
