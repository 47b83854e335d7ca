"""Compute cycles against SCALE-Sim 3.0.0, layer by layer (`accelsim/validation/scalesim/ORIGIN.md`).

::

    kind: scalesim
    networks: [alexnet]           # optional: alexnet, resnet18
    dataflows: [WS]               # optional: WS, OS, IS
    measure: mismatches           # as of a table
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from accelsim.validation import scalesim_peer as peer
from accelsim.validation.aggregates import Measure, error_of, mean_ratio
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.figures import breakdowns
from accelsim.validation.runs import RunRecord

if TYPE_CHECKING:
    from accelsim.validation.bench import Bench


class ScaleSim(Experiment):
    """Layers of two networks on the machine that SCALE-Sim was given."""

    kind: Literal["scalesim"]
    networks: tuple[Literal["alexnet", "resnet18"], ...] = ("alexnet", "resnet18")
    dataflows: tuple[Literal["WS", "OS", "IS"], ...] = ("WS", "OS", "IS")
    measure: Measure = "mismatches"

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate all layers."""
        points = []
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in self.dataflows}
        for network in self.networks:
            for dataflow in self.dataflows:
                run = RunRecord(
                    hardware="scalesim_32x32", workload=str(peer.topology(network)),
                    set={"pe_array.dataflow": dataflow, "dram.kind": "ideal"},
                )  # fmt: skip
                found = bench.figures(run)
                seen[dataflow].append(found.totals)
                known = peer.reference(network, dataflow)
                points += [
                    Point(f"{network} {dataflow} {layer.name}", layer.figures["compute_cycles"], cycles)
                    for layer, (cycles, _) in zip(found.layers, known, strict=True)
                ]
        value = error_of(points, self.measure)
        return Outcome(value, tuple(points), breakdowns(seen), mean_ratio(points), (), "cycles")
