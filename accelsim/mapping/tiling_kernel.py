"""The compiled search over tilings: costs of every candidate, and the best by the objective.

Operands are numbered ifmap 0, weight 1, psum 2 and dimensions m 0, n 1, k 2. Arguments are typed by Numba.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

SLACK = 0.01
"""Mappings this close to the least latency count as equally good, as it is an estimate; among them the one with less
traffic wins, in steps of the same size, and among equals the one with fewer blocks. Traffic and cycles of the array are
exact, and so is their minimum."""

SPILL_COST = 2.0
"""Time of spilled partial sums on the bus in units of their bytes at peak bandwidth (assumption): they go both ways in
turns, for which the bus has to turn around; runs with spilled sums reached some 60 % of the peak."""

MOST_BUFFERS = 8
"""Buffers that a machine may have."""

_PRUNING = 1.0 + 2 * SLACK  # a part of the primary figure beyond this times the least whole so far cannot win

PROBLEM_DTYPE = np.dtype(
    [
        ("groups", "i8"),
        ("extents", "i8", 3),
        ("channels", "i8"),
        ("taps", "i8"),
        ("row_dim", "i8"),
        ("col_dim", "i8"),
        ("stream_dim", "i8"),
        ("rows", "i8"),
        ("cols", "i8"),
        ("overhead", "i8"),
        ("one_fold_sums", "i8"),
        ("ifmap_bits", "i8"),
        ("weight_bits", "i8"),
        ("ofmap_bits", "i8"),
        ("psum_bits", "i8"),
        ("ifmap_in_dram", "i8"),
        ("ofmap_in_dram", "i8"),
        ("ifmap_run", "i8"),
        ("ofmap_run", "i8"),
        ("burst_bytes", "i8"),
        ("dram_latency", "i8"),
        ("most_blocks", "i8"),
        ("buffers", "i8"),
        ("buffer", "i8", 3),
        ("copies", "i8", 3),
        ("free_bits", "i8", MOST_BUFFERS),
        ("dram_share", "f8", 3),
        ("buffer_share", "f8", 3),
    ]
)
"""One tiling problem, as `accelsim.mapping.tiling_search` lays a `TilingProblem` out."""


@kernel
def _ceil(numerator, denominator):
    return -(-numerator // denominator)


@kernel
def _folds(extent, block, side):
    """Folds of all blocks along one dimension: every block begins a new one."""
    whole = extent // block
    return whole * _ceil(block, side) + _ceil(extent - whole * block, side)


@kernel
def _on_bus(moved, channels, all_channels, bits, burst_bytes):
    """Bytes on the bus where runs of some of the channels are each rounded up to whole bursts."""
    if channels >= all_channels:
        return moved
    run = _ceil(channels * bits, 8)
    return _ceil(moved, run) * _ceil(run, burst_bytes) * burst_bytes


@kernel
def _shared(amount, share):
    """A share of an amount, rounded up; the amount itself where the share is the whole."""
    return amount if share == 1.0 else np.int64(np.ceil(amount * share))


@kernel
def _indexes(operand, dim):
    """Whether a dimension indexes an operand: all but one do."""
    return dim != (1, 0, 2)[operand]


@kernel
def _worth_a_level(operand, level, order, trips):
    """Whether this retention level differs from the next one."""
    return level == 3 or (_indexes(operand, order[level]) and trips[order[level]] > 1)


@kernel
def _loads(operand, level, order, trips):
    """Sets loaded, times each tile is loaded, and the dimension that moves on from set to set (-1 for none)."""
    last = -1
    for position in range(level):
        if _indexes(operand, order[position]) and trips[order[position]] > 1:
            last = position
    loads, repeats = 1, 1
    for position in range(last + 1):
        loads *= trips[order[position]]
        if not _indexes(operand, order[position]):
            repeats *= trips[order[position]]
    return loads, repeats, order[last] if last >= 0 else -1


@kernel
def _is_one_fold(p, sizes, group_size):
    """Whether a block is a single fold of the array, whose stationary operand lives in the registers."""
    return group_size == 1 and sizes[p["row_dim"]] <= p["rows"] and sizes[p["col_dim"]] <= p["cols"]


@kernel
def _passing(p, operand, sizes, channels, held):
    """Bits that a stationary operand holds on its way through a buffer of its own into the registers of the array.

    A tile beyond the buffer passes in slices, and one has to fit: a channel of the ifmap, else a row of the array.
    """
    if operand != (1, 0, 2)[p["stream_dim"]]:
        return held
    for other in range(3):
        if other != operand and p["buffer"][other] == p["buffer"][operand]:
            return held
    free = p["free_bits"][p["buffer"][operand]]
    slices = channels[0] if operand == 0 else min(sizes[p["row_dim"]], p["extents"][p["row_dim"]])
    return min(held, free) if _ceil(held, slices) <= free else held


@kernel
def _ifmap_cost(p, level, order, trips, sizes, channels, pixels, group_trips, group_size):
    """Bits held, bytes read, bytes on the bus, cycles of waiting; `channels` and `pixels` as in `_Candidates`."""
    if not p["ifmap_in_dram"]:
        return 0, 0, 0, 0
    loads, repeats, moving = _loads(0, level, order, trips)
    held_pixels, held_channels, all_channels, m_inside = pixels[0], channels[0], channels[1], False
    for position in range(level, 3):
        if order[position] == 0 and trips[0] > 1:
            held_pixels, m_inside = pixels[2], True
        elif order[position] == 2:
            held_channels, all_channels = p["channels"], p["channels"]
    copies = min(p["copies"][0], loads * group_trips)
    held = _shared(copies * group_size * held_pixels * held_channels * p["ifmap_bits"], p["buffer_share"][0])
    if level == 3 and moving != 0 and _is_one_fold(p, sizes, group_size):
        held = _passing(p, 0, sizes, channels, held)
    all_pixels = pixels[2] if m_inside or moving == 0 else pixels[1]
    read = repeats * all_pixels * _ceil(p["groups"] * all_channels * p["ifmap_bits"], 8)
    on_bus = read
    if p["dram_share"][0] == 1.0:  # what is coded lies packed
        on_bus = _on_bus(read, group_size * channels[0], p["ifmap_run"], p["ifmap_bits"], p["burst_bytes"])
    on_bus += repeats * group_trips * pixels[3] * p["burst_bytes"] // 2  # a run begins anywhere in its first burst
    read, on_bus = _shared(read, p["dram_share"][0]), _shared(on_bus, p["dram_share"][0])
    return held, read, on_bus, loads * group_trips * p["dram_latency"] // p["copies"][0]


@kernel
def _weight_cost(p, level, order, trips, sizes, group_trips, group_size):
    """Bits held in the buffer, bytes read from DRAM, cycles of waiting for it."""
    loads, repeats, _ = _loads(1, level, order, trips)
    held_n, held_k = sizes[1], sizes[2]
    for position in range(level, 3):
        if order[position] == 1:
            held_n = p["extents"][1]
        elif order[position] == 2:
            held_k = p["extents"][2]
    copies = min(p["copies"][1], loads * group_trips)
    elements = p["groups"] * p["extents"][1] * p["extents"][2]
    held = _shared(copies * group_size * held_n * held_k * p["weight_bits"], p["buffer_share"][1])
    if level == 3 and _is_one_fold(p, sizes, group_size):
        held = _passing(p, 1, sizes, sizes, held)
    waiting = loads * group_trips * p["dram_latency"] // p["copies"][1]
    return held, repeats * _shared(_ceil(elements * p["weight_bits"], 8), p["dram_share"][1]), waiting


@kernel
def _psum_cost(p, level, order, trips, sizes, group_trips, group_size, continues):
    """Bits held in the buffer, bytes of results and bytes of partial sums, both ways."""
    loads, visits, _ = _loads(2, level, order, trips)
    held_m, held_n = sizes[0], sizes[1]
    for position in range(level, 3):
        if order[position] == 0:
            held_m = p["extents"][0]
        elif order[position] == 1:
            held_n = p["extents"][1]
    whole_sums = (p["one_fold_sums"] and trips[2] == 1) or (p["stream_dim"] == 2 and (trips[2] == 1 or continues))
    bits = p["ofmap_bits"] if whole_sums else p["psum_bits"]
    copies = min(p["copies"][2], loads * group_trips)
    outputs = p["groups"] * p["extents"][0] * p["extents"][1]
    spilled = 2 * (visits - 1) * _ceil(outputs * p["psum_bits"], 8)
    results = _shared(_ceil(outputs * p["ofmap_bits"], 8), p["dram_share"][2]) * p["ofmap_in_dram"]
    held = copies * group_size * held_m * held_n * bits
    if whole_sums:
        held = _shared(held, p["buffer_share"][2])
    if level == 3 and whole_sums and _is_one_fold(p, sizes, group_size):
        held = _passing(p, 2, sizes, sizes, held)
    return held, results, spilled


@kernel
def _fits(p, held):
    """Whether what the three operands hold fits into their buffers."""
    for buffer in range(p["buffers"]):
        used = 0
        for operand in range(3):
            if p["buffer"][operand] == buffer:
                used += held[operand]
        if used > p["free_bits"][buffer]:
            return False
    return True


@kernel
def _block_fits(p, group_size, sizes, channels, pixels):
    """Whether single blocks of all operands fit, which is the least that any retention needs."""
    held = (
        _shared(group_size * pixels[0] * channels[0] * p["ifmap_bits"] * p["ifmap_in_dram"], p["buffer_share"][0]),
        _shared(group_size * sizes[1] * sizes[2] * p["weight_bits"], p["buffer_share"][1]),
        _shared(group_size * sizes[0] * sizes[1] * min(p["ofmap_bits"], p["psum_bits"]), p["buffer_share"][2]),
    )
    if _is_one_fold(p, sizes, group_size):
        held = (
            _passing(p, 0, sizes, channels, held[0]),
            _passing(p, 1, sizes, channels, held[1]),
            _passing(p, 2, sizes, channels, held[2]),
        )
    return _fits(p, held)


@kernel
def _levels(p, order, trips, sizes, channels, pixels, groups, continues, table):
    """Lay out the cost of each operand at each retention level; bits held are -1 where the level is like the next.

    `table` is (operands, levels, 3): bits held, bytes on the bus and cycles of waiting, for sums bytes spilled.
    """
    group_trips, group_size = groups
    results = np.int64(0)
    for level in range(4):
        for operand in range(3):
            table[operand, level, 0] = -1
        if _worth_a_level(0, level, order, trips):
            held, _, on_bus, waiting = _ifmap_cost(
                p, level, order, trips, sizes, channels, pixels, group_trips, group_size
            )
            table[0, level, 0], table[0, level, 1], table[0, level, 2] = held, on_bus, waiting
        if _worth_a_level(1, level, order, trips):
            held, read, waiting = _weight_cost(p, level, order, trips, sizes, group_trips, group_size)
            table[1, level, 0], table[1, level, 1], table[1, level, 2] = held, read, waiting
        if _worth_a_level(2, level, order, trips):
            held, results, spilled = _psum_cost(p, level, order, trips, sizes, group_trips, group_size, continues)
            table[2, level, 0], table[2, level, 2] = held, spilled
            table[2, level, 1] = results
            if p["dram_share"][2] == 1.0:
                table[2, level, 1] = _on_bus(
                    results, group_size * sizes[1], p["ofmap_run"], p["ofmap_bits"], p["burst_bytes"]
                )


@kernel
def _best_levels(
    p, order, trips, sizes, channels, pixels, groups, compute, continues, bandwidth, objective, limit, worst, table
):
    """Best retention levels of one order and block size: (least primary figure, key, levels)."""
    ends = pixels[0] * channels[0] * p["ifmap_bits"] * p["ifmap_in_dram"] + sizes[1] * sizes[2] * p["weight_bits"]
    ends = (
        groups[1] * (ends + sizes[0] * sizes[1] * p["ofmap_bits"] * p["ofmap_in_dram"]) / 8 / bandwidth
        + p["dram_latency"]
    )
    _levels(p, order, trips, sizes, channels, pixels, groups, continues, table)
    most_bytes = worst if objective == 1 else worst * bandwidth if objective == 0 else np.inf
    least, best_key, best = np.inf, np.inf, (3, 3, 3)
    for i in range(4):
        if table[0, i, 0] < 0 or table[0, i, 1] > most_bytes:
            continue
        for w in range(4):
            if table[1, w, 0] < 0 or table[0, i, 1] + table[1, w, 1] > most_bytes:
                continue
            least_cycles = max(compute, table[0, i, 2], table[1, w, 2])
            for s in range(4):
                if table[2, s, 0] < 0 or not _fits(p, (table[0, i, 0], table[1, w, 0], table[2, s, 0])):
                    continue
                spilled = table[2, s, 2]
                moved = float(table[0, i, 1] + table[1, w, 1] + table[2, s, 1] + spilled)
                on_bus = moved + (SPILL_COST - 1.0) * spilled
                unhidden = (p["copies"][0] == 1) * table[0, i, 1] + (p["copies"][1] == 1) * table[1, w, 1]
                unhidden += (p["copies"][2] == 1) * (on_bus - table[0, i, 1] - table[1, w, 1])
                latency = max(float(least_cycles), (on_bus - unhidden) / bandwidth) + unhidden / bandwidth + ends
                primary = (latency, moved, float(compute))[objective]
                least = min(least, primary)
                if primary > limit or limit == np.inf:  # without a limit the best is not asked for
                    continue
                key = np.round(np.log(max(latency if objective == 1 else moved, 1.0)) / SLACK)
                if key < best_key:
                    best_key, best = key, (i, w, s)
    return least, best_key, best


@kernel
def _count_trips(p, sizes, trips):
    for dim in range(3):
        trips[dim] = _ceil(p["extents"][dim], sizes[dim])


@kernel
def candidate_cost(record, order, sizes, channels, pixels, group_size, levels, estimated):
    """Figures of one tiling: cycles; bytes of ifmap, weights, results and partial sums; bits held by each operand."""
    p = record[0]
    trips = np.empty(3, np.int64)
    _count_trips(p, sizes, trips)
    group_trips = _ceil(p["groups"], group_size)
    compute, continues = estimated, False
    if p["stream_dim"] >= 0:
        compute, continues = _compute_cycles(p, order, trips, sizes, group_size)
    ifmap, read, _, _ = _ifmap_cost(p, levels[0], order, trips, sizes, channels, pixels, group_trips, group_size)
    weight, weights, _ = _weight_cost(p, levels[1], order, trips, sizes, group_trips, group_size)
    psum, results, spilled = _psum_cost(p, levels[2], order, trips, sizes, group_trips, group_size, continues)
    return compute, (read, weights, results, spilled), (ifmap, weight, psum)


@kernel
def _compute_cycles(p, order, trips, sizes, group_size):
    """Cycles of the array, and whether consecutive blocks continue one stream."""
    row, col, stream = p["row_dim"], p["col_dim"], p["stream_dim"]
    folds = p["groups"] * _folds(p["extents"][row], sizes[row], p["rows"])
    folds *= _folds(p["extents"][col], sizes[col], p["cols"])
    continues = _is_one_fold(p, sizes, group_size)
    for position in range(2, -1, -1):
        if order[position] == stream:
            break
        continues = continues and trips[order[position]] == 1
    starts = 1 if continues else trips[stream]
    return folds * (p["extents"][stream] + starts * p["overhead"]), continues


@kernel
def _first_of_its_kind(orders):
    """Whether no earlier order is the same but for loops of one trip, ``(loops of several trips as bits, orders)``."""
    first = np.ones((8, len(orders)), np.bool_)
    for mask in range(8):
        for later in range(len(orders)):
            for earlier in range(later):
                same, place = True, 0
                for position in range(3):
                    if not mask >> orders[later][position] & 1:
                        continue
                    while not mask >> orders[earlier][place] & 1:
                        place += 1
                    same = same and orders[earlier][place] == orders[later][position]
                    place += 1
                if same:
                    first[mask, later] = False
    return first


@kernel
def _best_order(
    p, orders, first, trips, sizes, channels, pixels, groups, cycles, bandwidth, objective, limit, least, table
):
    """Best order and retention levels of one block size: (least primary figure, key, order, levels)."""
    block_least, best_key, best, best_levels = np.inf, np.inf, 0, (3, 3, 3)
    several = (trips[0] > 1) + 2 * (trips[1] > 1) + 4 * (trips[2] > 1)
    for io in range(len(orders)):
        if not first[several, io]:
            continue
        compute, continues = cycles, False
        if p["stream_dim"] >= 0:
            compute, continues = _compute_cycles(p, orders[io], trips, sizes, groups[1])
        worst = min(limit, _PRUNING * min(least, block_least))
        if objective != 1 and compute > worst:
            continue
        primary, key, levels = _best_levels(
            p, orders[io], trips, sizes, channels, pixels, groups, compute, continues, bandwidth, objective, limit,
            worst, table,
        )  # fmt: skip
        block_least = min(block_least, primary)
        if key < best_key:
            best_key, best, best_levels = key, io, levels
    return block_least, best_key, best, best_levels


@kernel
def best_tiling(
    g_sizes, k_sizes, k_channels, n_sizes, m_sizes, m_pixels, orders, record, cycles, bandwidth, objective, limit,
    leasts,
):  # fmt: skip
    """Try all blocks and orders: (whether any fits, least primary figure, fields of the best as `_BEST_FIELDS`).

    `cycles` are those of the array for all sizes, (g, k, n, m), where it does not fold. `leasts`, of the same shape,
    are the least primary figures of the blocks: zeros at first, then what an earlier call has left there.
    """
    p = record[0]
    best, best_key = np.zeros(8, np.int64), (np.inf, 0)
    least = np.inf
    trips, sizes = np.empty(3, np.int64), np.empty(3, np.int64)
    table = np.empty((3, 4, 3), np.int64)
    first = _first_of_its_kind(orders)
    for ig in range(len(g_sizes)):
        g_size = g_sizes[ig]
        for ik in range(len(k_sizes)):
            for i_n in range(len(n_sizes)):
                for im in range(len(m_sizes)):
                    if leasts[ig, ik, i_n, im] > limit:
                        continue
                    leasts[ig, ik, i_n, im] = np.inf
                    sizes[0], sizes[1], sizes[2] = m_sizes[im], n_sizes[i_n], k_sizes[ik]
                    _count_trips(p, sizes, trips)
                    if g_size > 1 and (trips[1] > 1 or trips[2] > 1):
                        continue  # several groups in a block lie side by side only where each is whole
                    groups = (_ceil(p["groups"], g_size), g_size)
                    blocks = groups[0] * trips[0] * trips[1] * trips[2]
                    if blocks > p["most_blocks"] or not _block_fits(p, g_size, sizes, k_channels[ik], m_pixels[im]):
                        continue
                    primary, key, order, levels = _best_order(
                        p, orders, first, trips, sizes, k_channels[ik], m_pixels[im], groups, cycles[ig, ik, i_n, im],
                        bandwidth, objective, limit, least, table,
                    )  # fmt: skip
                    leasts[ig, ik, i_n, im] = primary
                    least = min(least, primary)
                    if (key, blocks) < best_key:
                        best_key = (key, blocks)
                        best[:5] = np.array([order, g_size, m_sizes[im], n_sizes[i_n], k_sizes[ik]])
                        best[5:] = np.array(levels)
    return least < np.inf, least, best
