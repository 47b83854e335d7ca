"""The closed form of DianNao against its pipeline stepped register by register, and against its paper."""

from __future__ import annotations

import numpy as np
from diannao_stepper import run
from hypothesis import given, settings
from hypothesis import strategies as st
from small_layers import SmallLayer, blocks_in_order, sequence_of, small_layers, tilings

from accelsim.hardware.pe_array.diannao import DianNao


@settings(max_examples=150, deadline=None)
@given(small=small_layers(), data=st.data(), trees=st.integers(1, 4), width=st.integers(1, 5), stages=st.integers(3, 5))
def test_stepped_pipeline_agrees_in_cycles_and_product(
    small: SmallLayer, data: st.DataObject, trees: int, width: int, stages: int
) -> None:
    costs = DianNao(trees, width, stages).costs(small.layer)
    sequence = sequence_of(small, costs, data.draw(tilings(small)))
    stepped = run(small, blocks_in_order(sequence), trees, width, stages)
    work = sequence.work
    assert (stepped.product == small.product).all()
    assert work.cycles.sum() == stepped.cycles
    begins = np.cumsum(work.cycles) - work.cycles
    assert begins.tolist() == stepped.begins
    assert (np.cumsum(work.cycles) + work.cycles_behind).tolist() == stepped.ends


@settings(max_examples=60, deadline=None)
@given(small=small_layers(), data=st.data(), trees=st.integers(1, 4), width=st.integers(1, 5))
def test_busy_multipliers_are_those_that_have_products(
    small: SmallLayer, data: st.DataObject, trees: int, width: int
) -> None:
    sequence = sequence_of(small, DianNao(trees, width, 3).costs(small.layer), data.draw(tilings(small)))
    busy = np.zeros((trees, width))
    for block in blocks_in_order(sequence):
        for tree, place in np.ndindex(busy.shape):
            outputs = len(block.n[tree::trees])
            per_tap = [len([k for k in block.k if k % small.taps == tap][place::width]) for tap in range(small.taps)]
            busy[tree, place] += len(block.groups) * len(block.m) * outputs * sum(per_tap)
    assert sequence.work.busy_cycles is not None
    assert sequence.work.busy_cycles.tolist() == busy.tolist()
    assert busy.sum() == small.layer.dims.macs == sequence.work.macs
