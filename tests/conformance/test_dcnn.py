"""DCNN in closed form: pixels of the slowest element times filters times dot products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_layers import SmallLayer, blocks_in_order, sequence_of, small_layers, tilings, whole

from accelsim.config.model import validate
from accelsim.errors import ConfigError
from accelsim.hardware.pe_array.dcnn import Dcnn, DcnnConfig
from accelsim.mapping.array_costs import PLAIN
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv


def config(**keys: object) -> DcnnConfig:
    plain = {"kind": "dcnn", "pe_rows": 2, "pe_cols": 3, "lanes": 4, "clock_mhz": 1000}
    return validate(DcnnConfig, plain | keys, "test", ConfigError)


def steps_of_element(machine: DcnnConfig, small: SmallLayer, pixels: range, filters: range) -> list[int]:
    """Per element the sums that it works out of a block of whole images, or of a matrix product."""
    counts = [0] * (machine.pe_rows * machine.pe_cols)
    if not isinstance(small.operator, Conv):
        own = -(-len(filters) // len(counts))
        for place in range(len(filters)):
            counts[place // own] += len(pixels)
        return counts
    _, _, height, width = small.layer.ofmap_shape
    high, wide = -(-height // machine.pe_rows), -(-width // machine.pe_cols)
    for pixel in pixels:
        row, col = divmod(pixel % (height * width), width)
        counts[row // high * machine.pe_cols + col // wide] += len(filters)
    return counts


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_slowest_element_decides(data: st.DataObject) -> None:
    machine = config(
        pe_rows=data.draw(st.integers(1, 3)), pe_cols=data.draw(st.integers(1, 3)), lanes=data.draw(st.integers(1, 5))
    )
    small = data.draw(small_layers())
    tiling = data.draw(tilings(small))
    if isinstance(small.operator, Conv):
        per_image = int(np.prod(small.layer.ofmap_shape[2:]))
        tiling = type(tiling)(tiling.order, tiling.groups, per_image, tiling.n, tiling.k, tiling.retention)
    sequence = sequence_of(small, Dcnn(machine).costs(small.layer), tiling)
    busy = [
        len(block.groups)
        * -(-len(block.k) // machine.lanes)
        * np.array(steps_of_element(machine, small, block.m, block.n))
        for block in blocks_in_order(sequence)
    ]
    work = sequence.problem.costs.work(sequence)
    assert work.cycles.tolist() == [int(elements.max()) for elements in busy]
    assert work.busy_cycles is not None
    assert work.busy_cycles.shape == (machine.pe_rows, machine.pe_cols)
    assert work.busy_cycles.ravel().tolist() == sum(busy).tolist()  # type: ignore[union-attr]


@settings(max_examples=40, deadline=None)
@given(small_layers())
def test_gated_multiplications_are_those_with_a_zero(small: SmallLayer) -> None:
    both = np.einsum("gmk,gnk->", (small.left != 0).astype(int), (small.right != 0).astype(int))
    for gate in (False, True):
        costs = Dcnn(config(gate_zeros=gate)).costs(small.layer)
        dims = small.layer.dims
        sequence = sequence_of(small, costs, whole(small))
        work = costs.work(sequence)
        assert work.macs == dims.macs
        assert work.gated_macs == (dims.macs - int(both) if gate else 0)


@pytest.mark.parametrize(("density", "share"), [(0.5, 0.625), (0.25, 0.3125), (1.0, 1.0)])
def test_feature_maps_are_compressed_where_that_is_shorter(density: float, share: float) -> None:
    data = OperandData(OperandStatistics(density=density), stated=True)
    assert Dcnn(config(compress_maps=True)).feature_map_form(data, 16).dram_share == pytest.approx(share, rel=0.02)
    assert Dcnn(config()).feature_map_form(data, 16) == PLAIN
    values = OperandData(load=lambda: np.zeros((2, 2), np.int8))
    assert Dcnn(config(compress_maps=True)).feature_map_form(values, 16).dram_share == 0
