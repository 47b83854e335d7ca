# mypy: allow-untyped-calls

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from naive_pot_fit import naive_fit, naive_round, naive_sparsify

from accelsim.errors import WorkloadError
from accelsim.workload.pot import fit_kernel
from accelsim.workload.pot.decompose import decompose_layer, decompose_network, relative_error
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.pruning import prune_channels, prune_vectors
from accelsim.workload.pot.reshaping import slice_layout, to_slices
from accelsim.workload.pot.solver import choose_lowest_exponent, fit_slices, round_to_powers
from accelsim.workload.pot.weights import PotLayer

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]

LOWEST = -8


def random_slices(seed: int, count: int, rows: int, size: int = 3) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.05, (count, rows, size))


def test_the_nearest_power_is_taken_in_linear_distance_and_the_lower_on_ties() -> None:
    values = np.array([0.75, 0.7500001, -0.75, 1.5, -1.5000001, 3.0, 0.0, 0.0625, 0.0624, 0.063, -100.0, 5e-324])
    rounded = round_to_powers(values, -3, 1)
    assert rounded.tolist() == [0.5, 1.0, -0.5, 1.0, -2.0, 2.0, 0.0, 0.0, 0.0, 0.125, -2.0, 0.0]


def test_rounding_agrees_with_trying_every_choice() -> None:
    values = np.random.default_rng(5).normal(0, 1, 20_000) * 2.0 ** np.random.default_rng(6).integers(-12, 6, 20_000)
    np.testing.assert_array_equal(round_to_powers(values, -6, 1), naive_round(values, -6, 1))


@pytest.mark.parametrize("rows", [3, 8, 27, 171, 192])
@pytest.mark.parametrize(
    "parameters",
    [
        PotParameters(),
        PotParameters(theta=0.0),
        PotParameters(theta=0.02),
        PotParameters(theta=0.03, row_mode=False),
        PotParameters(scale_columns=True),
        PotParameters(index="vector", iterations=5),
        PotParameters(theta=0.1, theta_decay=0.3, scale_columns=True),
    ],
)
def test_fit_agrees_with_the_straightforward_one(rows: int, parameters: PotParameters) -> None:
    slices = random_slices(rows, 4, rows)
    fit = fit_slices(slices, parameters, LOWEST, row_mode=parameters.row_mode)
    for number, one in enumerate(slices):
        coefficients, basis, theta = naive_fit(one, parameters, LOWEST, row_mode=parameters.row_mode)
        np.testing.assert_array_equal(fit.coefficients[number], coefficients)
        np.testing.assert_allclose(fit.bases[number], basis, rtol=0, atol=1e-9)
        assert fit.thetas[number] == theta
        error = np.sum((one - coefficients @ basis) ** 2)
        assert fit.squared_errors[number, -1] == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize("size", [2, 4, 5])
def test_fit_takes_bases_of_any_size(size: int) -> None:
    slices = random_slices(size, 3, 40, size)
    fit = fit_slices(slices, PotParameters(), LOWEST, row_mode=True)
    for number, one in enumerate(slices):
        coefficients, basis, _ = naive_fit(one, PotParameters(), LOWEST, row_mode=True)
        np.testing.assert_array_equal(fit.coefficients[number], coefficients)
        np.testing.assert_allclose(fit.bases[number], basis, rtol=0, atol=1e-9)


def solved_basis(coefficients: Floats, weights: Floats, rcond: float = 1e-10) -> tuple[Floats, float]:
    rows, size = coefficients.shape
    basis = np.empty((size, size))
    work = np.empty((2 * size, rows))
    error = fit_kernel.solve_basis(
        np.ascontiguousarray(coefficients.T), np.ascontiguousarray(weights.T), rcond, work, basis
    )
    return basis, error


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_least_squares_have_the_least_norm_where_the_rank_is_short(rank: int) -> None:
    random = np.random.default_rng(rank)
    coefficients = random.normal(size=(30, rank)) @ random.normal(size=(rank, 3))
    weights = random.normal(size=(30, 3))
    basis, error = solved_basis(coefficients, weights)
    expected = np.linalg.lstsq(coefficients, weights, rcond=1e-10)[0]
    np.testing.assert_allclose(basis, expected, rtol=0, atol=1e-9)
    assert error == pytest.approx(np.sum((weights - coefficients @ expected) ** 2), rel=1e-9)
    square = random.normal(size=(3, rank)) @ random.normal(size=(rank, 3))
    found = np.empty((3, 30))
    fit_kernel.solve_coefficients(square, np.ascontiguousarray(weights.T), 1e-10, found)
    np.testing.assert_allclose(found.T, np.linalg.lstsq(square.T, weights.T, rcond=1e-10)[0].T, rtol=0, atol=1e-9)


