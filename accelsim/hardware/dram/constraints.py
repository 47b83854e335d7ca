"""Timing constraints of DRAM as data: who has to wait how long after whom, and at which level of the hierarchy.

A constraint reads: after `preceding` at a node of `level`, `following` at the same node has to wait `latency` clock
cycles. With ``window=4`` the latency counts from the fourth most recent `preceding`; with ``sibling=True`` it holds for
the other nodes of that level instead. Names in a latency are timing parameters of the device file in clock cycles; a
constraint whose latency comes out at zero or below says nothing. The manner is that of Ramulator 2.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = ("ACT", "PRE", "PREA", "RD", "WR", "RDA", "WRA", "REF", "REFB", "PDE", "PDX")
"""Activate, precharge one bank or all of a rank, read and write (with auto-precharge), refresh a rank or one bank,
enter and leave power-down."""

LEVELS = ("channel", "rank", "bank_group", "bank")


@dataclass(frozen=True)
class Constraint:
    """One row of the list; the module's text says what it means."""

    level: str
    preceding: tuple[str, ...]
    following: tuple[str, ...]
    latency: str
    window: int = 1
    sibling: bool = False


_RD = ("RD", "RDA")
_WR = ("WR", "WRA")
_ALL = COMMANDS

_READ_DATA = "CL + DQSCK"
_WRITE_DATA = "CWL + DQSS"
_WRITE_RECOVERY = "CWL + DQSS + BL + WR"

COLUMN = (
    Constraint("channel", _RD, _RD, "BL"),
    Constraint("channel", _WR, _WR, "BL"),
    Constraint("rank", _RD, _RD, "CCD_S"),
    Constraint("rank", _WR, _WR, "CCD_S"),
    Constraint("rank", _RD, _WR, f"{_READ_DATA} + BL + TURNAROUND - ({_WRITE_DATA})"),
    Constraint("rank", _WR, _RD, f"{_WRITE_DATA} + BL + WTR_S"),
    Constraint("bank_group", _RD, _RD, "CCD_L"),
    Constraint("bank_group", _WR, _WR, "CCD_L"),
    Constraint("bank_group", _WR, _RD, f"{_WRITE_DATA} + BL + WTR_L"),
    Constraint("rank", _RD, _RD, "BL + RTRS", sibling=True),
    Constraint("rank", _WR, _WR, "BL + RTRS", sibling=True),
    Constraint("rank", _RD, _WR, f"{_READ_DATA} + BL + RTRS - ({_WRITE_DATA})", sibling=True),
    Constraint("rank", _WR, _RD, f"{_WRITE_DATA} + BL + RTRS - ({_READ_DATA})", sibling=True),
)
"""Data bus, column-to-column, turnaround of the bus and switch of the rank."""

ROW = (
    Constraint("rank", ("ACT",), ("ACT",), "RRD_S"),
    Constraint("rank", ("ACT",), ("ACT",), "FAW", window=4),
    Constraint("bank_group", ("ACT",), ("ACT",), "RRD_L"),
    Constraint("bank", ("ACT",), ("ACT",), "RC"),
    Constraint("bank", ("ACT",), _RD, "RCD"),
    Constraint("bank", ("ACT",), _WR, "RCDWR"),
    Constraint("bank", ("ACT",), ("PRE",), "RAS"),
    Constraint("rank", ("ACT",), ("PREA",), "RAS"),
    Constraint("bank", ("PRE",), ("ACT",), "RP"),
    Constraint("rank", ("PREA",), ("ACT",), "RPAB"),
    Constraint("bank", ("RD",), ("PRE",), "RTP"),
    Constraint("rank", ("RD",), ("PREA",), "RTP"),
    Constraint("bank", ("WR",), ("PRE",), _WRITE_RECOVERY),
    Constraint("rank", ("WR",), ("PREA",), _WRITE_RECOVERY),
    Constraint("bank", ("RDA",), ("ACT",), "RTP + RP"),
    Constraint("bank", ("WRA",), ("ACT",), f"{_WRITE_RECOVERY} + RP"),
)
"""Activate, precharge and what a row access owes to them."""

