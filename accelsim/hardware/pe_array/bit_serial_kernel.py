"""Compiled loops of the bit-serial array: cycles of every row of activations, and of every pass over them.

Arguments are typed by Numba. Rows are numbered through all groups.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

_CHUNK = 1024
"""Tiles worked on at one time, whose sums then stay in the cache."""


@kernel
def row_cycles(digits, groups, channel, tap_row, tap_col, corners, first, count, steps, least):
    """Cycles of each row of weights with each tile of pixels, and what the rows hold.

    Parameters
    ----------
    digits
        Nonzero Booth digits (images, channels, height, width).
    groups
        Groups that the channels fall into.
    channel, tap_row, tap_col
        Of each weight of each row, (rows, row length): channel within its group, -1 for none, and tap.
    corners
        Image, input row, input column of each output pixel.
    first, count
        Tiles of output pixels.
    steps
        Dilation: input rows and columns from one tap to the next.
    least
        Cycles that a row with any nonzero activation takes at least.

    Returns
    -------
    tuple of ndarray
        Cycles (rows of all groups, tiles), 0 where all activations are zero; and per row the nonzero activations, the
        digits and the tiles that are not skipped.
    """
    images, y_of, x_of = corners
    rows, length = channel.shape
    per_group = digits.shape[1] // groups
    height, width = digits.shape[2], digits.shape[3]
    cycles = np.zeros((groups * rows, len(first)), np.int32)
    nonzeros = np.zeros(groups * rows, np.int64)
    total_digits = np.zeros(groups * rows, np.int64)
    used = np.zeros(groups * rows, np.int64)
    for place in range(groups * rows):
        group, row = place // rows, place % rows
        for tile in range(len(first)):
            taken, most = 0, 0
            for element in range(length):
                if channel[row, element] < 0:
                    continue
                source = group * per_group + channel[row, element]
                down, right = tap_row[row, element] * steps[0], tap_col[row, element] * steps[1]
                slowest = 0
                for pixel in range(first[tile], first[tile] + count[tile]):
                    y, x = y_of[pixel] + down, x_of[pixel] + right
                    if y < 0 or y >= height or x < 0 or x >= width:
                        continue
                    found = digits[images[pixel], source, y, x]
                    if found:
                        nonzeros[place] += 1
                        total_digits[place] += found
                        slowest = max(slowest, found)
                taken += max(slowest, 1)
                most = max(most, slowest)
            if most:
                cycles[place, tile] = max(taken, least)
                used[place] += 1
    return cycles, nonzeros, total_digits, used


@kernel
def pass_cycles(cycles, rows, named, unit_pass, unit_group, begin, end, line, basis, channels, columns, machine):
    """Cycles of each pass with each tile of pixels.

    Parameters
    ----------
    cycles
        Of each row with each tile, (rows of all groups, tiles).
    rows
        Rows of a group.
    named
        Per unit (slices that work in step) and row whether any of its filters has it, (units, rows).
    unit_pass, unit_group
        Pass and group of each unit; units of a pass and of a group stand together.
    begin, end
        Rows that the block holds.
    line, basis
        Line and basis of each of these rows.
    channels
        Input channels of each of them.
    columns
        Input pixels per channel and tile.
    machine
        Lines; cycles to load a basis; whether it is loaded while another is in use; bytes that the input delivers a
        cycle. No cycles where all rows have one basis.

    Returns
    -------
    tuple
        Cycles (passes, tiles), and bytes that the input delivered.
    """
    lines, load, hidden, port = machine
    tiles, units = len(columns), len(unit_pass)
    result = np.zeros((unit_pass[-1] + 1, tiles), np.int64)
    delivered = 0
    done = np.zeros((lines, _CHUNK), np.int64)
    run = np.zeros((lines, _CHUNK), np.int64)
    needed = np.zeros(end - begin, np.bool_)
    moved = np.zeros(_CHUNK, np.int64)
    for chunk in range(0, tiles, _CHUNK):
        width = min(_CHUNK, tiles - chunk)
        for unit in range(units):
            offset = unit_group[unit] * rows + begin
            own = named[unit, begin:end]
            current = result[unit_pass[unit], chunk : chunk + width]
            part = cycles[offset : offset + end - begin, chunk : chunk + width]
            _add_rows(done, run, part, own, line, basis, load, hidden)
            _wait_for_slowest(current, done)
            needed |= own
            last = unit + 1 == units or unit_pass[unit + 1] != unit_pass[unit]
            if last or unit_group[unit + 1] != unit_group[unit]:
                _add_bytes(moved, part, needed, channels, columns[chunk : chunk + width])
                needed[:] = False
            if last:
                for tile in range(width):
                    delivered += moved[tile]
                    current[tile] = max(current[tile], -(-moved[tile] // port))
                moved[:] = 0
    return result, delivered


@kernel
def _add_rows(done, run, cycles, named, line, basis, load, hidden):
    """Add up the rows that a unit has, line by line; `run` is the stretch of them with one basis."""
    width = cycles.shape[1]
    done[:], run[:] = 0, 0
    for row in range(len(named)):
        if row and basis[row] != basis[row - 1]:
            _finish_runs(done, run, load, hidden, width)
        if named[row]:
            own = run[line[row]]
            for tile in range(width):
                own[tile] += cycles[row, tile]
    _finish_runs(done, run, load, hidden, width)


@kernel
def _wait_for_slowest(current, done):
    """A pass takes as long as the slowest of its lines."""
    for own in range(len(done)):
        for tile in range(len(current)):
            current[tile] = max(current[tile], done[own, tile])


@kernel
def _add_bytes(moved, cycles, needed, channels, columns):
    """Add the bytes of the rows that any filter of a group needs and that are not all zero."""
    for row in range(len(needed)):
        if needed[row]:
            for tile in range(len(columns)):
                if cycles[row, tile]:
                    moved[tile] += channels[row] * columns[tile]


@kernel
def _finish_runs(done, run, load, hidden, width):
    """Add the runs of rows with one basis: at least as long as the load of the next one, or with a load before each."""
    for own in range(len(done)):
        for tile in range(width):
            if run[own, tile]:
                done[own, tile] += max(run[own, tile], load) if hidden else run[own, tile] + load
                run[own, tile] = 0
