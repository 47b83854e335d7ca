"""Which tensor goes into which partition of the DRAM, by the bit errors that it tolerates.

Algorithm 1 of Koppula et al., "EDEN", MICRO 2019: greedy, the most tolerant tensors first, each into the partition with
room whose operating point saves the most among those whose errors it bears. In the paper's listing the room shrinks
inside the search already; here it shrinks once, when a partition is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class TolerantTensor:
    """A tensor that looks for a place.

    Parameters
    ----------
    name
        Its name.
    size_bytes
        Room that it takes.
    rate
        Highest bit-error rate that it tolerates.
    """

    name: str
    size_bytes: int
    rate: float


@dataclass(frozen=True)
class OfferedPartition:
    """A partition and what it offers.

    Parameters
    ----------
    name
        Its name; empty for memory at the datasheet's operating point.
    capacity_bytes
        Its room.
    rate
        Bit-error rate at its operating point.
    saving
        Figure of merit, the higher the better: energy or latency saved.
    """

    name: str
    capacity_bytes: int
    rate: float
    saving: float


def assign_partitions(
    tensors: Iterable[TolerantTensor], partitions: Sequence[OfferedPartition]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Assign tensors to partitions.

    Returns
    -------
    tuple
        Partition by tensor, and the tensors that found none.
    """
    room = {partition.name: partition.capacity_bytes for partition in partitions}
    chosen: dict[str, str] = {}
    left: list[str] = []
    for tensor in sorted(tensors, key=lambda entry: (-entry.rate, -entry.size_bytes, entry.name)):
        fitting = [
            partition
            for partition in partitions
            if partition.rate <= tensor.rate and tensor.size_bytes <= room[partition.name]
        ]
        if not fitting:
            left.append(tensor.name)
            continue
        best = max(fitting, key=lambda partition: (partition.saving, -partition.rate))
        room[best.name] -= tensor.size_bytes
        chosen[tensor.name] = best.name
    return chosen, tuple(left)
