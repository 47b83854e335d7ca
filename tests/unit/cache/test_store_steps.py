"""Stores that miss: fetched without waiting, as many at a time as there are miss registers."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.hierarchy import CacheLevel, Hierarchy, Outstanding

LINE = 64


@pytest.mark.parametrize("cycles", [0, 1, 10, 1000])
def test_stores_fill_the_miss_registers_before_anything_waits(cycles: int) -> None:
    number, ahead, latency = 64, 8, 100
    records = np.zeros((1, lo.N_RECORD), np.int64)
    records[0, [lo.RE_WRITE, lo.RE_RUN, lo.RE_COUNT, lo.RE_COST]] = 1, number * LINE, 1, number * cycles * lo.TICKS
    outstanding = Outstanding(4, ahead, window_cycles=0, latency_cycles=latency)
    traffic = Hierarchy([CacheLevel("l", 64, 8)], 1, LINE, 4096, outstanding).replay(records)
    assert (traffic.events[:, lo.EV_KIND] == lo.AHEAD).all()
    per_step = np.bincount(traffic.events[:, lo.EV_STEP])
    full = cycles * ahead < latency  # the registers are all taken before the first line has come
    assert per_step.tolist() == ([ahead] * (number // ahead) if full else [number])
