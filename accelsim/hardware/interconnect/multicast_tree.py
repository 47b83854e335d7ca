"""Trees: one for each operand and direction, whose nodes hand a word on to every branch that wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.mapping.traffic import Route, Words


@dataclass(frozen=True)
class MulticastTree:
    """Trees with the buffers at their roots and the ports of the array at their leaves.

    Parameters
    ----------
    bits_per_cycle
        Bits that a link takes per cycle.
    hop_cycles
        Cycles from one level to the next.
    radix
        Branches at every node.
    """

    bits_per_cycle: int
    hop_cycles: int
    radix: int

    def depth(self, ports: int) -> int:
        """Levels of links between the root and so many leaves."""
        levels, leaves = 0, 1
        while leaves < ports:
            leaves *= self.radix
            levels += 1
        return levels

    def busy_cycles(self, routes: Sequence[Route], words: Words) -> Words:  # noqa: ARG002 - each has a tree of its own
        """Words through the root of the busiest tree."""
        busiest: Words = words.max(axis=0, initial=0)
        return busiest

    def completion_cycles(self, routes: Sequence[Route], words: Sequence[int]) -> int:
        """Cycles until the last word has arrived, in trees that were idle.

        Down a tree words follow each other at a cycle's distance. Up a tree they meet at the nodes, but the root takes
        one per cycle from when the first can be there.
        """
        carried = [(route, count) for route, count in zip(routes, words, strict=True) if count]
        return max((count + self.depth(route.ports) * self.hop_cycles for route, count in carried), default=0)

    def hops(self, route: Route) -> float:
        """Links that a word passes, those of all its branches counted, on average over the groups of ports."""
        total = 0
        for group in range(route.groups):
            first, last = route.ports_of(group)
            for level in range(self.depth(route.ports)):
                under = self.radix**level
                total += last // under - first // under + 1
        return total / route.groups
