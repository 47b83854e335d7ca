"""What Ramulator 2.1.0 and DRAMsim3 (2021-04-05) measured on `accelsim.validation.traces`.

Ramulator 2 ran DDR4_8Gb_x8 with DDR4_2400R: one channel, one rank, open page, all-bank refresh, queues of 32,
FR-FCFS. Its `cycles` count until the last request was accepted, and so do its hits, misses, conflicts and latencies.
DRAMsim3 ran DDR4_8Gb_x8_2400.ini with channel_size 8192 and reports milliwatts times cycles, with a clock of 0.83 ns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from accelsim.config.dram import DramConfig
from accelsim.hardware.dram.activity import DramActivity
from accelsim.hardware.dram.constraints import COMMANDS
from accelsim.hardware.dram.power import energy_pj
from accelsim.hardware.dram.tables import resolve

RAMULATOR2 = {
    ("seq1M", "RoBaRaCoCh"): (5352993, 991389, 8579, 0, 191.4),
    ("seq1M", "ChRaBaRoCo"): (6603998, 991451, 706, 7811, 231.5),
    ("seq1M", "MOP4CLXOR"): (4284655, 886379, 52799, 60790, 159.4),
    ("rand200k", "RoBaRaCoCh"): (1369144, 6, 1342, 198629, 255.1),
    ("rand200k", "ChRaBaRoCo"): (1369146, 5, 1282, 198689, 255.1),
    ("rand200k", "MOP4CLXOR"): (1369137, 8, 1322, 198648, 255.1),
    ("mix21_stream600k", "RoBaRaCoCh"): (4514536, 569476, 2111, 28361, 381.9),
    ("mix21_stream600k", "ChRaBaRoCo"): (3376398, 590000, 5262, 4686, 290.4),
    ("mix21_stream600k", "MOP4CLXOR"): (3085831, 252104, 48969, 298878, 277.8),
}
"""By trace and address map: cycles, row hits, misses, conflicts, mean read latency in cycles."""

RAMULATOR2_CONFIG = DramConfig(device="DDR4_2400R_8Gb_x8")


@dataclass(frozen=True)
class DramSim3:
    """What DRAMsim3 counted on a trace; energies in milliwatts times cycles."""

    cycles: int
    activates: int
    reads: int
    writes: int
    refreshes: int
    energy: dict[str, float]
    total: float


def _dramsim3(cycles: int, counts: tuple[int, int, int, int], parts: tuple[float, ...], total: float) -> DramSim3:
    activates, reads, writes, refreshes = counts
    return DramSim3(cycles, activates, reads, writes, refreshes, dict(zip(COMPONENTS, parts, strict=True)), total)


COMPONENTS = ("activate", "read", "write", "refresh", "active_standby", "precharge_standby")
DRAMSIM3 = {
    "seq1M": _dramsim3(
        5114317, (8627, 1000000, 0, 546),
        (3.58607e7, 3.5328e9, 0, 4.55705e8, 2.01269e9, 7.78803e7), 6.11494e9,
    ),
    "rand200k": _dramsim3(
        1376701, (200372, 200000, 0, 147),
        (8.32906e8, 7.0656e8, 0, 1.2269e8, 5.41748e8, 2.0996e7), 2.2249e9,
    ),
    "mix21_stream600k": _dramsim3(
        5138518, (48609, 400000, 200000, 548),
        (2.02058e8, 1.41312e9, 6.144e8, 4.57374e8, 1.98928e9, 1.04295e8), 4.78052e9,
    ),
}  # fmt: skip
DRAMSIM3_CLOCK_NS = 0.83
DRAMSIM3_CONFIG = DramConfig(
    device="DDR4_2400U_8Gb_x8", address_map="rochrababgco", scheduler="bank_round_robin", read_queue_entries=40
)
"""Its transaction queue of 32 feeds command queues of 8 per bank: 40 requests in view of one bank."""
_ACTIVE_STANDBY_MW = 1.2 * 43 * 8


def energy_of_dramsim3s_commands(name: str) -> dict[str, float]:
    """Energy in pJ that this simulator's model gives for what DRAMsim3 counted, with its timings."""
    counted = DRAMSIM3[name]
    spec = resolve(RAMULATOR2_CONFIG)
    timings = spec.timings[0] | {"RCD": 17, "RP": 17, "RAS": 39, "RC": 56, "RFC": 420, "BL": 4}
    spec = replace(spec, device=spec.device.model_copy(update={"clock_ps": 830}), timings=(timings,))
    commands = np.zeros((1, 1, len(COMMANDS)), np.int64)
    numbers = {"ACT": counted.activates, "RD": counted.reads, "WR": counted.writes, "REF": counted.refreshes}
    for command, count in numbers.items():
        commands[0, 0, COMMANDS.index(command)] = count
    active = round(counted.energy["active_standby"] / _ACTIVE_STANDBY_MW)  # cycles with a row open
    nothing = np.zeros(1, np.int64)
    activity = DramActivity(
        time_ps=counted.cycles * 830, commands=commands, active_ps=np.array([active * 830]),
        precharged_ps=np.array([(counted.cycles - active) * 830]), active_down_ps=nothing, precharged_down_ps=nothing,
        row_hits=0, row_misses=0, row_conflicts=0, read_bytes=0, write_bytes=0, precharged_banks=0, forwarded=0,
        merged=0,
    )  # fmt: skip
    return energy_pj(activity, spec)
