"""Memory traces through the DRAM controller, beside what other simulators measured on the same ones.

::

    kind: dram_trace
    peer: ramulator2                   # ramulator2: cycles; dramsim3: cycles; dramsim3_energy: energy of its commands
    traces: [rand200k]                 # optional: all where left out
    address_maps: [RoBaRaCoCh]         # optional, of ramulator2
    set: {scheduler: frfcfs}           # optional: changes of the memory
    measure: worst_error               # as of a table
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from accelsim.config.dram import DramConfig
from accelsim.config.model import validate
from accelsim.errors import ConfigError
from accelsim.hardware.dram.replay import replay_trace
from accelsim.hardware.dram.tables import resolve
from accelsim.validation import dram_peers as peers
from accelsim.validation.aggregates import Measure, error_of, mean_ratio
from accelsim.validation.experiment import Breakdown, Experiment, Outcome, Point
from accelsim.validation.runs import Changes
from accelsim.validation.traces import NAMES, TraceName, trace

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench

AddressMap = Literal["RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR"]
_MAPS: tuple[AddressMap, ...] = get_args(AddressMap)


class DramTrace(Experiment):
    """Figures of traces, this simulator's and another's."""

    kind: Literal["dram_trace"]
    peer: Literal["ramulator2", "dramsim3", "dramsim3_energy"]
    traces: tuple[TraceName, ...] = NAMES
    address_maps: tuple[AddressMap, ...] = _MAPS
    set: Changes = Field(default_factory=dict)
    measure: Measure = "worst_error"

    def check(self, where: Path) -> None:
        """Find keys that a memory does not have, and devices and address maps that are none."""
        resolve(self._config(peers.RAMULATOR2_CONFIG, where))

    def conduct(self, bench: Bench) -> Outcome:
        """Replay the traces."""
        if self.peer != "dramsim3_energy":
            maps = self.address_maps if self.peer == "ramulator2" else ("",)
            points = [self._cycles(name, of_map, bench) for name in self.traces for of_map in maps]
            return Outcome(error_of(points, self.measure), tuple(points), (), mean_ratio(points), (), "cycles")
        points = []
        shares: dict[str, dict[str, float]] = {}
        for name in self.traces:
            energy = peers.energy_of_dramsim3s_commands(name)
            known = peers.DRAMSIM3[name].energy
            points += [
                Point(f"{name}, {part.replace('_', ' ')}", energy[part], known[part] * peers.DRAMSIM3_CLOCK_NS)
                for part in peers.COMPONENTS if known[part]
            ]  # fmt: skip
            total = sum(energy.values())
            shares[name] = {part: energy[part] / total for part in peers.COMPONENTS}
        parts = (Breakdown("DRAM energy", shares),)
        return Outcome(error_of(points, self.measure), tuple(points), parts, mean_ratio(points), (), "pJ")

    def _cycles(self, name: str, address_map: str, bench: Bench) -> Point:
        base = peers.DRAMSIM3_CONFIG
        if address_map:
            base = peers.RAMULATOR2_CONFIG.model_copy(update={"address_map": address_map})
        config = self._config(base, bench.where)

        def replayed() -> list[int]:
            found = replay_trace(trace(name), config)
            return [found.cycles_accepted, found.cycles]

        key = json.dumps([name, config.model_dump(mode="json")], sort_keys=True)
        accepted, completed = bench.once("trace", key, replayed)
        if address_map:
            return Point(f"{name}, {address_map}", accepted, peers.RAMULATOR2[name, address_map][0])
        return Point(name, completed, peers.DRAMSIM3[name].cycles)

    def _config(self, base: DramConfig, where: object) -> DramConfig:
        return validate(DramConfig, {**base.model_dump(mode="json"), **self.set}, where, ConfigError)
