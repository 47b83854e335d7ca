"""Every constraint of every standard: blocked one cycle before its latency is over, allowed then."""

import numpy as np
import pytest
from dram_command_checker import check_commands

from accelsim.config.dram import DramConfig
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.candidate import allowed_at
from accelsim.hardware.dram.constraints import COMMANDS, LEVELS, STANDARDS, Constraint, latency_cycles
from accelsim.hardware.dram.issue import start_constraints
from accelsim.hardware.dram.layout import Memory
from accelsim.hardware.dram.tables import DramSpec, build_memory, resolve

DEVICES = {
    "DDR3": "DDR3_1600K_4Gb_x8",
    "DDR4": "DDR4_2400R_8Gb_x8",
    "LPDDR3": "LPDDR3_1600_4Gb_x32",
    "LPDDR4": "LPDDR4_3200_8Gb_x16",
    "GDDR5": "GDDR5_6000_8Gb_x32",
    "HBM2": "HBM2_2000_8Gb_x128",
}
WIDE = ("PREA", "REF", "PDE", "PDX")
START = 1_000


def issue(memory: Memory, cycle: int, command: str, rank: int, bank: int) -> None:
    b = -1 if command in WIDE else bank
    start_constraints(
        memory.config, memory.rules, memory.channel, memory.rank, memory.bank, memory.ready, cycle,
        COMMANDS.index(command), 0, rank, b, 0,
    )  # fmt: skip


def first_allowed(memory: Memory, command: str, rank: int, bank: int) -> int:
    index = COMMANDS.index(command)
    if command in WIDE:
        return int(max(memory.rank[rank, lo.RK_READY + index], memory.channel[0, lo.CH_READY + index]))
    return int(allowed_at(memory.channel, memory.rank, memory.bank, memory.ready, 0, bank, index))


def neighbour(spec: DramSpec, level: str, *, sibling: bool) -> tuple[int, int]:
    """Rank and bank that share just this level with bank 0 of rank 0, as far as the device has such a bank."""
    banks, in_group = spec.banks_per_rank, spec.geometry.banks_per_group
    if sibling or level == "channel":
        return 1, banks
    if level == "rank":
        return 0, (in_group if spec.geometry.bank_groups > 1 else 1)
    return 0, (1 if level == "bank_group" else 0)


CASES = [
    (standard, index, before, after)
    for standard, constraints in STANDARDS.items()
    for index, constraint in enumerate(constraints)
    for before in constraint.preceding
    for after in constraint.following
]


@pytest.mark.parametrize(("standard", "index", "before", "after"), CASES)
def test_blocked_until_the_latency_is_over(standard: str, index: int, before: str, after: str) -> None:
    constraint = STANDARDS[standard][index]
    spec = resolve(DramConfig(device=DEVICES[standard], ranks=2))
    latency = latency_cycles(constraint.latency, spec.timings[0])
    rank, bank = neighbour(spec, constraint.level, sibling=constraint.sibling)
    if constraint.level == "bank_group" and spec.geometry.bank_groups == 1:
        rank, bank = 0, 1
    memory = build_memory(spec, keep_log=False, following=frozenset(COMMANDS))
    gap = max(latency_cycles("RRD_S", spec.timings[0]), latency_cycles("RRD_L", spec.timings[0]))
    spacing = gap if constraint.window > 1 else 0
    for nth in range(constraint.window):
        issue(memory, START + nth * spacing, before, 0, 0)

    allowed = first_allowed(memory, after, rank, bank)

    shared = {  # what else binds the same pair of places
        other: latency_cycles(other.latency, spec.timings[0])
        for other in STANDARDS[standard]
        if before in other.preceding and after in other.following and binds(other, spec, rank, bank, before, after)
    }
    expected = max(
        0
        if other_latency <= 0  # says nothing
        else START
        + (0 if other.window > 1 and constraint.window > 1 else (constraint.window - 1) * spacing)
        + other_latency
        if other.window <= constraint.window
        else 0
        for other, other_latency in shared.items()
    )
    assert latency <= 0 or allowed >= START + latency
    assert allowed == expected


def binds(constraint: Constraint, spec: DramSpec, rank: int, bank: int, before: str, after: str) -> bool:
    if constraint.sibling:
        return rank == 1
    depth = LEVELS.index(constraint.level)
    if depth >= 2 and (before in WIDE or after in WIDE):
        return False
    in_group, banks = spec.geometry.banks_per_group, spec.banks_per_rank
    return (True, bank // banks == 0, bank // in_group == 0, bank == 0)[depth]


def test_the_checker_sees_a_command_that_comes_a_cycle_early() -> None:
    spec = resolve(DramConfig())
    act, read, precharge = (COMMANDS.index(name) for name in ("ACT", "RD", "PRE"))
    legal = [[10, act, 0, 0, 3, 7], [26, read, 0, 0, 3, 7], [49, precharge, 0, 0, 3, 7], [65, act, 0, 0, 3, 8]]

    assert check_commands(legal, spec) == []
    for index in range(1, len(legal)):
        early = np.array(legal)
        early[index:, 0] -= 1
        assert check_commands(early.tolist(), spec), index


def test_the_checker_sees_wrong_states() -> None:
    spec = resolve(DramConfig())
    act, read, refresh = (COMMANDS.index(name) for name in ("ACT", "RD", "REF"))

    assert check_commands([[10, read, 0, 0, 3, 7]], spec)[0].rule == "the row is not open"
    assert check_commands([[10, act, 0, 0, 3, 7], [90, read, 0, 0, 3, 8]], spec)[0].rule == "the row is not open"
    assert check_commands([[10, act, 0, 0, 3, 7], [900, refresh, 0, 0, -1, -1]], spec)[0].rule.startswith("a bank")
    assert check_commands([[10, act, 0, 0, 3, 7], [10, act, 0, 0, 8, 7]], spec)[0].rule.startswith("one command")
