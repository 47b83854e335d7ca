"""Cycles of an output-channel group on SCNN: every vector of activations with every vector of weights, bank by bank.

The queues in front of the banks are counters kept bit by bit: a word holds one bit of the counters of all banks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Queues = tuple[Any, Any, Any, Any, Any, Any]
    """Words of the lowest to the highest bit."""

PLANES = 6
"""Bits of the counter of a queue."""

MOST_QUEUED = (1 << PLANES) - 1
PLACEHOLDER = 255
"""Bank of a zero that is stored because the run of zeros before it is too long for an index."""

_ONE = np.uint64(1)
_NONE = np.uint64(0)


@lean_kernel
def _added(q: Queues, carry: Any) -> Queues:
    """Queues with one more product in the banks of `carry`."""
    q0, q1, q2, q3, q4, q5 = q
    s0, carry = q0 ^ carry, q0 & carry
    s1, carry = q1 ^ carry, q1 & carry
    s2, carry = q2 ^ carry, q2 & carry
    s3, carry = q3 ^ carry, q3 & carry
    s4, carry = q4 ^ carry, q4 & carry
    return s0, s1, s2, s3, s4, q5 ^ carry


@lean_kernel
def _served(q: Queues) -> Queues:
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
def _longer_than(q: Queues, depth: int) -> bool:
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
    found: bool = longer != _NONE
    return found


@kernel
def group_cycles(  # noqa: C901 - a kernel in one piece
    entries: NDArray[np.uint8],
    map_starts: NDArray[np.int64],
    vectors: NDArray[np.uint64],
    weight_starts: NDArray[np.int64],
    phases: int,
    map_lists: int,
    weight_lists: int,
    lanes: int,
    banks: int,
    queue: int,
    fifo: int,
) -> int:
    """Cycles of one output-channel group, from its first vector until the last product has been added up.

    Parameters
    ----------
    entries, map_starts
        Activations, as `compress_map` lists them.
    vectors, weight_starts
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
    """
    pes, count = max(map_lists, weight_lists), (len(map_starts) - 1) // (map_lists * phases)
    finish = np.zeros(pes, np.int64)
    queues = np.zeros((pes, PLANES), np.uint64)
    done = np.zeros(count + 1, np.int64)
    everything = ~_NONE >> np.uint64(64 - banks)
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
            map_place = ((pe if map_lists > 1 else 0) * count + entry) * phases
            weight_place = ((pe if weight_lists > 1 else 0) * count + entry) * phases
            pairs = 0
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
                    for begin in range(first, end, lanes):
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
                queues[pe, 0], queues[pe, 1], queues[pe, 2] = q[0], q[1], q[2]
                queues[pe, 3], queues[pe, 4], queues[pe, 5] = q[3], q[4], q[5]
                finish[pe] = now
            latest = max(latest, now)
        done[entry] = latest
    over: int = 0
    for pe in range(pes):
        q = (queues[pe, 0], queues[pe, 1], queues[pe, 2], queues[pe, 3], queues[pe, 4], queues[pe, 5])
        now = finish[pe]
        while q[0] | q[1] | q[2] | q[3] | q[4] | q[5]:
            q = _served(q)
            now += 1
        over = max(over, now)
    return over


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
    slowest: float = finish.max()
    return slowest