def test_singular_values_below_rcond_count_as_zero() -> None:
    random = np.random.default_rng(1)
    left, right = np.linalg.qr(random.normal(size=(20, 3)))[0], np.linalg.qr(random.normal(size=(3, 3)))[0]
    for smallest in (1e-3, 1e-5):
        coefficients = left @ np.diag([1.0, 0.5, smallest]) @ right
        weights = coefficients @ random.normal(size=(3, 3))
        for rcond in (1e-4, 1e-10):
            basis, _ = solved_basis(coefficients, weights, rcond)
            np.testing.assert_allclose(basis, np.linalg.lstsq(coefficients, weights, rcond=rcond)[0], rtol=0, atol=1e-9)


def test_sparsify_zeroes_weak_rows_before_weak_elements() -> None:
    coefficients = np.array([[0.5, 0.3, 0.1], [0.4, 0.0, 0.0], [0.9, 0.05, 0.2], [0.0, 1.0, 0.0]])
    columns = np.ascontiguousarray(coefficients.T)
    assert not fit_kernel.sparsify(columns, 0.1, 0.5)
    np.testing.assert_array_equal(columns.T, naive_sparsify(coefficients, 0.1, 0.5))
    np.testing.assert_array_equal(columns.T, [[0.5, 0.3, 0.1], [0, 0, 0], [0.9, 0, 0.2], [0, 1, 0]])
    assert fit_kernel.sparsify(columns, 0.35, 0.0)  # the last column is emptied


def test_theta_decays_until_no_column_is_emptied() -> None:
    slices = random_slices(3, 1, 30)
    slices[:, :, 1] *= 1e-3
    fit = fit_slices(slices, PotParameters(theta=0.05, theta_decay=0.5), -16, row_mode=False)
    assert 0 < fit.thetas[0] < 0.05
    assert math.log2(0.05 / fit.thetas[0]) == pytest.approx(round(math.log2(0.05 / fit.thetas[0])))
    assert (fit.coefficients[0] != 0).any(axis=0).all()


def test_the_error_falls_over_the_iterations() -> None:
    fit = fit_slices(random_slices(7, 200, 192), PotParameters(theta=0.0), LOWEST, row_mode=False)
    errors = fit.squared_errors
    assert (errors[:, -1] <= errors[:, 0]).mean() > 0.97
    means = np.nanmean(np.where(np.isnan(errors), errors[:, -1:], errors), axis=0)  # a slice at rest keeps its error
    assert means[0] > 1.02 * means[1] > 1.04 * means[-1]


def test_a_slice_stops_when_its_coefficients_rest() -> None:
    powers = round_to_powers(random_slices(2, 1, 50), LOWEST, -1)
    fit = fit_slices(powers, PotParameters(theta=0.0), LOWEST, row_mode=False)
    assert fit.iterations[0] == 1
    np.testing.assert_array_equal(fit.coefficients, powers)
    np.testing.assert_allclose(fit.bases[0], np.eye(3), atol=1e-12)


def test_zero_vectors_and_zero_filters_stay_zero() -> None:
    weights = np.random.default_rng(0).normal(0, 0.05, (8, 16, 3, 3)).astype(np.float32)
    weights[:, 3] = 0
    weights[5] = 0
    weights[2, 7, 1] = 0
    layer = decompose_layer(weights)
    decoded = layer.decode()
    assert not decoded[:, 3].any()
    assert not decoded[5].any()
    assert not decoded[2, 7, 1].any()
    assert not layer.levels[5].any()
    assert layer.vector_sparsity > (3 * 8 + 45 + 1) / (8 * 48) - 1e-12


def test_a_layer_of_zeros_decodes_to_zeros() -> None:
    layer = decompose_layer(np.zeros((4, 8, 3, 3), np.float32))
    assert (layer.sparsity, layer.error) == (1.0, 0.0)
    assert not layer.decode().any()


