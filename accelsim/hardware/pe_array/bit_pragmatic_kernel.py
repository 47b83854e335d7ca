"""Cycles of Pragmatic's columns, term by term and brick by brick."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

GEOMETRY_DTYPE = np.dtype(
    [
        ("height", "i8"),
        ("width", "i8"),
        ("out_height", "i8"),
        ("out_width", "i8"),
        ("kernel", "i8", 2),
        ("stride", "i8", 2),
        ("padding", "i8", 2),
        ("dilation", "i8", 2),
    ]
)
"""Window of a layer; padding is that above and to the left."""

BLOCK_DTYPE = np.dtype([("m", "i8"), ("n", "i8"), ("k", "i8")])
"""Output pixels, filters and weights of a filter per block."""

MACHINE_DTYPE = np.dtype(
    [("filters", "i8"), ("lanes", "i8"), ("columns", "i8"), ("reach", "i8"), ("registers", "i8"), ("least", "i8")]
)
"""Filters at once, inputs of a brick, windows at once, shifts that the first stage reaches, synapse set registers, and
cycles that a brick without terms takes."""


@kernel
def _lowest(mask):
    """Place of the lowest one bit."""
    place = 0
    while not mask & np.uint64(1):
        mask >>= np.uint64(1)
        place += 1
    return place


@kernel
def brick_cycles(masks, reach, least, left, next_shift):
    """Cycles of one brick: each takes the lowest waiting term of every lane that the first stage reaches.

    Parameters
    ----------
    masks
        Shifts of the terms of each lane, as one bits.
    reach
        Shifts above the lowest one of a cycle that its first stage covers, that itself included.
    least
        Cycles that a brick without terms takes.
    left, next_shift
        Room for as many lanes.
    """
    waiting = 0
    for lane in range(len(masks)):
        left[lane] = masks[lane]
        if left[lane]:
            next_shift[lane] = _lowest(left[lane])
            waiting += 1
    cycles = 0
    while waiting:
        lowest = 64
        for lane in range(len(masks)):
            if left[lane]:
                lowest = min(lowest, next_shift[lane])
        for lane in range(len(masks)):
            if left[lane] and next_shift[lane] < lowest + reach:
                left[lane] &= left[lane] - np.uint64(1)
                if left[lane]:
                    next_shift[lane] = _lowest(left[lane])
                else:
                    waiting -= 1
        cycles += 1
    return max(cycles, least)


@kernel
def all_brick_cycles(masks, lanes, reach, least):
    """Cycles of each brick of `lanes` channels at every pixel; `masks` is ``(pixels, channels)``."""
    pixels, channels = masks.shape
    bricks = -(-channels // lanes)
    cycles = np.empty((pixels, bricks), np.uint8)
    left, next_shift = np.empty(lanes, np.uint64), np.empty(lanes, np.int64)
    for pixel in range(pixels):
        for brick in range(bricks):
            inside = masks[pixel, brick * lanes : min((brick + 1) * lanes, channels)]
            cycles[pixel, brick] = brick_cycles(inside, reach, least, left, next_shift)
    return cycles


@kernel
def take_step(bricks, active, step, ready, registers, finish, latest):
    """Start one brick in each active column; returns when its weights were ready.

    Without registers all columns wait for the slowest. With them the weights of a step are read, one set a cycle, as
    soon as all columns have begun the step that many before.
    """
    if registers == 0:
        ready = finish.max()
    else:
        ready += 1
        if step >= registers:
            ready = max(ready, latest[step % registers] + 1)
    newest = ready
    for column in range(active):
        start = max(finish[column], ready)
        finish[column] = start + bricks[column]
        newest = max(newest, start)
    if registers:
        latest[step % registers] = newest
    return ready


@kernel
def _channel(k, tap, taps):
    """First channel whose weight at `tap` stands at `k` or behind it."""
    return -(-max(k - tap, 0) // taps)


@kernel
def _tables(masks, begin, end, taps, machine, variant):
    """Brick cycles for the channels that a block of k has at each tap; few taps differ in them.

    Sets per tap the table that it uses; returns the tables.
    """
    tables = [np.empty((0, 0), np.uint8) for _ in range(0)]
    lasts = [0 for _ in range(0)]
    firsts = [0 for _ in range(0)]
    for tap in range(taps):
        low, high = _channel(begin, tap, taps), _channel(end, tap, taps)
        variant[tap] = -1
        for known in range(len(tables)):
            if firsts[known] == low and lasts[known] == high:
                variant[tap] = known
        if variant[tap] < 0:
            variant[tap] = len(tables)
            firsts.append(low)
            lasts.append(high)
            tables.append(all_brick_cycles(masks[:, low:high], machine["lanes"], machine["reach"], machine["least"]))
    return tables


@kernel
def _fill_step(table, brick, pixel, active, tap_row, tap_col, geometry, least, bricks):
    """Cycles of one brick in each column, for the windows from output pixel `pixel` on at one tap."""
    per_image = geometry["out_height"] * geometry["out_width"]
    for column in range(active):
        image, place = (pixel + column) // per_image, (pixel + column) % per_image
        row = place // geometry["out_width"] * geometry["stride"][0] - geometry["padding"][0] + tap_row
        col = place % geometry["out_width"] * geometry["stride"][1] - geometry["padding"][1] + tap_col
        inside = 0 <= row < geometry["height"] and 0 <= col < geometry["width"]
        at = (image * geometry["height"] + row) * geometry["width"] + col
        bricks[column] = table[at, brick] if inside else least


@kernel
def _group_block_cycles(tables, variant, geometry, columns, registers, least, begin, end, rounds, busy):
    """Cycles of one block of one group: round after round, window after window, tap after tap."""
    finish, latest = np.zeros(columns, np.int64), np.zeros(max(registers, 1), np.int64)
    bricks = np.zeros(columns, np.int64)
    ready, step = -1, 0
    for turn in range(rounds):
        for pixel in range(begin, end, columns):
            active = min(columns, end - pixel)
            for tap in range(len(variant)):
                tap_row = tap // geometry["kernel"][1] * geometry["dilation"][0]
                tap_col = tap % geometry["kernel"][1] * geometry["dilation"][1]
                table = tables[variant[tap]]
                for brick in range(table.shape[1]):
                    _fill_step(table, brick, pixel, active, tap_row, tap_col, geometry, least, bricks)
                    ready = take_step(bricks, active, step, ready, registers, finish, latest)
                    step += 1
                    if turn == 0:
                        for column in range(active):
                            busy[column] += bricks[column]
    return finish.max()


@kernel
def table_cycles(table, geometry, columns, registers):
    """Cycles of a layer without padding whose bricks take what stands in `table`, ``(pixels, bricks)``."""
    variant, busy = np.zeros(geometry["kernel"][0] * geometry["kernel"][1], np.int64), np.zeros(columns, np.int64)
    end = geometry["out_height"] * geometry["out_width"]
    return _group_block_cycles([table], variant, geometry, columns, registers, 1, 0, end, 1, busy)


@kernel
def layer_cycles(masks, groups, extents, block, geometry, machine):
    """Cycles of each block of each group, ``(groups, m, n, k)`` in blocks, and of each column for one filter round.

    Parameters
    ----------
    masks
        Shifts of the terms of every input, ``(pixels of all images, channels of all groups)``.
    groups
        Groups.
    extents, block
        The layer and its blocks, of `BLOCK_DTYPE`.
    geometry
        Of `GEOMETRY_DTYPE`.
    machine
        Of `MACHINE_DTYPE`.
    """
    taps = geometry["kernel"][0] * geometry["kernel"][1]
    channels = extents["k"] // taps
    trips_m, trips_k = -(-extents["m"] // block["m"]), -(-extents["k"] // block["k"])
    trips_n = -(-extents["n"] // block["n"])
    cycles = np.zeros((groups, trips_m, trips_n, trips_k), np.int64)
    busy, not_counted = np.zeros(machine["columns"], np.int64), np.zeros(machine["columns"], np.int64)
    variant = np.zeros(taps, np.int64)
    for group in range(groups):
        own = masks[:, group * channels : (group + 1) * channels]
        for k in range(trips_k):
            end_k = min((k + 1) * block["k"], extents["k"])
            tables = _tables(own, k * block["k"], end_k, taps, machine, variant)
            for m in range(trips_m):
                begin, end = m * block["m"], min((m + 1) * block["m"], extents["m"])
                for n in range(trips_n):
                    size = min(block["n"], extents["n"] - n * block["n"])
                    if n > 0 and size == block["n"]:
                        cycles[group, m, n, k] = cycles[group, m, n - 1, k]
                        continue
                    rounds = -(-size // machine["filters"])
                    counted = busy if n == 0 else not_counted
                    runs = 1 if machine["registers"] == 0 else rounds
                    taken = _group_block_cycles(
                        tables, variant, geometry, machine["columns"], machine["registers"], machine["least"], begin,
                        end, runs, counted,
                    )  # fmt: skip
                    cycles[group, m, n, k] = taken * rounds // runs
    return cycles, busy
