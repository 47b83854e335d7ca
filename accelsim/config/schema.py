"""The hardware config: every figure of the machine that a run depends on.

A preset states for each number where it comes from, in `sources`: a mapping from dotted key to a citation, or to a
text with the word ``assumption`` in it. A key there covers everything below it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, model_validator

from accelsim.config.dram import DramConfig
from accelsim.config.interconnect import DmaConfig, HostConfig, InterconnectConfig
from accelsim.config.model import Record
from accelsim.config.pe_array import AnyPeArray, OnChipMemory
from accelsim.units import BYTES_PER_KIB

Operand = Literal["ifmap", "weight", "ofmap", "psum"]
LoopOrder = Literal["mnk", "mkn", "nmk", "nkm", "kmn", "knm"]

MOST_BUFFERS = 8
"""On-chip memories that a machine may have; the compiled tiling search has room for as many."""


class VectorUnitConfig(Record):
    """Lanes beside the array for pooling, element-wise layers and functions of one feature map."""

    lanes: int = Field(ge=1, le=1_048_576)
    """Element operations per cycle."""
    takes_results: bool = False
    """Whether all results of the array pass it on their way out of the buffer of partial sums, `lanes` per cycle, and a
    layer begins only when those of the one before have; otherwise what is fused into a layer takes no time."""


class PrecisionConfig(Record):
    """Stored bits per element where a workload does not say otherwise."""

    ifmap_bits: int = Field(default=8, ge=1, le=64)
    """Bits of a feature map that enters from outside."""
    weight_bits: int = Field(default=8, ge=1, le=64)
    """Bits of a weight."""
    ofmap_bits: int = Field(default=8, ge=1, le=64)
    """Bits of a feature map that a layer makes."""
    psum_bits: int = Field(default=32, ge=1, le=128)
    """Bits of a partial sum."""


class BufferConfig(Record):
    """One on-chip memory and the operands that live in it."""

    capacity_kib: float = Field(gt=0, le=2**24)
    """Capacity in KiB, both halves of a double buffer included."""
    operands: tuple[Operand, ...] = Field(min_length=1)
    """Operands that share the capacity."""
    banks: int = Field(default=1, ge=1, le=2**20)
    """Equal macros that it is made of: a bit costs what it costs in one of them. Banks do not limit the bandwidth
    (`bytes_per_cycle` does), and what lies around them is not priced."""
    double_buffer: bool = True
    """Whether the next tile is fetched while the current one is used."""
    depth: int | None = Field(default=None, ge=1, le=64)
    """Tiles of an operand (or sets of tiles that are kept together) that it may hold at one time, as a queue does; left
    out: 2 for a double buffer, else 1."""
    bytes_per_cycle: float | None = Field(default=None, gt=0, le=2**30)
    """Bytes that compute units can read from it or write to it in a cycle, both together; left out: as many as they ask
    for. Transfers from and to DRAM take the cycles that are left."""

    @property
    def tiles_in_flight(self) -> int:
        """Tiles of an operand that it may hold at one time."""
        return self.depth or (2 if self.double_buffer else 1)

    @property
    def capacity_bytes(self) -> int:
        """Capacity in whole bytes."""
        return int(self.capacity_kib * BYTES_PER_KIB)


class TileConfig(Record):
    """A mapping given by hand for one layer."""

    order: LoopOrder
    """Loops over tiles from the outermost to the innermost."""
    m: int = Field(ge=1)
    """Output pixels per tile."""
    n: int = Field(ge=1)
    """Filters per tile."""
    k: int = Field(ge=1)
    """Weights of one filter per tile."""


class PotDecodingConfig(Record):
    """Where weights that are stored as sparse powers of two become weights again, on arrays that do not do it."""

    mode: Literal["on_the_fly", "ahead"] = "on_the_fly"
    """At the edge of the array, every time they enter it, or once between DRAM and the weight buffer."""
    weights_per_cycle: int | None = Field(default=None, ge=1, le=1_048_576)
    """Weights that the decoder makes in a cycle; as many as are asked for where nothing is stated."""


class MappingConfig(Record):
    """How layers are tiled and what stays on chip between them."""

    objective: Literal["latency", "dram_traffic", "compute_cycles"] = "latency"
    """What the search minimises: modelled latency, bytes to and from DRAM, or cycles of the array alone."""
    keep_on_chip: bool = True
    """Whether feature maps that fit stay in their buffer between layers."""
    layers: dict[str, TileConfig] = Field(default_factory=dict)
    """Mappings given by hand, by layer name."""
    partitions: dict[str, str] = Field(default_factory=dict)
    """Partition of the DRAM by tensor; with any named, the others lie outside of all partitions."""
    pot_decoding: PotDecodingConfig = PotDecodingConfig()
    """How decomposed weights reach an array that multiplies plain ones."""


class ControlConfig(Record):
    """What the machine does where an earlier layer decides whether later ones run."""

    prefetch: Literal["wait", "speculate", "speculate_weights"] = "speculate_weights"
    """What is fetched before it is known whether it is needed: nothing, all that has room, or weights alone."""
    decision_cycles: int = Field(default=0, ge=0, le=1_000_000)
    """Cycles from the last result of the layer that decides until the machine acts on it."""

    @property
    def speculates(self) -> tuple[str, ...]:
        """Operands that are fetched ahead of the decision."""
        return {"wait": (), "speculate": ("ifmap", "weight"), "speculate_weights": ("weight",)}[self.prefetch]


class EnergyConfig(Record):
    """Which energy table prices the activity."""

    table: str
    """Name of a table under ``hw_configs/energy``, or a path."""


class HardwareConfig(Record):
    """A whole machine."""

    name: str = Field(min_length=1)
    description: str = ""
    pe_array: AnyPeArray
    """The array; its keys follow from its kind."""
    vector_unit: VectorUnitConfig
    precision: PrecisionConfig = PrecisionConfig()
    sram: dict[str, BufferConfig] = Field(default_factory=dict, max_length=MOST_BUFFERS)
    """On-chip memories by name; none where the array has caches."""
    dram: DramConfig
    interconnect: InterconnectConfig = InterconnectConfig()
    """What lies between the buffers and the array."""
    dma: DmaConfig = DmaConfig()
    """What moves tiles from and to DRAM."""
    host: HostConfig = HostConfig()
    """The link to a host, where what enters and leaves a network does not lie in DRAM."""
    mapping: MappingConfig = MappingConfig()
    control: ControlConfig = ControlConfig()
    energy: EnergyConfig
    sources: dict[str, str] = Field(default_factory=dict)
    """Where each number comes from: dotted key to citation."""

    @model_validator(mode="after")
    def _caches_take_the_place_of_buffers(self) -> HardwareConfig:
        own = self.pe_array.own_memories
        if not own:
            return self
        if self.sram:
            message = f"sram: a machine whose array has {', '.join(own)} has no scratchpads; leave sram out"
            raise ValueError(message)
        if self.interconnect.kind != "none":
            message = f"interconnect.kind = {self.interconnect.kind}: a machine whose array has caches takes none"
            raise ValueError(message)
        if self.host.bandwidth_gb_per_s is not None:
            raise ValueError("host.bandwidth_gb_per_s: a machine whose array has caches has all in DRAM")
        if self.mapping.layers:
            raise ValueError("mapping.layers: a machine whose array has caches cuts no tiles")
        return self

    @model_validator(mode="after")
    def _every_operand_has_one_buffer(self) -> HardwareConfig:
        owners: dict[str, str] = {}
        for name, buffer in self.sram.items():
            for operand in buffer.operands:
                if operand in owners:
                    message = f"operand {operand} stands in both sram.{owners[operand]} and sram.{name}"
                    if owners[operand] == name:
                        message = f"operand {operand} stands twice in sram.{name}"
                    raise ValueError(message)
                owners[operand] = name
        missing = [operand for operand in ("ifmap", "weight", "ofmap") if operand not in owners]
        if not self.sram and not self.pe_array.own_memories:
            raise ValueError("sram: is missing")
        if missing and self.sram:
            message = f"no buffer under sram holds {' or '.join(missing)}"
            raise ValueError(message)
        if self.pe_array.operand_bits < max(self.precision.ifmap_bits, self.precision.weight_bits):
            message = (
                f"precision.ifmap_bits = {self.precision.ifmap_bits} and precision.weight_bits = "
                f"{self.precision.weight_bits} may not exceed pe_array.operand_bits = {self.pe_array.operand_bits}"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _partitions_of_tensors_exist(self) -> HardwareConfig:
        known = [partition.name for partition in self.dram.partitions]
        for tensor, name in self.mapping.partitions.items():
            if name not in known:
                message = f"mapping.partitions.{tensor} = {name!r} stands not under dram.partitions: {', '.join(known)}"
                raise ValueError(message)
        return self

    def buffer_of(self, operand: Operand) -> str:
        """Name of the buffer that holds an operand; partial sums live with the ofmap unless they have their own."""
        for name, buffer in self.sram.items():
            if operand in buffer.operands:
                return name
        return self.buffer_of("ofmap")

    @property
    def on_chip(self) -> dict[str, OnChipMemory]:
        """All memories on chip by name: scratchpads, or what the array brings along."""
        scratchpads = {name: OnChipMemory(held.capacity_kib, banks=held.banks) for name, held in self.sram.items()}
        return scratchpads | self.pe_array.own_memories

    def resolved(self) -> dict[str, Any]:
        """Return the config as plain data, every default filled in."""
        return self.model_dump(mode="json")

    @property
    def content_hash(self) -> str:
        """Hash of all that can change a result: names, descriptions and sources do not count."""
        content = {key: value for key, value in self.resolved().items() if key not in _TEXT_KEYS}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


_TEXT_KEYS = ("name", "description", "sources")
