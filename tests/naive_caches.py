"""Caches as plain lists, most recently used first: what the compiled ones are held against."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class NaiveStream:
    """A page that a prefetcher follows."""

    page: int
    last: int
    head: int
    requests: int = 0
    step: int = 0


@dataclass
class NaivePrefetcher:
    """A stream prefetcher that always finds a free miss register; the page used last comes first."""

    streams: int
    training: int
    degree: int
    distance: int
    page_lines: int
    followed: list[NaiveStream] = field(default_factory=list)

    def follow(self, line: int) -> list[int]:
        """Lines to ask for because of a request."""
        page = line // self.page_lines
        known = [stream for stream in self.followed if stream.page == page]
        stream = known[0] if known else NaiveStream(page, line, line)
        self.followed = [stream, *(other for other in self.followed if other is not stream)][: self.streams]
        moved, stream.last = line - stream.last, line
        if moved == 0 and stream.requests:
            return []
        step = 1 if moved > 0 else -1
        if stream.requests < 2 or step == stream.step:
            stream.requests += 1
            stream.step = step if moved else stream.step
        else:
            stream.requests, stream.step, stream.head = 1, 0, line
        if stream.requests < self.training or not stream.step:
            return []
        if (line - stream.head) * stream.step > 0:
            stream.head = line
        wanted = []
        for _ in range(self.degree):
            after = stream.head + stream.step
            if after // self.page_lines != page or abs(after - line) > self.distance:
                break
            stream.head = after
            wanted.append(after)
        return wanted


@dataclass
class NaiveCache:
    """One cache; `below` is the next level, None for the memory. `queue` takes what prefetchers of all levels want."""

    sets: int
    ways: int
    through: bool = False
    below: NaiveCache | None = None
    memory: list[tuple[str, int]] = field(default_factory=list)
    queue: list[tuple[NaiveCache, int]] = field(default_factory=list)
    prefetcher: NaivePrefetcher | None = None
    misses: int = 0
    contents: dict[int, list[int]] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    prefetched: set[int] = field(default_factory=set)

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
            self.prefetched.discard(leaving)
            if leaving in self.dirty:
                self.dirty.remove(leaving)
                self._write_below(leaving)

    def _write_below(self, line: int) -> None:
        if self.below is None:
            self.memory.append(("write", line))
        else:
            self.below.write_whole(line)

    def _read_below(self, line: int) -> None:
        if self.below is None:
            self.memory.append(("read", line))
        else:
            self.below.ask(line)

    def ask(self, line: int) -> None:
        """Ask for a line; what prefetchers want because of it waits in the queue."""
        held, covered = self._use(line), line in self.prefetched
        self.prefetched.discard(line)
        if not held:
            self.misses += 1
            self._take(line, dirty=False)
        if self.prefetcher and (covered or not held):
            self.queue += [(self, wanted) for wanted in self.prefetcher.follow(line)]
        if not held:
            self._read_below(line)

    def _prefetch(self, line: int) -> None:
        """Fetch a line unless it is there."""
        if line not in self.contents.setdefault(line % self.sets, []):
            self.prefetched.add(line)
            self._take(line, dirty=False)
            self._read_below(line)

    def read(self, line: int) -> None:
        """Ask for a line on behalf of the core, and let the prefetchers fetch what they want then."""
        self.ask(line)
        while self.queue:
            cache, wanted = self.queue.pop(0)
            cache._prefetch(wanted)

    def store(self, line: int) -> None:
        """Store into a line: it is fetched if it is not there."""
        if self.through:
            self._use(line)
            self._write_below(line)
            return
        self.ask(line)
        self.dirty.add(line)
        while self.queue:
            cache, wanted = self.queue.pop(0)
            cache._prefetch(wanted)

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
