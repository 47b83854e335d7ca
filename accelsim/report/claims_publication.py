"""What ``accelsim claims --publish`` leaves under ``reports``: tables as Markdown, the page, the data and a figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim import __version__
from accelsim.report.claims_figures import COLOURS, FARTHEST, clipped
from accelsim.report.claims_page import by_system, render_claims, title_of
from accelsim.report.judged_claims import shown_claimed, shown_ratio
from accelsim.report.page import text
from accelsim.report.run_folder import write_text
from accelsim.validation.verdict import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from accelsim.report.judged_claims import ClaimsRun, Judged

REPORTS = Path("reports")
"""Where results are published, relative to the current directory."""
COMMAND = "accelsim claims --publish"
"""The one command that makes all of it."""

_WIDTH, _LEFT, _RIGHT, _LINE, _TOP = 860, 170, 24, 30, 50
_DOT = 4.5
_NAMES = {
    "eden": "EDEN", "smartdeal": "SmartDeal", "ddi": "Dynamic inference", "combined": "All three",
    "fidelity": "Fidelity", "related": "Related work",
}  # fmt: skip
_GREY = "#6e7781"  # reads on white and on black


def publish_claims(done: ClaimsRun, reduced: ClaimsRun) -> None:
    """Write what is published of a full run and of the reduced one that tests repeat.

    Raises
    ------
    InputError, RunError
        When it cannot be written.
    """
    write_text(REPORTS / "claims.md", claims_markdown(done))
    write_text(REPORTS / "claims.html", render_claims(done))
    write_text(REPORTS / "claims.svg", ratios_svg(done.judged))
    for name, run in (("claims", done), ("claims.reduced", reduced)):
        write_text(REPORTS / f"{name}.json", run.text)


def claims_markdown(done: ClaimsRun) -> str:
    """All claims as tables, by system."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in done.document["verdicts"].items() if count)
    made = (
        f"Made by `{done.command}` with accelsim {__version__} on {done.date}. `accelsim claims ID` tries one again and"
        " says why; `claims.html` beside this page shows what each figure is made of and what the assumptions do to it,"
        " `claims.json` is all of it as data."
    )
    counted = (
        f"{len(done.judged)} claims: {counts}. What counts as reproduced stands in each claim's file"
        " (`accelsim/validation/catalog`). The ratio is simulated over claimed; where an error is claimed, the mean of"
        " simulated over published rows."
    )
    parts = ["# Claims of papers, tried on simulated machines", made, counted]
    for system, judged in by_system(done).items():
        parts += [f"## {title_of(system)}", markdown_table(judged)]
        parts += [f"- **{entry.claim.id}** {sentence}" for entry in judged for sentence in _first(entry)]
    return "\n\n".join(_joined(parts)) + "\n"


def _joined(parts: Sequence[str]) -> Iterable[str]:
    """Parts with the items of a list together."""
    items: list[str] = []
    for part in parts:
        if part.startswith("- "):
            items.append(part)
            continue
        if items:
            yield "\n".join(items)
            items = []
        yield part
    if items:
        yield "\n".join(items)


def _first(entry: Judged) -> list[str]:
    """What explains a claim that did not come out, in a line: the reasons that it has no verdict, or its notes."""
    outcome = entry.result.outcome
    if entry.claim.not_testable is not None and outcome is None:
        return [f"Not testable: {entry.claim.not_testable}"]
    if entry.result.reason is not None:
        return [f"Not testable here: {entry.result.reason}"]
    return [] if outcome is None else list(outcome.notes)


def markdown_table(judged: Sequence[Judged]) -> str:
    """Claims as a table."""
    rows = ["| claim | what | claimed | simulated | ratio | verdict |", "| --- | --- | ---: | ---: | ---: | --- |"]
    rows += [
        f"| {entry.claim.id} | {entry.claim.says} | {shown_claimed(entry.claim)} "
        f"| {entry.simulated} | {shown_ratio(entry.ratio)} | {entry.verdict} |"
        for entry in judged
    ]
    return "\n".join(rows)


