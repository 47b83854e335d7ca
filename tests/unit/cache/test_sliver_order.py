"""Where packed weights lie: the loops and the faults have to mean the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.mapping.sliver_order import SliverOrder


def places(order: SliverOrder) -> list[tuple[int, int, int]]:
    """Place in elements, by group, output channel and element of k, from the order of the loops."""
    found, place = [], 0
    depth = order.channels * order.taps
    for group in range(order.groups):
        for begin in range(0, depth, order.slice_k):
            for sliver in range(0, order.n, order.sliver_n):
                for k in range(begin, min(begin + order.slice_k, depth)):
                    for n in range(sliver, min(sliver + order.sliver_n, order.n)):
                        found.append((group, n, k))
                        place += 1
    return found


@pytest.mark.parametrize(
    "order",
    [
        SliverOrder(1, 7, 3, 4, 5, 3, 8),
        SliverOrder(2, 4, 5, 1, 2, 4, 8),
        SliverOrder(3, 5, 2, 9, 100, 2, 4),
        SliverOrder(1, 12, 1, 9, 9, 12, 32),
    ],
)
def test_every_bit_belongs_to_the_element_that_the_loops_read_there(order: SliverOrder) -> None:
    elements, bits = order.elements_at(np.arange(order.size_bytes * 8))
    expected = []
    for group, n, k in places(order):
        tap, channel = divmod(k, order.channels)
        expected.append(((group * order.n + n) * order.channels + channel) * order.taps + tap)
    held = elements >= 0
    assert elements[held].tolist() == [element for element in expected for _ in range(order.bits)]
    assert bits[held].tolist() == list(range(order.bits)) * len(expected)
    assert sorted(set(elements[held].tolist())) == list(range(len(expected)))
    assert not held[len(expected) * order.bits :].any()
