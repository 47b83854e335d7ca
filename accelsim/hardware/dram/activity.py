"""What a DRAM has done so far, as a frozen record whose differences mean something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram.constraints import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class DramActivity:
    """Counts since power-up; subtract an earlier record to get what happened in between.

    Parameters
    ----------
    time_ps
        When the record was taken.
    commands
        ``(ranks, operating points, commands)``: issued commands, the last axis as `constraints.COMMANDS`.
    active_ps, precharged_ps, active_down_ps, precharged_down_ps
        ``(ranks,)``: time with a row open or refreshing, with all banks precharged, and in power-down of either kind.
        They
        add up to `time_ps` for every rank.
    row_hits, row_misses, row_conflicts
        Requests by the state of their bank when their first command was issued.
    read_bytes, write_bytes
        Bytes that crossed the data bus.
    precharged_banks
        Banks closed, by a command for one or for all banks or with an access.
    forwarded, merged
        Reads answered by a queued write, and writes merged into one; they cost no command.
    """

    time_ps: int
    commands: NDArray[np.int64]
    active_ps: NDArray[np.int64]
    precharged_ps: NDArray[np.int64]
    active_down_ps: NDArray[np.int64]
    precharged_down_ps: NDArray[np.int64]
    row_hits: int
    row_misses: int
    row_conflicts: int
    read_bytes: int
    write_bytes: int
    precharged_banks: int
    forwarded: int
    merged: int

    def count(self, *commands: str) -> int:
        """Commands issued, over all ranks and operating points."""
        return int(sum(self.commands[:, :, COMMANDS.index(command)].sum() for command in commands))

    @property
    def activates(self) -> int:
        """Rows opened."""
        return self.count("ACT")

    @property
    def precharges(self) -> int:
        """Precharge commands; one for all banks of a rank counts once, an access with auto-precharge counts too."""
        return self.count("PRE", "PREA", "RDA", "WRA")

    @property
    def reads(self) -> int:
        """Read bursts."""
        return self.count("RD", "RDA")

    @property
    def writes(self) -> int:
        """Write bursts."""
        return self.count("WR", "WRA")

    @property
    def refreshes(self) -> int:
        """Refresh commands, of a rank or of a bank."""
        return self.count("REF", "REFB")


_SCALARS = (
    "time_ps", "row_hits", "row_misses", "row_conflicts", "read_bytes", "write_bytes", "precharged_banks", "forwarded",
    "merged",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ActivitySeries:
    """What a DRAM has done at several times: the fields of `DramActivity`, each with an axis of times first."""

    time_ps: NDArray[np.int64]
    commands: NDArray[np.int64]
    active_ps: NDArray[np.int64]
    precharged_ps: NDArray[np.int64]
    active_down_ps: NDArray[np.int64]
    precharged_down_ps: NDArray[np.int64]
    row_hits: NDArray[np.int64]
    row_misses: NDArray[np.int64]
    row_conflicts: NDArray[np.int64]
    read_bytes: NDArray[np.int64]
    write_bytes: NDArray[np.int64]
    precharged_banks: NDArray[np.int64]
    forwarded: NDArray[np.int64]
    merged: NDArray[np.int64]

    @classmethod
    def of(cls, activities: Sequence[DramActivity]) -> ActivitySeries:
        """Series of single records."""
        return cls(**{name: np.array([getattr(entry, name) for entry in activities]) for name in _FIELDS})

    def __len__(self) -> int:
        return len(self.time_ps)

    def __getitem__(self, index: int) -> DramActivity:
        values = {name: getattr(self, name)[index] for name in _FIELDS}
        return DramActivity(**values | {name: int(values[name]) for name in _SCALARS})

    def steps(self) -> ActivitySeries:
        """What happened from each time to the next, the first entry since power-up."""
        return ActivitySeries(
            **{name: np.diff(getattr(self, name), axis=0, prepend=getattr(self, name)[:1] * 0) for name in _FIELDS}
        )


_FIELDS = tuple(DramActivity.__dataclass_fields__)
