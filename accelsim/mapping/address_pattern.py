"""Address patterns: which bytes of DRAM a tile covers, as nested runs, and the bursts that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.jit import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RUN_DTYPE = np.dtype(
    [
        ("base", "i8"),
        ("outer_count", "i8"),
        ("outer_stride", "i8"),
        ("inner_count", "i8"),
        ("inner_stride", "i8"),
        ("run_bytes", "i8"),
    ]
)
"""``outer_count x inner_count`` runs of ``run_bytes`` side by side; strides in bytes."""

HOST_ADDRESS = 2**52
"""Addresses from here on are those of the host, beyond any DRAM."""


@dataclass(frozen=True)
class AddressPattern:
    """What a sequence of tiles covers in DRAM.

    Parameters
    ----------
    runs
        Array of `RUN_DTYPE`, tile after tile.
    offsets
        ``offsets[i]:offsets[i + 1]`` are the runs of tile i; shape (tiles + 1,).
    """

    runs: NDArray[np.void]
    offsets: NDArray[np.int64]

    @classmethod
    def empty(cls, tiles: int) -> AddressPattern:
        """Pattern of tiles that touch no DRAM."""
        return cls(np.empty(0, RUN_DTYPE), np.zeros(tiles + 1, np.int64))

    @classmethod
    def gather(cls, parts: Sequence[tuple[NDArray[np.int64], NDArray[np.void]]], tiles: int) -> AddressPattern:
        """Join arrays of runs, each with the tile that every run belongs to; runs of no bytes are dropped."""
        if not parts:
            return cls.empty(tiles)
        owner = np.concatenate([part[0] for part in parts])
        runs = np.concatenate([part[1] for part in parts])
        alive = runs["outer_count"] * runs["inner_count"] * runs["run_bytes"] > 0
        owner, runs = owner[alive], runs[alive]
        order = np.argsort(owner, kind="stable")
        offsets = np.zeros(tiles + 1, np.int64)
        np.cumsum(np.bincount(owner, minlength=tiles), out=offsets[1:])
        return cls(runs[order], offsets)

    @cached_property
    def tile_bytes(self) -> NDArray[np.int64]:
        """Bytes that each tile covers, whole bursts not rounded."""
        sizes = self.runs["outer_count"] * self.runs["inner_count"] * self.runs["run_bytes"]
        totals = np.concatenate([[0], np.cumsum(sizes)])
        tile_bytes: NDArray[np.int64] = totals[self.offsets[1:]] - totals[self.offsets[:-1]]
        return tile_bytes

    def bytes_of(self, tile: int) -> int:
        """Bytes that one tile covers."""
        runs = self.runs[self.offsets[tile] : self.offsets[tile + 1]]
        return int((runs["outer_count"] * runs["inner_count"] * runs["run_bytes"]).sum())

    @cached_property
    def in_dram(self) -> AddressPattern:
        """The same tiles without what lies at the host."""
        away = self.runs["base"] >= HOST_ADDRESS
        if not away.any():
            return self
        owner = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        return AddressPattern.gather([(owner[~away], self.runs[~away])], len(self.offsets) - 1)

    @property
    def host_tile_bytes(self) -> NDArray[np.int64]:
        """Bytes of each tile that lie at the host."""
        return self.tile_bytes - self.in_dram.tile_bytes

    def bursts(self, tile: int, burst_bytes: int) -> NDArray[np.int64]:
        """Addresses of the bursts that carry a tile, in order; a burst shared by neighbouring runs counts once."""
        runs = self.runs[self.offsets[tile] : self.offsets[tile + 1]]
        return _bursts(runs, burst_bytes)

    def burst_counts(self, burst_bytes: int) -> NDArray[np.int64]:
        """Number of bursts that carry each tile."""
        return _burst_counts(self.runs, self.offsets, burst_bytes)

    def pieces(self, tile: int, burst_bytes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Address and size of the bytes that a tile covers, run after run, cut where a burst ends."""
        runs = self.runs[self.offsets[tile] : self.offsets[tile + 1]]
        return _pieces(runs, burst_bytes)


