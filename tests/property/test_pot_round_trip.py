"""Encoding, decoding and files give back every bit, whatever the weights."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.units import bits_to_bytes
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.encoding import EncodingError, decode, encode, from_levels, to_levels
from accelsim.workload.pot.files import load_pot_weights, save_pot_weights
from accelsim.workload.pot.parameters import CODE_BITS, Index, PotParameters, magnitudes_of
from accelsim.workload.pot.reshaping import slice_layout
from accelsim.workload.pot.storage import FLOAT_BITS, index_bits
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 9), st.just(3), st.just(3)),
    st.tuples(st.integers(1, 40), st.integers(7, 20), st.just(1), st.just(1)),
    st.tuples(st.integers(1, 40), st.integers(7, 20)),
    st.sampled_from([(2, 600), (1, 67, 3, 3), (33, 65, 1, 1), (3, 65, 3, 3)]),
)
INDEX: st.SearchStrategy[Index] = st.sampled_from(get_args(Index))
Levels = np.ndarray[Any, np.dtype[np.int8]]


@st.composite
def coded_layers(draw: st.DrawFn) -> tuple[PotLayer, Index]:
    """Any levels, any basis: more than the solver would ever find."""
    layout = slice_layout(draw(SHAPES))
    index: Index = draw(INDEX)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = magnitudes_of(index)
    levels = random.integers(-most, most + 1, (layout.all_slices, layout.rows, 3)).astype(np.int8)
    levels[random.random(levels.shape) < draw(st.sampled_from([0.0, 0.5, 0.99]))] = 0
    levels[random.random(levels.shape[:2]) < draw(st.sampled_from([0.0, 0.9, 1.0]))] = 0
    basis = random.integers(-127, 128, (layout.all_slices, 3, 3)).astype(np.int8)
    scale = float(np.float32(draw(st.floats(1e-6, 1e3))))
    return PotLayer("w", layout, levels, draw(st.integers(-30, 5)), basis, scale, 0.0), index


@given(coded_layers())
def test_levels_survive_their_codes(case: tuple[PotLayer, Index]) -> None:
    layer, index = case
    codes, bits = encode(layer.levels, layer.layout, index)
    np.testing.assert_array_equal(decode(codes, bits, layer.layout, index), layer.levels)
    storage = layer.storage(index)
    assert codes.nbytes == bits_to_bytes(storage.coefficient_bits)
    assert bits.nbytes == bits_to_bytes(storage.index_bits) == bits_to_bytes(index_bits(layer.layout, index))
    assert layer.basis.nbytes * 8 == storage.basis_bits
    if index == "element":
        assert storage.coefficient_bits == CODE_BITS * np.count_nonzero(layer.levels)
    if index == "vector":
        assert storage.coefficient_bits == 3 * CODE_BITS * np.count_nonzero(layer.levels.any(axis=2))


@given(coded_layers())
def test_levels_are_coefficients_are_levels(case: tuple[PotLayer, Index]) -> None:
    layer, _ = case
    np.testing.assert_array_equal(to_levels(layer.coefficients(), layer.lowest_exponent), layer.levels)
    np.testing.assert_array_equal(from_levels(layer.levels, layer.lowest_exponent), layer.coefficients())


@given(coded_layers(), st.randoms(use_true_random=False))
def test_a_rebuilt_weight_is_the_exact_sum_of_shifted_integers(case: tuple[PotLayer, Index], random: Any) -> None:  # noqa: ANN401 - Random
    layer, _ = case
    decoded = layer.decode().reshape(layer.layout.filters, -1)
    for _ in range(5):
        filter_index = random.randrange(layer.layout.filters)
        weight = random.randrange(layer.layout.filter_weights)
        row, column = divmod(weight, 3)
        part, row = divmod(row, layer.layout.rows)
        place = filter_index * layer.layout.slices + part
        total = Fraction(0)
        for inner in range(3):
            level = int(layer.levels[place, row, inner])
            if level:
                power = Fraction(2) ** (abs(level) - 1 + layer.lowest_exponent)
                total += (1 if level > 0 else -1) * power * int(layer.basis[place, inner, column])
        in_double = float(total) * layer.basis_scale
        assert Fraction(float(total)) == total
        assert decoded[filter_index, weight] == np.float32(in_double)


@given(coded_layers(), st.integers(0, 2**32 - 1))
def test_a_flipped_bit_is_another_layer_or_an_error(case: tuple[PotLayer, Index], seed: int) -> None:
    layer, index = case
    codes, bits = encode(layer.levels, layer.layout, index)
    both = np.concatenate([codes, bits])
    place = seed % (8 * both.size)
    both[place // 8] ^= 1 << (place % 8)
    try:
        changed = decode(both[: codes.size], both[codes.size :], layer.layout, index)
    except EncodingError:
        return
    assert not np.array_equal(changed, layer.levels)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(SHAPES | st.just((2, 3, 5, 5)), min_size=1, max_size=3),
    INDEX,
    st.integers(0, 99),
    st.sampled_from([0, 0.7]),
)
def test_a_file_holds_all_of_it(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, ...]], index: Index, seed: int, sparsity: float
) -> None:
    random = np.random.default_rng(seed)
    arrays = {f"layer{i}.weight": random.normal(0, 0.1, shape).astype(np.float32) for i, shape in enumerate(shapes)}
    arrays["last.weight"] = random.normal(0, 0.1, (8, 4, 3, 3)).astype(np.float32)
    made = decompose_network(arrays, PotParameters(index=index, iterations=3), network="net", vector_sparsity=sparsity)
    path: Path = tmp_path_factory.mktemp("pot") / "w.npz"
    save_pot_weights(made, path)
    read = load_pot_weights(path)
    assert (read.network, read.parameters) == ("net", made.parameters)
    assert_same_layers(made, read)
    expected = sum(
        bits_to_bytes(part)
        for layer in made.layers
        for storage in (layer.storage(index),)
        for part in (storage.coefficient_bits, storage.index_bits, storage.basis_bits, storage.plain_bits)
    )
    with np.load(path, allow_pickle=False) as archive:
        assert sum(archive[name].nbytes for name in archive.files if name != "header") == expected
    assert read.storage() == made.storage()
    assert made.storage().plain_bits == FLOAT_BITS * sum(np.prod(shape) for shape in shapes if shape[-1] == 5)


def assert_same_layers(made: PotWeights, read: PotWeights) -> None:
    for one, other in zip(made.layers, read.layers, strict=True):
        assert type(one) is type(other)
        assert one.name == other.name
        assert one.decode().tobytes() == other.decode().tobytes()
        if isinstance(one, PotLayer) and isinstance(other, PotLayer):
            assert (one.layout, one.lowest_exponent, one.basis_scale, one.error) == (
                other.layout, other.lowest_exponent, other.basis_scale, other.error
            )  # fmt: skip
            np.testing.assert_array_equal(one.levels, other.levels)
            np.testing.assert_array_equal(one.basis, other.basis)
        elif isinstance(one, PlainLayer) and isinstance(other, PlainLayer):
            assert one.reason == other.reason
