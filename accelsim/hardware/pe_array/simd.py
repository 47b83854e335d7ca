"""Cores with vector units and caches: processors, and graphics processors whose lanes share a memory.

A machine of this kind has no scratchpads that a mapper fills: its caches decide what stays. Every layer is run as the
loops of a good library (`simd_loops`) or as those of plain C (`simd_rows`), the caches simulate each line that the
loops touch (`accelsim.hardware.cache`), and the lines that the last level misses or evicts go to the DRAM in the order
in which they occur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.model import Record
from accelsim.config.pe_array import OnChipMemory, PeArrayConfig
from accelsim.hardware.cache.hierarchy import CacheLevel, Hierarchy, Outstanding, Prefetcher
from accelsim.units import BYTES_PER_KIB

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig
    from accelsim.hardware.pe_array.simd_stage import SimdCores

_Positive = Annotated[int, Field(ge=1)]
_Width = Annotated[int, Field(ge=1, le=32)]

SHARED_MEMORY = "shared_memory"
"""Name of the memory that the lanes of a core share, in reports."""


class PrefetcherConfig(Record):
    """A stream prefetcher beside a cache."""

    streams: _Positive = 16
    """Pages that it follows at one time."""
    training_requests: _Positive = 2
    """Requests of a page in one direction from which on it asks for lines itself."""
    degree: _Positive = 4
    """Lines that it asks for at one request."""
    distance_lines: _Positive = 16
    """Lines that it may be ahead of the request."""


class CacheConfig(Record):
    """One cache level; levels are listed from the one next to the core outwards."""

    capacity_kib: float = Field(gt=0, le=2**22)
    """Capacity of one cache."""
    associativity: int = Field(ge=1, le=128)
    cores: _Positive = 1
    """Cores that share one cache."""
    latency_cycles: int = Field(ge=0, le=10_000)
    """Cycles from the request to the answer of this level."""
    outstanding_misses: _Positive = 10
    """Misses that one cache can have on the way, prefetched lines included."""
    write: Literal["back", "through"] = "back"
    """``back``: stores allocate, dirty lines are written when they leave. ``through``: stores pass on to the next
    level and allocate nothing here."""
    prefetcher: PrefetcherConfig | None = None

    def sets(self, line_bytes: int) -> int:
        """Sets of one cache; 0 where capacity, line and associativity do not fit together."""
        lines, rest = divmod(self.capacity_kib * BYTES_PER_KIB, line_bytes)
        return 0 if rest or lines % self.associativity else int(lines) // self.associativity


class SimdConfig(PeArrayConfig):
    """Cores with vector units and caches."""

    sides: ClassVar[tuple[str, str]] = ("", "core")

    kind: Literal["simd"] = "simd"
    cores: int = Field(ge=1, le=256)
    vector_bits: int = Field(ge=32, le=4_096)
    """Bits of a vector register; of one register of all lanes that run in step on a graphics processor."""
    vector_registers: int = Field(default=16, ge=4, le=256)
    """Registers that hold sums and operands of a tile."""
    macs_per_cycle: dict[_Width, _Positive] = Field(min_length=1)
    """Multiply-accumulates of one core per cycle by operand width; a width between two counts as the next one."""
    mac_instructions: dict[_Width, _Positive] = Field(min_length=1)
    """Instructions that multiply and accumulate one vector, by operand width."""
    issue_width: _Positive
    """Instructions of one core per cycle."""
    loads_per_cycle: _Positive = 2
    """Vectors that one core loads per cycle."""
    window_instructions: _Positive
    """Instructions that may follow a missing load before the core has to wait for it: the reorder buffer, or what the
    other warps have to do."""
    line_bytes: int = Field(default=64, ge=16, le=4_096)
    page_bytes: int = Field(default=4_096, ge=256, le=2**30)
    """Page that prefetchers do not leave."""
    loops: Literal["blocked", "row_streaming"] = "blocked"
    """How the software multiplies matrices. ``blocked``: as a library does, tiles that stay in registers and caches.
    ``row_streaming``: as plain C does (DarkNet), a convolution lowered into a matrix whose rows stream past once per
    row of results; feature maps then lie channel by channel, though bit errors are drawn as if by pixel."""
    simulated_rows: Annotated[int, Field(ge=2)] | None = None
    """Rows of results that each core runs access by access per product where `loops` is ``row_streaming``; those that
    follow repeat the last of them, but for the very last. All where left out; of no effect on blocked loops."""
    lowered_in_memory: bool = False
    """Whether blocked loops take a convolution's map from a matrix that was written to memory before (``im2col``), as
    frameworks do that call a library of plain matrix products, and not from the map itself. Loops of
    ``row_streaming`` do so in any case."""
    shared_memory_kib: float | None = Field(default=None, gt=0)
    """Memory that the lanes of a core share and into which they copy tiles; packed blocks lie in the caches without."""
    caches: dict[str, CacheConfig] = Field(min_length=1, max_length=4)
    """Levels by name, from the one next to the core outwards."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name in ("line_bytes", "page_bytes", "vector_bits"):
            if getattr(self, name) & (getattr(self, name) - 1):
                message = f"{name} = {getattr(self, name)} is no power of two"
                raise ValueError(message)
        if self.page_bytes < self.line_bytes:
            raise ValueError("page_bytes is below line_bytes")
        for name, prices in (("macs_per_cycle", self.macs_per_cycle), ("mac_instructions", self.mac_instructions)):
            if max(prices) < self.operand_bits:
                message = f"{name} says nothing of operands of operand_bits = {self.operand_bits}"
                raise ValueError(message)
        if self.loops == "row_streaming" and self.shared_memory_kib is not None:
            raise ValueError("loops = row_streaming knows no tiles that could lie in shared_memory_kib; leave that out")
        shared = 1
        for name, cache in self.caches.items():
            if not cache.sets(self.line_bytes):
                message = (
                    f"caches.{name}.capacity_kib = {cache.capacity_kib:g} is no whole number of sets of "
                    f"{cache.associativity} lines of {self.line_bytes} bytes"
                )
                raise ValueError(message)
            if self.cores % cache.cores or cache.cores % shared:
                message = (
                    f"caches.{name}.cores = {cache.cores} has to divide cores = {self.cores} and to "
                    f"be a multiple of the cores that share a cache of the level before"
                )
                raise ValueError(message)
            shared = cache.cores
        if SHARED_MEMORY in self.caches:
            message = f"caches.{SHARED_MEMORY} is the name of the memory that lanes share"
            raise ValueError(message)
        return self

    @property
    def elements(self) -> int:
        """Multiply-accumulates of all cores per cycle, at the width at which they do most."""
        return self.cores * max(self.macs_per_cycle.values())

    @property
    def own_memories(self) -> dict[str, OnChipMemory]:
        """Caches, and the memories that lanes share."""
        memories = {
            name: OnChipMemory(cache.capacity_kib, self.cores // cache.cores) for name, cache in self.caches.items()
        }
        if self.shared_memory_kib is not None:
            memories[SHARED_MEMORY] = OnChipMemory(self.shared_memory_kib, self.cores)
        return memories

    def build(self, hardware: HardwareConfig) -> SimdCores:
        """Build the cores."""
        from accelsim.hardware.pe_array.simd_stage import SimdCores

        return SimdCores(self, hardware.vector_unit.lanes)

    def width_class(self, bits: int) -> int:
        """Operand width as which operands of `bits` bits are multiplied."""
        return min(width for width in self.macs_per_cycle if width >= bits)

    def instructions_per_mac(self, bits: int) -> int:
        """Instructions that multiply and accumulate one vector of operands of `bits` bits."""
        return self.mac_instructions[min(width for width in self.mac_instructions if width >= bits)]

    @property
    def window_cycles(self) -> float:
        """Cycles that a core runs on behind a missing load."""
        return self.window_instructions / self.issue_width

    @property
    def path_cycles(self) -> int:
        """Cycles that a miss of all levels spends in the caches."""
        return sum(cache.latency_cycles for cache in self.caches.values())

    def hierarchy(self, memory_latency_cycles: int, memory_bytes: int = 1 << 62) -> Hierarchy:
        """Build the caches, empty, above a memory of so many bytes that takes at least so many cycles."""
        levels = [
            CacheLevel(
                name=name,
                sets=cache.sets(self.line_bytes),
                ways=cache.associativity,
                cores=cache.cores,
                latency_cycles=cache.latency_cycles,
                writes_through=cache.write == "through",
                prefetcher=Prefetcher(**cache.prefetcher.model_dump()) if cache.prefetcher else None,
            )
            for name, cache in self.caches.items()
        ]
        per_core = [max(cache.outstanding_misses // cache.cores, 1) for cache in self.caches.values()]
        outstanding = Outstanding(
            demands=min(per_core),
            ahead=per_core[-1],
            window_cycles=self.window_cycles,
            latency_cycles=memory_latency_cycles + self.path_cycles,
        )
        return Hierarchy(levels, self.cores, self.line_bytes, self.page_bytes, outstanding, memory_bytes)