@kernel
def _pieces(runs: NDArray[np.void], burst_bytes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    most = 0
    for i in range(len(runs)):
        run = runs[i]
        most += run["outer_count"] * run["inner_count"] * (run["run_bytes"] // burst_bytes + 2)
    addresses = np.empty(most, np.int64)
    sizes = np.empty(most, np.int64)
    count = 0
    for i in range(len(runs)):
        run = runs[i]
        for outer in range(run["outer_count"]):
            for inner in range(run["inner_count"]):
                address = run["base"] + outer * run["outer_stride"] + inner * run["inner_stride"]
                end = address + run["run_bytes"]
                while address < end:
                    size = min(end, address // burst_bytes * burst_bytes + burst_bytes) - address
                    addresses[count] = address
                    sizes[count] = size
                    count += 1
                    address += size
    return addresses[:count].copy(), sizes[:count].copy()


@kernel
def _bursts(runs: NDArray[np.void], burst_bytes: int) -> NDArray[np.int64]:
    most = 0
    for i in range(len(runs)):
        run = runs[i]
        most += run["outer_count"] * run["inner_count"] * (run["run_bytes"] // burst_bytes + 2)
    addresses = np.empty(most, np.int64)
    count, last = 0, np.int64(-1)
    for i in range(len(runs)):
        run = runs[i]
        for outer in range(run["outer_count"]):
            for inner in range(run["inner_count"]):
                begin = run["base"] + outer * run["outer_stride"] + inner * run["inner_stride"]
                address = begin // burst_bytes * burst_bytes
                if address == last:
                    address += burst_bytes
                while address < begin + run["run_bytes"]:
                    addresses[count] = address
                    count += 1
                    last = address
                    address += burst_bytes
    return addresses[:count].copy()


@kernel
def _burst_counts(runs: NDArray[np.void], offsets: NDArray[np.int64], burst_bytes: int) -> NDArray[np.int64]:
    counts = np.zeros(len(offsets) - 1, np.int64)
    for tile in range(len(counts)):
        last = np.int64(-1)
        for i in range(offsets[tile], offsets[tile + 1]):
            run = runs[i]
            for outer in range(run["outer_count"]):
                for inner in range(run["inner_count"]):
                    begin = run["base"] + outer * run["outer_stride"] + inner * run["inner_stride"]
                    first = begin // burst_bytes
                    if first == last:
                        first += 1
                    behind = -(-(begin + run["run_bytes"]) // burst_bytes)
                    if behind > first:
                        counts[tile] += behind - first
                        last = behind - 1
    return counts


def shortened(runs: NDArray[np.void], share: float, address: int = 0) -> NDArray[np.void]:
    """Runs of a feature map that is coded: a share of their bytes, rounded up.

    The coded values of some channels of neighbouring pixels lie packed, in one run; the channels before theirs come
    before them, in the place that the plain pixels would have.

    Parameters
    ----------
    runs
        Runs of the plain feature map.
    share
        Share of the bytes that is left.
    address
        Where the feature map begins.
    """
    if share == 1.0:
        return runs
    coded = runs.copy()
    pixels, stride = runs["inner_count"], np.maximum(runs["inner_stride"], 1)
    before = np.where(pixels > 1, (runs["base"] - address) % stride, 0)
    coded["base"] += np.floor(before * pixels * share).astype(np.int64) - before
    coded["run_bytes"] = np.ceil(runs["run_bytes"] * pixels * share)
    coded["inner_count"] = 1
    return coded


def runs_of(
    base: NDArray[np.int64],
    run_bytes: NDArray[np.int64] | int,
    inner: tuple[NDArray[np.int64] | int, NDArray[np.int64] | int] = (1, 0),
    outer: tuple[NDArray[np.int64] | int, int] = (1, 0),
) -> NDArray[np.void]:
    """Build an array of `RUN_DTYPE`; `inner` and `outer` are (count, stride) pairs."""
    runs = np.empty(len(base), RUN_DTYPE)
    runs["base"], runs["run_bytes"] = base, run_bytes
    runs["inner_count"], runs["inner_stride"] = inner
    runs["outer_count"], runs["outer_stride"] = outer
    return runs
