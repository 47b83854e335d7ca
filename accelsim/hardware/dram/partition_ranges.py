"""Which addresses belong to which partition: what placing a tensor in a partition needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import ConfigError
from accelsim.hardware.dram.operating_points import partition_places
from accelsim.hardware.dram.read_errors import decode_addresses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.dram.tables import DramSpec

AddressRanges = tuple[tuple[int, int], ...]
"""First and last-plus-one address of stretches of memory."""

DATASHEET = ""
"""Name under which the ranges outside of all partitions stand."""

_SCOPE_FIELDS = {"channel": ("channel",), "rank": ("rank",), "bank": ("bank_group", "bank"), "first_subarray": ("row",)}
"""Fields of the address map that decide whether an address lies in a partition, by key of its scope."""


def partition_ranges(spec: DramSpec, page_bytes: int) -> dict[str, AddressRanges]:
    """Find the addresses of every partition, and of what lies in none.

    Parameters
    ----------
    spec
        The memory.
    page_bytes
        Tensors begin at multiples of this; a power of two.

    Raises
    ------
    ConfigError
        When the address map spreads the bursts of one page over partitions.
    """
    _check_pages_are_whole(spec, page_bytes)
    owners = partition_places(spec.config, spec.device)
    pages = np.arange(0, spec.capacity_bytes, page_bytes, dtype=np.int64)
    fields = decode_addresses(spec, pages)
    bank = fields["bank_group"] * spec.geometry.banks_per_group + fields["bank"]
    subarray = fields["row"] // spec.geometry.rows_per_subarray
    owner = owners[fields["channel"], fields["rank"], bank, subarray]
    names = (DATASHEET, *(partition.name for partition in spec.config.partitions))
    return {name: _stretches(owner == number, page_bytes) for number, name in enumerate(names)}


def _stretches(mine: NDArray[np.bool_], page_bytes: int) -> AddressRanges:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mine, [False]]).astype(np.int8)))
    return tuple((int(begin) * page_bytes, int(end) * page_bytes) for begin, end in edges.reshape(-1, 2))


def _check_pages_are_whole(spec: DramSpec, page_bytes: int) -> None:
    """Refuse maps under which an address bit inside a page changes a field that some partition's scope names."""
    asked = {
        field
        for partition in spec.config.partitions
        for key, fields in _SCOPE_FIELDS.items()
        if getattr(partition.scope, key) is not None
        for field in fields
    }
    base = decode_addresses(spec, np.zeros(1, np.int64))
    offset = spec.burst_bytes
    while offset < page_bytes:
        moved = decode_addresses(spec, np.array([offset], np.int64))
        mixed = [
            field for field in sorted(asked)
            if _part(field, moved, spec) != _part(field, base, spec)
        ]  # fmt: skip
        if mixed:
            raise ConfigError(
                f"spreads pages of {page_bytes} bytes over the {mixed[0].replace('_', ' ')}s that partitions tell"
                " apart, so no tensor can be placed in one of them",
                key="dram.address_map", value=spec.config.address_map, allowed="a map such as ChRaBaRoCo",
            )  # fmt: skip
        offset *= 2


def _part(field: str, values: dict[str, NDArray[np.int64]], spec: DramSpec) -> int:
    value = int(values[field][0])
    return value // spec.geometry.rows_per_subarray if field == "row" else value
