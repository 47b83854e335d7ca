"""Which rows of which bank run at which operating point, and what that does to the timings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.config.dram import OperatingPoint
from accelsim.errors import ConfigError
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.dram import DramConfig, Partition
    from accelsim.hardware.dram.device import Device


@dataclass(frozen=True)
class PointMap:
    """Operating points by place.

    Parameters
    ----------
    points
        The points in use; the first one is that of the datasheet.
    by_subarray
        ``(banks, subarrays)``: index of the point of every subarray; banks are numbered through over the whole memory.
    """

    points: tuple[OperatingPoint, ...]
    by_subarray: NDArray[np.int64]

    def rank_shares(self, ranks: int) -> NDArray[np.float64]:
        """Part of each rank that runs at each point, ``(ranks, points)``."""
        by_rank = self.by_subarray.reshape(ranks, -1)
        return np.stack([(by_rank == index).mean(axis=1) for index in range(len(self.points))], axis=1)


def map_points(config: DramConfig, device: Device) -> PointMap:
    """Lay the partitions over the memory.

    Raises
    ------
    ConfigError
        When a partition lies outside of the memory.
    """
    owners = partition_places(config, device)
    points = [OperatingPoint()]
    of_partition = [0]
    for partition in config.partitions:
        if partition.operating_point not in points:
            points.append(partition.operating_point)
        of_partition.append(points.index(partition.operating_point))
    return PointMap(tuple(points), np.array(of_partition)[owners].reshape(-1, owners.shape[3]))


def partition_places(config: DramConfig, device: Device) -> NDArray[np.int64]:
    """Number of the partition that holds each place, from 1 in the order of the config; 0 for none.

    Returns
    -------
    array
        ``(channels, ranks, banks of a rank, subarrays)``; where partitions overlap, the later one holds.

    Raises
    ------
    ConfigError
        When a partition lies outside of the memory.
    """
    geometry = device.geometry
    banks = geometry.bank_groups * geometry.banks_per_group
    shape = (config.channels, config.ranks, banks, geometry.rows // geometry.rows_per_subarray)
    owners = np.zeros(shape, np.int64)
    for index, partition in enumerate(config.partitions):
        owners[_place(partition, index, shape)] = index + 1
    return owners


def point_timings(point: OperatingPoint, nominal: dict[str, int], clock_ps: int) -> dict[str, int]:
    """Timings in cycles at an operating point, from those of the datasheet; a given time is rounded up."""
    cycles = dict(nominal)
    if point.tRCD_ps is not None:
        cycles["RCD"] = cycles["RCDWR"] = ceil_div(point.tRCD_ps, clock_ps)
    if point.tRP_ps is not None:
        cycles["RP"] = ceil_div(point.tRP_ps, clock_ps)
        cycles["RPAB"] = nominal["RPAB"] + cycles["RP"] - nominal["RP"]
    if point.tRAS_ps is not None:
        cycles["RAS"] = ceil_div(point.tRAS_ps, clock_ps)
    cycles["RC"] = cycles["RAS"] + cycles["RP"]
    return cycles


def _place(partition: Partition, index: int, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    scope = partition.scope
    place: list[int | slice] = []
    for name, value, size in zip(
        ("channel", "rank", "bank"), (scope.channel, scope.rank, scope.bank), shape, strict=False
    ):
        if value is not None and value >= size:
            key = f"partitions.{index}.scope.{name}"
            raise ConfigError("lies outside of the memory", key=key, value=value, allowed=f"0 to {size - 1}")
        place.append(slice(None) if value is None else value)
    if scope.first_subarray is None or scope.last_subarray is None:
        return (*place, slice(None))
    if scope.last_subarray >= shape[3]:
        key = f"partitions.{index}.scope.last_subarray"
        raise ConfigError(
            "lies outside of the memory", key=key, value=scope.last_subarray, allowed=f"0 to {shape[3] - 1}"
        )
    return (*place, slice(scope.first_subarray, scope.last_subarray + 1))
