"""Which points no other point beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.explore.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


def losses(rows: Sequence[Mapping[str, float]], objectives: Sequence[str]) -> NDArray[np.float64]:
    """Objectives as an array ``(points, objectives)`` in which less is better."""
    signs = [-1.0 if METRICS[name].maximised else 1.0 for name in objectives]
    table = [[sign * row[name] for name, sign in zip(objectives, signs, strict=True)] for row in rows]
    return np.array(table, np.float64).reshape(len(rows), len(objectives))


def on_front(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points are not dominated.

    Parameters
    ----------
    points
        ``(points, objectives)``, less is better.

    Returns
    -------
    ndarray
        One flag per point; of equal points all or none are on the front.
    """
    flags = np.ones(len(points), np.bool_)
    for index, point in enumerate(points):
        no_worse, better = (points <= point).all(axis=1), (points < point).any(axis=1)
        flags[index] = not (no_worse & better).any()
    return flags