@pytest.mark.parametrize(("size", "best"), [(0.05, -9), (1.0, -5), (1e-6, -25), (3000.0, -2)])
def test_the_run_of_exponents_follows_the_weights(size: float, best: int) -> None:
    values = np.random.default_rng(4).normal(0, size, 5000)
    lowest = choose_lowest_exponent(values, 8, 5)

    def error(low: int) -> float:
        return float(np.sum((values - naive_round(values, low, low + 7)) ** 2))

    assert min(range(-30, -1), key=error) == pytest.approx(lowest, abs=0) == best


def test_weights_of_one_sign_and_size_have_a_run_too() -> None:
    assert choose_lowest_exponent(np.zeros(3), 8, 5) == -2
    assert choose_lowest_exponent(np.full(3, 0.25), 8, 5) + 7 >= -2
    assert choose_lowest_exponent(np.full(3, 2.0**60), 8, 5) == -2


def test_large_weights_are_clipped_to_the_largest_exponent() -> None:
    layer = decompose_layer(np.random.default_rng(0).normal(0, 300, (2, 8, 3, 3)))
    assert np.abs(layer.coefficients()).max() == 32
    assert layer.error < 0.4  # the bases make up for most of it


@pytest.mark.parametrize("index", ["element", "vector", "group"])
def test_error_of_random_weights_is_that_of_eight_magnitudes(index: Any) -> None:  # noqa: ANN401 - a literal
    weights = np.random.default_rng(1).normal(0, 0.03, (32, 64, 3, 3))
    layer = decompose_layer(weights, parameters=PotParameters(theta=0.0, index=index))
    assert 0.1 < layer.error < 0.2  # rounding to powers of two alone leaves 0.19
    assert layer.error == relative_error(weights, layer.decode())
    assert np.abs(layer.levels).max() <= layer_magnitudes(layer) <= (8 if index == "element" else 7)


def layer_magnitudes(layer: PotLayer) -> int:
    return len(np.unique(np.abs(layer.levels[layer.levels != 0])))


def test_groups_of_32_filters_lose_the_same_weakest_vectors() -> None:
    weights = np.random.default_rng(2).normal(0, 0.1, (80, 10, 3, 3))
    pruned = prune_vectors(weights, 0.5, slice_layout(weights.shape))
    vectors = np.asarray(pruned.any(axis=3))
    strength = np.abs(weights).sum(axis=3)
    for first in (0, 32, 64):
        group = vectors[first : first + 32]
        assert (group == group[0]).all()
        assert group[0].sum() == 15
        sums = strength[first : first + 32].sum(axis=0)
        assert sums[group[0]].min() > sums[~group[0]].max()
    assert (pruned[vectors] == weights[vectors]).all()


def test_vectors_of_1_x_1_kernels_are_three_adjacent_channels() -> None:
    weights = np.random.default_rng(2).normal(0, 0.1, (40, 64, 1, 1))
    pruned = prune_vectors(weights, 0.25, slice_layout(weights.shape))
    zero = np.asarray(~pruned[:32, :63, 0, 0].reshape(32, 21, 3).any(axis=(0, 2)))
    assert zero.sum() + (not pruned[:32, 63].any()) == 5  # a quarter of 22 vectors
    layer = decompose_network({"w": weights}, vector_sparsity=0.25).layers[0]
    assert isinstance(layer, PotLayer)
    assert layer.vector_sparsity == pytest.approx(5 / 22)


def test_sparsity_by_name_and_channels_reach_their_arrays() -> None:
    random = np.random.default_rng(3)
    arrays = {name: random.normal(0, 0.1, (32, 16, 3, 3)) for name in ("a", "b", "c")}
    arrays["fc"] = random.normal(0, 0.1, (10, 30))
    made = decompose_network(
        arrays, PotParameters(theta=0.0), vector_sparsity=0.5, layer_sparsity={"b": 0.25}, pruned_channels={"c": [2, 5]}
    )
    sparsities = [layer.vector_sparsity for layer in made.layers if isinstance(layer, PotLayer)]
    assert sparsities[:2] == [0.5, 0.25]
    assert sparsities[2] >= 0.5
    assert not made.layers[2].decode()[:, [2, 5]].any()
    assert sparsities[3] == 0.0  # fully connected layers are exempt


