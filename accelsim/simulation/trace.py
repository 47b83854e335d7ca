"""Notes what every component did when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from accelsim.result import PHASE_DTYPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPONENTS = (
    "ifmap fetch",
    "weight fetch",
    "psum fetch",
    "PE array",
    "vector unit",
    "ofmap drain",
    "weight shift",
    "ifmap shift",
    "miss fetch",
    "prefetch fetch",
)


@dataclass
class Trace:
    """The phases of a run, in the order in which they ended.

    Parameters
    ----------
    burst_bytes
        Bytes of one burst, to which the sizes of transfers are counted.
    recorded
        Phases that were noted elsewhere, as `PHASE_DTYPE`; those that are added come behind them.
    """

    burst_bytes: int
    recorded: NDArray[np.void] = field(default_factory=lambda: np.empty(0, PHASE_DTYPE))
    _phases: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)

    def add(self, component: str, stage: int, step: int, start_ps: int, end_ps: int, bursts: int) -> None:
        """Note one phase."""
        number = COMPONENTS.index(component)
        self._phases.append((number, stage, step, start_ps, end_ps, bursts * self.burst_bytes))

    def phases(self, layer_of_stage: list[int]) -> NDArray[np.void]:
        """All phases as `PHASE_DTYPE`, ordered by start, with stages renamed to layers."""
        added = np.array(self._phases, dtype=PHASE_DTYPE)
        noted = np.concatenate([self.recorded, added]) if len(added) else self.recorded
        phases = noted.take(np.lexsort((noted["component"], noted["start_ps"])))  # for records quicker than an index
        if len(phases):
            phases["layer"] = np.array(layer_of_stage)[phases["layer"]]
        return phases
