"""A bus: one word per cycle, whoever sends it and however many listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.mapping.traffic import Route, Words


@dataclass(frozen=True)
class Bus:
    """A wire that all ports of the array hang on.

    Parameters
    ----------
    bits_per_cycle
        Bits of a word.
    hop_cycles
        Cycles from one end of the wire to the other.
    """

    bits_per_cycle: int
    hop_cycles: int

    def busy_cycles(self, routes: Sequence[Route], words: Words) -> Words:  # noqa: ARG002 - all on one wire
        """All words, one after the other."""
        total: Words = words.sum(axis=0)
        return total

    def completion_cycles(self, routes: Sequence[Route], words: Sequence[int]) -> int:  # noqa: ARG002 - see above
        """Cycles until the last word has arrived, on a bus that was idle."""
        total = sum(words)
        return total + self.hop_cycles if total else 0

    def hops(self, route: Route) -> float:
        """Every word charges the whole wire, one hop for each port on it."""
        return float(route.ports)