def test_pruning_takes_filters_as_well() -> None:
    pruned = prune_channels(np.ones((3, 4, 1, 1)), channels=[1], filters=[0])
    assert pruned[:, :, 0, 0].tolist() == [[0, 0, 0, 0], [1, 0, 1, 1], [1, 0, 1, 1]]


def test_the_basis_is_stored_in_as_few_bits_as_asked() -> None:
    weights = np.random.default_rng(1).normal(0, 0.05, (16, 16, 3, 3))
    errors = {bits: decompose_layer(weights, parameters=PotParameters(basis_bits=bits)) for bits in (4, 8)}
    assert np.abs(errors[4].basis).max() == 7
    assert errors[4].error > errors[8].error
    exact = fit_slices(to_slices(weights, errors[8].layout), PotParameters(), errors[8].lowest_exponent, row_mode=True)
    bound = errors[8].basis_scale / 2 * (1 + 1e-6)
    assert np.abs(errors[8].basis * errors[8].basis_scale - exact.bases).max() <= bound


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta": -1.0}, "decomposition: theta = -1.0: not accepted; allowed: a number of at least 0"),
        ({"theta": math.nan}, "theta = nan"),
        ({"theta_decay": 1.0}, "theta_decay = 1.0"),
        ({"iterations": 0}, "iterations = 0: not accepted; allowed: at least 1"),
        ({"index": "row"}, "index = 'row': not accepted; allowed: element, vector, group"),
        ({"basis_bits": 9}, "basis_bits = 9"),
        ({"tolerance": -1e-3}, "tolerance"),
        ({"rcond": 1.0}, "rcond"),
        ({"max_exponent": 101}, "max_exponent = 101"),
        ({"row_factor": math.inf}, "row_factor"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match="allowed") as caught:
        PotParameters(**change)
    assert message in str(caught.value)


WEIGHTS = np.random.default_rng(0).normal(0, 0.05, (8, 16, 3, 3)).astype(np.float32)


def spoilt(value: float) -> Floats:
    weights = WEIGHTS.astype(np.float64)
    weights[3, 2, 1, 0] = value
    return weights


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"a": spoilt(math.nan)}, {}, "net.npz: a = nan: 1 of its weights are not finite, the first at (3, 2, 1, 0)"),
        ({"a": WEIGHTS, "b": spoilt(-math.inf)}, {}, "net.npz: b = -inf: 1 of its weights are not finite"),
        ({"a": np.zeros((0, 3, 3, 3))}, {}, "net.npz: a: has no weights: its shape is (0, 3, 3, 3)"),
        ({"a": np.ones((4, 4), np.int32)}, {}, "net.npz: a: holds int32, not floating-point numbers"),
        ({"a": np.ones((4, 2, 1, 1))}, {}, "net.npz: a: no weight array can be decomposed"),
        ({}, {}, "net.npz: has no weights"),
        ({"a": WEIGHTS}, {"layer_sparsity": {"c": 0.5}}, "net.npz: c: sparsity names a weight array that does not"),
        ({"a": WEIGHTS}, {"layer_sparsity": {"a": 1.5}}, "net.npz: a = 1.5: is no sparsity; allowed: 0 to 1"),
        ({"a": WEIGHTS}, {"vector_sparsity": math.nan}, "net.npz: vector_sparsity = nan: is no sparsity"),
        ({"a": WEIGHTS}, {"pruned_channels": {"a": [16]}}, "net.npz: a: cannot prune channels: index 16 is out of"),
        ({"a": WEIGHTS}, {"pruned_channels": {"b": [1]}}, "net.npz: b: pruned_channels names a weight array that"),
    ],
)
def test_weights_that_cannot_be_decomposed_are_named(
    arrays: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorkloadError) as caught:
        decompose_network(arrays, where="net.npz", **options)
    assert str(caught.value).startswith(message)


def test_a_plain_array_cannot_be_decomposed_alone() -> None:
    with pytest.raises(WorkloadError, match="its kernel of 7 x 7 is neither 1 x 1 nor 3 x 3"):
        decompose_layer(np.ones((4, 3, 7, 7)), "stem")


def test_progress_ends_at_one() -> None:
    seen: list[tuple[str, float]] = []
    decompose_network({"a": WEIGHTS, "b": WEIGHTS}, progress=lambda name, done: seen.append((name, done)))
    assert [name for name, _ in seen] == ["a", "a", "b", "b"]
    assert [done for _, done in seen] == [0.0, 0.5, 0.5, 1.0]
