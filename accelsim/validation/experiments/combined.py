"""Skipping, sparse powers of two and approximate DRAM on one machine: see `accelsim.validation.combined_study`.

::

    kind: combined
    hardware: smartexchange
    set: {control.prefetch: wait}
    reductions: {vdd_v: 0.25, trcd_ps: 1000}     # of the whole memory
    bit_errors: {table: eden_table3}
    images: 1000                                 # that accuracy is measured on; 0: none
    value: none.energy_pj / skipping_pot_dram.energy_pj

Runs are ``none, skipping, pot, dram, skipping_pot, skipping_dram, pot_dram, skipping_pot_dram``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from accelsim.config.dram import BitErrorConfig, whole_memory_at
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.error_tables import load_error_table
from accelsim.validation.combined_study import ALL, Techniques, accuracy_of
from accelsim.validation.eden_study import Reductions, reduced_point
from accelsim.validation.experiment import Experiment, Outcome, Point
from accelsim.validation.experiments.operating_points import ReductionsRecord
from accelsim.validation.expressions import check_expression, evaluate
from accelsim.validation.figures import breakdowns
from accelsim.validation.runs import Changes, RunRecord, stated_changes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.validation.bench import Bench

_SIDES = tuple(entry.name for entry in ALL)


class Combined(Experiment):
    """Eight runs, and an expression over their figures."""

    kind: Literal["combined"]
    hardware: str
    set: Changes = Field(default_factory=dict)
    reductions: ReductionsRecord
    bit_errors: BitErrorConfig
    images: Annotated[int, Field(ge=0)] = 1_000
    value: str

    @property
    def group(self) -> str:
        """The machine."""
        return f"combined {self.hardware}"

    def check(self, where: Path) -> None:
        """Find mistakes in machine, table of bit errors and expression."""
        check_expression(self.value, _SIDES, where, "experiment.value")
        self._run(ALL[0], {}).check(where)
        load_error_table(self.bit_errors.table)

    def conduct(self, bench: Bench) -> Outcome:
        """Simulate all eight, and measure their accuracy."""
        lowered = self._lowered(bench)
        figures: dict[str, Mapping[str, float]] = {}
        for techniques in ALL:
            found = bench.figures(self._run(techniques, lowered)).totals
            figures[techniques.name] = {**found, **self._accuracy(techniques, lowered, bench)}
        value = evaluate(self.value, figures, bench.where, "experiment.value")
        base = figures["none"]
        points = tuple(
            Point(techniques.words, base["energy_pj"] / figures[techniques.name]["energy_pj"]) for techniques in ALL
        )
        notes = tuple(self._told(techniques, figures) for techniques in ALL)
        parts = breakdowns({techniques.words: [figures[techniques.name]] for techniques in ALL})
        return Outcome(value, points, parts, None, notes, "x")

    def _told(self, techniques: Techniques, figures: Mapping[str, Mapping[str, float]]) -> str:
        base, found = figures["none"], figures[techniques.name]
        accuracy = f", accuracy {found['accuracy']:.1%}" if "accuracy" in found else ""
        return (
            f"{techniques.words}: energy {base['energy_pj'] / found['energy_pj']:.2f} times less, "
            f"DRAM energy {base['dram_energy_pj'] / found['dram_energy_pj']:.2f} times less, "
            f"{base['latency_ns'] / found['latency_ns']:.2f} times as fast{accuracy}."
        )

    def _run(self, techniques: Techniques, lowered: Mapping[str, Any]) -> RunRecord:
        changes = {**self.set, **(lowered if techniques.dram else {})}
        return RunRecord(hardware=self.hardware, workload=techniques.workload, set=changes)

    def _lowered(self, bench: Bench) -> dict[str, Any]:
        dram = Dram(self._run(ALL[0], {}).machine(bench.where).dram)
        point = reduced_point(dram, Reductions(self.reductions.vdd_v, self.reductions.trcd_ps))
        return stated_changes([whole_memory_at(point)])

    def _accuracy(self, techniques: Techniques, lowered: Mapping[str, Any], bench: Bench) -> dict[str, float]:
        if not self.images:
            return {}
        run = self._run(techniques, lowered)
        machine = run.machine(bench.where)
        overrides = []
        if techniques.dram:
            overrides = [f"dram.bit_errors={json.dumps(self.bit_errors.model_dump(exclude_unset=True))}"]
        key = json.dumps([machine.resolved(), techniques.name, self.images, overrides], sort_keys=True)

        def measured() -> dict[str, float]:
            return accuracy_of(machine, techniques, self.images, overrides)

        return bench.once("combined-accuracy", key, measured)
