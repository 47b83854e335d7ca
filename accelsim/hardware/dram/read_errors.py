"""The bits that flip when a tile is read: partitions, operating points, rates and error models joined.

Timing and energy read the same partitions and operating points, so they cannot disagree with the errors about what
happened. Rates come from a table by how far voltage and timings lie below those of the device (see
`accelsim.hardware.dram.bit_error_rate`), the flips of single cells from an error model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import ConfigError
from accelsim.hardware.dram.address_map import split_bursts
from accelsim.hardware.dram.bit_error_rate import AXES, rate_at_reduction
from accelsim.hardware.dram.bit_flips import WEAK_CELL_DTYPE, draw_flips, weak_cells
from accelsim.hardware.dram.cell_region import CellRegion, map_bytes
from accelsim.hardware.dram.error_model import ErrorModel, data_dependent_at_rates, model_at_rate
from accelsim.units import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from accelsim.config.dram import BitErrorConfig, OperatingPoint
    from accelsim.hardware.dram.error_tables import Stored
    from accelsim.hardware.dram.tables import DramSpec

UNKNOWN_DATA = 0x55
"""Byte taken for data whose values are not known: as many ones as zeros (assumption)."""


def decode_addresses(spec: DramSpec, addresses: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Split byte addresses of bursts into the fields of the address map; columns count bursts."""
    return split_bursts(spec.address_map, addresses // spec.burst_bytes)


@dataclass(frozen=True)
class ReadErrors:
    """Draws the flips of everything that a memory reads.

    Parameters
    ----------
    spec
        The memory.
    config
        Table and error model.
    seed
        Names the module: which cells are weak.

    Raises
    ------
    ConfigError
        When a partition lies outside of what the table has measured.
    """

    spec: DramSpec
    config: BitErrorConfig
    seed: int

    @cached_property
    def models(self) -> tuple[ErrorModel | None, ...]:
        """Error model of each operating point in use; None where no bit ever flips."""
        models = []
        for point in self.spec.points.points:
            try:
                models.append(self._model(point))
            except ConfigError as error:
                if error.key not in AXES:
                    raise
                changed = point.model_dump(exclude_defaults=True)
                settings = ", ".join(f"{name} {value}" for name, value in changed.items())
                problem = f"has no bit-error rate for a partition at {settings}: {error}"
                raise ConfigError(problem, key="dram.bit_errors.table", value=self.config.table) from None
        return tuple(models)

    def rate_of(self, point: OperatingPoint) -> float:
        """Bit-error rate at an operating point, over all that may be stored.

        Raises
        ------
        ConfigError
            When the point lies outside of what the table has measured.
        """
        return self._rate(point, "any")

    def _model(self, point: OperatingPoint) -> ErrorModel | None:
        if self.config.model == "data_dependent":
            try:
                zero, one = self._rate(point, "zeros"), self._rate(point, "ones")
            except ConfigError as error:
                if error.key != "stored":
                    raise
            else:
                return data_dependent_at_rates(one, zero) if max(zero, one) else None
        rate = self._rate(point, "any")
        return model_at_rate(self.config.model, rate) if rate else None

    def _rate(self, point: OperatingPoint, stored: Stored) -> float:
        """Bit-error rate at an operating point; settings above those of the device count as nominal."""
        device, nominal = self.spec.device, self.spec.timings[0]

        def reduction_ps(setting: int | None, name: str) -> int:
            return 0 if setting is None else max(nominal[name] * device.clock_ps - setting, 0)

        return rate_at_reduction(
            self.config.table,
            vdd_reduction_v=0.0 if point.vdd_v is None else max(round(device.nominal_v - point.vdd_v, 9), 0.0),
            trcd_reduction_ps=reduction_ps(point.tRCD_ps, "RCD"),
            trp_reduction_ps=reduction_ps(point.tRP_ps, "RP"),
            vendor=self.config.vendor,
            module=self.config.module,
            stored=stored,
        )

    def _cells(self, addresses: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Bank (numbered through channels and ranks), row and byte column of bursts."""
        values = decode_addresses(self.spec, addresses)
        bank = values["channel"] * self.spec.config.ranks + values["rank"]
        bank = bank * self.spec.geometry.bank_groups + values["bank_group"]
        bank = bank * self.spec.geometry.banks_per_group + values["bank"]
        return bank, values["row"], values["column"] * self.spec.burst_bytes

    def region(self, first_byte: int, size_bytes: int) -> CellRegion:
        """Cells that hold the bytes from `first_byte` on."""
        return map_bytes(first_byte, size_bytes, self.spec.burst_bytes, self._cells)

    def flips(self, region: CellRegion, data: NDArray[np.uint8] | None, access: int) -> NDArray[np.uint8]:
        """Draw the flips of one read: a mask as long as the region.

        Parameters
        ----------
        region
            Cells that are read.
        data
            Their bytes as stored; None where they are not known (`UNKNOWN_DATA`).
        access
            Number of the access.
        """
        size = region.total_bytes
        stored = np.full(size, UNKNOWN_DATA, np.uint8) if data is None else data
        mask = np.zeros(size, np.uint8)
        for model, part, offset in self._parts(region):
            mask[offset] = draw_flips(model, part, stored[offset], seed=self.seed, access=access)
        return mask

    def weak_cells(self, region: CellRegion) -> NDArray[np.void]:
        """List the cells of a region that may flip (`WEAK_CELL_DTYPE`), by rising `byte` and, in a byte, `bit`."""
        found = [np.zeros(0, WEAK_CELL_DTYPE)]
        for model, part, offset in self._parts(region):
            cells = weak_cells(model, part, seed=self.seed)
            cells["byte"] = offset[cells["byte"]]
            found.append(cells)
        cells = np.concatenate(found)
        return cells[np.argsort(cells["byte"] * BITS_PER_BYTE + cells["bit"], kind="stable")]

    def points_of(self, region: CellRegion) -> NDArray[np.int64]:
        """Number of the operating point of each run of a region."""
        rows = self.spec.geometry.rows_per_subarray
        points: NDArray[np.int64] = self.spec.points.by_subarray[region.bank, region.row // rows]
        return points

    def _parts(self, region: CellRegion) -> Iterator[tuple[ErrorModel, CellRegion, NDArray[np.int64]]]:
        """Parts of a region at one operating point each, if it has errors: model, cells, and where the bytes stand."""
        point_of_run = self.points_of(region)
        starts = np.cumsum(region.size_bytes) - region.size_bytes
        for point in np.unique(point_of_run).tolist():
            model = self.models[point]
            if model is None:
                continue
            runs = point_of_run == point
            part = CellRegion(region.bank[runs], region.row[runs], region.byte_column[runs], region.size_bytes[runs])
            sizes = part.size_bytes
            offset = np.repeat(starts[runs] - (np.cumsum(sizes) - sizes), sizes) + np.arange(part.total_bytes)
            yield model, part, offset

    def count(self, addresses: NDArray[np.int64], sizes: NDArray[np.int64], access: int) -> NDArray[np.int64]:
        """Count the flips, per bank of the whole memory, when bytes of unknown data are read.

        Parameters
        ----------
        addresses, sizes
            Stretches of bytes, none across the border of a burst.
        access
            Number of the access.
        """
        bank, row, byte_column = self._cells(addresses)
        region = CellRegion(bank, row, byte_column + addresses % self.spec.burst_bytes, sizes)
        bits = np.bitwise_count(self.flips(region, None, access)).astype(np.int64)
        of_piece = np.add.reduceat(bits, np.cumsum(sizes) - sizes) if len(sizes) else np.zeros(0)
        return np.bincount(bank, weights=of_piece, minlength=self.banks).astype(np.int64)

    @property
    def banks(self) -> int:
        """Banks of the whole memory."""
        return self.spec.config.channels * self.spec.config.ranks * self.spec.banks_per_rank
