"""The part of a hardware config that describes the array, one record for each kind.

A kind is one file: its record, derived from `PeArrayConfig`, and the array that the record builds. Those that ship with
accelsim stand in `BUILT_IN`; others are added by `register_array`, or by an entry point of the group `accelsim.arrays`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError
from pydantic_core import InitErrorDetails

from accelsim.config.model import Record
from accelsim.units import Clock

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig

DEFAULT_KIND = "systolic"
ENTRY_POINTS = "accelsim.arrays"

BUILT_IN = {
    "bit_serial": "accelsim.hardware.pe_array.bit_serial:BitSerialConfig",
    "bit_pragmatic": "accelsim.hardware.pe_array.bit_pragmatic:BitPragmaticConfig",
    "cambricon_x": "accelsim.hardware.pe_array.cambricon_x:CambriconXConfig",
    "dcnn": "accelsim.hardware.pe_array.dcnn:DcnnConfig",
    "diannao": "accelsim.hardware.pe_array.diannao:DianNaoConfig",
    "double_buffered_systolic": "accelsim.hardware.pe_array.double_buffered_systolic:DoubleBufferedSystolicConfig",
    "lookup": "accelsim.hardware.pe_array.lookup:LookupConfig",
    "scnn": "accelsim.hardware.pe_array.scnn:ScnnConfig",
    "simd": "accelsim.hardware.pe_array.simd:SimdConfig",
    "row_stationary": "accelsim.hardware.pe_array.row_stationary:RowStationaryConfig",
    "systolic": "accelsim.hardware.pe_array.systolic:SystolicConfig",
}
"""Kinds that ship with accelsim, with the place of their records."""

_registered: dict[str, type[PeArrayConfig]] = {}


@dataclass(frozen=True)
class OnChipMemory:
    """A kind of memory on chip.

    Parameters
    ----------
    capacity_kib
        Capacity of one.
    instances
        How many there are.
    banks
        Equal macros that each is made of.
    """

    capacity_kib: float
    instances: int = 1
    banks: int = 1


class PeArrayConfig(Record):
    """What every array has; each kind adds its own keys."""

    takes_encoded_weights: ClassVar[bool] = False
    """Whether the array itself decodes weights that are stored as sparse powers of two and a basis."""

    sides: ClassVar[tuple[str, str]] = ("row", "column")
    """What a row and what a column of the array that the page of a run draws is; empty where there is but one."""

    kind: str
    """Which array it is."""
    clock_mhz: float = Field(ge=0.001, le=100_000)
    """Clock of array, vector unit and buffers."""
    operand_bits: int = Field(default=8, ge=1, le=64)
    """Widest operand that a multiplier takes."""

    @classmethod
    def kind_of(cls, data: object) -> type[Record]:
        """Class that checks `data`, by its kind.

        Raises
        ------
        ValueError
            When there is no such kind.
        """
        return _record_of(data.get("kind", DEFAULT_KIND)) if isinstance(data, Mapping) else cls

    @property
    def clock(self) -> Clock:
        """The clock domain."""
        return Clock.from_mhz(self.clock_mhz)

    @property
    def own_memories(self) -> dict[str, OnChipMemory]:
        """Memories that the array brings along, by name, such as caches; with such ones no scratchpads are needed."""
        return {}

    @property
    def elements(self) -> int:
        """Multiply-accumulates of the whole array per cycle at its peak."""
        raise NotImplementedError

    @property
    def leaking_elements(self) -> float:
        """Multipliers of full width whose transistors the array has: what its leakage is counted by."""
        return self.elements

    def build(self, hardware: HardwareConfig) -> object:
        """Build the array (an `accelsim.mapping.array_costs.PeArray`) of a machine."""
        raise NotImplementedError


def register_array(kind: str, record: type[PeArrayConfig]) -> None:
    """Make a kind of array known under a name.

    Parameters
    ----------
    kind
        Value of ``pe_array.kind`` in a hardware config.
    record
        Its keys, and what builds it.

    Raises
    ------
    ValueError
        When accelsim itself, or an earlier call with another record, has taken the name.
    """
    if kind in BUILT_IN or _registered.get(kind, record) is not record:
        message = f"there is an array of kind {kind!r} already"
        raise ValueError(message)
    _registered[kind] = record


def array_kinds() -> list[str]:
    """Names of all known kinds."""
    return sorted({*BUILT_IN, *_registered, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})


def _record_of(kind: object) -> type[PeArrayConfig]:
    if isinstance(kind, str):
        if kind in BUILT_IN:
            module, _, name = BUILT_IN[kind].partition(":")
            return getattr(import_module(module), name)  # type: ignore[no-any-return]
        if kind in _registered:
            return _registered[kind]
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            return entry.load()  # type: ignore[no-any-return]
    known = " or ".join(repr(name) for name in array_kinds())
    line = InitErrorDetails(type="literal_error", loc=("kind",), input=kind, ctx={"expected": known})
    raise ValidationError.from_exception_data("PeArrayConfig", [line])


def _of_its_kind(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the config
    """Check the keys of an array by the record of its kind."""
    if not isinstance(value, Mapping):
        return value
    return PeArrayConfig.kind_of(value).model_validate_json(json.dumps(dict(value)))


AnyPeArray = Annotated[SerializeAsAny[PeArrayConfig], BeforeValidator(_of_its_kind)]
"""Field type that holds an array of any kind."""
