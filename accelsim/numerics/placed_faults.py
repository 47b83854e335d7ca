"""Errors of the cells that a mapped network lies in: its placement, the tiles that are fetched, the memory's errors.

These are the records that timing, energy and the count of flips read as well. A stage computes with what its first
fetch of each byte brings; a tile that is fetched again is drawn anew, and counted, but the network's arithmetic has one
value for each element and stage. Decomposed weights are rebuilt from the bytes read
(`accelsim.numerics.encoded_weights`). Spilled partial sums flip and are counted, too, and stay as they are in the
network, as do weights that an array compresses in a form of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping.element_order import ByteOrder, MapOrder, WeightOrder
from accelsim.mapping.tile_graph import ACCESSES_OF_STAGE, tile_reads
from accelsim.numerics.encoded_weights import EncodedWeights
from accelsim.numerics.faults import FaultCells, fault_cells
from accelsim.workload.pot.operand import KnownPotOperand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.hardware.dram.read_errors import ReadErrors
    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.network import NetworkMapping
    from accelsim.mapping.placement import Region
    from accelsim.mapping.stages import Stage


@dataclass(frozen=True, eq=False)
class PlacedFaults:
    """Weak cells of the tensors of a mapped network.

    Parameters
    ----------
    mapping
        The network on the machine, at its batch.
    errors
        The memory's errors; their seed names the module.
    """

    mapping: NetworkMapping
    errors: ReadErrors
    _weak: dict[str, NDArray[np.void]] = field(default_factory=dict, repr=False)

    def weight_cells(self, stage: Stage) -> FaultCells | None:
        """Weak cells that a stage reads of its weights; None where none can flip."""
        stored = self.mapping.weights.get(stage.index)
        if stored is None:
            return None
        if stored.plain:
            return self._cells(stage.index, stored.region, stored.order)
        if encoded_weights(self.mapping, stage) is None:
            return None
        size = self.mapping.placement.regions[stored.region].size_bytes
        return self._cells(stage.index, stored.region, ByteOrder(size))

    def map_cells(self, stage: Stage, root: str) -> FaultCells | None:
        """Weak cells that a stage reads of a feature map; None where none can flip, or where the map is on chip."""
        if root not in self.mapping.placement.regions:
            return None
        order = MapOrder(self.mapping.graph.tensors[root].shape, self.mapping.bits_of[root])
        return self._cells(stage.index, root, order)

    def _cells(self, stage: int, name: str, order: ElementOrder) -> FaultCells | None:
        access = self.first_accesses.get((stage, name))
        if access is None or not self._makes_errors:
            return None
        return fault_cells(
            order,
            self.weak_cells(name),
            access,
            seed=self.errors.seed,
            batch=self.mapping.graph.batch,
            accesses=self.accesses,
        )

    @property
    def _makes_errors(self) -> bool:
        return any(model is not None for model in self.errors.models)

    def weak_cells(self, name: str) -> NDArray[np.void]:
        """Weak cells of the place of a tensor (`accelsim.hardware.dram.bit_flips.WEAK_CELL_DTYPE`)."""
        if name not in self._weak:
            region = self.mapping.placement.regions[name]
            self._weak[name] = self.errors.weak_cells(self.errors.region(region.address, region.size_bytes))
        return self._weak[name]

    @property
    def accesses(self) -> int:
        """Numbers of accesses in a pass."""
        return len(self.mapping.stages) * ACCESSES_OF_STAGE

    @cached_property
    def first_accesses(self) -> dict[tuple[int, str], NDArray[np.int64]]:
        """Number of the access that first reads each byte of a tensor's place (-1: none does), by stage and tensor."""
        found: dict[tuple[int, str], NDArray[np.int64]] = {}
        places = {stage.index: self._places(stage) for stage in self.mapping.stages}
        for read in tile_reads(self.mapping.tiles):
            runs = read.fetch.runs[read.fetch.offsets[read.tile] : read.fetch.offsets[read.tile + 1]]
            for name, region in places[read.stage].items():
                inside = (runs["base"] >= region.address) & (runs["base"] < region.address + region.size_bytes)
                if inside.any():
                    first = found.setdefault((read.stage, name), np.full(region.size_bytes, -1))
                    _mark(runs[inside], region.address, read.access, first)
        return found

    def _places(self, stage: Stage) -> dict[str, Region]:
        """Places that a stage reads feature maps and weights from."""
        names = list(stage.roots)
        if stage.index in self.mapping.weights:
            names.append(self.mapping.weights[stage.index].region)
        regions = self.mapping.placement.regions
        return {name: regions[name] for name in names if name in regions}


def encoded_weights(mapping: NetworkMapping, stage: Stage) -> EncodedWeights | None:
    """Weights of a stage as they lie in DRAM, where they are decomposed; None where they are not, or lie decoded."""
    stored = mapping.weights[stage.index]
    data = mapping.graph.annotations.operands.get(stage.layer.weight)
    if stored.plain or data is None or not isinstance(data.pot, KnownPotOperand):
        return None
    if not isinstance(stored.order, WeightOrder):
        return None
    return EncodedWeights(data.pot, stored.order)


@kernel
def _mark(runs: NDArray[np.void], address: int, access: int, first: NDArray[np.int64]) -> None:
    """Note the access in all bytes of the runs that none has been noted in."""
    for i in range(len(runs)):
        run = runs[i]
        for outer in range(run["outer_count"]):
            for inner in range(run["inner_count"]):
                begin = run["base"] + outer * run["outer_stride"] + inner * run["inner_stride"] - address
                for byte in range(max(begin, 0), min(begin + run["run_bytes"], len(first))):
                    if first[byte] < 0:
                        first[byte] = access
