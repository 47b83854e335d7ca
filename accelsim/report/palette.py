"""Colours of the figures: the palette of Okabe and Ito (2008), which colour-blind readers can tell apart."""

from __future__ import annotations

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, GREY = "#CC79A7", "#56B4E9", "#F0E442", "#8C929C"
SERIES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, GREY)

COMPUTE = BLUE
STALLS = {
    "ifmap_fetch": ORANGE,
    "weight_fetch": VERMILLION,
    "psum_fetch": PURPLE,
    "ofmap_drain": GREEN,
    "cache_miss": ORANGE,
    "late_prefetch": VERMILLION,
    "weight_shift": YELLOW,
    "ifmap_shift": YELLOW,
    "array_drain": SKY,
    "buffer_bandwidth": GREY,
    "interconnect": GREY,
}
COMPONENTS = {
    "pe_array": BLUE,
    "vector_unit": SKY,
    "register_file": YELLOW,
    "sram": GREEN,
    "interconnect": PURPLE,
    "dram": VERMILLION,
    "leakage": GREY,
}
UNITS = {
    "ifmap fetch": ORANGE,
    "weight fetch": VERMILLION,
    "psum fetch": PURPLE,
    "PE array": COMPUTE,
    "vector unit": SKY,
    "ofmap drain": GREEN,
    "weight shift": YELLOW,
    "ifmap shift": YELLOW,
    "miss fetch": ORANGE,
    "prefetch fetch": VERMILLION,
}
"""Rows of the timeline, in the colours of the waiting that they cause."""


def colour(key: str, known: dict[str, str], position: int) -> str:
    """Colour of a key; one that is not `known` takes the series colour of its position."""
    return known.get(key, SERIES[position % len(SERIES)])


def faded(hex_colour: str, opacity: float) -> str:
    """Return the same colour with an opacity, as CSS writes it."""
    red, green, blue = bytes.fromhex(hex_colour[1:])
    return f"rgba({red},{green},{blue},{opacity:.2f})"


def tinted(hex_colour: str, strength: float) -> str:
    """Mix a colour with white: `strength` 1 leaves it, 0 is white. Unlike `faded` it looks the same on any ground."""
    parts = (int(hex_colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)
