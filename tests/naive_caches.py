"""Caches as plain lists, most recently used first: what the compiled ones are held against."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class NaiveCache:
    """One cache; `below` is the next level, None for the memory."""

    sets: int
    ways: int
    through: bool = False
    below: NaiveCache | None = None
    memory: list[tuple[str, int]] = field(default_factory=list)
    misses: int = 0
    contents: dict[int, list[int]] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)

    def _use(self, line: int) -> bool:
        """Whether a line is held; if so it is the most recently used one from now on."""
        held = self.contents.setdefault(line % self.sets, [])
        if line not in held:
            return False
        held.remove(line)
        held.insert(0, line)
        return True

    def _take(self, line: int, *, dirty: bool) -> None:
        """Take a line in; the one that leaves is written below if it is dirty."""
        held = self.contents.setdefault(line % self.sets, [])
        held.insert(0, line)
        if dirty:
            self.dirty.add(line)
        if len(held) > self.ways:
            leaving = held.pop()
            if leaving in self.dirty:
                self.dirty.remove(leaving)
                self._write_below(leaving)

    def _write_below(self, line: int) -> None:
        if self.below is None:
            self.memory.append(("write", line))
        else:
            self.below.write_whole(line)

    def read(self, line: int) -> None:
        """Ask for a line."""
        if self._use(line):
            return
        self.misses += 1
        self._take(line, dirty=False)
        if self.below is None:
            self.memory.append(("read", line))
        else:
            self.below.read(line)

    def store(self, line: int) -> None:
        """Store into a line: it is fetched if it is not there."""
        if self.through:
            self._use(line)
            self._write_below(line)
            return
        self.read(line)
        self.dirty.add(line)

    def write_whole(self, line: int) -> None:
        """Take a line that comes from above, which needs no fetch."""
        if self.through:
            self._use(line)
            self._write_below(line)
        elif self._use(line):
            self.dirty.add(line)
        else:
            self._take(line, dirty=True)


def reuse_distances(lines: list[int]) -> list[int]:
    """Different lines used since the last use of the same line, per access; -1 for a first use.

    A fully associative LRU cache of n lines hits exactly where the distance is below n (Mattson et al., 1970).
    """
    last: dict[int, int] = {}
    distances = []
    for place, line in enumerate(lines):
        distances.append(len(set(lines[last[line] + 1 : place])) if line in last else -1)
        last[line] = place
    return distances
