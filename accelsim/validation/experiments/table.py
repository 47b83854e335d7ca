"""A published table, row by row, and how far off the simulator is.

::

    kind: table
    run: {hardware: eyeriss, workload: alexnet_eyeriss}
    set: {dram.kind: ideal}                   # optional: changes of all machines
    value: run.compute_cycles / 200000        # of the layers of a row; `total` is the run as a whole
    rows:
      - {name: conv1, claimed: 16.5}          # the layer of this name, or
      - {name: total, claimed: 103.5, layers: ["conv*"], ops: [conv], run: {...}, value: ...}
    unit: ms                                  # optional: of the rows
    only: [conv1]                             # optional: rows that count
    measure: mean_error                       # mean_error, worst_error: shares of the published figures
                                              # mean_difference, worst_difference: in the unit of the table
                                              # mismatches: rows that are not exactly equal

The figure that is claimed is the error: ``claimed: {at_most: 0.1}``. A row with ``layers: []`` is about the whole run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.model import Record
from accelsim.errors import ConfigError
from accelsim.validation.aggregates import Measure, error_of, mean_ratio
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.experiments.comparison import chosen_names
from accelsim.validation.expressions import check_expression, evaluate
from accelsim.validation.figures import breakdowns
from accelsim.validation.runs import Changes, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench

_SIDES = ("run", "total")


class Row(Record):
    """One published figure."""

    name: Annotated[str, Field(min_length=1)]
    claimed: float
    layers: tuple[str, ...] | None = None
    """Patterns of names of the layers that count; the layer of the row's name where left out."""
    ops: tuple[str, ...] = ()
    """Operators that count, among those layers."""
    run: RunRecord = RunRecord()
    value: str | None = None


class PublishedTable(Experiment):
    """Rows of a published table, and how far the simulated ones are off."""

    kind: Literal["table"]
    run: RunRecord = RunRecord()
    set: Changes = Field(default_factory=dict)
    value: str | None = None
    unit: str = ""
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    only: tuple[str, ...] | None = None
    measure: Measure = "mean_error"

    @model_validator(mode="after")
    def _names_its_rows(self) -> Self:
        chosen_names(self.only, [row.name for row in self.rows])
        for row in self.rows:
            if row.value is None and self.value is None:
                message = f"row {row.name!r} has no value"
                raise ValueError(message)
        return self

    def check(self, where: Path) -> None:
        """Find names that are none, and keys that machines do not have."""
        for row in self.rows:
            check_expression(self._expression(row), _SIDES, where, "experiment.value")
            self.run_of(row).check(where)

    @property
    def group(self) -> str:
        """The machine."""
        return self.run.hardware or "table"

    def run_of(self, row: Row) -> RunRecord:
        """The run behind a row."""
        return row.run.over(self.run.over(RunRecord(set=self.set)))

    def _expression(self, row: Row) -> str:
        return row.value or self.value or ""

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate all rows."""
        points, seen = [], []
        for row in self.rows:
            if self.only is not None and row.name not in self.only:
                continue
            figures = bench.figures(self.run_of(row))
            chosen = figures.of_layers((row.name,) if row.layers is None else row.layers, row.ops)
            if not chosen:
                raise ConfigError("chooses no layer", where=bench.where, key="experiment.rows", value=row.name)
            sides = {"run": chosen, "total": figures.totals}
            value = evaluate(self._expression(row), sides, bench.where, "experiment.value")
            points.append(Point(row.name, value, row.claimed))
            seen.append(chosen)
        return Outcome(error_of(points, self.measure), tuple(points), breakdowns({"run": seen}), mean_ratio(points), (),
                       self.unit)  # fmt: skip
