"""Rows of a product of which a few stand for the many that do the same to the caches.

Every row of results streams the same matrix past the core. Once the first rows have filled the caches, a further one
finds and leaves in them what the one before it did, moved by a row of results. Where a config says so, the first rows
and the last one are therefore simulated access by access, and those between take the steps of the row before them:
the lines of its first operand and of its sums moved on, those of the shared matrix as they are. What these rows would
leave in the caches is brought in by an untimed pass that reads the first operand of each and updates its sums once,
going through the shared matrix often enough to keep it where it was, and the lines that leave dirty meanwhile are
written in their time; sums that leave before their row is done, and return, do so in every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.hierarchy import LevelCounts, MemoryTraffic
from accelsim.hardware.cache.kernel import end_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.hardware.cache.layout import Caches, Words


@dataclass(frozen=True)
class Mark:
    """How far a run had come: events, steps of each core, five counts per level as in `LevelCounts`, dirty lines."""

    events: int
    steps: Words
    counts: Words
    dirty: Words


def mark(caches: Caches) -> Mark:
    """End the steps of all cores, and note how far they have come."""
    end_steps(caches)
    entries = caches.entries
    return Mark(
        events=int(caches.setting[lo.SE_EVENTS]),
        steps=caches.cores[:, lo.CO_STEP].copy(),
        counts=caches.levels[:, lo.LV_READS : lo.LV_COVERED + 1].copy(),
        dirty=entries[(entries != lo.EMPTY) & (entries & lo.DIRTY > 0)] >> 2,
    )


@dataclass(frozen=True)
class Repeat:
    """A row per core that stands for others.

    Parameters
    ----------
    begin, end
        Around the row that was simulated.
    resume
        After the untimed pass.
    times
        Rows that it stands for besides itself.
    moves
        Stretches of lines that move on with the rows: first line, last line plus one, and bytes from row to row.
    sums
        First line and last line plus one of the sums of the row of each core.
    """

    begin: Mark
    end: Mark
    resume: Mark
    times: int
    moves: tuple[tuple[int, int, int], ...]
    sums: tuple[tuple[int, int], ...]


def spread(traffic: MemoryTraffic, repeats: Sequence[Repeat], line_bytes: int) -> MemoryTraffic:
    """What the memory is asked for when every row is there.

    Parameters
    ----------
    traffic
        Of the rows that were simulated, untimed passes included.
    repeats
        In the order in which they were run.
    line_bytes
        Size of a line.
    """
    if not repeats:
        return traffic
    cores = len(traffic.ticks)
    shift = np.zeros(cores, np.int64)  # steps by which what follows is later
    pieces: list[Words] = []
    ticks: list[list[Words]] = [[] for _ in range(cores)]
    counts = np.array([list(vars(level).values()) for level in traffic.counts], np.int64)
    done, steps = 0, np.zeros(cores, np.int64)
    for repeat in repeats:
        pieces.append(later(traffic.events[done : repeat.end.events], shift))
        length = repeat.end.steps - repeat.begin.steps
        row = traffic.events[repeat.begin.events : repeat.end.events]
        pieces += copies(
            row[(row[:, lo.EV_KIND] != lo.WRITE) | returns(row, repeat)], repeat, shift, length, line_bytes
        )
        leaving = traffic.events[repeat.end.events : repeat.resume.events]
        pieces.append(in_their_time(for_good(leaving[leaving[:, lo.EV_KIND] == lo.WRITE]), repeat, shift, length))
        for core in range(cores):
            own = traffic.ticks[core]
            again = own[repeat.begin.steps[core] : repeat.end.steps[core]]
            ticks[core] += [own[steps[core] : repeat.end.steps[core]], np.tile(again, repeat.times)]
        counts += repeat.times * (repeat.end.counts - repeat.begin.counts)
        counts -= repeat.resume.counts - repeat.end.counts
        shift = shift + repeat.times * length - (repeat.resume.steps - repeat.end.steps)
        done, steps = repeat.resume.events, repeat.resume.steps
    pieces.append(later(traffic.events[done:], shift))
    for core in range(cores):
        ticks[core].append(traffic.ticks[core][steps[core] :])
    return MemoryTraffic(
        events=np.concatenate(pieces),
        ticks=tuple(np.concatenate(parts) for parts in ticks),
        counts=tuple(LevelCounts(*row) for row in counts.tolist()),
    )


def returns(events: Words, repeat: Repeat) -> NDArray[np.bool_]:
    """Writes of sums of the row itself that are taken up again: for good they leave once, after their last update."""
    lines = events[:, lo.EV_LINE]
    own = np.zeros(len(events), bool)
    for first, end in repeat.sums:
        own |= (lines >= first) & (lines < end)
    own &= events[:, lo.EV_KIND] == lo.WRITE
    place = np.flatnonzero(own)
    last = np.zeros(len(events), bool)
    last[place[len(place) - 1 - np.unique(lines[place][::-1], return_index=True)[1]]] = True
    found: NDArray[np.bool_] = own & ~(last & ~np.isin(lines, repeat.end.dirty))
    return found


def for_good(writes: Words) -> Words:
    """The last write of each line."""
    last = len(writes) - 1 - np.unique(writes[::-1, lo.EV_LINE], return_index=True)[1]
    return writes[np.sort(last)]


def later(events: Words, shift: Words) -> Words:
    """Events some steps later, by core."""
    moved = events.copy()
    moved[:, lo.EV_STEP] += shift[events[:, lo.EV_CORE]]
    return moved


def copies(events: Words, repeat: Repeat, shift: Words, length: Words, line_bytes: int) -> list[Words]:
    """What a row asks for, once for each row that it stands for."""
    lines = events[:, lo.EV_LINE]
    stride = np.zeros(len(events), np.int64)
    for first, end, row_bytes in repeat.moves:
        stride[(lines >= first) & (lines < end)] = row_bytes
    found = []
    for number in range(1, repeat.times + 1):
        copy = later(events, shift + number * length)
        copy[:, lo.EV_LINE] += number * stride // line_bytes
        found.append(copy)
    return found


def in_their_time(writes: Words, repeat: Repeat, shift: Words, length: Words) -> Words:
    """The writes of the untimed pass, spread evenly over the last steps of the rows that it stands for."""
    moved = writes.copy()
    number = np.arange(len(writes)) * repeat.times // max(len(writes), 1) + 1
    core = writes[:, lo.EV_CORE]
    moved[:, lo.EV_STEP] = (repeat.end.steps + shift)[core] + number * length[core] - 1
    return moved
