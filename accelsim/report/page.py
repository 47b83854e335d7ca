"""The frame of a self-contained page: style, Plotly, figures and script in one file, no network.

Everything a user named is escaped here or by `text`; the same input gives the same bytes.
"""

from __future__ import annotations

import html
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from accelsim.report.plots import Figure

_HERE = Path(__file__).parent
_LONG_NAME = 30
_TAIL = 14
_MARKUP = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    title
        Heading.
    key
        Heading in the exported CSV.
    text
        Whether it holds text (aligned left) or numbers (aligned right).
    """

    title: str
    key: str
    text: bool = False


@dataclass(frozen=True)
class Cell:
    """A number in a table: how it reads and what it is."""

    shown: str
    value: float


def text(value: object) -> str:
    """Escape for HTML content and attributes."""
    return html.escape(str(value), quote=True)


def plot(identifier: str, *, time_axis: bool = False) -> str:
    """Place of a figure on the page."""
    axis = ' data-axis="time"' if time_axis else ""
    return f'<div class="plot" id="{identifier}"{axis}></div>'


def section(title: str, *parts: str, note: str = "") -> str:
    """Panel with a title, a line of explanation and its content."""
    explained = f'<p class="note">{text(note)}</p>\n' if note else ""
    return f"<section>\n<h2>{text(title)}</h2>\n{explained}" + "\n".join(parts) + "\n</section>"


def subsection(title: str, *parts: str, note: str = "") -> str:
    """Part of a panel with a title of its own."""
    explained = [f'<p class="note">{text(note)}</p>'] if note else []
    return "\n".join([f'<div class="part">\n<h3>{text(title)}</h3>', *explained, *parts, "</div>"])


def switch(figure: str, names: Sequence[str]) -> str:
    """Buttons of which each shows one trace of a figure and hides the others; the first is pressed."""
    buttons = "".join(
        f'<button type="button" aria-pressed="{"false" if index else "true"}">{text(name)}</button>'
        for index, name in enumerate(names)
    )
    return f'<div class="bar switch" data-figure="{figure}" role="group" aria-label="Shown">{buttons}</div>'


def table(
    identifier: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Cell]],
    *,
    name: str = "",
    noun: str = "layers",
    footer: Sequence[str | Cell] = (),
    idle: Collection[int] = (),
) -> str:
    """Table that sorts by a click on a heading and, where it has a `name`, filters and exports itself as CSV.

    Parameters
    ----------
    identifier
        Identifier of the table on the page.
    columns, rows
        Headings and cells.
    name
        Name of the exported file, without its suffix.
    noun
        What the rows are.
    footer
        Cells of a last row that neither sorts nor is exported.
    idle
        Positions of rows shown paler.
    """
    heads = "".join(
        f'<th{_text_class(column)} data-key="{text(column.key)}" scope="col"><button type="button">{text(column.title)}'
        "</button></th>"
        for column in columns
    )
    starts = ['<tr class="idle">' if index in idle else "<tr>" for index in range(len(rows))]
    body = "\n".join(f"{start}{_cells(row, columns)}</tr>" for start, row in zip(starts, rows, strict=True))
    foot = f"\n<tfoot><tr>{_cells(footer, columns)}</tr></tfoot>" if footer else ""
    count = f"{len(rows)} of {len(rows)} {noun}"
    hint = "Filter by name or operator" if noun == "layers" else "Filter"
    bar = (
        f'<div class="bar" data-for="{identifier}" data-noun="{noun}"><input type="search" placeholder="{hint}" '
        f'aria-label="Filter"><button type="button">Export CSV</button><span>{count}</span></div>\n'
        if name
        else ""
    )
    return (
        f'{bar}<div class="scroll"><table class="sortable" id="{identifier}" data-name="{text(name)}">\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>{foot}\n</table></div>"
    )


def _text_class(column: Column) -> str:
    return ' class="text"' if column.text else ""


def _cells(row: Sequence[str | Cell], columns: Sequence[Column]) -> str:
    cells = []
    for entry, column in zip(row, columns, strict=True):
        if isinstance(entry, Cell):
            cells.append(f'<td data-v="{entry.value!r}">{text(entry.shown)}</td>')
        elif column.text:
            cells.append(f'<td class="text">{_name(entry)}</td>')
        else:
            cells.append(f"<td>{text(entry)}</td>")
    return "".join(cells)


def _name(name: str) -> str:
    """Write a name; a long one is shortened by the browser in its middle, and whole under the mouse."""
    if len(name) <= _LONG_NAME:
        return text(name)
    head, tail = name[:-_TAIL], name[-_TAIL:]
    return f'<div class="long" title="{text(name)}"><span>{text(head)}</span><span>{text(tail)}</span></div>'


def script_safe_json(value: object) -> str:
    """Write JSON that nothing inside a script element can mistake for its end."""
    dumped = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for letter, code in _MARKUP.items():  # quicker than `str.translate`, which looks each letter up
        dumped = dumped.replace(letter, code)
    return dumped


def plotly_script() -> str:
    """Return plotly.js as it ships with the plotly package, read without importing that package.

    Raises
    ------
    RunError
        When the plotly package is not complete.
    """
    spec = importlib.util.find_spec("plotly")
    folder = Path(spec.origin).parent if spec and spec.origin else _HERE
    try:
        script = (folder / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    except OSError:
        message = "plotly.min.js is missing: the installed plotly package is damaged"
        raise RunError(message) from None
    return script.replace("</script", "<\\/script")


def build_page(title: str, body: Sequence[str], figures: Mapping[str, Figure]) -> str:
    """Assemble the page.

    Parameters
    ----------
    title
        Title of the window.
    body
        HTML of the content, already escaped.
    figures
        By identifier of the place they are drawn in.
    """
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
            *body,
            "</main>",
            f'<script type="application/json" id="figures">{script_safe_json(figures)}</script>',
            f"<script>{plotly_script()}</script>",
            f"<script>\n{script}</script>\n</body>\n</html>\n",
        ]
    )
