"""What a row-stationary array says of a layer: coding of feature maps, zeros, layouts given by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.config.loader import load_hardware
from accelsim.errors import MappingError
from accelsim.hardware.pe_array.row_stationary_coding import (
    coded_share,
    count_pairs,
    expected_pairs,
    pairs_per_word,
)
from accelsim.hardware.pe_array.row_stationary_layer import RowGeometry, even_shares
from accelsim.pipeline import simulate
from accelsim.workload.annotations import Annotations
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Conv, Window

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph


def code(values: list[int]) -> list[tuple[int, int]]:
    """Pairs of run and value, written by a coder that goes value by value."""
    pairs, run = [], 0
    for value in values:
        if value == 0 and run < 31:
            run += 1
        else:
            pairs.append((run, value))
            run = 0
    return [*pairs, (run - 1, 0)] if run else pairs


@given(st.lists(st.sampled_from([0, 0, 0, 5]), max_size=200) | st.integers(0, 200).map(lambda size: [0] * size))
def test_pairs_are_those_of_a_coder(values: list[int]) -> None:
    assert count_pairs(np.array(values, np.int64)) == len(code(values))


def test_pairs_of_a_long_run() -> None:
    assert count_pairs(np.array([0] * 31 + [7])) == 1
    assert count_pairs(np.array([0] * 32 + [7])) == 2, "32 zeros need a pair of their own"
    assert count_pairs(np.array([0] * 64)) == 2


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.6, 1.0])
def test_expected_pairs_are_those_of_drawn_values(density: float) -> None:
    values = (np.random.default_rng(3).random(200_000) < density).astype(np.int64)
    assert count_pairs(values) / values.size == pytest.approx(expected_pairs(density), rel=0.02)


def test_three_pairs_of_16_bits_fill_a_word() -> None:
    assert [pairs_per_word(bits) for bits in (8, 16, 59)] == [4, 3, 0]
    stated = OperandData(OperandStatistics(density=0.5), stated=True)
    assert coded_share(stated, 16) == pytest.approx(0.5 * 64 / 3 / 16, rel=1e-6)
    values = np.array([[1, 0, 0, 2, 3, 0, 0, 4]])
    known = OperandData(load=lambda: values)
    assert coded_share(known, 16) == pytest.approx(2 * 64 / (8 * 16)), "four pairs need two words"
    assert coded_share(OperandData(), 16) == 1.0, "what coding would lengthen stays plain"
    assert coded_share(stated, 60) == 1.0


def network() -> LayerGraph:
    window = Window((3, 3), padding=(1, 1, 1, 1))
    return chain("net", Tensor("x", (1, 4, 9, 9)), [("c1", Conv(8, window)), ("c2", Conv(8, window))])


def layout(**letters: int) -> str:
    given = {"n": 1, "m": 8, "e": 9, "p": 4, "q": 2, "r": 1, "t": 2} | letters
    return "pe_array.passes={c1: {" + ", ".join(f"{name}: {size}" for name, size in given.items()) + "}}"


def test_a_layout_given_by_hand_is_used() -> None:
    result = simulate("eyeriss", network(), overrides=[layout()])
    mapping = result.layer_results[0].mapping
    assert mapping["pass"] == {"e": 9, "p": 4, "q": 2, "r": 1, "t": 2, "g": 1}
    assert mapping["tile"] == {"groups": 1, "m": 81, "n": 8, "k": 18}
    assert mapping["active_elements"] == 3 * 9 * 2


def test_a_block_of_more_rows_than_the_layout_is_cut_into_strips() -> None:
    """Sixteen sets fit beside each other with three columns each, not with the nine rows that the block has."""
    whole = "mapping.layers={c1: {order: mnk, m: 81, n: 8, k: 36}}"
    result = simulate("eyeriss", network(), overrides=[layout(e=3, p=1, q=2, r=2, t=8), whole])
    mapping = result.layer_results[0].mapping
    assert mapping["pass"] == {"e": 3, "p": 1, "q": 2, "r": 2, "t": 8, "g": 1}
    assert mapping["active_elements"] == 144
    assert mapping["tile"] == {"groups": 1, "m": 81, "n": 8, "k": 36}


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ({"q": 5}, "needs 15 ifmap_spad_words, the array has 12"),
        ({"p": 25}, "needs 25 psum_spad_words, the array has 24"),
        ({"p": 24, "q": 4}, "needs 288 filter_spad_words, the array has 224"),
        ({"t": 5}, "needs 5 PE sets of 3x9, the array has 4"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(letters: dict[str, int], expected: str) -> None:
    with pytest.raises(MappingError) as error:
        simulate("eyeriss", network(), overrides=[layout(**letters)])
    assert expected in str(error.value)
    assert "pe_array.passes.c1" in str(error.value)
    assert "\n" not in str(error.value)


def test_sizes_that_are_tried_use_the_array_well() -> None:
    conv1 = RowGeometry((12, 14), 4, 55, 55, 11, 11, (4, 4))
    assert (conv1.sets(7), conv1.sets(14), conv1.sets(8)) == (2, 1, 1)
    assert [size // 55 for size in conv1.strips(4 * 55 * 55) if size % 55 == 0] == [1, 2, 7, 14]
    conv3 = RowGeometry((12, 14), 4, 13, 13, 3, 3)
    assert {169, 338, 676} <= set(conv3.strips(676)), "whole images, up to all of them"
    assert even_shares(96) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96]
    assert even_shares(97)[-2:] == [49, 97], "shares of a prime leave a remainder"


def test_zeros_save_energy_and_no_cycles() -> None:
    graphs = []
    for density in (1.0, 0.25):
        data = OperandData(OperandStatistics(density=density), stated=True)
        graphs.append(replace(network(), annotations=Annotations(operands={"x": data})))
    overrides = ["pe_array.compression=none"]
    dense, sparse = (simulate("eyeriss", graph, overrides=overrides).layer_results[0] for graph in graphs)
    assert dense.compute_cycles == sparse.compute_cycles
    assert dense.effective_macs == sparse.effective_macs
    assert sparse.energy_by_component["pe_array"] < dense.energy_by_component["pe_array"]
    assert sparse.energy_by_component["register_file"] < dense.energy_by_component["register_file"]


def test_feature_maps_are_coded_on_their_way_to_dram() -> None:
    read = [
        next(
            layer.dram_read_bytes
            for layer in simulate(
                "eyeriss", "alexnet_eyeriss", overrides=[f"pe_array.compression={kind}"]
            ).layer_results
            if layer.name == "conv5"
        )
        for kind in ("none", "run_length")
    ]
    saved = read[0] - read[1]
    elements, fetches = 4 * 384 * 13 * 13, 2
    assert saved == pytest.approx(elements * 2 * fetches * (1 - 0.207 * 64 / 48), rel=0.02)


def test_the_preset_is_the_chip() -> None:
    config = load_hardware("eyeriss")
    assert config.pe_array.kind == "row_stationary"
    assert config.pe_array.elements == 168
