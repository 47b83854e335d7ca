"""A mesh of routers with the buffers at its first corner; words travel to their column first, then to their row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.mapping.traffic import Route, Words

Router = tuple[int, int]


@dataclass(frozen=True)
class Mesh:
    """Routers in rows and columns, each joined to its neighbours by a link in either direction.

    What goes to the array enters at router (0, 0), one word per cycle, and forks where a word is for several ports;
    what comes back leaves there, one word per cycle. The ports of the array are spread evenly over the routers, row by
    row.

    Parameters
    ----------
    bits_per_cycle
        Bits that a link takes per cycle.
    hop_cycles
        Cycles from one router to the next.
    rows, cols
        Routers.
    """

    bits_per_cycle: int
    hop_cycles: int
    rows: int
    cols: int

    def router_of(self, port: int, ports: int) -> Router:
        """Row and column of the router at which a port hangs."""
        return divmod(port * self.rows * self.cols // ports, self.cols)

    def busy_cycles(self, routes: Sequence[Route], words: Words) -> Words:
        """Words through the corner, in the direction that has more."""
        back = np.array([route.returns for route in routes], bool)
        busiest: Words = np.maximum(words[back].sum(axis=0), words[~back].sum(axis=0))
        return busiest

    def completion_cycles(self, routes: Sequence[Route], words: Sequence[int]) -> int:
        """Cycles until the last word has arrived, in a mesh that was idle."""
        return max(self._delivery(routes, words), self._collection(routes, words))

    def _delivery(self, routes: Sequence[Route], words: Sequence[int]) -> int:
        """Words leave the corner one after the other, operand by operand, and never wait again."""
        done, sent = 0, 0
        for route, count in zip(routes, words, strict=True):
            if route.returns:
                continue
            for word in range(max(count - route.groups, 0), count):  # those before have a later one for the same ports
                first, last = route.ports_of(word % route.groups)
                farthest = max(sum(self.router_of(port, route.ports)) for port in range(first, last + 1))
                done = max(done, sent + word + 1 + farthest * self.hop_cycles)
            sent += count
        return done

    def _collection(self, routes: Sequence[Route], words: Sequence[int]) -> int:
        """Words of all routers, there from the start, over links that form a tree towards the corner.

        The link out of a router carries the words of all routers behind it, one per cycle. Those from a distance d or
        more take so many cycles and d hops at least, for any router and d; the slowest of these bounds is met.
        """
        behind: dict[Router, dict[int, int]] = {}
        for route, count in zip(routes, words, strict=True):
            for group in range(route.groups if route.returns else 0):
                own = (count - group + route.groups - 1) // route.groups
                row, col = self.router_of(route.ports_of(group)[0], route.ports)
                way = [(row, passed) for passed in range(col, 0, -1)] + [(passed, 0) for passed in range(row, -1, -1)]
                for router in way if own > 0 else ():
                    by_distance = behind.setdefault(router, {})
                    by_distance[row + col] = by_distance.get(row + col, 0) + own
        done = 0
        for by_distance in behind.values():
            total = 0
            for distance in sorted(by_distance, reverse=True):
                total += by_distance[distance]
                done = max(done, total + distance * self.hop_cycles)
        return done

    def hops(self, route: Route) -> float:
        """Links that a word passes, those of all its branches counted, on average over the groups of ports."""
        total = 0
        for group in range(route.groups):
            first, last = route.ports_of(group)
            links: set[tuple[str, Router]] = set()
            for port in range(first, last + 1):
                row, col = self.router_of(port, route.ports)
                links |= {("to a column", (0, passed)) for passed in range(col)}
                links |= {("to a row", (passed, col)) for passed in range(row)}
            total += len(links)
        return total / route.groups
