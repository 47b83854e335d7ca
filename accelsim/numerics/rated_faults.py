"""Errors at given rates, tensor by tensor, in a memory of their own: what a network tolerates, without a machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.dram.bit_flips import weak_cells
from accelsim.hardware.dram.cell_region import map_bytes, row_interleaved
from accelsim.hardware.dram.error_model import DEFAULT_FLIP_PROBABILITY, model_at_rate
from accelsim.mapping.element_order import MapOrder
from accelsim.mapping.placement import ALIGNMENT_BYTES
from accelsim.numerics.faults import FaultCells, fault_cells
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.stages import Stage
    from accelsim.numerics.stored_network import StoredNetwork

BANKS, ROW_BYTES, BURST_BYTES = 16, 8_192, 64
"""The memory: a rank of DDR4, 16 banks with rows of 8 KiB (JEDEC 79-4, x8 devices), filled row after row and bank after
bank."""


@dataclass(frozen=True, eq=False)
class RatedFaults:
    """Every tensor in cells of one error model, at a bit-error rate of its own.

    Weights lie as one tile, decomposed ones in the tiles of the machine, feature maps pixel by pixel, one tensor after
    the other. Each read of a tensor by a stage is one access.

    Parameters
    ----------
    network
        The network.
    rates
        Bit-error rate of every tensor, or rates by tensor (names of the layer graph); 0 for those left out.
    kind
        Error model: ``uniform``, ``bitline``, ``wordline`` or ``data_dependent``.
    seed
        Names the module.
    flip_probability
        Probability that a weak cell flips on one access; no rate can lie above it.
    """

    network: StoredNetwork
    rates: float | Mapping[str, float]
    kind: str = "uniform"
    seed: int = 0
    flip_probability: float = DEFAULT_FLIP_PROBABILITY

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors, weights first."""
        return tuple(self._addresses)

    def rate_of(self, tensor: str) -> float:
        """Bit-error rate of a tensor."""
        return self.rates if isinstance(self.rates, float | int) else self.rates.get(tensor, 0.0)

    def weight_cells(self, stage: Stage) -> FaultCells | None:
        """Weak cells that a stage reads of its weights; None where none can flip."""
        return self._cells(stage, self.network.weights[stage.index].name)

    def map_cells(self, stage: Stage, root: str) -> FaultCells | None:
        """Weak cells that a stage reads of a feature map; None where none can flip."""
        return self._cells(stage, root)

    def _cells(self, stage: Stage, tensor: str) -> FaultCells | None:
        rate = self.rate_of(tensor)
        if not rate:
            return None
        order = self._orders[tensor]
        region = map_bytes(self._addresses[tensor], order.size_bytes, BURST_BYTES, row_interleaved(BANKS, ROW_BYTES))
        model = model_at_rate(self.kind, rate, flip_probability=self.flip_probability)
        access = np.full(order.size_bytes, self._accesses[stage.index, tensor])
        cells = weak_cells(model, region, seed=self.seed)
        return fault_cells(order, cells, access, seed=self.seed, batch=1, accesses=len(self._accesses))

    @cached_property
    def _orders(self) -> dict[str, ElementOrder]:
        orders: dict[str, ElementOrder] = {}
        for stored in self.network.weights.values():
            orders[stored.name] = stored.order
        graph = self.network.classifier.graph
        for root, entry in self.network.maps.items():
            orders[root] = MapOrder(graph.tensors[root].shape, entry.form.bits)
        return orders

    @cached_property
    def _addresses(self) -> dict[str, int]:
        addresses, end = {}, 0
        for name, order in self._orders.items():
            addresses[name] = end
            end += ceil_div(order.size_bytes, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return addresses

    @cached_property
    def _accesses(self) -> dict[tuple[int, str], int]:
        """Number of every read of a tensor by a stage."""
        reads = []
        for stage in self.network.classifier.stages:
            if stage.index in self.network.weights:
                reads.append((stage.index, self.network.weights[stage.index].name))
            reads += [(stage.index, root) for root in stage.roots]
        return {read: number for number, read in enumerate(dict.fromkeys(reads))}
