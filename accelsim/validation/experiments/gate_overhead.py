"""What the gates of a network cost beside the blocks that they decide on, in multiply-accumulates.

::

    kind: gate_overhead
    network: resnet110_cifar
    gates: rnn                # or feedforward
    aggregate: mean           # over the blocks; claims are of shares of a block
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from accelsim.validation.aggregates import Aggregate, aggregate
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.runs import check_network, named_network
from accelsim.workload.gates import with_gates

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench


class GateOverhead(Experiment):
    """Work of gates over the work of their blocks."""

    kind: Literal["gate_overhead"]
    network: str
    gates: Literal["rnn", "feedforward"] = "rnn"
    aggregate: Aggregate = "mean"

    def check(self, where: Path) -> None:
        """Find networks that there are not."""
        check_network(self.network, where)

    def conduct(self, bench: Bench) -> Outcome:
        """Count the multiply-accumulates of gates and blocks."""
        graph, gates = with_gates(named_network(self.network, bench.where), self.gates)
        macs = {layer.name: graph.dense_macs(layer) for layer in graph.layers}
        points = []
        for gate in gates:
            block = sum(macs[name] for name in gate.layers)
            own = sum(count for name, count in macs.items() if name.startswith(f"{gate.name}.gate."))
            points.append(Point(gate.name, own / block))
        return Outcome(aggregate(points, self.aggregate), tuple(points))
