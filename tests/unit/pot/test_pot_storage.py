"""Storage from layer shapes at published sparsity, beside what SmartExchange's table states (shared reference, A2).

Three accountings, each from the published material, none fitted:

- vector: 4 bits per nonzero, 1 bit per row of three coefficients (the accelerator's text), 8-bit bases, and all that is
  not decomposed (7 x 7 stem, biases, normalisations) in 32-bit floating point, as the table's uncompressed sizes
  count it;
- group: the same with 1 bit per row of 32 filters at once (the released pruning zeroes the same rows in all of them);
- code: 1 bit per coefficient and decomposed weights only (the released code's own count).

No accounting meets all six rows within 3 %. `vector` meets ResNet-50; ResNet-164 comes out 4 to 5 % low if every zero
fills a row. Zeros inside kept rows need codes, too: as many as the solver leaves in a residual network trained on
CIFAR-10 and pruned to the same sparsity (nothing of which is taken from the table) put it 1 % high and 1 % low. VGG-19
comes out 77 to 84 % high: its index cannot have a bit per row, for 0.83 MB of index alone is most of the 1.08 MB.
`group` meets VGG-19 alone, `code` ResNet-164 alone. Which rows the paper indexes how, and how much of VGG-19's sparsity
is whole channels without any index, is not public. The residues `table - 4 bits per nonzero` are the same in both rows
of a network, so what is left does not depend on the sparsity; `test_pot_storage_grid.py` tries every combination of
what it may consist of.
"""

from __future__ import annotations

import math

import pytest

from accelsim.resources import resource_folder
from accelsim.workload.loader import load_workload
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.reshaping import slice_layout
from accelsim.workload.pot.sources import read_weights
from accelsim.workload.pot.storage import (
    StorageBits,
    index_bits,
    network_storage_at_sparsity,
    storage_at_sparsity,
)

PUBLISHED = [("vgg19_cifar", 0.928, 1.08), ("vgg19_cifar", 0.937, 0.99), ("resnet164_cifar", 0.376, 0.84),
             ("resnet164_cifar", 0.61, 0.64), ("resnet50", 0.45, 8.88), ("resnet50", 0.586, 7.19)]  # fmt: skip
COMPUTED = {
    "vector": (1.913, 1.823, 0.805, 0.608, 8.808, 7.075),
    "group": (1.104, 1.014, 0.736, 0.540, 7.778, 6.044),
    "code": (3.537, 3.447, 0.849, 0.653, 10.682, 8.949),
}
"""Megabytes, in the order of `PUBLISHED`."""
WITHIN_3_PERCENT = {("group", 0), ("group", 1), ("code", 2), ("code", 3), ("vector", 4), ("vector", 5)}


def megabytes(network: str, sparsity: float, accounting: str) -> float:
    graph = load_workload(network)
    if accounting == "code":
        storage = network_storage_at_sparsity(graph, sparsity, "element")
        return (storage.total_bits - storage.plain_bits) / 8e6
    return network_storage_at_sparsity(graph, sparsity, "group" if accounting == "group" else "vector").megabytes


@pytest.mark.parametrize("accounting", COMPUTED)
@pytest.mark.parametrize("row", range(len(PUBLISHED)))
def test_storage_at_the_published_sparsity(row: int, accounting: str) -> None:
    network, sparsity, published = PUBLISHED[row]
    computed = megabytes(network, sparsity, accounting)
    assert computed == pytest.approx(COMPUTED[accounting][row], abs=6e-4)
    assert (abs(computed / published - 1) <= 0.03) == ((accounting, row) in WITHIN_3_PERCENT)


@pytest.mark.parametrize(
    ("row", "pruned", "zeros_in_rows", "error"), [(2, 0.29, 0.051, 0.009), (3, 0.56, 0.030, -0.010)]
)
def test_zeros_inside_kept_rows_explain_what_the_residual_network_lacks(
    row: int, pruned: float, zeros_in_rows: float, error: float
) -> None:
    network, sparsity, published = PUBLISHED[row]
    trained = read_weights(resource_folder("workloads") / "weights" / "resnet20_cifar.npz").arrays
    fitted = decompose_network(trained, PotParameters(index="vector"), vector_sparsity=pruned)
    coded = fitted.storage().coefficient_bits / 4 / fitted.weight_count
    assert fitted.sparsity == pytest.approx(sparsity, abs=0.01)
    assert coded - (1 - fitted.sparsity) == pytest.approx(zeros_in_rows, abs=2e-3)
    weights = network_storage_at_sparsity(load_workload(network), 0.0, "vector").coefficient_bits / 4
    computed = megabytes(network, sparsity, "vector") + 4 * weights * zeros_in_rows / 8e6
    assert computed / published - 1 == pytest.approx(error, abs=2e-3)


@pytest.mark.parametrize(("network", "sparsity", "published"), PUBLISHED)
def test_published_storage_lies_between_the_extremes_of_structure(
    network: str, sparsity: float, published: float
) -> None:
    """All zeros in whole channels, without index or basis: the least. None in whole rows or channels: the most."""
    graph = load_workload(network)
    least = (
        megabytes(network, sparsity, "code") - network_storage_at_sparsity(graph, sparsity, "element").index_bits / 8e6
    )
    basis = network_storage_at_sparsity(graph, sparsity, "element").basis_bits / 8e6
    least -= basis * sparsity
    most = network_storage_at_sparsity(graph, sparsity, "element").megabytes
    assert least < published < most


def test_basis_of_vgg_19_is_nine_bytes_to_576_weights() -> None:
    storage = network_storage_at_sparsity(load_workload("vgg19_cifar"), 0.928, "vector")
    assert storage.basis_bits / 8e6 == pytest.approx(0.313, abs=1e-3)
    assert storage.coefficient_bits / 8e6 == pytest.approx(0.721, abs=1e-3)


def test_bits_of_one_layer() -> None:
    shape = (64, 64, 3, 3)
    weights = math.prod(shape)
    layout = slice_layout(shape)
    assert storage_at_sparsity(shape, 0.75, "element") == StorageBits(weights, weights, 64 * 72, 0)
    assert storage_at_sparsity(shape, 0.75, "vector") == StorageBits(weights, weights // 3, 64 * 72, 0)
    assert index_bits(layout, "group") == 2 * 192
    assert storage_at_sparsity((8, 3, 7, 7), 0.75, "vector") == StorageBits(plain_bits=32 * 8 * 147)


def test_padding_has_index_bits_but_no_codes() -> None:
    storage = storage_at_sparsity((10, 64), 0.0, "element")
    assert (storage.coefficient_bits, storage.index_bits) == (4 * 640, 660)


def test_shared_weights_and_everything_plain_count_once() -> None:
    graph = load_workload("resnet50")
    storage = network_storage_at_sparsity(graph, 0.5, "vector")
    stem, normalisations, bias = 64 * 147, 2 * 26_560, 1000
    assert storage.plain_bits == 32 * (stem + normalisations + bias)
