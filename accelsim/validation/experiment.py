"""What all kinds of experiments share: their record, what they are given to work with, and what they find.

A kind is one file in `accelsim.validation.experiments`: a record derived from `Experiment` with the keys that a claim
file may give, and its method `conduct`; and an entry in `KINDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from accelsim.config.model import Record
from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.validation.bench import Bench

_PLACE = "accelsim.validation.experiments"
KINDS = {
    "combined": f"{_PLACE}.combined:Combined",
    "comparison": f"{_PLACE}.comparison:Comparison",
    "dram_trace": f"{_PLACE}.dram_trace:DramTrace",
    "gate_overhead": f"{_PLACE}.gate_overhead:GateOverhead",
    "operating_points": f"{_PLACE}.operating_points:OperatingPoints",
    "pot_storage": f"{_PLACE}.pot_storage:PotStorage",
    "scalesim": f"{_PLACE}.scalesim:ScaleSim",
    "skipping": f"{_PLACE}.skipping:Skipping",
    "smartexchange": f"{_PLACE}.smartexchange:SmartExchange",
    "table": f"{_PLACE}.table:PublishedTable",
    "tolerance": f"{_PLACE}.tolerance:Tolerance",
    "weight_storage": f"{_PLACE}.weight_storage:WeightStorage",
}
"""By kind the place of its record."""


class Experiment(Record):
    """What is run to try a claim; each kind adds its own keys."""

    noise: ClassVar[float] = 1e-6
    """Share by which two runs may differ on different machines: the simulator is exact, floating-point sums are not."""

    kind: str

    def check(self, where: Path) -> None:
        """Find mistakes that the record alone cannot hold, such as names of presets, before anything runs.

        Raises
        ------
        InputError
            When there is one.
        """

    @property
    def group(self) -> str:
        """Experiments of one group share simulations, and are best run by the same process one after the other."""
        return self.kind

    def conduct(self, bench: Bench) -> Outcome:
        """Run it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Point:
    """One case or row of an experiment.

    Parameters
    ----------
    name
        Which one.
    value
        What came out.
    claimed
        What is published of it, if anything.
    """

    name: str
    value: float
    claimed: float | None = None


@dataclass(frozen=True)
class Breakdown:
    """Where a quantity comes from, for each of the machines or variants that are compared.

    Parameters
    ----------
    title
        The quantity, such as ``energy``.
    shares
        By side and part; the parts of a side add up to one.
    """

    title: str
    shares: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Parameters
    ----------
    value
        The figure that stands against the published one; both ends where it is a range.
    points
        The single cases behind it.
    breakdowns
        What the cases are made of, means over the cases.
    ratio
        Simulated over published where that is not the value over the published figure: a table's mean.
    notes
        Sentences that the experiment has to add: what else was measured.
    point_unit
        Unit of the points, where it is not that of the claim's metric.
    """

    value: float | tuple[float, float]
    points: tuple[Point, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    ratio: float | None = None
    notes: tuple[str, ...] = ()
    point_unit: str | None = None


def experiment_record(document: Mapping[str, Any]) -> type[Experiment]:
    """Class that checks an experiment, by its kind.

    Raises
    ------
    ConfigError
        When there is no such kind.
    """
    kind = document.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        module, _, name = KINDS[kind].partition(":")
        record: type[Experiment] = getattr(import_module(module), name)
        return record
    problem = "is missing" if kind is None else "is no kind of experiment"
    raise ConfigError(problem, key="kind", value=... if kind is None else kind, allowed=", ".join(KINDS))
