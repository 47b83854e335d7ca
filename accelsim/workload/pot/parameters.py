"""How weights are decomposed: one frozen record, each default with its source."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from accelsim.errors import WorkloadError

Index = Literal["element", "vector", "group"]
"""What one bit of the index stands for: a coefficient, a row of coefficients, or that row of 32 filters at once."""

INDEX_KINDS: tuple[str, ...] = get_args(Index)
CODE_BITS = 4
"""Sign and three bits of exponent."""
GROUP_FILTERS = 32
"""Consecutive filters that share their zero vectors (released code of SmartExchange)."""


@dataclass(frozen=True)
class PotParameters:
    """Parameters of the alternating fit.

    Sources: SmartExchange (Zhao et al., ISCA 2020, arXiv 2005.03403) and its released code, SmartDeal (arXiv
    2101.01163) and its released code.

    Parameters
    ----------
    theta
        Coefficients smaller than this become zero. Default: the VGG-19 demonstration of SmartExchange and the training
        part of SmartDeal's code (its inference part takes 1e-3).
    theta_decay
        What `theta` of a slice is multiplied with when it empties a column. Default: SmartDeal's code.
    row_mode
        Whether whole rows of 3 x 3 kernels become zero where the sum of their magnitudes is below
        ``row_factor * theta``.
    row_factor
        See `row_mode`. Default: SmartExchange's code.
    scale_columns
        Whether each column is scaled before rounding so that its logarithms are whole numbers on average. Default:
        SmartDeal's code (the paper normalises columns instead).
    iterations
        Most alternations. Default: both papers' code.
    tolerance
        The fit of a slice ends when its rounded coefficients move by no more than this (Frobenius norm). Default: both
        papers' code.
    rcond
        Singular values below this fraction of the largest count as zero in least squares. Default: both papers' code.
    max_exponent
        Largest exponent of two. Default: coefficients are clipped to 32 in both papers' code.
    index
        What a bit of the index stands for. An index per element leaves all eight magnitudes of the 3-bit code to
        nonzeros; the others spend one code on the zeros inside kept rows and so have seven. Default: the released
        code counts a bit per element.
    basis_bits
        Bits of a basis entry. Default: both papers.
    """

    theta: float = 4e-3
    theta_decay: float = 0.5
    row_mode: bool = True
    row_factor: float = 5.0
    scale_columns: bool = False
    iterations: int = 30
    tolerance: float = 1e-10
    rcond: float = 1e-10
    max_exponent: int = 5
    index: Index = "element"
    basis_bits: int = 8

    def __post_init__(self) -> None:
        for name, allowed, good in (
            ("theta", "a number of at least 0", math.isfinite(self.theta) and self.theta >= 0),
            ("theta_decay", "above 0, below 1", 0 < self.theta_decay < 1),
            ("row_factor", "a number of at least 0", math.isfinite(self.row_factor) and self.row_factor >= 0),
            ("iterations", "at least 1", self.iterations >= 1),
            ("tolerance", "at least 0", self.tolerance >= 0),
            ("rcond", "at least 0, below 1", 0 <= self.rcond < 1),
            ("max_exponent", "-100 to 100", abs(self.max_exponent) <= _LARGEST_EXPONENT),
            ("index", ", ".join(INDEX_KINDS), self.index in INDEX_KINDS),
            ("basis_bits", "2 to 8", 2 <= self.basis_bits <= 8),
        ):
            if not good:
                raise WorkloadError(
                    "not accepted", where="decomposition", key=name, value=getattr(self, name), allowed=allowed
                )

    @property
    def magnitudes(self) -> int:
        """Different magnitudes that the 3-bit exponent code can tell apart."""
        return magnitudes_of(self.index)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the header of a file."""
        return asdict(self)


def magnitudes_of(index: Index) -> int:
    """Magnitudes of nonzero coefficients under an index; zero takes a code where the index does not name zeros."""
    codes = 1 << (CODE_BITS - 1)
    return codes if index == "element" else codes - 1


_LARGEST_EXPONENT = 100
