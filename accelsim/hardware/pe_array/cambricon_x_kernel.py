"""What the filters of a layer cost one element of Cambricon-X, counted weight by weight."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

CYCLES, STORED, NONZERO = 0, 1, 2
"""Columns of what `filter_costs` returns."""


@kernel
def filter_costs(weights, taps, block, candidates, width, farthest):
    """Cycles per output, stored weights and nonzero weights of each filter and block, ``(filters, blocks, 3)``.

    Parameters
    ----------
    weights
        The weights as integers, ``(filters, k)``.
    taps
        Window elements per channel; a block goes through them one after the other, and through its channels at each.
    block
        Weights of a filter per block.
    candidates
        Inputs from which the weights pick at a time.
    width
        Inputs that are picked per cycle; candidates of which none is picked take a cycle, too.
    farthest
        Largest distance from one stored weight to the next: a zero is stored where none is as near as that.
    """
    filters, elements = weights.shape
    blocks = -(-elements // block)
    costs = np.zeros((filters, blocks, 3), np.int64)
    for row in range(filters):
        for place in range(blocks):
            begin, end = place * block, min((place + 1) * block, elements)
            seen, picked, distance, cycles, stored, useful = 0, 0, 0, 0, 0, 0
            for tap in range(taps):
                for k in range(begin + (tap - begin) % taps, end, taps):
                    distance += 1
                    useful += weights[row, k] != 0
                    if weights[row, k] != 0 or distance == farthest:
                        picked += 1
                        distance = 0
                    seen += 1
                    if seen == candidates:
                        cycles += max(1, -(-picked // width))
                        stored += picked
                        seen, picked = 0, 0
            if seen:
                cycles += max(1, -(-picked // width))
                stored += picked
            costs[row, place, 0], costs[row, place, 1], costs[row, place, 2] = cycles, stored, useful
    return costs


@kernel
def slowest_element(cycles, groups, filters, group_block, filter_block, shared, elements):
    """Cycles of the slowest element per output pixel of each block, and those of each element in all blocks.

    Parameters
    ----------
    cycles
        Per output, ``(groups * filters, blocks of k)``.
    groups, filters
        Groups of the layer and filters of each.
    group_block, filter_block
        Groups and filters per block.
    shared
        Groups whose inputs stand side by side among the candidates, so that elements may work on them at one time.
    elements
        Elements; outputs are dealt to them in turn.

    Returns
    -------
    tuple
        Slowest ``(blocks of groups, blocks of filters, blocks of k)`` and the total per element, a float.
    """
    depth = cycles.shape[1]
    group_blocks, filter_blocks = -(-groups // group_block), -(-filters // filter_block)
    slowest = np.zeros((group_blocks, filter_blocks, depth), np.int64)
    total = np.zeros(elements)
    load = np.zeros(elements, np.int64)
    for i in range(group_blocks):
        last_group = min((i + 1) * group_block, groups)
        for j in range(filter_blocks):
            first, end = j * filter_block, min((j + 1) * filter_block, filters)
            for place in range(depth):
                load[:] = 0
                for group in range(i * group_block, last_group):
                    within = (group - i * group_block) % shared
                    for row in range(first, end):
                        element = (within * (end - first) + row - first) % elements
                        load[element] += cycles[group * filters + row, place]
                slowest[i, j, place] = load.max()
                total += load
    return slowest, total
