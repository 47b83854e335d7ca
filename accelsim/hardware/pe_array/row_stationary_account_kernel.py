"""Compiled loops of the row-stationary array: the traffic of blocks, and which elements are busy for how long.

Arguments are typed by Numba.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.hardware.pe_array.row_stationary_kernel import (
    SHAPE_DTYPE,
    ceil_div,
    choose_shape,
    fresh_columns,
    input_rows,
    part_of,
)
from accelsim.jit import kernel

WORK_DTYPE = np.dtype(
    [
        ("cycles", "i8"),
        ("passes", "i8"),
        ("ifmap_words", "i8"),
        ("weight_words", "i8"),
        ("psum_words", "i8"),
        ("filter_spad_writes", "i8"),
        ("ifmap_spad_writes", "i8"),
        ("psum_hops", "i8"),
        ("psum_additions", "i8"),
        ("element_passes", "i8"),
    ]
)
"""What a block comes to: cycles, words on the networks, words written to spads, and elements with work over passes."""


@kernel
def _account(a, block, shape, work, count, height, taps, filters, channels, groups):
    """Add the traffic of `count` equal passes."""
    runs = block["images"] * shape["strips"]
    q = ceil_div(channels, shape["r"])
    t, r = ceil_div(filters, ceil_div(filters, shape["t"])), ceil_div(channels, q)
    rows = input_rows(a, block, shape, height)
    columns = runs * (taps + (block["width"] - 1) * fresh_columns(a, taps))
    weights = filters * channels * groups * height * taps
    sums = block["pixels"] * filters * groups
    work["passes"] += count
    work["ifmap_words"] += count * rows * columns * channels * groups
    work["weight_words"] += count * weights
    work["psum_words"] += count * sums
    work["filter_spad_writes"] += count * weights * shape["e"]
    work["ifmap_spad_writes"] += count * shape["e"] * height * columns * channels * t * groups
    work["psum_hops"] += count * sums * (height * r - 1)
    work["psum_additions"] += count * sums * height * r
    work["element_passes"] += count * height * shape["e"] * r * t * groups


@kernel
def _mark_busy(a, block, shape, busy, repeats, height, taps, filters, channels, groups):
    """Add the multiply cycles of `repeats` equal passes to the elements that their sets lie on."""
    p, q = ceil_div(filters, shape["t"]), ceil_div(channels, shape["r"])
    cycles = float(repeats * block["images"] * shape["strips"] * block["width"] * p * q * taps)
    segments = ceil_div(shape["e"], a["cols"])
    beside = max(a["cols"] // shape["e"], 1)
    for number in range(ceil_div(filters, p) * ceil_div(channels, q) * groups):
        for segment in range(segments):
            slot = number * segments + segment if segments > 1 else number // beside
            left = 0 if segments > 1 else number % beside * shape["e"]
            width = min(a["cols"], shape["e"] - segment * a["cols"])
            for row in range(slot * height, (slot + 1) * height):
                for col in range(left, left + width):
                    busy[row, col] += cycles


@kernel
def account(record, blocks, repeats, works, shapes, busy):
    """Work and layout of every block; `busy` gathers the multiply cycles of each element, blocks counted `repeats`."""
    a = record[0]
    trial = np.zeros(1, SHAPE_DTYPE)
    for index in range(len(blocks)):
        block, work, shape = blocks[index], works[index], shapes[index]
        work["cycles"] = choose_shape(a, block, shape, trial[0])
        for part in range(32):
            g_count, groups = part_of(part & 1, block["groups"], shape["g"])
            f_count, filters = part_of(part >> 1 & 1, block["filters"], shape["p"] * shape["t"])
            c_count, channels = part_of(part >> 2 & 1, block["channels"], shape["q"] * shape["r"])
            h_count, height = part_of(part >> 3 & 1, block["height"], shape["height"])
            t_count, taps = part_of(part >> 4, block["taps"], shape["taps"])
            count = g_count * f_count * c_count * h_count * t_count
            if count:
                _account(a, block, shape, work, count, height, taps, filters, channels, groups)
                _mark_busy(a, block, shape, busy, repeats[index] * count, height, taps, filters, channels, groups)