REFRESH = (
    Constraint("rank", ("ACT",), ("REF",), "RC"),
    Constraint("rank", ("PRE",), ("REF",), "RP"),
    Constraint("rank", ("PREA",), ("REF",), "RPAB"),
    Constraint("rank", ("RDA",), ("REF",), "RTP + RP"),
    Constraint("rank", ("WRA",), ("REF",), f"{_WRITE_RECOVERY} + RP"),
    Constraint("rank", ("REF",), ("ACT", "PREA", "REF", "PDE"), "RFC"),
)
"""All-bank refresh."""

BANK_REFRESH = (
    Constraint("rank", ("REF",), ("REFB",), "RFC"),
    Constraint("rank", ("PREA",), ("REFB",), "RPAB"),
    Constraint("rank", ("ACT",), ("REFB",), "RRD_S"),
    Constraint("rank", ("REFB",), ("ACT",), "RREFD"),
    Constraint("rank", ("REFB",), ("REFB", "REF", "PDE"), "RFCPB"),
    Constraint("bank", ("ACT",), ("REFB",), "RC"),
    Constraint("bank", ("PRE",), ("REFB",), "RP"),
    Constraint("bank", ("RDA",), ("REFB",), "RTP + RP"),
    Constraint("bank", ("WRA",), ("REFB",), f"{_WRITE_RECOVERY} + RP"),
    Constraint("bank", ("REFB",), ("ACT",), "RFCPB"),
)
"""Per-bank refresh."""

POWER_DOWN = (
    Constraint("rank", _RD, ("PDE",), f"{_READ_DATA} + BL + 1"),
    Constraint("rank", ("WR",), ("PDE",), _WRITE_RECOVERY),
    Constraint("rank", ("WRA",), ("PDE",), f"{_WRITE_RECOVERY} + 1"),
    Constraint("rank", ("PDE",), ("PDX",), "CKE"),
    Constraint("rank", ("PDX",), _ALL, "XP"),
    Constraint("rank", ("PDX",), ("PDE",), "CKE"),
)
"""Precharge and active power-down with the clock enable pin."""

PRECHARGE_TO_PRECHARGE = (Constraint("rank", ("PRE", "PREA"), ("PRE", "PREA"), "PPD"),)

TWO_CYCLE_COMMANDS = (
    Constraint("channel", ("ACT", *_RD, *_WR), _ALL, "4"),
    Constraint("channel", ("PRE", "PREA", "REF", "REFB"), _ALL, "2"),
)
"""LPDDR4 sends a command in two or four clock cycles over six pins."""

_COMMON = COLUMN + ROW + REFRESH + POWER_DOWN

STANDARDS: dict[str, tuple[Constraint, ...]] = {
    "DDR3": _COMMON,
    "DDR4": _COMMON,
    "LPDDR3": _COMMON + BANK_REFRESH,
    "LPDDR4": _COMMON + BANK_REFRESH + PRECHARGE_TO_PRECHARGE + TWO_CYCLE_COMMANDS,
    "GDDR5": _COMMON + BANK_REFRESH + PRECHARGE_TO_PRECHARGE,
    "HBM2": _COMMON + BANK_REFRESH,
}
"""The constraint list of every standard."""


def latency_cycles(expression: str, timings: Mapping[str, int]) -> int:
    """Evaluate a latency: sums and differences of whole numbers and timing names.

    Raises
    ------
    KeyError
        When a name is no timing of the device.
    ValueError
        When the expression is anything else.
    """
    return _evaluate(ast.parse(expression, mode="eval").body, timings)


def _evaluate(node: ast.expr, timings: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return timings[node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        left, right = _evaluate(node.left, timings), _evaluate(node.right, timings)
        return left + right if isinstance(node.op, ast.Add) else left - right
    message = f"not a sum of timings: {ast.unparse(node)}"
    raise ValueError(message)
