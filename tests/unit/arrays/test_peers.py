"""What DianNao, Cambricon-X and Pragmatic share with the mapper: equal costs for equal layers, counts made once."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.config.loader import load_hardware
from accelsim.hardware.pe_array import build_array, operand_memo
from accelsim.hardware.pe_array.operand_memo import once_per_tensor
from accelsim.mapping.array_costs import ArrayLayer
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Window

if TYPE_CHECKING:
    from accelsim.mapping.array_costs import PeArray

PRESETS = ("diannao_1k", "cambricon_x_1k", "bit_pragmatic_8k", "stripes")


def array_of(name: str) -> PeArray:
    return build_array(load_hardware(name))


def layer_of(name: str, weight: OperandData) -> ArrayLayer:
    operator, shape = Conv(8, Window((3, 3))), (1, 6, 7, 7)
    dims = operator.gemm_dims((shape,))
    bits = (8, 8, 8, 24)
    return ArrayLayer(name, operator, shape, operator.output_shape((shape,)), dims, *bits, weight=weight)


@pytest.mark.parametrize("preset", PRESETS)
def test_equal_layers_share_their_costs(preset: str) -> None:
    array, weight = array_of(preset), OperandData(OperandStatistics(density=0.5), stated=True)
    first, second = (array.costs(layer_of(name, weight)) for name in ("a", "b"))
    assert first == second
    assert hash(first) == hash(second)
    other = array.costs(layer_of("a", replace(weight)))
    assert first != other, "operands are told apart by identity: their values may differ"


@pytest.mark.parametrize("preset", PRESETS)
def test_estimates_broadcast(preset: str) -> None:
    costs = array_of(preset).costs(layer_of("a", OperandData(OperandStatistics(density=0.5), stated=True)))
    m, n, k = np.array([1, 9, 25]), np.array([1, 8])[:, None], np.array([9, 54])[:, None, None]
    table = costs.estimated_cycles(np.ones(1, np.int64), m, n, k)
    assert table.shape == (2, 2, 3)
    for place in np.ndindex(table.shape):
        one = costs.estimated_cycles(np.ones(1, np.int64), m[place[2], None], n[place[1]], k[place[0], 0])
        assert table[place] == one
    assert (np.diff(table, axis=2) >= 0).all()


def test_counts_are_made_once_and_forgotten_with_their_tensor() -> None:
    calls: list[int] = []
    data = OperandData()
    before = len(operand_memo._counted)
    for key in ("a", "a", "b"):
        assert once_per_tensor(data, key, lambda: calls.append(0) or len(calls)) == (1 if key == "a" else 2)  # type: ignore[func-returns-value]
    assert len(calls) == 2
    assert len(operand_memo._counted) == before + 1
    del data
    gc.collect()
    assert len(operand_memo._counted) == before