def headline_table(judged: Sequence[Judged]) -> str:
    """The table of the README: the few claims that stand for the rest."""
    return markdown_table([entry for entry in judged if entry.claim.headline])


def ratios_svg(judged: Sequence[Judged]) -> str:
    """Draw simulated over claimed, a row for each system, a dot for each claim in the colour of its verdict."""
    systems = [*_NAMES, *sorted({entry.claim.system for entry in judged} - set(_NAMES))]
    found = [(system, _dots(entry for entry in judged if entry.claim.system == system)) for system in systems]
    rows = [(system, dots) for system, dots in found if dots]
    drawn: list[str] = []
    y = float(_TOP)
    for system, dots in rows:
        reach = max(abs(shift) for _, shift, _ in dots) + _LINE / 2
        y += reach
        drawn.append(
            f'<text x="{_LEFT - 14}" y="{y + 4:.0f}" text-anchor="end">{text(_NAMES.get(system, system))}</text>'
        )
        drawn.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, 0.25))
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y + shift:.1f}" r="{_DOT:g}" fill="{COLOURS[entry.verdict]}">'
            f"<title>{text(entry.claim.id)}: claimed {text(shown_claimed(entry.claim))}, simulated "
            f"{text(entry.simulated)}</title></circle>"
            for x, shift, entry in dots
        ]
        y += reach
    height = math.ceil(y) + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13" fill="{_GREY}">'
    )
    title = "<title>Simulated over claimed, by system</title>"
    return "\n".join([head, title, *_legend(judged), *_axis(y), *drawn, "</svg>"]) + "\n"


def _line(x: float, y: float, other_x: float, other_y: float, opacity: float) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{other_x:.1f}" y2="{other_y:.1f}" stroke="{_GREY}"'
        f' stroke-opacity="{opacity}"/>'
    )


def _place(ratio: float) -> float:
    share = (math.log(clipped(ratio)) + math.log(FARTHEST)) / (2 * math.log(FARTHEST))
    return _LEFT + share * (_WIDTH - _RIGHT - _LEFT)


def _dots(judged: Iterable[Judged]) -> list[tuple[float, float, Judged]]:
    """Places of the dots of a line; those that would touch are moved apart, up and down in turn."""
    placed: list[tuple[float, float, Judged]] = []
    known = [(ratio, entry) for entry in judged if (ratio := entry.ratio) is not None and ratio > 0]
    for ratio, entry in sorted(known, key=lambda pair: (pair[0], pair[1].claim.id)):
        x = _place(ratio)
        shift = 0.0
        for step in range(4 * _LINE):
            shift = (step + 1) // 2 * (2 * _DOT + 1) * (1 if step % 2 else -1)
            if all(math.hypot(x - other, shift - beside) > 2 * _DOT for other, beside, _ in placed):
                break
        placed.append((x, shift, entry))
    return placed


def _legend(judged: Sequence[Judged]) -> list[str]:
    counts = {verdict: sum(entry.verdict == verdict for entry in judged) for verdict in VERDICTS}
    parts, x = [], float(_LEFT)
    for verdict, count in counts.items():
        if verdict == "not testable":
            continue
        parts.append(f'<circle cx="{x + 6:.0f}" cy="20" r="{_DOT:g}" fill="{COLOURS[verdict]}"/>')
        parts.append(f'<text x="{x + 16:.0f}" y="24">{count} {verdict}</text>')
        x += 150
    return parts


def _axis(bottom: float) -> list[str]:
    """Lines of the axis from top to bottom, and the band of ten per cent around one."""
    low, high = _place(0.9), _place(1.1)
    band = (
        f'<rect x="{low:.1f}" y="{_TOP - 8}" width="{high - low:.1f}" height="{bottom - _TOP + 8:.1f}" '
        f'fill="{COLOURS["reproduced"]}" fill-opacity="0.15"/>'
    )
    parts = [band]
    for ratio in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
        x = _place(ratio)
        parts.append(_line(x, _TOP - 8, x, bottom, 0.7 if ratio == 1 else 0.2))
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15:.0f}" text-anchor="middle" font-size="11">{ratio:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{bottom + 33:.0f}" text-anchor="middle">simulated over claimed</text>')
    return parts
