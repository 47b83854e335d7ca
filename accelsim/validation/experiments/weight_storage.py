"""Bytes that the weights of networks take at the widths that their workloads state.

::

    kind: weight_storage
    plain_bits: 32              # of weights of which nothing is stated
    networks:
      - {network: alexnet_ternary, against: alexnet, claimed: 16, without: [conv1, fc8]}
    aggregate: geometric_mean   # of the ratios, `against` over `network`
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from accelsim.config.model import Record
from accelsim.validation.aggregates import Aggregate, aggregate
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.runs import check_network, named_network

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench
    from accelsim.workload.graph import LayerGraph


class StoredNetwork(Record):
    """A network, and the one that it is compared with."""

    network: str
    against: str
    without: tuple[str, ...] = ()
    """Patterns of layers that do not count."""
    claimed: float | None = None


class WeightStorage(Experiment):
    """How many times smaller the weights of one network are than those of another."""

    kind: Literal["weight_storage"]
    plain_bits: Annotated[int, Field(ge=1, le=64)] = 32
    networks: Annotated[tuple[StoredNetwork, ...], Field(min_length=1)]
    aggregate: Aggregate = "geometric_mean"

    def check(self, where: Path) -> None:
        """Find networks that there are not."""
        for entry in self.networks:
            check_network(entry.network, where)
            check_network(entry.against, where)

    def conduct(self, bench: Bench) -> Outcome:
        """Count the bits of all weights."""
        points = []
        for entry in self.networks:
            plain, narrow = (
                self._bits(named_network(name, bench.where), entry.without) for name in (entry.against, entry.network)
            )
            points.append(Point(entry.network, plain / narrow, entry.claimed))
        return Outcome(aggregate(points, self.aggregate), tuple(points))

    def _bits(self, graph: LayerGraph, without: tuple[str, ...]) -> int:
        counted = [
            graph.weight_tensor(layer)
            for layer in graph.layers
            if not any(fnmatch.fnmatch(layer.name, pattern) for pattern in without)
        ]
        return sum(weight.elements * (weight.bits or self.plain_bits) for weight in counted if weight is not None)
