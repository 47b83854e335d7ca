"""Checks a stream of DRAM commands against the constraint list, knowing nothing of how the controller works.

Slow and obvious: it keeps every command and looks backwards, where the controller keeps ready times and looks ahead.
Only the constraint list, the timings and the command log are shared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.hardware.dram.constraints import COMMANDS, LEVELS, STANDARDS, latency_cycles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from accelsim.hardware.dram.tables import DramSpec

_TO_RANK = frozenset({"PREA", "REF", "PDE", "PDX"})
_CLOSING = frozenset({"PRE", "PREA", "RDA", "WRA"})
_NEEDS_ROW = frozenset({"RD", "WR", "RDA", "WRA"})
_NEEDS_ALL_CLOSED = frozenset({"REF"})


@dataclass(frozen=True)
class Violation:
    """A command that came too early or met the wrong state."""

    cycle: int
    command: str
    place: tuple[int, ...]
    rule: str


@dataclass(frozen=True)
class _Issued:
    cycle: int
    name: str
    node: tuple[int, ...]
    point: int


def check_commands(log: Iterable[Sequence[int]], spec: DramSpec) -> list[Violation]:
    """Check a command log.

    Parameters
    ----------
    log
        Rows of cycle, command, channel, rank, bank within the rank (-1 for commands to a rank), row.
    spec
        The memory that they were issued to.

    Returns
    -------
    list of Violation
        Empty when every constraint and every state was respected.
    """
    return _Checker(spec).check(log)


class _Checker:
    """Remembers what has been issued, and which row is open in every bank."""

    def __init__(self, spec: DramSpec) -> None:
        self._spec = spec
        self._past: dict[tuple[int, str, tuple[int, ...]], list[_Issued]] = {}
        self._open: dict[tuple[int, ...], tuple[int, int]] = {}
        self._down: set[tuple[int, ...]] = set()
        self._last_cycle: dict[int, int] = {}
        self._violations: list[Violation] = []
        # Points differ in latency, so with several an older command of a slower one may bind longer than the latest.
        self._look_back = 1 if len(spec.timings) == 1 else _LOOK_BACK
        self._rules = {
            name: [
                (rule, [latency_cycles(rule.latency, timings) for timings in spec.timings])
                for rule in STANDARDS[spec.device.standard]
                if name in rule.following
            ]
            for name in COMMANDS
        }

    def check(self, log: Iterable[Sequence[int]]) -> list[Violation]:
        for cycle, command, channel, rank, bank, row in log:
            name = COMMANDS[command]
            node = (channel, rank) if name in _TO_RANK else self._place(channel, rank, bank)
            if self._last_cycle.get(channel, -1) >= cycle:
                self._report(cycle, name, node, "one command per cycle and channel")
            self._last_cycle[channel] = cycle
            self._check_state(cycle, name, node, row)
            self._check_times(cycle, name, node)
            self._apply(cycle, name, node, row)
        return self._violations

    def _place(self, channel: int, rank: int, bank: int) -> tuple[int, ...]:
        group, inner = divmod(bank, self._spec.geometry.banks_per_group)
        return (channel, rank, group, inner)

    def _report(self, cycle: int, name: str, node: tuple[int, ...], rule: str) -> None:
        self._violations.append(Violation(cycle, name, node, rule))

    def _check_state(self, cycle: int, name: str, node: tuple[int, ...], row: int) -> None:
        if (node[:2] in self._down) != (name == "PDX"):
            self._report(cycle, name, node, "power-down")
        if name in _NEEDS_ROW and self._open.get(node, (-1, 0))[0] != row:
            self._report(cycle, name, node, "the row is not open")
        if name in ("ACT", "REFB") and node in self._open:
            self._report(cycle, name, node, "the bank is open")
        if name in _NEEDS_ALL_CLOSED and any(bank[:2] == node for bank in self._open):
            self._report(cycle, name, node, "a bank of the rank is open")

    def _check_times(self, cycle: int, name: str, node: tuple[int, ...]) -> None:
        for constraint, latencies in self._rules[name]:
            depth = LEVELS.index(constraint.level) + 1
            if depth > len(node):
                continue  # a command to a rank is bound at the rank and above
            for earlier in self._earlier(constraint.preceding, node[:depth], constraint.window, constraint.sibling):
                if cycle < earlier.cycle + latencies[earlier.point]:
                    rule = f"{earlier.name} to {name} at {constraint.level}: {constraint.latency}"
                    self._report(cycle, name, node, rule)

    def _earlier(
        self,
        names: Iterable[str],
        node: tuple[int, ...],
        window: int,
        sibling: bool,  # noqa: FBT001 - as in the list
    ) -> list[_Issued]:
        found = []
        for name in names:
            if sibling:
                near = [
                    issued
                    for (depth, other_name, other), past in self._past.items()
                    if depth == len(node) and other_name == name and other[:-1] == node[:-1] and other != node
                    for issued in past[-1:]
                ]
                found += near
            else:
                past = self._past.get((len(node), name, node), [])
                found += past[-window:][:1] if window > 1 and len(past) >= window else []
                found += past[-self._look_back :] if window == 1 else []
        return found

    def _apply(self, cycle: int, name: str, node: tuple[int, ...], row: int) -> None:
        point = self._point(node, row) if name == "ACT" else self._open.get(node, (0, 0))[1]
        if name == "PREA":
            points = {point for bank, (_, point) in self._open.items() if bank[:2] == node} or {0}
            for each in points:
                self._remember(_Issued(cycle, name, node, each))
            self._open = {bank: row for bank, row in self._open.items() if bank[:2] != node}
        else:
            self._remember(_Issued(cycle, name, node, point))
        if name == "ACT":
            self._open[node] = (row, point)
        elif name in _CLOSING:
            self._open.pop(node, None)
        elif name == "PDE":
            self._down.add(node)
        elif name == "PDX":
            self._down.discard(node)

    def _remember(self, issued: _Issued) -> None:
        for depth in range(1, len(issued.node) + 1):
            past = self._past.setdefault((depth, issued.name, issued.node[:depth]), [])
            past.append(issued)
            del past[: -2 * _LOOK_BACK]

    def _point(self, node: tuple[int, ...], row: int) -> int:
        geometry = self._spec.geometry
        rank = node[0] * self._spec.config.ranks + node[1]
        bank = rank * self._spec.banks_per_rank + node[2] * geometry.banks_per_group + node[3]
        return int(self._spec.points.by_subarray[bank, row // geometry.rows_per_subarray])


_LOOK_BACK = 16
