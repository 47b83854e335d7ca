"""Where every tensor lies in DRAM: the one record that timing, energy and (later) fault injection read.

Feature maps lie pixel by pixel with the channels innermost (NHWC); weights lie tile by tile in the order in which the
mapping fetches them. Weights have addresses of their own; feature maps and spilled partial sums share what is left by
first fit, each from the stage that makes it to the last one that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accelsim.errors import MappingError
from accelsim.mapping.address_pattern import HOST_ADDRESS
from accelsim.units import BYTES_PER_MIB, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ALIGNMENT_BYTES = 4_096
"""Tensors begin at multiples of this, a page as an allocator hands it out; two may share a longer DRAM row."""


@dataclass(frozen=True)
class Demand:
    """A tensor that needs room in DRAM, or at the host, from stage `first` to stage `last`."""

    name: str
    size_bytes: int
    first: int
    last: int
    on_host: bool = False


@dataclass(frozen=True)
class Region:
    """A tensor's place in DRAM."""

    address: int
    size_bytes: int


@dataclass(frozen=True)
class Rooms:
    """Where tensors may lie, for those that were assigned to a partition and for the others.

    Parameters
    ----------
    partition_of
        Partition by tensor.
    ranges
        First and last-plus-one addresses of each partition.
    elsewhere
        Those for tensors that are assigned to none.
    """

    partition_of: Mapping[str, str]
    ranges: Mapping[str, Sequence[tuple[int, int]]]
    elsewhere: Sequence[tuple[int, int]]

    def of_demand(self, name: str) -> tuple[str, Sequence[tuple[int, int]]]:
        """Partition (empty for none) and addresses for a tensor; copies of weights go with them, sums stay apart."""
        partition = self.partition_of.get(name.partition("@")[0], "")
        return partition, self.ranges[partition] if partition else self.elsewhere


@dataclass(frozen=True)
class Placement:
    """The place of every tensor that travels to DRAM, by name, and of those that travel to the host."""

    regions: Mapping[str, Region]
    on_host: Mapping[str, Region] = field(default_factory=dict)

    def region_of(self, name: str) -> Region:
        """Place of a tensor, in DRAM or at the host."""
        return self.on_host[name] if name in self.on_host else self.regions[name]

    @property
    def end(self) -> int:
        """First address beyond all regions."""
        return max((region.address + region.size_bytes for region in self.regions.values()), default=0)


def place(demands: Iterable[Demand], capacity_bytes: int, rooms: Rooms | None = None) -> Placement:
    """Give every tensor an address.

    Parameters
    ----------
    demands
        In the order in which they are placed.
    capacity_bytes
        Size of the DRAM.
    rooms
        Where tensors may lie; anywhere where left out.

    Raises
    ------
    MappingError
        When the tensors do not fit.
    """
    placed: list[tuple[Demand, Region]] = []
    on_host, end = {}, HOST_ADDRESS
    for demand in demands:
        if demand.on_host:
            on_host[demand.name] = Region(end, demand.size_bytes)
            end += ceil_div(demand.size_bytes, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
            continue
        size = ceil_div(demand.size_bytes, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        rivals = sorted(
            (region.address, region.address + ceil_div(region.size_bytes, ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
            for other, region in placed
            if other.first <= demand.last and demand.first <= other.last
        )
        address = _first_fit(size, rivals, 0) if rooms is None else _within_rooms(demand, size, rivals, rooms)
        placed.append((demand, Region(address, demand.size_bytes)))
    placement = Placement({demand.name: region for demand, region in placed}, on_host)
    if placement.end > capacity_bytes:
        message = f"the tensors need {ceil_div(placement.end, BYTES_PER_MIB)} MiB of DRAM, it has"
        raise MappingError(f"{message} {capacity_bytes // BYTES_PER_MIB} MiB", key="dram")
    return placement


def _first_fit(size: int, rivals: list[tuple[int, int]], address: int) -> int:
    """First address from `address` on with so much room between the stretches that are taken, which are sorted."""
    for begin, end in rivals:
        if address + size <= begin:
            break
        address = max(address, end)
    return address


def _within_rooms(demand: Demand, size: int, rivals: list[tuple[int, int]], rooms: Rooms) -> int:
    partition, ranges = rooms.of_demand(demand.name)
    for begin, end in ranges:
        address = _first_fit(size, rivals, begin)
        if address + size <= end:
            return address
    largest = max((end - begin for begin, end in ranges), default=0)
    raise MappingError(
        f"tensor {demand.name!r} of {ceil_div(demand.size_bytes, 1024)} KiB finds no room in one piece",
        key="mapping.partitions" if partition else "dram.partitions",
        value=partition or None,
        allowed=f"partitions with room for it; the longest stretch of this one has {largest // 1024} KiB",
    )
