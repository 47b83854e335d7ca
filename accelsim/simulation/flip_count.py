"""Counts the bits that flipped in everything a run read from a DRAM below specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.mapping.tile_graph import tile_reads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from accelsim.hardware.dram.read_errors import ReadErrors
    from accelsim.mapping.tile_graph import StageTiles


def count_flips(stages: Sequence[StageTiles], errors: ReadErrors) -> NDArray[np.int64]:
    """Draw the flips of every tile that is fetched, each fetch an access of its own, in the bytes that the tile covers.

    What else a burst carries flips as well, but nobody uses it.

    Parameters
    ----------
    stages
        Tile graphs in order of execution.
    errors
        The memory's errors.

    Returns
    -------
    array
        Flipped bits per stage and bank, shape (stages, banks of the whole memory).
    """
    flips = np.zeros((len(stages), errors.banks), np.int64)
    if not any(model is not None for model in errors.models):
        return flips
    for place, stage in enumerate(stages):
        for read in tile_reads((stage,)):
            pieces = read.fetch.pieces(read.tile, errors.spec.burst_bytes)
            flips[place] += errors.count(*pieces, read.access)
    return flips
