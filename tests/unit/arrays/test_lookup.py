"""Arrays that look products up: what their tables compute, and how often they are read and written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import load_hardware, simulate
from accelsim.hardware.pe_array.lookup import LookupConfig
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operators import Gemm

ROWS, COLS = 4, 3


class Element:
    """An element with its table, slow and obvious: it counts the bits that it touches and what it adds."""

    def __init__(self, digit_bits: int, weight_bits: int) -> None:
        self.digit_bits, self.entry_bits = digit_bits, weight_bits + digit_bits
        self.table_bits = self.additions = 0

    def take_weight(self, weight: int) -> None:
        self.table = [0, weight]
        while len(self.table) < 2**self.digit_bits:
            self.table.append(self.table[-1] + weight)
            self.additions += 1
        self.table_bits += len(self.table) * self.entry_bits

    def product(self, value: int, bits: int) -> int:
        total = 0
        for shift in range(0, bits, self.digit_bits):
            total += self.table[(value >> shift) % 2**self.digit_bits] << shift
            self.table_bits += self.entry_bits
            self.additions += 1
        return total


def stepped(inputs: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], digit_bits: int) -> tuple[Any, int, int]:
    """Product of ``(m, k)`` and ``(k, n)``, bits of tables touched, and additions: weight by weight."""
    element = Element(digit_bits, 8)
    result = np.zeros((len(inputs), weights.shape[1]), np.int64)
    for row, col in np.ndindex(weights.shape):
        element.take_weight(int(weights[row, col]))
        for pixel, values in enumerate(inputs):
            result[pixel, col] += element.product(int(values[row]), 8)
    return result, element.table_bits, element.additions


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 4, 8]), st.integers(0, 99))
def test_tables_multiply_and_are_read_and_written_as_often_as_counted(
    m: int, n: int, k: int, digit_bits: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    inputs, weights = generator.integers(0, 256, (m, k)), generator.integers(-128, 128, (k, n))
    result, table_bits, additions = stepped(inputs, weights, digit_bits)
    assert np.array_equal(result, inputs @ weights)
    keys = [f"pe_array.{key}" for key in (f"rows={ROWS}", f"cols={COLS}", f"digit_bits={digit_bits}")]
    graph = LayerGraph("fc", (Tensor("x", (m, k)),), (Layer("fc", Gemm(n, bias=False), ("x",)),))
    array = simulate("lookup_32x32", graph, overrides=keys, fidelity="estimate").energy_pj["pe_array"]
    assert array["mac"] == 0
    assert array["table_bit"] == pytest.approx(0.00596 * table_bits, abs=0.003)
    assert array["shift_add"] == pytest.approx(0.038 * additions, abs=0.003)


def test_it_has_the_cycles_and_the_traffic_of_a_systolic_array() -> None:
    lookup, systolic = (simulate(name, "lenet5").totals for name in ("lookup_32x32", "systolic_32x32"))
    assert lookup.total_cycles == systolic.total_cycles
    assert lookup.dram_read_bytes == systolic.dram_read_bytes


def test_a_table_of_whole_inputs_is_read_once_and_costs_more_to_fill() -> None:
    assert isinstance(load_hardware("lookup_32x32").pe_array, LookupConfig)
    narrow, wide = (
        simulate("lookup_32x32", "lenet5", overrides=[f"pe_array.digit_bits={bits}"]).energy_pj["pe_array"]
        for bits in (4, 8)
    )
    assert wide["shift_add"] != narrow["shift_add"]
    single = LayerGraph("fc", (Tensor("x", (1, 8)),), (Layer("fc", Gemm(8, bias=False), ("x",)),))
    filled = [
        simulate("lookup_32x32", single, overrides=[f"pe_array.digit_bits={bits}"]).energy_pj["pe_array"]["table_bit"]
        for bits in (4, 8)
    ]
    assert filled[1] > 10 * filled[0]  # each weight is used once, so filling is nearly all
