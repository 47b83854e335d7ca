"""Kernels of SCNN: tensors as lists of nonzeros with the banks that they lead to, and the cycles of a group.

Output pixel p of a tile and filter k of a group are summed up in bank ``(k + pitch * p) mod banks``. Both terms are
linear in the coordinates of activation and weight, so that the bank of a product is the sum of a number that belongs to
its activation and one that belongs to its weight; a vector of weights is a set of banks that an activation turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLANES = 6
"""Bits of the counters of a bank's queue; they are kept bit by bit, one word for all banks."""

MOST_QUEUED = (1 << PLANES) - 1
WEIGHT_PLANES = 4
PLACEHOLDER = 255
"""Bank of a zero that is stored because the run of zeros before it is too long for an index."""

_ONE = np.uint64(1)
_NONE = np.uint64(0)


@kernel
def compress_map(
    values: NDArray[np.int64],
    region: tuple[int, int, int, int],
    tile: tuple[int, int],
    grid: tuple[int, int],
    padding: tuple[int, int],
    stride: tuple[int, int],
    keep_zeros: bool,  # noqa: FBT001 - Numba passes by position
    longest_run: int,
    pitch: int,
    acc_cols: int,
    banks: int,
    entries: NDArray[np.uint8],
    starts: NDArray[np.int64],
) -> int:
    """List the activations of each element's tile, by channel and phase of the stride.

    Parameters
    ----------
    values
        ``(channels, rows, columns)``.
    region
        First and last-plus-one row, first and last-plus-one column that take part.
    tile
        Rows and columns per element.
    grid
        Elements.
    padding
        Rows above and columns to the left.
    stride
        Of the window.
    keep_zeros
        Whether zeros are listed like other values.
    longest_run
        Zeros that an index bridges.
    pitch, acc_cols, banks
        Bank of output pixel (y, x): ``pitch * (x + acc_cols * y)`` modulo `banks`.
    entries
        Filled with a bank for each entry, or `PLACEHOLDER`.
    starts
        Filled with the first entry of each (element, channel, phase).
    """
    count, place = 0, 0
    first_row, end_row, first_col, end_col = region
    for pe in range(grid[0] * grid[1]):
        row0 = min(first_row + pe // grid[1] * tile[0], end_row)
        row1 = min(row0 + tile[0], end_row)
        col0 = min(first_col + pe % grid[1] * tile[1], end_col)
        col1 = min(col0 + tile[1], end_col)
        for channel in range(values.shape[0]):
            for phase in range(stride[0] * stride[1]):
                starts[place] = count
                place += 1
                first_y = row0 + (phase // stride[1] - row0 - padding[0]) % stride[0]
                first_x = col0 + (phase % stride[1] - col0 - padding[1]) % stride[1]
                run = 0
                for y in range(first_y, row1, stride[0]):
                    base = (y + padding[0]) // stride[0] * acc_cols
                    for x in range(first_x, col1, stride[1]):
                        if values[channel, y, x] == 0 and not keep_zeros:
                            run += 1
                            continue
                        while run > longest_run:
                            entries[count] = PLACEHOLDER
                            count += 1
                            run -= longest_run + 1
                        run = 0
                        entries[count] = pitch * ((x + padding[1]) // stride[1] + base) % banks
                        count += 1
    starts[place] = count
    return count


@kernel
def compress_weights(  # noqa: C901 - a kernel in one piece
    values: NDArray[np.int64],
    groups: tuple[int, int],
    filters: NDArray[np.int64],
    reduction: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    keep_zeros: bool,  # noqa: FBT001 - Numba passes by position
    longest_run: int,
    lanes: int,
    pitch: int,
    acc_cols: int,
    banks: int,
    vectors: NDArray[np.uint64],
    starts: NDArray[np.int64],
    weights: NDArray[np.int64],
) -> tuple[int, int]:
    """List the weights of output-channel groups as vectors, by channel and phase; the filters are the fastest index.

    Parameters
    ----------
    values
        ``(groups, filters, channels, rows, columns)``.
    groups
        First and last-plus-one group.
    filters
        Per list the first and last-plus-one filter of each group.
    reduction
        First and last-plus-one element of a filter, of all that are there by channel, row and column.
    stride, dilation
        Of the window.
    keep_zeros, longest_run, pitch, acc_cols, banks
        As for activations.
    lanes
        Weights per vector.
    vectors
        Filled with the banks of each vector: how many of its weights lead to each, bit by bit.
    starts
        Filled with the first vector of each (list, channel, phase), the channels of all groups one after the other.
    weights
        Filled with the weights that are no placeholders, for each (list, channel, phase).

    Returns
    -------
    tuple of int
        Vectors, and entries with placeholders.
    """
    taps = values.shape[3] * values.shape[4]
    first_channel, end_channel = reduction[0] // taps, -(-reduction[1] // taps)
    count, place, entries = 0, 0, 0
    for chosen in range(filters.shape[0]):
        width = filters[chosen, 1] - filters[chosen, 0]
        for group in range(groups[0], groups[1]):
            for channel in range(first_channel, end_channel):
                for phase in range(stride[0] * stride[1]):
                    starts[place] = count
                    weights[place] = 0
                    run, lane = 0, 0
                    for tap in range(taps):
                        row = tap // values.shape[4] * dilation[0]
                        col = tap % values.shape[4] * dilation[1]
                        element = channel * taps + tap
                        if row % stride[0] * stride[1] + col % stride[1] != phase:
                            continue
                        if element < reduction[0] or element >= reduction[1]:
                            continue
                        shift = pitch * (col // stride[1] + row // stride[0] * acc_cols)
                        for k in range(width):
                            value = values[
                                group, filters[chosen, 0] + k, channel, tap // values.shape[4], tap % values.shape[4]
                            ]
                            if value == 0 and not keep_zeros:
                                run += 1
                                continue
                            while run > longest_run:
                                run -= longest_run + 1
                                entries += 1
                                if lane == 0:
                                    vectors[count] = _NONE
                                lane += 1
                                if lane == lanes:
                                    count, lane = count + 1, 0
                            run = 0
                            entries += 1
                            weights[place] += 1
                            if lane == 0:
                                vectors[count] = _NONE
                            carry = _ONE << np.uint64(((group - groups[0]) * width + k - shift) % banks)
                            for plane in range(WEIGHT_PLANES):
                                before = vectors[count, plane]
                                vectors[count, plane] = before ^ carry
                                carry &= before
                            lane += 1
                            if lane == lanes:
                                count, lane = count + 1, 0
                    if lane:
                        count += 1
                    place += 1
    starts[place] = count
    return count, entries


@lean_kernel
def _added(q: tuple[int, ...], carry: int) -> tuple[int, ...]:
    """Queues with one more product in the banks of `carry`."""
    q0, q1, q2, q3, q4, q5 = q
    s0, carry = q0 ^ carry, q0 & carry
    s1, carry = q1 ^ carry, q1 & carry
    s2, carry = q2 ^ carry, q2 & carry
    s3, carry = q3 ^ carry, q3 & carry
    s4, carry = q4 ^ carry, q4 & carry
    return s0, s1, s2, s3, s4, q5 ^ carry


@lean_kernel
def _served(q: tuple[int, ...]) -> tuple[int, ...]:
    """Queues after a cycle in which every bank that has a product added it up."""
    q0, q1, q2, q3, q4, q5 = q
    borrow = q0 | q1 | q2 | q3 | q4 | q5
    s0, borrow = q0 ^ borrow, borrow & ~q0
    s1, borrow = q1 ^ borrow, borrow & ~q1
    s2, borrow = q2 ^ borrow, borrow & ~q2
    s3, borrow = q3 ^ borrow, borrow & ~q3
    s4, borrow = q4 ^ borrow, borrow & ~q4
    return s0, s1, s2, s3, s4, q5 ^ borrow


@lean_kernel
def _longer_than(q: tuple[int, ...], depth: int) -> bool:
    """Whether any queue holds more than `depth` products."""
    q0, q1, q2, q3, q4, q5 = q
    some = q3 | q4 | q5
    if depth < 7:
        some |= q2
    if depth < 3:
        some |= q1
    if depth < 1:
        some |= q0
    if some == _NONE:
        return False
    same, longer = ~_NONE, _NONE
    for plane, bits in ((5, q5), (4, q4), (3, q3), (2, q2), (1, q1), (0, q0)):
        if depth >> plane & 1:
            same &= bits
        else:
            longer |= same & bits
            same &= ~bits
    return longer != _NONE


@kernel
def group_cycles(  # noqa: C901 - a kernel in one piece
    entries: NDArray[np.uint8],
    map_starts: NDArray[np.int64],
    channels: NDArray[np.int64],
    vectors: NDArray[np.uint64],
    weight_starts: NDArray[np.int64],
    weights: NDArray[np.int64],
    phases: int,
    map_lists: int,
    weight_lists: int,
    lanes: int,
    banks: int,
    queue: int,
    fifo: int,
    busy: NDArray[np.int64],
    totals: NDArray[np.int64],
) -> int:
    """Cycles of one output-channel group, from its first vector until the last product has been added up.

    Parameters
    ----------
    entries, map_starts
        Activations, as `compress_map` lists them.
    channels
        Channel of the map that belongs to each channel of the weights.
    vectors, weight_starts, weights
        Weights, as `compress_weights` lists them.
    phases
        Phases of the stride.
    map_lists, weight_lists
        Elements that have activations, or weights, of their own: all, or one list that all elements share.
    lanes
        Activations per vector.
    banks
        Accumulator banks of an element.
    queue
        Products that may wait in front of a bank.
    fifo
        Weight vectors that an element holds of those that are broadcast; 0 where each element has its own stream.
    busy
        Cycles in which each element multiplied, added to.
    totals
        Cycles in which an element multiplied, and products, added to.
    """
    pes, count = max(map_lists, weight_lists), len(channels)
    finish = np.zeros(pes, np.int64)
    queues = np.zeros((pes, PLANES), np.uint64)
    done = np.zeros(count + 1, np.int64)
    everything = ~_NONE >> np.uint64(64 - banks)
    map_channels = (len(map_starts) - 1) // (map_lists * phases)
    head, held, gate = 0, 0, 0
    for entry in range(count):
        if fifo:
            held += weight_starts[(entry + 1) * phases] - weight_starts[entry * phases]
            while head < entry and held > fifo:
                held -= weight_starts[(head + 1) * phases] - weight_starts[head * phases]
                gate = done[head]
                head += 1
        latest = 0
        for pe in range(pes):
            map_place = ((pe if map_lists > 1 else 0) * map_channels + channels[entry]) * phases
            weight_place = ((pe if weight_lists > 1 else 0) * count + entry) * phases
            pairs, products = 0, 0
            for phase in range(phases):
                activations = map_starts[map_place + phase + 1] - map_starts[map_place + phase]
                steps = weight_starts[weight_place + phase + 1] - weight_starts[weight_place + phase]
                pairs += -(-activations // lanes) * steps
            now = finish[pe]
            if pairs:
                q = (queues[pe, 0], queues[pe, 1], queues[pe, 2], queues[pe, 3], queues[pe, 4], queues[pe, 5])
                if gate > now:
                    for _ in range(min(gate - now, MOST_QUEUED)):
                        q = _served(q)
                    now = gate
                for phase in range(phases):
                    first, end = map_starts[map_place + phase], map_starts[map_place + phase + 1]
                    first_vector = weight_starts[weight_place + phase]
                    end_vector = weight_starts[weight_place + phase + 1]
                    if first_vector == end_vector:
                        continue
                    sent = 0
                    for begin in range(first, end, lanes):
                        for lane in range(begin, min(begin + lanes, end)):
                            sent += entries[lane] != PLACEHOLDER
                        for vector in range(first_vector, end_vector):
                            plain = vectors[vector, 0]
                            twos, fours, eights = vectors[vector, 1], vectors[vector, 2], vectors[vector, 3]
                            for lane in range(begin, min(begin + lanes, end)):
                                turn = entries[lane]
                                if turn == PLACEHOLDER:
                                    continue
                                left, right = np.uint64(turn), np.uint64(banks - 1 - turn)
                                q = _added(q, (plain << left | plain >> _ONE >> right) & everything)
                                if twos | fours | eights:
                                    bits = (twos << left | twos >> _ONE >> right) & everything
                                    upper = _added((q[1], q[2], q[3], q[4], q[5], _NONE), bits)
                                    bits = (fours << left | fours >> _ONE >> right) & everything
                                    high = _added((upper[1], upper[2], upper[3], upper[4], _NONE, _NONE), bits)
                                    bits = (eights << left | eights >> _ONE >> right) & everything
                                    top = _added((high[1], high[2], high[3], _NONE, _NONE, _NONE), bits)
                                    q = (q[0], upper[0], high[0], top[0], top[1], top[2])
                            q = _served(q)
                            now += 1
                            while _longer_than(q, queue):
                                q = _served(q)
                                now += 1
                    products += sent * weights[weight_place + phase]
                queues[pe, 0], queues[pe, 1], queues[pe, 2] = q[0], q[1], q[2]
                queues[pe, 3], queues[pe, 4], queues[pe, 5] = q[3], q[4], q[5]
                busy[pe] += pairs
                totals[0] += pairs
                totals[1] += products
                finish[pe] = now
            latest = max(latest, now)
        done[entry] = latest
    end = 0
    for pe in range(pes):
        q = (queues[pe, 0], queues[pe, 1], queues[pe, 2], queues[pe, 3], queues[pe, 4], queues[pe, 5])
        now = finish[pe]
        while q[0] | q[1] | q[2] | q[3] | q[4] | q[5]:
            q = _served(q)
            now += 1
        end = max(end, now)
    return end


@kernel
def counted_group_cycles(
    map_vectors: NDArray[np.int64], weight_vectors: NDArray[np.int64], slowdown: float, fifo: int
) -> float:
    """Cycles of one output-channel group whose operands are known by their numbers of vectors.

    Parameters
    ----------
    map_vectors, weight_vectors
        ``(elements or 1, channels, phases)``.
    slowdown
        Cycles per pair of vectors, bank conflicts included.
    fifo
        As for `group_cycles`.
    """
    pes, count = max(len(map_vectors), len(weight_vectors)), map_vectors.shape[1]
    finish, done = np.zeros(pes), np.zeros(count + 1)
    sizes = weight_vectors[0].sum(axis=1)
    head, held, gate = 0, 0, 0.0
    for entry in range(count):
        if fifo:
            held += sizes[entry]
            while head < entry and held > fifo:
                held -= sizes[head]
                gate = done[head]
                head += 1
        latest = 0.0
        for pe in range(pes):
            pairs = 0
            for phase in range(map_vectors.shape[2]):
                pairs += (
                    map_vectors[pe if len(map_vectors) > 1 else 0, entry, phase]
                    * weight_vectors[pe if len(weight_vectors) > 1 else 0, entry, phase]
                )
            if pairs:
                finish[pe] = max(finish[pe], gate) + pairs * slowdown
            latest = max(latest, finish[pe])
        done[entry] = latest
    return finish.max()
