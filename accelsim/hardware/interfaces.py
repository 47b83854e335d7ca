"""What the simulator asks of a memory, whichever kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Memory(Protocol):
    """A main memory behind one or more channels.

    Transfers go in with the time at which they are offered; completion times come out. The simulator lets the memory
    run ahead only to the next time at which anything else can act.
    """

    @property
    def burst_bytes(self) -> int:
        """Bytes of one access."""

    @property
    def busy(self) -> bool:
        """Whether anything is offered, queued or being served."""

    def submit(
        self,
        transfer: int,
        stream: int,
        is_write: bool,  # noqa: FBT001 - reads and writes differ in nothing else
        addresses: NDArray[np.int64],
        at_ps: int,
    ) -> None:
        """Offer the bursts at `addresses` under the number `transfer`; streams are served side by side."""

    def advance(self, until_ps: int) -> list[tuple[int, int]]:
        """Simulate up to `until_ps` or to the first completion: pairs of transfer and time in picoseconds."""

    def finish(self) -> int:
        """Serve all that is left; time of the last data beat in picoseconds."""
