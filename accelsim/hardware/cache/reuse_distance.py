"""Exact reuse distances: how many other lines lie between two uses of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reuse_distances(lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Different lines used since the last use of the same line, per access; -1 for a first use.

    A fully associative LRU cache of n lines hits exactly where the distance is below n (Mattson et al., 1970). Marks
    of last uses are counted in a binary indexed tree, so that n accesses take O(n log n) (Bennett and Kruskal, 1975).

    Parameters
    ----------
    lines
        Line numbers in the order of access.
    """
    _, names = np.unique(lines, return_inverse=True)
    return _distances(names.astype(np.int64), int(names.max(initial=-1)) + 1)


def misses_by_size(lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Misses of a fully associative LRU cache by its size: entry n is that of a cache of n lines."""
    distances = reuse_distances(lines)
    hits = np.bincount(distances[distances >= 0] + 1, minlength=1)
    misses: NDArray[np.int64] = len(lines) - np.cumsum(hits)
    return misses


@kernel
def _distances(names: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    size = len(names)
    tree = np.zeros(size + 1, np.int64)
    last = np.full(count, -1, np.int64)
    distances = np.empty(size, np.int64)
    marks = 0
    for time in range(size):
        before = last[names[time]]
        if before < 0:
            distances[time] = -1
        else:
            older = 0
            node = before + 1
            while node > 0:
                older += tree[node]
                node -= node & -node
            distances[time] = marks - older
            node = before + 1
            while node <= size:
                tree[node] -= 1
                node += node & -node
            marks -= 1
        node = time + 1
        while node <= size:
            tree[node] += 1
            node += node & -node
        marks += 1
        last[names[time]] = time
    return distances
