"""Address maps: which bits of a physical address select channel, rank, bank group, bank, row and column.

A map is written as fields from the most significant bits down to those just above the offset within a burst:

- ``RoBaRaCoCh``, ``ChRaBaRoCo`` and ``MOP4CLXOR`` as in Ramulator 2;
- two-letter fields as in DRAMsim3, ``rochrababgco``;
- words with widths, ``row column:5 bank bank_group rank column:2 channel``: one part of a field that is split may leave
  its width out, and ``bank_group^column:0`` at the end XORs the field with the column bits from bit 0 on.

Bits above the device wrap around.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import ConfigError
from accelsim.hardware.dram import layout as lo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from accelsim.hardware.dram.layout import Words

FIELDS = ("channel", "rank", "bank_group", "bank", "row", "column")
_LETTERS = {"ch": "channel", "ra": "rank", "bg": "bank_group", "ba": "bank", "ro": "row", "co": "column"}
_NAMED = {
    "RoBaRaCoCh": "row bank bank_group rank column channel",
    "ChRaBaRoCo": "channel rank bank_group bank row column",
    "MOP4CLXOR": "row column bank bank_group rank channel column:2",
}
_ALLOWED = (
    "RoBaRaCoCh, ChRaBaRoCo, MOP4CLXOR, two-letter fields such as rochrababgco, or words such as 'row bank column:7'"
)


def parse_address_map(text: str, widths: Mapping[str, int]) -> Words:
    """Work a map out.

    Parameters
    ----------
    text
        The map, as the module's text describes.
    widths
        Bits of each of `FIELDS`; columns count bursts.

    Returns
    -------
    array
        ``(rows, layout.N_FIELD)``: runs of bits from the least significant up, then the XORs.

    Raises
    ------
    ConfigError
        When the map does not name every field of the device exactly once, or cannot be read.
    """
    fields, xors = _split(text, widths)
    remaining = dict(widths)
    for field, width in fields:
        remaining[field] -= width or 0
    rows: list[tuple[int, int, int, int]] = []
    used = dict.fromkeys(FIELDS, 0)
    open_ended = {field for field, width in fields if width is None}
    for field, given in reversed(fields):
        width = remaining[field] if given is None else given
        if width < 0 or (field not in open_ended and remaining[field] != 0):
            raise ConfigError(f"bits of {field} do not add up to {widths[field]}", key="address_map", value=text)
        rows.append((FIELDS.index(field), width, used[field], 0))
        used[field] += width
    missing = [field for field in FIELDS if used[field] != widths[field]]
    if missing:
        raise ConfigError(f"{missing[0]} is missing or named twice", key="address_map", value=text, allowed=_ALLOWED)
    return np.array(rows + [(*xor, 1) for xor in xors], np.int64)


def split_bursts(address_map: Words, bursts: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Split numbers of bursts into the fields of an address map; columns count bursts."""
    rest = bursts
    values = {name: np.zeros_like(rest) for name in FIELDS}
    for run in address_map.tolist():
        field, width, shift = FIELDS[run[lo.F_FIELD]], run[lo.F_WIDTH], run[lo.F_SHIFT]
        mask = (1 << width) - 1
        if run[lo.F_XOR]:
            values[field] ^= (values["column"] >> shift) & mask
        else:
            values[field] |= (rest & mask) << shift
            rest = rest >> width
    return values


def build_decoder(address_map: Words, widths: Mapping[str, int]) -> Words:
    """Tables that decode an address, a few bits at a time.

    A map is linear over its bits, so the parts of an address are looked up one by one and joined by XOR.

    Parameters
    ----------
    address_map
        As `parse_address_map` gives it.
    widths
        Bits of each of `FIELDS`.

    Returns
    -------
    array
        ``(parts, 2 ** layout.DECODER_BITS)``, the least significant part first: the row, and in the bits below it the
        number of the bank among all banks.
    """
    bits = sum(widths.values())
    fields = split_bursts(address_map, 1 << np.arange(bits))
    places = np.zeros(bits, np.int64)
    for name in ("row", "channel", "rank", "bank_group", "bank"):
        places = places << widths[name] | fields[name]
    parts = np.arange(1 << lo.DECODER_BITS)
    decoder = np.zeros((-(-bits // lo.DECODER_BITS), len(parts)), np.int64)
    for bit, place in enumerate(places.tolist()):
        table, within = divmod(bit, lo.DECODER_BITS)
        decoder[table] ^= (parts >> within & 1) * place
    return decoder


def _split(text: str, widths: Mapping[str, int]) -> tuple[list[tuple[str, int | None]], list[tuple[int, int, int]]]:
    if text == "MOP4CLXOR" and widths["column"] < 2:
        raise ConfigError("needs rows of at least four bursts", key="address_map", value=text)
    words = _NAMED.get(text, text).split()
    if len(words) == 1 and re.fullmatch(r"(?:[A-Za-z]{2})+", words[0]) and words[0] not in FIELDS:
        pairs = re.findall("..", words[0].lower())
        words = [_LETTERS.get(pair, pair) for pair in pairs]
    fields: list[tuple[str, int | None]] = []
    xors: list[tuple[int, int, int]] = []
    for word in words:
        match = re.fullmatch(r"([a-z_]+)(?:(\^column)?:(\d{1,2}))?", word)
        if not match or match[1] not in FIELDS:
            raise ConfigError(f"cannot read {word!r}", key="address_map", value=text, allowed=_ALLOWED)
        if match[2]:
            xors.append((FIELDS.index(match[1]), widths[match[1]], int(match[3])))
        else:
            fields.append((match[1], int(match[3]) if match[3] else None))
    if text == "MOP4CLXOR":
        first = 0
        for field in ("rank", "bank_group", "bank", "row"):  # the row too, with what columns are left, as that map does
            xors.append((FIELDS.index(field), widths[field], first))
            first += widths[field]
    for field in {name for name, _ in fields}:
        if sum(name == field and width is None for name, width in fields) > 1:
            raise ConfigError(f"{field} is named twice", key="address_map", value=text, allowed=_ALLOWED)
    return fields, xors
