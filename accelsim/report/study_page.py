"""``report.html`` of a study: one page, self-contained."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from accelsim import __version__
from accelsim.explore.fidelity import EstimateError, estimate_errors
from accelsim.explore.importance import FEWEST_TRIALS, importances
from accelsim.explore.metrics import METRICS
from accelsim.explore.trial import COMPLETE, FAILED, PRUNED
from accelsim.report import quantities, study_figures
from accelsim.report.metric_words import metric_title, short_names, written
from accelsim.report.page import Cell, Column, build_page, plot, section, subsection, table, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.explore.study import StudyResult
    from accelsim.explore.transfer import Transfer
    from accelsim.explore.trial import TrialRecord
    from accelsim.report.plots import Figure

_MOST_PAIRS = 6


def render_study(result: StudyResult, front: Sequence[TrialRecord], transfer: Transfer | None = None) -> str:
    """Write the page of a study.

    Parameters
    ----------
    result
        The study.
    front
        Trials on its Pareto front.
    transfer
        What another study says about it.
    """
    figures: dict[str, Figure] = {}
    space = result.space
    workloads = ", ".join(space.workloads)
    body = [
        f'<header><h1>{text(result.name)} <span class="on">explored on</span> {text(space.base["name"])}</h1>',
        f"<p>{text(_subtitle(result, workloads))}</p></header>",
        _cards(result, front),
    ]
    if any(record.state == COMPLETE for record in result.trials):
        body += [
            _fronts(result, front, figures),
            section("Parallel coordinates", _placed("parallel", study_figures.draw_parallel(result, front), figures),
                    note="A line per point that meets the conditions, coloured by the first objective. Drag along an "
                         "axis to keep a part of it, drag a name to move the axis."),
            _importance(result, figures),
            _progress(result, figures),
            *_fidelity(result, figures),
        ]  # fmt: skip
    body += [*_transfer(transfer, figures), _trials(result, front), _space(result)]
    return build_page(f"{result.name} - accelsim", body, figures)


def _placed(identifier: str, drawn: Figure, figures: dict[str, Figure]) -> str:
    figures[identifier] = drawn
    return plot(identifier)


def _subtitle(result: StudyResult, workloads: str) -> str:
    space = result.space
    parts = [workloads, f"sampler {space.sampler}", f"seed {space.seed}", f"accelsim {__version__}"]
    return " · ".join([*([space.description] if space.description else []), *parts])


def _cards(result: StudyResult, front: Sequence[TrialRecord]) -> str:
    states = [record.state for record in result.trials]
    complete = states.count(COMPLETE)
    infeasible = sum(record.state == COMPLETE and not record.feasible for record in result.trials)
    details = [f"{states.count(FAILED):,} failed"]
    if states.count(PRUNED):
        details.append(f"{states.count(PRUNED):,} not worth simulating")
    cards = [
        ("Points", f"{len(states):,}", f"{complete:,} complete, " + ", ".join(details)),
        ("Pareto front", quantities.counted(len(front), "point"),
         f"{infeasible:,} of the complete break a condition" if result.space.conditions else "no conditions"),
    ]  # fmt: skip
    for name in result.space.objectives:
        ordered = [record.metrics[name] for record in front]
        if ordered:
            better, worse = (max, min) if METRICS[name].maximised else (min, max)
            cards.append((f"Best {metric_title(name).lower()}" if not metric_title(name).startswith("EDP")
                          else "Best EDP", written(name, better(ordered)),
                          f"up to {written(name, worse(ordered))} on the front"))  # fmt: skip
    shown = "\n".join(
        f'<div class="card"><div class="name">{text(name)}</div><div class="value">{text(value)}</div>'
        f'<div class="detail">{text(detail)}</div></div>'
        for name, value, detail in cards
    )
    return f'<div class="cards">\n{shown}\n</div>'


def _fronts(result: StudyResult, front: Sequence[TrialRecord], figures: dict[str, Figure]) -> str:
    objectives = result.space.objectives
    pairs = list(combinations(objectives, 2))[:_MOST_PAIRS] or [(objectives[0], _second_axis(result))]
    places = [
        _placed(f"front_{index}", study_figures.draw_front(result, front, *pair), figures)
        for index, pair in enumerate(pairs)
    ]
    note = "A point is a design; under the mouse stands its whole configuration. "
    if len(objectives) == 1:
        return section("Designs", *places, note=note + "With one objective the front is its best point.")
    note += "No point beats one on the front in every objective" + (
        "; with more than two objectives the front is drawn over each pair of them." if len(pairs) > 1 else "."
    )
    return section("Pareto front", *places, note=note)


def _second_axis(result: StudyResult) -> str:
    """What one objective is drawn over: energy, or latency where energy is the objective."""
    return "latency_ns" if result.space.objectives[0] == "energy_pj" else "energy_pj"


def _importance(result: StudyResult, figures: dict[str, Figure]) -> str:
    found = {name: importances(result.trials, result.space, name) for name in result.space.objectives}
    found = {name: shares for name, shares in found.items() if shares}
    if not found:
        return section("Importance of parameters", note=f"Told from {FEWEST_TRIALS} complete trials on.")
    note = (
        "Share of an objective's variance over the points tried that a parameter explains alone (functional ANOVA of a "
        "random forest, as Optuna computes it). A sampler that learns tries good regions more often, which biases it."
    )
    drawn = study_figures.draw_importances(found)
    return section("Importance of parameters", _placed("importance", drawn, figures), note=note)


def _progress(result: StudyResult, figures: dict[str, Figure]) -> str:
    parts = [
        subsection(
            metric_title(name),
            _placed(f"best_{index}", study_figures.draw_best_so_far(result, name), figures),
        )
        for index, name in enumerate(result.space.objectives)
    ]
    return section("Best so far", *parts, note="Trials in the order in which they were proposed.")


def _fidelity(result: StudyResult, figures: dict[str, Figure]) -> list[str]:
    if not result.plan.estimates:
        return []
    errors = estimate_errors(result.trials, study_metrics(result))
    if not errors:
        return [section("Estimates and simulations", note="No point has both.")]
    rows = [record for record in result.trials if record.estimate and record.state == COMPLETE
            and record.metrics != record.estimate]  # fmt: skip
    plots = [
        _placed(f"estimate_{index}", study_figures.draw_estimates(rows, entry.metric), figures)
        for index, entry in enumerate(errors)
        if entry.metric in result.space.objectives
    ]
    note = (
        "The estimate is a closed form: per layer the longer of compute and DRAM time at peak bandwidth, and the first "
        f"fetch; no event is simulated. Compared over the {len(rows):,} points that were also simulated."
    )
    return [section("Estimates and simulations", _error_table(errors), *plots, note=note)]


def study_metrics(result: StudyResult) -> list[str]:
    """Metrics whose estimates are compared with simulations: the objectives, latency and energy."""
    return list(dict.fromkeys([*result.space.objectives, "latency_ns", "energy_pj"]))


def _error_table(errors: Sequence[EstimateError]) -> str:
    columns = [Column("Metric", "metric", text=True), Column("Points", "points"),
               Column("Median error", "median_ape"), Column("Largest error", "max_ape"),
               Column("Rank correlation", "spearman")]  # fmt: skip
    rows = [
        (metric_title(entry.metric), Cell(f"{entry.points:,}", entry.points),
         Cell(quantities.share(entry.median_ape, 2), entry.median_ape),
         Cell(quantities.share(entry.max_ape, 2), entry.max_ape),
         "-" if entry.spearman is None else Cell(f"{entry.spearman:.4f}", entry.spearman))
        for entry in errors
    ]  # fmt: skip
    return table("estimate_table", columns, rows)


def _transfer(transfer: Transfer | None, figures: dict[str, Figure]) -> list[str]:
    if transfer is None:
        return []
    ranks = (
        "too few designs in common to compare ranks"
        if transfer.spearman is None or transfer.kendall is None
        else f"Spearman {transfer.spearman:.4f}, Kendall {transfer.kendall:.4f}"
    )
    note = (
        f"{metric_title(transfer.metric)} here against study {transfer.source}: {transfer.matched:,} designs in "
        f"common, rank correlation {ranks}. Below, the error on designs not seen of a predictor that was fitted on "
        f"{transfer.source} ({transfer.source_points:,} points) and adapted on a few points of this study, after Lu et "
        "al.; beside it one that knows those points alone. Means over repeated choices of the points."
    )
    if not transfer.adapted:
        return [section("Transfer between devices", note=note)]
    drawn = study_figures.draw_transfer(transfer)
    return [section("Transfer between devices", _placed("transfer", drawn, figures), note=note)]


def _trials(result: StudyResult, front: Sequence[TrialRecord]) -> str:
    chosen = {record.index for record in front}
    metrics = [name for name in METRICS if any(name in record.metrics for record in result.trials)]
    columns = [Column("Trial", "trial"), Column("State", "state", text=True)]
    objectives = result.space.objectives
    metrics = [name for name in metrics if name not in objectives]
    titles = short_names([entry.path for entry in result.space.parameters])
    columns += [Column(metric_title(name), name) for name in objectives]
    columns += [Column(title, path, text=_is_text(result, path)) for path, title in titles.items()]
    columns += [*(Column(metric_title(name), name) for name in metrics), Column("Note", "note", text=True)]
    rows = [_trial_row(record, result, metrics, on_front=record.index in chosen) for record in result.trials]
    paler = {place for place, record in enumerate(result.trials) if not record.feasible}
    note = (
        "Click a heading to sort. The export holds the plain numbers of the rows shown, in the units of the metrics' "
        "names; trials.csv and trials.parquet beside this page hold everything."
    )
    return section("Trials", table("trial_table", columns, rows, name=f"{result.name}-trials", noun="trials",
                                   idle=paler), note=note)  # fmt: skip


def _is_text(result: StudyResult, path: str) -> bool:
    return any(isinstance(record.point[path], str | bool | None) for record in result.trials)


def _trial_row(
    record: TrialRecord, result: StudyResult, metrics: Sequence[str], *, on_front: bool
) -> tuple[str | Cell, ...]:
    nothing = ""
    state = "front" if on_front else record.state
    broken = [violated for violated, amount in record.violations.items() if amount]
    parameters = [
        str(value) if _is_text(result, entry.path) or not isinstance(value, int | float)
        else Cell(f"{value:.6g}" if isinstance(value, float) else str(value), value)
        for entry in result.space.parameters
        for value in (record.point[entry.path],)
    ]  # fmt: skip
    known = record.metrics or record.estimate
    figures = [
        Cell(written(name, known[name]), known[name]) if name in known else nothing
        for name in (*result.space.objectives, *metrics)
    ]
    first = len(result.space.objectives)
    note = record.error or (f"breaks {'; '.join(broken)}" if broken else nothing)
    note = note or ("estimated only" if known is record.estimate else nothing)
    return (Cell(str(record.index), record.index), state, *figures[:first], *parameters, *figures[first:], note)


def _space(result: StudyResult) -> str:
    space = result.space
    entries = {"Space": space.where, "Hardware": space.base["name"], "Workloads": ", ".join(space.workloads)}
    for parameter in space.parameters:
        values = parameter.values
        if values is not None and len(values) <= 20:
            entries[parameter.path] = ", ".join(str(value) for value in values)
        else:
            low, high = parameter.examples[0], parameter.examples[-1]
            entries[parameter.path] = f"{low} to {high}"
    entries |= {path: f"= {expression.text}" for path, expression in space.derived.items()}
    if space.conditions:
        entries["Conditions"] = "; ".join(condition.expression.text for condition in space.conditions)
    entries["Objectives"] = ", ".join(
        f"{name} ({'most' if METRICS[name].maximised else 'least'}): {METRICS[name].description}"
        for name in space.objectives
    )
    rows = "".join(f"<dt>{text(key)}</dt><dd>{text(value)}</dd>" for key, value in entries.items())
    return section("Space", f"<dl>{rows}</dl>")
