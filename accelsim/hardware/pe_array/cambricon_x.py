"""Cambricon-X (Zhang et al., MICRO 2016): only weights that are not zero are stored, and only their inputs are picked.

Each processing element computes outputs of its own, one after the other, with a row of multipliers and an adder tree.
An indexing unit for each element picks, out of a stretch of candidates, the inputs that its weights ask for: as many
per cycle as the element has multipliers. Elements do not wait for each other until the block that is in the buffers is
done: then all wait for the slowest. Zero inputs are not skipped.

The index is either the distance from one stored weight to the next (``step``; a zero is stored where that does not fit)
or a bit for every weight (``direct``). A layer is stored as it is where an index would need more space.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from accelsim.config.pe_array import PeArrayConfig
from accelsim.hardware.pe_array.cambricon_x_expectation import Picking, expected_slowest, stored_share
from accelsim.hardware.pe_array.cambricon_x_kernel import CYCLES, NONZERO, STORED, filter_costs, slowest_element
from accelsim.hardware.pe_array.dense import DenseArray, DenseCosts
from accelsim.hardware.pe_array.diannao import LATCH_BIT, window_taps
from accelsim.hardware.pe_array.expectation import whole_cycles
from accelsim.hardware.pe_array.operand_memo import once_per_tensor
from accelsim.mapping.array_costs import PLAIN, StoredForm, broadcast_ports
from accelsim.mapping.dataflow import DIMS
from accelsim.workload.operators import MatMul

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.config.schema import HardwareConfig
    from accelsim.mapping.array_costs import ArrayLayer, ArrayWork
    from accelsim.mapping.blocks import BlockSequence

Indexing = Literal["step", "direct"]


class CambriconXConfig(PeArrayConfig):
    """Elements that compute outputs of their own, with an indexing unit for each."""

    sides: ClassVar[tuple[str, str]] = ("processing element", "")

    kind: Literal["cambricon_x"] = "cambricon_x"
    processing_elements: int = Field(ge=1, le=4_096)
    """Processing elements (Tn)."""
    multipliers: int = Field(ge=1, le=4_096)
    """Multipliers of an element: inputs that are picked for it per cycle (Tm)."""
    candidates: int = Field(ge=1, le=65_536)
    """Inputs out of which an indexing unit picks at a time."""
    indexing: Indexing = "step"
    """Whether a weight is stored with its distance from the one before, or all weights have a bit."""
    step_bits: int = Field(default=8, ge=1, le=32)
    """Bits of a distance."""
    pipeline_stages: int = Field(default=3, ge=1, le=64)
    """Cycles from the picking of inputs to an output."""

    @property
    def elements(self) -> int:
        """Multipliers of all elements."""
        return self.processing_elements * self.multipliers

    def build(self, hardware: HardwareConfig) -> CambriconX:  # noqa: ARG002 - the rest of the machine does not matter
        """Build the array."""
        return CambriconX(
            self.processing_elements,
            self.multipliers,
            self.candidates,
            self.step_bits if self.indexing == "step" else None,
            self.pipeline_stages,
        )


@dataclass(frozen=True)
class CambriconX(DenseArray):
    """The array; `step_bits` is None where every weight has a bit."""

    elements: int
    multipliers: int
    candidates: int
    step_bits: int | None
    pipeline_stages: int

    @property
    def farthest(self) -> int:
        """Largest distance between stored weights."""
        return 2**62 if self.step_bits is None else 2**self.step_bits

    def stored_bits(self, weights: Any, stored: Any, weight_bits: int) -> Any:  # noqa: ANN401 - numbers or arrays
        """Bits of so many weights of which so many are stored, index included."""
        return stored * weight_bits + (weights if self.step_bits is None else stored * self.step_bits)

    def costs(self, layer: ArrayLayer) -> CambriconXCosts:
        """What a layer costs."""
        return CambriconXCosts(layer, self.elements * self.multipliers, self)


@dataclass(frozen=True)
class CambriconXCosts(DenseCosts):
    """Costs of a layer; they follow from its weights."""

    array: CambriconX

    def _filter_costs(self, block: int) -> NDArray[np.int64] | None:
        """Cycles, stored and nonzero weights of every filter, by blocks of k; None where no weights are known."""
        if isinstance(self.layer.operator, MatMul) or self.layer.weight.known != "tensor":
            return None
        key = (self.array, self.layer.dims, window_taps(self.layer), block)
        return once_per_tensor(self.layer.weight, key, partial(self._count_filter_costs, block))

    def _count_filter_costs(self, block: int) -> NDArray[np.int64]:
        array, values = self.array, self.layer.weight.values
        if values is None:
            message = f"the weights of {self.layer.name} are not known"
            raise ValueError(message)
        costs: NDArray[np.int64] = filter_costs(  # type: ignore[no-untyped-call]
            values.reshape(self.layer.dims.groups * self.layer.dims.n, -1),
            window_taps(self.layer),
            block,
            array.candidates,
            array.multipliers,
            array.farthest,
        )
        return costs

    @cached_property
    def _shares(self) -> tuple[float, float]:
        """Share of the weights that is not zero, and share that is stored where there is an index."""
        costs = self._filter_costs(self.layer.dims.k)
        if costs is not None:
            weights = costs.shape[0] * self.layer.dims.k
            return float(costs[..., NONZERO].sum() / weights), float(costs[..., STORED].sum() / weights)
        density = 1.0 if isinstance(self.layer.operator, MatMul) else self.layer.weight.density
        return density, stored_share(density, self.array.farthest, self.layer.dims.k)

    @cached_property
    def indexed(self) -> bool:
        """Whether an index saves space."""
        bits = self.layer.weight_bits
        return bool(self.array.stored_bits(1.0, self._shares[1], bits) < bits)

    @property
    def weight_form(self) -> StoredForm:
        """Share of the plain weights that those stored take with their index."""
        if not self.indexed:
            return PLAIN
        share = self.array.stored_bits(1.0, self._shares[1], self.layer.weight_bits) / self.layer.weight_bits
        return StoredForm(share, share)

    @property
    def _groups_at_once(self) -> int:
        """Groups whose inputs fit among the candidates side by side."""
        return max(1, self.array.candidates // self.layer.dims.k)

    def weight_tile_bits(self, blocks: BlockSequence) -> NDArray[np.int64] | None:
        """Stored weights and their index, counted."""
        costs = self._filter_costs(blocks.tiling.k) if self.indexed else None
        if costs is None:
            return None
        stored = self._summed(costs[..., STORED], blocks)
        groups = blocks.group_extent(np.arange(blocks.group_trips))
        n, k = (blocks.block_extent(dim, np.arange(blocks.trips[dim])) for dim in ("n", "k"))
        bits: NDArray[np.int64] = self.array.stored_bits(
            groups[:, None, None] * n[:, None] * k, stored, self.layer.weight_bits
        )
        return bits

    def _summed(self, per_filter: NDArray[np.int64], blocks: BlockSequence) -> NDArray[np.int64]:
        """Add up what stands by filter and block of k over the blocks of groups and filters."""
        dims, tiling = self.layer.dims, blocks.tiling
        by_filter = np.add.reduceat(per_filter.reshape(dims.groups, dims.n, -1), np.arange(0, dims.n, tiling.n), axis=1)
        total: NDArray[np.int64] = np.add.reduceat(by_filter, np.arange(0, dims.groups, tiling.groups), axis=0)
        return total

    def estimated_cycles(
        self, groups: NDArray[np.int64], m: NDArray[np.int64], n: NDArray[np.int64], k: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Expected cycles of blocks whose weights are zero independently of each other; exact without an index."""
        extents = [np.unique(extent, return_inverse=True) for extent in (groups, n, k)]
        points = product(*(values.tolist() for values, _ in extents))
        table = np.array([self._expected_slowest(*point) for point in points])
        shape = np.broadcast_shapes(groups.shape, n.shape, k.shape)
        where = [np.broadcast_to(place.reshape(extent.shape), shape)
                 for (_, place), extent in zip(extents, (groups, n, k), strict=True)]  # fmt: skip
        per_pixel = table.reshape([len(values) for values, _ in extents])[tuple(where)]
        return whole_cycles(m * per_pixel)

    def _expected_slowest(self, groups: int, n: int, k: int) -> float:
        """Expected cycles per output pixel of the element that takes longest."""
        counts = self._outputs_of_elements(groups, n)
        if not self.indexed:
            return int(counts[0]) * self._filter_mean(k)
        per_element = tuple((int(count), int((counts == count).sum())) for count in np.unique(counts) if count)
        return expected_slowest(self._picking(k), per_element)

    def _picking(self, k: int) -> Picking:
        """How a filter of `k` weights is worked through."""
        array, density = self.array, self._shares[0] if self.indexed else 1.0
        return Picking(density, array.farthest, k, array.candidates, array.multipliers)

    def _filter_mean(self, k: int) -> float:
        """Expected cycles of a filter of `k` weights."""
        return sum(part.mean * times for part, times in self._picking(k).parts)

    def _outputs_of_elements(self, groups: int, n: int) -> NDArray[np.int64]:
        """Outputs per output pixel that each element computes; the first has the most."""
        together, elements = self._groups_at_once, self.array.elements
        counts = np.zeros(elements, np.int64)
        for sets, outputs in ((groups // together, together * n), (1, groups % together * n)):
            counts += sets * (outputs // elements + (np.arange(elements) < outputs % elements))
        return counts

    def work(self, blocks: BlockSequence) -> ArrayWork:
        """Inputs are read once for all elements, weights for every product."""
        layer = self.layer
        cycles, busy = self._block_cycles(blocks)
        behind = np.full_like(cycles, self.array.pipeline_stages - 1)
        nonzero, stored = (round(share * layer.dims.groups * layer.dims.n * layer.dims.k) for share in self._shares)
        if not self.indexed:
            nonzero = stored = layer.dims.groups * layer.dims.n * layer.dims.k
        elif (costs := self._filter_costs(blocks.tiling.k)) is not None:
            nonzero, stored = int(costs[..., NONZERO].sum()), int(costs[..., STORED].sum())
        macs, picked = nonzero * layer.dims.m, stored * layer.dims.m
        efficiency = macs / (self.elements * max(int(cycles.sum()), 1))
        cycles[-1] += behind[-1]  # nothing follows that would hide it
        behind[-1] = 0
        plain = super().work(blocks)
        weight_bits = layer.weight_bits * layer.dims.macs
        if self.indexed:
            weight_bits = int(self.array.stored_bits(layer.dims.macs, picked, layer.weight_bits))
        product_bits = macs * (layer.ifmap_bits + layer.weight_bits)
        return replace(
            plain,
            cycles=cycles,
            cycles_behind=behind,
            macs=macs,
            efficiency=efficiency,
            read_bits=plain.read_bits | {"ifmap": self._inputs_read(blocks) * layer.ifmap_bits, "weight": weight_bits},
            register_file_bits=0,
            operations={LATCH_BIT: 2 * (product_bits + int(busy.sum()) * layer.psum_bits)}
            | ({"select_activation": picked} if self.indexed else {}),
            busy_cycles=busy[:, None],
            ports=broadcast_ports("ifmap", self.array.elements),
            description={
                "weights": "indexed" if self.indexed else "plain",
                "operands": {"weight": "nothing" if isinstance(layer.operator, MatMul) else layer.weight.known},
            },
        )

    def _block_cycles(self, blocks: BlockSequence) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Cycles per block, and of each element in all of them."""
        dims, tiling = self.layer.dims, blocks.tiling
        groups, m, n, k = blocks.block_groups, *(blocks.extents_per_block[dim] for dim in DIMS)
        costs = self._filter_costs(tiling.k) if self.indexed else None
        if costs is None:
            return self.estimated_cycles(groups, m, n, k), self._expected_busy(blocks)
        slowest, busy = slowest_element(  # type: ignore[no-untyped-call]
            costs[..., CYCLES], dims.groups, dims.n, tiling.groups, tiling.n, self._groups_at_once, self.array.elements
        )
        place = (blocks.group_per_block, blocks.index_per_block["n"], blocks.index_per_block["k"])
        exact: NDArray[np.int64] = m * slowest[place]
        return exact, busy * dims.m

    def _expected_busy(self, blocks: BlockSequence) -> NDArray[np.float64]:
        """Expected cycles of each element in all blocks: each block of filters meets each of k."""
        sizes = {dim: blocks.block_extent(dim, np.arange(blocks.trips[dim])).tolist() for dim in ("n", "k")}
        filters = sum(self._filter_mean(k) for k in sizes["k"])
        outputs = np.zeros(self.array.elements)
        for groups, n in product(blocks.group_extent(np.arange(blocks.group_trips)).tolist(), sizes["n"]):
            outputs += self._outputs_of_elements(groups, n)
        return outputs * (filters * self.layer.dims.m)

    def _inputs_read(self, blocks: BlockSequence) -> int:
        """Inputs that pass from their buffer to the indexing units, once for every output that an element begins."""
        together, elements = self._groups_at_once, self.array.elements
        groups, n = blocks.block_groups, blocks.extents_per_block["n"]
        whole, rest = np.divmod(groups, together)
        times = whole * together * -(-together * n // elements) + rest * -(-rest * n // elements)
        return int((times * blocks.extents_per_block["m"] * blocks.extents_per_block["k"]).sum())
