"""The page of claims: what was claimed, what was simulated, verdicts and why; self-contained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim import __version__
from accelsim.report import palette
from accelsim.report.claims_figures import COLOURS, draw_ratios, draw_sensitivity, swept
from accelsim.report.judged_claims import shown_claimed, shown_ratio, shown_value
from accelsim.report.page import Cell, Column, build_page, plot, section, subsection, table, text
from accelsim.validation.verdict import VERDICTS

if TYPE_CHECKING:
    from accelsim.report.judged_claims import ClaimsRun, Judged
    from accelsim.report.plots import Figure
    from accelsim.validation.claim import Claim
    from accelsim.validation.experiment import Breakdown

TITLES = {
    "eden": "EDEN: approximate DRAM",
    "smartdeal": "SmartExchange, SmartDeal: sparse powers of two",
    "ddi": "Dual dynamic inference: skipping, and its relatives",
    "combined": "The three together",
    "fidelity": "How far to trust the simulator",
    "related": "Related work",
}
_MOST_SWEEPS = 24
_MOST_POINTS = 40
_RATIOS = (
    "Each point is a claim, its place the simulated figure over the published one; where what is claimed is an error,"
    " the mean of the simulated rows over the published ones. The green bar is what counts as reproduced by the claim's"
    " own file, set before anything was run. Triangles lie beyond the edge."
)
_SENSITIVITY = (
    "What comes out with other values for what papers do not say, over what comes out as stated; those that move a"
    " result most. Each point is one value of the key."
)


def render_claims(done: ClaimsRun) -> str:
    """Write the page."""
    figures: dict[str, Figure] = {}
    size = "Reduced experiments: verdicts are those of fewer networks, rows and images. " if done.reduced else ""
    made = f"{size}accelsim {__version__}, {done.date}: {done.command}"
    body = [
        f"<header><h1>Claims of papers, tried on simulated machines</h1><p>{text(made)}</p></header>",
        _cards(done),
        section("By system", _counts(done)),
    ]
    for system, judged in by_system(done).items():
        parts = []
        if any(entry.ratio is not None for entry in judged):
            figures[f"ratios-{system}"] = draw_ratios(judged)
            parts.append(plot(f"ratios-{system}"))
        parts.append("\n".join(_claim(entry) for entry in judged))
        pairs = swept(judged)[:_MOST_SWEEPS]
        if pairs:
            figures[f"sweeps-{system}"] = draw_sensitivity(pairs)
            parts.append(subsection("What assumptions matter", plot(f"sweeps-{system}"), note=_SENSITIVITY))
        body.append(section(title_of(system), *parts, note=_RATIOS if f"ratios-{system}" in figures else ""))
    body.append(section("All claims", _table(done)))
    return build_page("Claims - accelsim", body, figures)


def title_of(system: str) -> str:
    """Heading of a system."""
    return TITLES.get(system, system)


def by_system(done: ClaimsRun) -> dict[str, list[Judged]]:
    """Claims by the first word of their ids, in order."""
    found: dict[str, list[Judged]] = {}
    for entry in done.judged:
        found.setdefault(entry.claim.system, []).append(entry)
    return found


def _cards(done: ClaimsRun) -> str:
    verdicts = [entry.verdict for entry in done.judged]
    cards = [
        f'<div class="card"><div class="name">{verdict}</div>'
        f'<div class="value" style="color:{COLOURS[verdict]}">{verdicts.count(verdict)}</div>'
        f'<div class="detail">of {len(verdicts)} claims</div></div>'
        for verdict in VERDICTS
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _counts(done: ClaimsRun) -> str:
    columns = (Column("System", "system", text=True), *(Column(verdict, verdict) for verdict in VERDICTS))
    rows: list[tuple[str | Cell, ...]] = []
    for system, judged in by_system(done).items():
        verdicts = [entry.verdict for entry in judged]
        counts = (verdicts.count(verdict) for verdict in VERDICTS)
        rows.append((title_of(system).partition(":")[0], *(Cell(str(count or ""), count) for count in counts)))
    return table("counts", columns, rows)


def _table(done: ClaimsRun) -> str:
    columns = (
        Column("Claim", "claim", text=True),
        Column("Figure", "metric", text=True),
        Column("Claimed", "claimed"),
        Column("Simulated", "simulated"),
        Column("Ratio", "ratio"),
        Column("Verdict", "verdict", text=True),
        Column("Figure is", "standing", text=True),
    )
    rows: list[tuple[str | Cell, ...]] = []
    for entry in done.judged:
        ratio = entry.ratio
        rows.append(
            (
                entry.claim.id,
                entry.claim.metric.name,
                shown_claimed(entry.claim),
                entry.simulated,
                "-" if ratio is None else Cell(shown_ratio(ratio), ratio),
                entry.verdict,
                entry.claim.standing.replace("_", " "),
            )
        )
    return table("claims", columns, rows, name="claims", noun="claims")


def _claim(entry: Judged) -> str:
    """One claim, folded up: what was said, what came out, why."""
    claim = entry.claim
    lies = f", {entry.side_words}" if entry.side_words else ""
    head = (
        f'<span class="chip" style="background:{COLOURS[entry.verdict]}">{text(entry.outcome_words)}</span> '
        f'<b>{text(claim.id)}</b> <span class="on">claimed {text(shown_claimed(claim))}, simulated '
        f"{text(entry.simulated)}{lies}</span>"
    )
    parts = [f"<p>{text(claim.says)}</p>", _facts(claim)]
    if entry.why:
        parts.append(_list("Why", entry.why))
    if entry.result.outcome is not None:
        parts += [_bars(breakdown) for breakdown in entry.result.outcome.breakdowns]
        parts.append(_points(entry))
    return f'<details class="claim" id="{text(claim.id)}"><summary>{head}</summary>\n{"".join(parts)}</details>'


def _facts(claim: Claim) -> str:
    facts = {
        "Source": ", ".join(part for part in (claim.source.paper, claim.source.place) if part),
        "Figure": f"{claim.metric.name}; {claim.standing.replace('_', ' ')}",
        "Reproduced": tolerance_words(claim),
    }
    rows = [f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in facts.items() if value]
    rows += [
        f'<dt>Assumed</dt><dd>{text(entry.text)} <span class="on">{text(entry.why)}</span></dd>'
        for entry in claim.assumptions
    ]
    rows += [f"<dt>Not known</dt><dd>{text(entry)}</dd>" for entry in claim.unknowable]
    return f"<dl>{''.join(rows)}</dl>"


def tolerance_words(claim: Claim) -> str:
    """What counts as reproduced and as partly so, in words."""
    if claim.tolerance is None:
        return ""
    words = f"within {_within(claim.tolerance.relative, claim.tolerance.absolute, claim)}"
    partly = claim.partly
    if partly is None:
        return words
    if partly.same_direction is not None:
        return f"{words}; partly: in the same direction, {partly.same_direction:.0%} of the effect at least"
    return f"{words}; partly: within {_within(partly.relative, partly.absolute, claim)}"


def _within(relative: float | None, absolute: float | None, claim: Claim) -> str:
    if relative is not None:
        return (
            f"{relative:.3g} of the claimed figure" if relative > 1 else f"{100 * relative:.3g} % of the claimed figure"
        )
    return "the bound itself" if not absolute else shown_value(absolute, claim.metric.unit).replace(" %", " points")


def _list(title: str, sentences: list[str]) -> str:
    return f"<h3>{title}</h3><ul>{''.join(f'<li>{text(sentence)}</li>' for sentence in sentences)}</ul>"


def _bars(breakdown: Breakdown) -> str:
    """Stacked bars of shares, one for each side, drawn by the browser."""
    parts = list(dict.fromkeys(part for shares in breakdown.shares.values() for part in shares))
    known = palette.COMPONENTS | {"compute": palette.COMPUTE} | palette.STALLS
    colours = {part: palette.colour(part, known, position) for position, part in enumerate(parts)}
    rows = []
    for side, shares in breakdown.shares.items():
        pieces = "".join(
            f'<span style="width:{100 * share:.2f}%;background:{colours[part]}" '
            f'title="{text(part.replace("_", " "))}: {share:.1%}"></span>'
            for part, share in shares.items()
        )
        rows.append(f'<div class="side">{text(side)}</div><div class="stack">{pieces}</div>')
    legend = " ".join(
        f'<span class="key"><i style="background:{colour}"></i>{text(part.replace("_", " "))}</span>'
        for part, colour in colours.items()
    )
    bars = f'<div class="stacks">{"".join(rows)}</div><p class="note">{legend}</p>'
    return f"<h3>Shares of {text(breakdown.title)}</h3>{bars}"


def _points(entry: Judged) -> str:
    outcome = entry.result.outcome
    if outcome is None or len(outcome.points) < 2:
        return ""
    unit = entry.claim.metric.unit if outcome.point_unit is None else outcome.point_unit
    claimed = any(point.claimed is not None for point in outcome.points)
    columns = [Column("Case", "case", text=True), Column("Simulated", "simulated")]
    rows: list[tuple[str | Cell, ...]] = []
    for point in outcome.points[:_MOST_POINTS]:
        row: tuple[str | Cell, ...] = (point.name, Cell(shown_value(point.value, unit), point.value))
        if claimed:
            row += (("", "") if point.claimed is None else
                    (shown_value(point.claimed, unit),
                     f"{point.value / point.claimed:.3f}" if point.claimed else "-"))  # fmt: skip
        rows.append(row)
    if claimed:
        columns += [Column("Published", "published"), Column("Ratio", "ratio")]
    more = len(outcome.points) - _MOST_POINTS
    rest = f'<p class="note">{more} more stand in claims.json.</p>' if more > 0 else ""
    return f"<h3>Cases</h3>{table(f'cases-{entry.claim.id}', columns, rows)}{rest}"
