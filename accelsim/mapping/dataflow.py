"""The systolic dataflows as data: which dimension lies on which side of the array, and what streams through it.

Cycles of one fold are those of SCALE-Sim 3's closed form (counted, not indexed, so one more than its report):
the streamed length plus the skew of filling and draining the array. A fold always passes the whole array, used or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dim = Literal["m", "n", "k"]
DIMS: tuple[Dim, ...] = ("m", "n", "k")
RELEVANT_DIMS: dict[str, tuple[Dim, ...]] = {"ifmap": ("m", "k"), "weight": ("n", "k"), "psum": ("m", "n")}
"""Dimensions that index each operand of a product ``(m, k) x (k, n)``."""


@dataclass(frozen=True)
class Dataflow:
    """A spatial mapping and the skew it costs.

    Parameters
    ----------
    name
        WS, OS or IS.
    row_dim, col_dim
        Dimensions unrolled over rows and columns; the operand they index is stationary.
    stream_dim
        Dimension that passes through the array in time.
    loads_stationary
        Whether a fold begins by shifting the stationary operand in, one row a cycle.
    """

    name: str
    row_dim: Dim
    col_dim: Dim
    stream_dim: Dim
    loads_stationary: bool

    def prologue_cycles(self, rows: int) -> int:
        """Cycles before the first datum streams in: the shift of the stationary operand."""
        return rows if self.loads_stationary else 0

    def epilogue_cycles(self, rows: int, cols: int) -> int:
        """Cycles after the last datum has entered until the last result has left."""
        return rows + cols - 2

    def fold_overhead_cycles(self, rows: int, cols: int) -> int:
        """Cycles that a fold costs beyond the streamed length."""
        return self.prologue_cycles(rows) + self.epilogue_cycles(rows, cols)

    @property
    def accumulates_in_array(self) -> bool:
        """Whether partial sums stay in the elements while k streams."""
        return self.stream_dim == "k"


DATAFLOWS = {
    "WS": Dataflow("WS", row_dim="k", col_dim="n", stream_dim="m", loads_stationary=True),
    "OS": Dataflow("OS", row_dim="m", col_dim="n", stream_dim="k", loads_stationary=False),
    "IS": Dataflow("IS", row_dim="k", col_dim="m", stream_dim="n", loads_stationary=True),
}
