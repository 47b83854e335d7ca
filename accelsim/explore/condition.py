"""A condition that a design point has to meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelsim.explore.expression import Expression


@dataclass(frozen=True)
class Condition:
    """A condition.

    Parameters
    ----------
    expression
        What has to be true.
    before_run
        Whether it can be decided from the config alone, so that a point that fails it is never run.
    """

    expression: Expression
    before_run: bool
