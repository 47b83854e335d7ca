"""Decides which feature maps stay in their buffer between the stage that makes them and those that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORKING_SHARE = 4
"""A stage keeps at least one part in so many of the buffer for its own tiles, or less where it needs less."""


@dataclass(frozen=True)
class FeatureMapLife:
    """A feature map that could stay on chip.

    Parameters
    ----------
    name
        Its tensor.
    bits
        Its size.
    first, last
        Stages that make it and read it last.
    """

    name: str
    bits: int
    first: int
    last: int


def choose_kept(lives: Iterable[FeatureMapLife], working_bits: Sequence[int], capacity_bits: int) -> dict[str, int]:
    """Choose feature maps to keep, in the order in which they are made.

    Parameters
    ----------
    lives
        Candidates.
    working_bits
        Per stage the space it would fill if it could keep everything it touches.
    capacity_bits
        Capacity of the buffer.

    Returns
    -------
    dict
        Name of each map kept, with the last stage that reads it.
    """
    kept: dict[str, int] = {}
    taken = [0] * len(working_bits)
    for life in sorted(lives, key=lambda entry: (entry.first, entry.name)):
        span = range(life.first, life.last + 1)
        if all(
            taken[stage] + life.bits + min(capacity_bits // WORKING_SHARE, working_bits[stage]) <= capacity_bits
            for stage in span
        ):
            kept[life.name] = life.last
            for stage in span:
                taken[stage] += life.bits
    return kept
