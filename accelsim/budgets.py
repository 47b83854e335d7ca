"""Budgets of an inference: what the exits of a network cost on a machine, and which is the last that fits.

The controller knows what the network costs up to each exit where nothing is skipped, from simulations, and stops every
inference at the last exit that fits: a bound that holds for every input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import InputError
from accelsim.sample_result import ExitResult
from accelsim.samples import SampleRuns

if TYPE_CHECKING:
    from accelsim.workload.skip import Budget, SkipPlan

PJ_PER_UJ, NS_PER_US = 1_000_000, 1_000
END = "end"


def exit_results(runs: SampleRuns) -> tuple[ExitResult, ...]:
    """What an inference costs that leaves by each exit, the end of the network last, nothing being skipped before."""
    plan = runs.plan
    columns = plan.exit_columns
    if not columns:
        return ()
    rows = np.ones((len(columns) + 1, len(plan.gates)), np.bool_)
    rows[np.arange(len(columns)), columns] = False
    open_plan = replace(plan, decisions=rows, right=None, channel_gates=(), channels=None, exit_right=None)
    whole = SampleRuns(runs.mapping, open_plan, runs.run)
    taken, right = plan.taken_exits, plan.exit_right
    found = []
    for number, name in enumerate([*(plan.gates[column].name for column in columns), END]):
        totals = whole.figures(int(whole.which[number])).totals
        found.append(
            ExitResult(
                name=name,
                latency_ns=float(totals[0]),
                energy_pj=float(totals[1]),
                share=float((taken == number).mean()),
                accuracy=None if right is None else float(right[:, number].mean()),
            )
        )
    return tuple(found)


def within(plan: SkipPlan, exits: tuple[ExitResult, ...], budget: Budget) -> tuple[SkipPlan, str]:
    """Stop every sample at the last exit that fits a budget.

    Returns
    -------
    tuple
        The plan, and the name of the exit.

    Raises
    ------
    InputError
        When the network has no exits, or not even the first one fits.
    """
    if not exits:
        raise InputError("has no exits at which a budget could stop it", where="budget", allowed="a network with exits")
    fitting = [number for number, entry in enumerate(exits) if fits(entry, budget)]
    if not fitting:
        first = exits[0]
        costs = f"{first.latency_ns / NS_PER_US:.4g} us and {first.energy_pj / PJ_PER_UJ:.4g} uJ"
        raise InputError(
            "is too small for the first exit", where="budget", value=str(budget), allowed=f"at least {costs}"
        )
    last = max(fitting)
    return plan.stopped_at(last), exits[last].name


def fits(entry: ExitResult, budget: Budget) -> bool:
    """Whether an exit costs no more than a budget allows."""
    in_time = budget.latency_us is None or entry.latency_ns <= budget.latency_us * NS_PER_US
    return in_time and (budget.energy_uj is None or entry.energy_pj <= budget.energy_uj * PJ_PER_UJ)
