"""Requests per second of the DRAM kernel on the traces that other simulators were measured on.

Ramulator 2.1.0 serves 0.44 M/s of the sequential and 0.24 M/s of the random reads on one core,
DRAMsim3 0.44 and 0.18 M/s.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.config.dram import DramConfig
from accelsim.hardware.dram.replay import replay_trace
from accelsim.hardware.dram.trace_file import MemoryTrace

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

_GIB = 1 << 30


def sequential() -> MemoryTrace:
    return MemoryTrace(64 * np.arange(1_000_000), np.zeros(1_000_000, np.bool_), None)


def scattered() -> MemoryTrace:
    draw = random.Random(1)  # noqa: S311 - the very numbers that the others were given
    addresses = np.array([draw.randrange(0, 8 * _GIB) // 64 * 64 for _ in range(200_000)])
    return MemoryTrace(addresses, np.zeros(addresses.size, np.bool_), None)


def triad() -> MemoryTrace:
    offset = 64 * np.arange(200_000)
    addresses = np.stack([offset, 2 * _GIB + offset, _GIB + offset], axis=1).ravel()
    return MemoryTrace(addresses, np.tile([False, False, True], 200_000), None)


@pytest.mark.parametrize("address_map", ["RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR"])
@pytest.mark.parametrize("make_trace", [sequential, scattered, triad])
def test_requests_per_second(
    benchmark: BenchmarkFixture, make_trace: Callable[[], MemoryTrace], address_map: str
) -> None:
    trace = make_trace()
    config = DramConfig(device="DDR4_2400R_8Gb_x8", address_map=address_map)
    replay_trace(MemoryTrace(trace.addresses[:100], trace.is_write[:100], None), config)  # compiles

    result = benchmark(replay_trace, trace, config)

    rate = trace.addresses.size / result.kernel_s
    benchmark.extra_info["requests_per_s"] = rate
    print(f"{make_trace.__name__} {address_map}: {rate / 1e6:.1f} M requests/s")  # noqa: T201 - what it is for
    assert result.requests == trace.addresses.size
