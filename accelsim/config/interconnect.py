"""The parts of a hardware config that describe how data get about: between buffers and array, and from and to DRAM."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from accelsim.config.model import Record

_NEEDED = {
    "none": (),
    "bus": ("bits_per_cycle",),
    "multicast_tree": ("bits_per_cycle",),
    "mesh": ("bits_per_cycle", "rows", "cols"),
}
_TAKEN = {
    "none": (),
    "bus": ("bits_per_cycle", "hop_cycles"),
    "multicast_tree": ("bits_per_cycle", "hop_cycles", "radix"),
    "mesh": ("bits_per_cycle", "hop_cycles", "rows", "cols"),
}


class InterconnectConfig(Record):
    """What lies between the buffers and the array."""

    kind: Literal["none", "bus", "multicast_tree", "mesh"] = "none"
    """``none`` delivers all that is asked for in time, at the energy table's price per bit. A ``bus`` carries one word
    per cycle, whoever it is for; a ``multicast_tree`` for each operand and direction carries a word to all that want
    it; a ``mesh`` of routers has the buffers at its first corner and brings words to their column first, then to their
    row."""
    bits_per_cycle: int | None = Field(default=None, ge=1, le=2**20)
    """Width of a link: bits that it takes per cycle."""
    hop_cycles: int | None = Field(default=None, ge=1, le=1_000)
    """Cycles of a hop: from router to router, from level to level of a tree, or over the bus; left out: 1."""
    radix: int | None = Field(default=None, ge=2, le=1_024)
    """Branches at every node of a tree; left out: 2."""
    rows: int | None = Field(default=None, ge=1, le=1_024)
    """Rows of routers of a mesh."""
    cols: int | None = Field(default=None, ge=1, le=1_024)
    """Columns of routers of a mesh."""

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> InterconnectConfig:
        for key in _NEEDED[self.kind]:
            if getattr(self, key) is None:
                message = f"kind = {self.kind} needs {key}"
                raise ValueError(message)
        for key in ("bits_per_cycle", "hop_cycles", "radix", "rows", "cols"):
            if getattr(self, key) is not None and key not in _TAKEN[self.kind]:
                message = f"kind = {self.kind} takes no {key}"
                raise ValueError(message)
        return self


class HostConfig(Record):
    """The link to a host that sends what enters a network and takes its results; without one they are in DRAM."""

    bandwidth_gb_per_s: float | None = Field(default=None, gt=0, le=100_000)
    """10^9 bytes per second in each direction; left out: there is no such link."""
    latency_ns: float | None = Field(default=None, ge=0, le=10_000_000)
    """Time from the last byte on the link to its arrival; left out: none."""

    @model_validator(mode="after")
    def _latency_needs_a_link(self) -> HostConfig:
        if self.latency_ns is not None and self.bandwidth_gb_per_s is None:
            raise ValueError("latency_ns needs bandwidth_gb_per_s")
        return self


class DmaConfig(Record):
    """What cuts tiles into bursts and asks the memory for them; what is left out has no limit."""

    channels: int | None = Field(default=None, ge=1, le=1_024)
    """Tiles that are on their way at one time."""
    outstanding_bursts: int | None = Field(default=None, ge=1, le=2**20)
    """Bursts of one tile that the memory may have at one time."""
    bytes_per_cycle: float | None = Field(default=None, gt=0, le=2**20)
    """Bytes that pass per cycle of the array's clock, all channels together."""

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return any(value is not None for value in (self.channels, self.outstanding_bursts, self.bytes_per_cycle))
