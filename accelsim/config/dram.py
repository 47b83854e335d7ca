"""What a user says about the DRAM of a machine: device, controller policy, partitions below specification."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.model import Record

_Positive = Annotated[int, Field(ge=1)]
_NonNegative = Annotated[int, Field(ge=0)]
_Exponent = Annotated[float, Field(ge=0.0, le=4.0)]
_Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


class OperatingPoint(Record):
    """Voltage and timings at which a partition is run; what is left out keeps the value of the device."""

    vdd_v: Annotated[float, Field(gt=0.0, le=5.0)] | None = None
    """Voltage of the rails that scale with the operating point."""
    tRCD_ps: _Positive | None = None  # noqa: N815 - the name that datasheets use
    """Activate to read or write."""
    tRP_ps: _Positive | None = None  # noqa: N815 - the name that datasheets use
    """Precharge to activate."""
    tRAS_ps: _Positive | None = None  # noqa: N815 - the name that datasheets use
    """Activate to precharge."""
    refresh_interval_multiplier: _Positive = 1
    """Refreshes are this many times rarer than the device asks for."""


class PartitionScope(Record):
    """The part of the memory that a partition covers; what is left out means all of it."""

    channel: _NonNegative | None = None
    rank: _NonNegative | None = None
    bank: _NonNegative | None = None
    """Bank within its rank, counted through the bank groups: ``bank_group * banks_per_group + bank``."""
    first_subarray: _NonNegative | None = None
    """First subarray of a range; subarrays are `rows_per_subarray` rows of every bank in scope."""
    last_subarray: _NonNegative | None = None
    """Last subarray of the range, inclusive."""

    @model_validator(mode="after")
    def _subarrays_make_a_range(self) -> Self:
        if (self.first_subarray is None) != (self.last_subarray is None):
            raise ValueError("first_subarray and last_subarray belong together")
        if self.first_subarray is not None and self.last_subarray is not None:  # noqa: SIM102 - narrows the types
            if self.first_subarray > self.last_subarray:
                raise ValueError("first_subarray is behind last_subarray")
        return self


class Partition(Record):
    """A part of the memory with its operating point; where two partitions overlap, the later one holds."""

    name: str
    scope: PartitionScope = PartitionScope()
    operating_point: OperatingPoint = OperatingPoint()


def whole_memory_at(point: OperatingPoint) -> str:
    """Override (``--set``) that runs all of the memory at one operating point."""
    lowered = {"name": "lowered", "operating_point": point.model_dump(exclude_defaults=True)}
    return f"dram.partitions={json.dumps([lowered])}"


class VoltageExponents(Record):
    """How the energy of each component follows the voltage of its rail: ``(V / V_nominal) ** exponent``.

    1 keeps the datasheet currents (energy is current times voltage times time, as in DRAMPower), 2 takes every current
    to scale with the voltage too (switched capacitance). Rails that the device marks as fixed do not scale at all.
    """

    activate: _Exponent = 1.0
    read: _Exponent = 1.0
    write: _Exponent = 1.0
    refresh: _Exponent = 1.0
    active_standby: _Exponent = 1.0
    precharge_standby: _Exponent = 1.0
    power_down: _Exponent = 1.0


class BitErrorConfig(Record):
    """Which bits flip where a partition runs below specification; without it none do."""

    table: str
    """Bit-error rates by operating point: a preset under hw_configs/dram/errors, or a path."""
    vendor: str | None = None
    """Vendor of the modules measured; may be left out where the table has one only."""
    module: Literal["low", "typical", "high"] = "typical"
    """The best, the median or the worst module measured."""
    model: Literal["uniform", "bitline", "wordline", "data_dependent"] = "uniform"
    """How the errors lie in a bank: EDEN's error models 0 to 3."""


class DramConfig(Record):
    """The main memory. Everything has a default; ``{device: DDR4_2400R_8Gb_x8}`` suffices."""

    kind: Literal["command", "ideal"] = "command"
    """``command`` simulates every DRAM command; ``ideal`` is a pipe with a latency and a bandwidth."""
    device: str = "DDR4_2400R_8Gb_x8"
    """Preset under hw_configs/dram, or path of a device file."""
    speed_bin: str | None = None
    """Speed bin of the device file; a preset name that carries its bin (the R of DDR4_2400R) needs none."""
    channels: Annotated[int, Field(ge=1, le=64)] = 1
    ranks: Annotated[int, Field(ge=1, le=8)] = 1
    bus_width_bits: _Positive | None = None
    """Data bits of one channel; the device file's own width where left out."""
    address_map: str = "RoBaRaCoCh"
    """RoBaRaCoCh, ChRaBaRoCo or MOP4CLXOR as in Ramulator 2, two-letter fields from the most significant down
    (``rochrababgco``), or fields with widths (``row column:5 bank bank_group rank column:2 channel``)."""
    page_policy: Literal["open", "closed"] = "open"
    """``closed`` precharges with the access unless another queued request wants the same row."""
    read_queue_entries: Annotated[int, Field(ge=1, le=1024)] = 32
    write_queue_entries: Annotated[int, Field(ge=1, le=1024)] = 32
    write_drain_high: _Fraction = 0.8
    """Writes are drained once more than this fraction of the write queue is taken."""
    write_drain_low: _Fraction = 0.2
    """Draining ends when less than this fraction is taken and a read waits."""
    scheduler: Literal["frfcfs", "bank_round_robin"] = "frfcfs"
    """``frfcfs``: the oldest request whose next command may issue now. ``bank_round_robin``: banks take turns, within a
    bank the oldest that is ready, and a row with waiting hits is closed only after `row_hit_limit` of them."""
    row_hit_limit: _Positive = 4
    """Hits after which ``bank_round_robin`` may close a row that still has waiting hits."""
    refresh: Literal["all_bank", "per_bank", "none"] = "all_bank"
    refresh_rate: Literal[1, 2, 4] = 1
    """Refreshes per tREFI: 2 above 85 degC."""
    refresh_staggered: bool = False
    """Spread the ranks' refreshes over tREFI instead of asking for all at once."""
    power_down_idle_cycles: _Positive | None = None
    """Cycles without command or waiting request after which a rank enters power-down; never where left out."""
    partitions: tuple[Partition, ...] = ()
    voltage_exponents: VoltageExponents = VoltageExponents()
    bit_errors: BitErrorConfig | None = None
    ideal_latency_ns: Annotated[float, Field(ge=0.0)] = 0.0
    """Latency of the ``ideal`` kind."""
    ideal_bandwidth_gb_per_s: Annotated[float, Field(gt=0.0)] | None = None
    """Bandwidth of the ``ideal`` kind; unlimited where left out."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name in ("channels", "ranks"):
            if getattr(self, name) & (getattr(self, name) - 1):
                message = f"{name} = {getattr(self, name)} is no power of two"
                raise ValueError(message)
        if self.write_drain_low >= self.write_drain_high:
            raise ValueError("write_drain_low has to lie below write_drain_high")
        names = [partition.name for partition in self.partitions]
        if len(set(names)) != len(names):
            raise ValueError("two partitions have the same name")
        return self
