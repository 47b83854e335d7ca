"""Interconnects stepped cycle by cycle, word by word, with queues and arbiters: the judge of their closed forms.

A link takes one word per cycle, which comes out at its other end `hop_cycles` later. A word that has come where it
wants to is taken in that cycle; the cycles counted are those from the first in which anything moves to the last in
which anything is taken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

Node = tuple[int, ...]


@dataclass
class Word:
    """A word on its way: the nodes that want it."""

    wanted: frozenset[Node]


@dataclass
class Link:
    """A link, the words that wait for it, and those on it with the cycle in which they come out."""

    begin: Node
    end: Node
    waiting: deque[Word] = field(default_factory=deque)
    passing: deque[tuple[int, Word]] = field(default_factory=deque)


class Network:
    """Nodes and links; `route` says to which neighbour a word has to go next from a node to get to another."""

    def __init__(self, hop_cycles: int) -> None:
        self.hop_cycles = hop_cycles
        self.links: dict[tuple[Node, Node], Link] = {}
        self.source: deque[tuple[Node, Word]] = deque()
        self.sink: Node | None = None
        self.at_sink: deque[Word] = deque()
        self.cycle = 0
        self.last_taken = -1

    def next_node(self, here: Node, there: Node) -> Node:
        """Neighbour on the way."""
        raise NotImplementedError

    def arrive(self, here: Node, word: Word) -> None:
        """Take a word that is wanted here, and hand it on to every neighbour beyond whom it is wanted."""
        beyond: dict[Node, set[Node]] = {}
        for there in word.wanted:
            if there == here:
                if self.sink == here:
                    self.at_sink.append(word)
                else:
                    self.last_taken = self.cycle
            else:
                beyond.setdefault(self.next_node(here, there), set()).add(there)
        for neighbour, wanted in beyond.items():
            link = self.links.setdefault((here, neighbour), Link(here, neighbour))
            link.waiting.append(Word(frozenset(wanted)))

    def step(self) -> None:
        """One cycle: words come out of links, one enters, one is taken at the sink, every link takes one."""
        for link in list(self.links.values()):
            while link.passing and link.passing[0][0] == self.cycle:
                self.arrive(link.end, link.passing.popleft()[1])
        if self.source:
            self.arrive(*self.source.popleft())
        if self.at_sink:
            self.at_sink.popleft()
            self.last_taken = self.cycle
        for link in self.links.values():
            if link.waiting:
                link.passing.append((self.cycle + self.hop_cycles, link.waiting.popleft()))
        self.cycle += 1

    def run(self) -> int:
        """Cycles until all words have been taken."""
        while self.source or self.at_sink or any(link.waiting or link.passing for link in self.links.values()):
            self.step()
        return self.last_taken + 1


class MeshNetwork(Network):
    """A mesh with its corner (0, 0): to the column first from the corner, to the first column first towards it."""

    def __init__(self, hop_cycles: int, *, towards_corner: bool = False) -> None:
        super().__init__(hop_cycles)
        self.sink = (0, 0) if towards_corner else None

    def next_node(self, here: Node, there: Node) -> Node:
        (row, col), (to_row, to_col) = here, there
        if col != to_col:
            return (row, col + (1 if to_col > col else -1))
        return (row + (1 if to_row > row else -1), col)


class TreeNetwork(Network):
    """A tree of a radix; nodes are (level, number), leaves at level `depth`, the root at level 0."""

    def __init__(self, hop_cycles: int, radix: int, *, towards_root: bool = False) -> None:
        super().__init__(hop_cycles)
        self.radix = radix
        self.sink = (0, 0) if towards_root else None

    def next_node(self, here: Node, there: Node) -> Node:
        (level, number), (to_level, to_number) = here, there
        if to_level < level:
            return (level - 1, number // self.radix)
        return (level + 1, to_number // self.radix ** (to_level - level - 1))


def run_bus(words: list[int], hop_cycles: int) -> int:
    """Masters with so many words each; an arbiter grants the bus to the next one in turn that has any."""
    left, turn, cycle, last = list(words), 0, 0, -1
    while any(left):
        while not left[turn]:
            turn = (turn + 1) % len(left)
        left[turn] -= 1
        turn = (turn + 1) % len(left)
        last = cycle + hop_cycles  # the cycle in which it comes out and is taken
        cycle += 1
    return last + 1
