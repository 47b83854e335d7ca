"""Names as figures and tables show them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LABEL_LENGTH = 20
_ACRONYMS = {"pe": "PE", "dram": "DRAM", "sram": "SRAM", "mac": "MAC", "macs": "MACs", "io": "I/O", "noc": "NoC"}


def plain_text(text: str) -> str:
    """Escape a name: Plotly reads text as a subset of HTML."""
    return html.escape(text, quote=False)


def printable(name: str) -> str:
    """Replace what would move a terminal's cursor or change its colours."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def shortened(name: str, length: int) -> str:
    """Cut the middle out of a name longer than `length` characters; its end tells layers apart best."""
    if len(name) <= length:
        return name
    head = (length - 1) // 3
    return f"{name[:head]}…{name[head + 1 - length :]}"


def axis_labels(names: Sequence[str], length: int = _LABEL_LENGTH) -> list[str]:
    """Shorten names in their middle to at most about `length` characters, and keep them apart."""
    labels: list[str] = []
    taken: set[str] = set()
    for name in names:
        short = shortened(name, length)
        label, copy = short, 2
        while label in taken:
            label, copy = f"{short} ({copy})", copy + 1
        taken.add(label)
        labels.append(plain_text(label))
    return labels


def title_of(key: str) -> str:
    """Turn a key such as ``dram_read`` into words such as ``DRAM read``."""
    return " ".join(_ACRONYMS.get(word, word) for word in key.split("_"))
