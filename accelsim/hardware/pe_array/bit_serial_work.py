"""What the bit-serial array does for one layer: cycles of every block, and everything that energy is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.bit_serial_cycles import LayerCycles
from accelsim.mapping.array_costs import ArrayWork, Ports
from accelsim.units import ceil_div
from accelsim.workload.pot.parameters import CODE_BITS
from accelsim.workload.pot.storage import BASIS_BITS, index_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.pe_array.bit_serial import BitSerialCosts
    from accelsim.hardware.pe_array.bit_serial_geometry import Geometry, PixelTiles
    from accelsim.mapping.blocks import BlockSequence
    from accelsim.workload.pot.operand import KnownPotOperand, PotOperand


def array_work(costs: BitSerialCosts, blocks: BlockSequence) -> ArrayWork:
    """What the array does, block by block."""
    return _Account(costs, blocks, LayerCycles(costs, blocks)).work()


@dataclass(frozen=True)
class _Account:
    """Adds up what a layer cut into blocks takes."""

    costs: BitSerialCosts
    blocks: BlockSequence
    counted: LayerCycles

    @property
    def geometry(self) -> Geometry:
        """How the layer lies on the array."""
        return self.costs.geometry

    @property
    def pot(self) -> PotOperand | None:
        """Its weights where they are decomposed."""
        return self.counted.pot

    @property
    def known_rows(self) -> KnownPotOperand | None:
        """The same where they are known in full."""
        return self.counted.known_rows

    @property
    def tiles(self) -> PixelTiles:
        """Pixels that the lanes take at one time."""
        return self.counted.tiles

    @cached_property
    def row_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Filters that need each row, nonzero coefficients and stored bits of it in all of them; (groups, rows)."""
        geometry, layer = self.geometry, self.costs.layer
        shape: tuple[int, ...] = (geometry.groups, geometry.rows)
        whole = np.full(shape, float(geometry.filters))
        if self.pot is None:
            bits: NDArray[np.float64] = whole * geometry.row_elements.astype(np.float64) * layer.weight_bits
            return whole, np.zeros(shape), bits
        if self.known_rows is None:
            share = whole * self.pot.row_density
            tile = self.pot.tile_bits((np.zeros(1, np.int64), np.full(1, geometry.filters)),
                                      (np.zeros(1, np.int64), np.full(1, geometry.rows)))  # fmt: skip
            per_row = self.pot.nonzeros / (geometry.groups * geometry.rows)
            return share, np.full(shape, per_row), np.full(shape, float(tile.codes[0, 0]) / geometry.rows)
        by_group = (geometry.groups, geometry.filters, geometry.rows)
        known = self.known_rows

        def summed(part: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.float64]:
            total: NDArray[np.float64] = part[:, : geometry.rows].reshape(by_group).sum(axis=1, dtype=np.float64)
            return total

        return summed(known.named), summed(known.row_nonzeros), CODE_BITS * summed(known.row_codes)

    def _index_bits(self) -> int:
        """Bits of the coefficients' index and of the activations' that the selectors read."""
        geometry, config = self.geometry, self.costs.config
        selectors = geometry.groups * ceil_div(geometry.filters, config.selector_slices)
        own = index_bits(self.pot.layout, self.pot.index) if self.pot is not None else 0
        return len(self.tiles) * (own + selectors * geometry.rows)

    def _basis_bits(self) -> int:
        """Bits of bases that the engines load: once a block, or in every pass where a block has several."""
        if self.pot is None:
            return 0
        per_basis = BASIS_BITS * self.pot.layout.basis**2 * self.pot.layout.filters
        total = 0
        for first, end in self.counted.row_ranges:
            bases = ceil_div(end, self.pot.layout.rows) - first // self.pot.layout.rows
            total += bases * (len(self.tiles) if bases > 1 or self.costs.is_clustered else self.blocks.trips["m"])
        return per_basis * total

    def work(self) -> ArrayWork:
        """What the array does."""
        layer, blocks = self.costs.layer, self.blocks
        cycles, delivered = self.counted.block_cycles
        index = blocks.index_per_block
        ordered = cycles[blocks.group_per_block, index["n"], index["k"], index["m"]]
        named, _, code_bits = self.row_weights
        activity, dims = self.counted.activity, layer.dims
        results = dims.groups * dims.m * dims.n
        returning = results * (blocks.trips["k"] - 1)
        macs = round(float((named * activity.nonzeros).sum()))
        return ArrayWork(
            cycles=ordered,
            cycles_behind=np.full_like(ordered, self.costs.sum_cycles),
            macs=macs,
            gated_macs=macs,  # priced by their digits
            efficiency=self._efficiency(),
            read_bits={
                "ifmap": round(delivered) * layer.ifmap_bits,
                "weight": round(float((code_bits * activity.used).sum())) + self._basis_bits(),
                "psum": returning * layer.psum_bits,
            },
            written_bits={"psum": returning * layer.psum_bits + results * layer.ofmap_bits},
            register_file_bits=self._register_bits(macs),
            operations=self._operations(),
            busy_cycles=self._busy_cycles(),
            ports=self._ports,
            description=self._description(),
        )

    @property
    def _ports(self) -> dict[str, Ports]:
        """A port for each slice; the slices of a group get the same activations."""
        slices = self.costs.config.slices
        return {
            "ifmap": Ports(slices, min(self.geometry.filters, slices)),
            "weight": Ports(slices),
            "psum": Ports(slices),
        }

    def _operations(self) -> dict[str, int]:
        """Digits that lanes add, bits of indices that selectors read, shift-and-adds that rebuild weights."""
        named, nonzeros, _ = self.row_weights
        activity = self.counted.activity
        operations = {
            "booth_step": round(float((named * activity.digits).sum())),
            "index_bit": self._index_bits(),
        }
        if self.pot is not None:
            operations["rebuild"] = round(float((nonzeros * activity.used).sum()) * self.geometry.row_length)
        return operations

    def _register_bits(self, macs: int) -> int:
        """Bits of registers: input FIFOs, rebuilt rows, sums.

        Activations are written into the FIFO of each slice that needs them and read for every weight of the row; a
        rebuilt weight is written and read once per pass; a sum is read and written once per product, whose digits
        add up in the multiplier.
        """
        layer, named = self.costs.layer, self.row_weights[0]
        rows = named * self.counted.activity.used
        written = float((rows * self.geometry.row_channels).sum() * self.counted.columns.mean())
        steps = float((rows * self.geometry.row_elements).sum())
        lanes = self.geometry.pixels / len(self.tiles)
        bits = (written + steps * lanes) * layer.ifmap_bits + 2 * steps * layer.weight_bits
        return round(bits + 2.0 * macs * layer.psum_bits)

    def _description(self) -> dict[str, object]:
        weight = "nothing" if self.pot is None else "statistics" if self.known_rows is None else "tensor"
        return {
            "operands": {"ifmap": self.costs.layer.ifmap.known, "weight": weight},
            "weights": "plain" if self.pot is None else "rebuilt",
            "clusters": self.costs.config.clusters if self.costs.is_clustered else 1,
        }

    def _efficiency(self) -> float:
        """Share of the multipliers that have an output and rows to work on, on average over the passes."""
        blocks, config, geometry = self.blocks, self.costs.config, self.geometry
        filter_blocks = blocks.block_extent("n", np.arange(blocks.trips["n"]))
        group_blocks = blocks.group_extent(np.arange(blocks.group_trips))
        turns = int(self.costs.passes(group_blocks[:, None], filter_blocks).sum())
        slices = geometry.groups * geometry.filters / (turns * config.slices)
        lanes = geometry.pixels / (len(self.tiles) * self.costs.lanes)
        slots = sum(-(-(end - first) // self.costs.lines) for first, end in self.counted.row_ranges) * self.costs.lines
        return float(slices * lanes * geometry.rows / slots)

    def _busy_cycles(self) -> NDArray[np.float64]:
        """Cycles in which each line of each slice multiplied, (slices, lines)."""
        blocks, config, geometry = self.blocks, self.costs.config, self.geometry
        line = np.concatenate(self.counted.lines) % config.lines
        per_group, size = geometry.filters, blocks.sizes["n"]
        number = np.arange(geometry.groups * per_group)
        group, own = np.divmod(number, per_group)
        place = own % size % config.slices
        if blocks.tiling.groups > 1:
            side_by_side = max(config.slices // per_group, 1)
            place = (group % blocks.tiling.groups % side_by_side * per_group + own) % config.slices
        busy = np.zeros((config.slices, config.lines))
        share = self.pot.row_density if self.pot is not None and self.known_rows is None else 1.0
        for slot in np.unique(place):
            mine = place == slot
            if self.counted.named is None:
                times = np.bincount(group[mine], minlength=geometry.groups) * share
                taken = times @ self.counted.activity.cycles
            else:
                taken = (self.counted.named[mine] * self.counted.activity.cycles[group[mine]]).sum(axis=0)
            busy[slot] = np.bincount(line, weights=taken, minlength=config.lines)
        return busy / (config.clusters if self.costs.is_clustered else 1)
