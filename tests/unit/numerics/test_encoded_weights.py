"""Bits of encoded weights that flip change the weights that an array rebuilds, and so what a network answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.config.loader import load_hardware
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.element_order import WeightOrder
from accelsim.mapping.network import map_network
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.numerics.classifier import WeightInput
from accelsim.numerics.encoded_weights import EncodedWeights
from accelsim.numerics.number_format import FP32, INT8
from accelsim.numerics.placed_faults import encoded_weights
from accelsim.numerics.stored_network import StoredWeights
from accelsim.pipeline import memory_interface, simulate
from accelsim.workload.loader import load_workload
from accelsim.workload.pot.decompose import decompose_layer, decompose_network
from accelsim.workload.pot.files import save_pot_weights
from accelsim.workload.pot.operand import KnownPotOperand
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.sources import read_weights

if TYPE_CHECKING:
    from accelsim.result import AccuracyResult
    from accelsim.workload.pot.parameters import Index
    from accelsim.workload.pot.tile_bytes import TileShape

SHAPE = (40, 9, 3, 3)
WHOLE = WeightOrder(1, 40, 81, 1, 40, 81, 8)
CUTS = [
    WHOLE,
    WeightOrder(1, 40, 81, 1, 12, 81, 8),
    WeightOrder(1, 40, 81, 1, 40, 20, 8),
    WeightOrder(4, 10, 81, 3, 10, 81, 8),
]
INDICES: list[Index] = ["element", "vector", "group"]


def encoded(index: Index, cut: WeightOrder = WHOLE, shape: tuple[int, ...] = SHAPE) -> EncodedWeights:
    weights = np.random.default_rng(5).normal(0, 0.02, shape).astype(np.float32)
    weights.reshape(shape[0], -1, 3)[:, ::4] = 0.0
    layer = decompose_layer(weights, "w", PotParameters(theta=0.01, index=index))
    return EncodedWeights(KnownPotOperand(layer, index), cut)


def slowly_decoded(weights: EncodedWeights, tile: int, stored: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Weights of a tile, (filters, rows, columns), read bit by bit; those without a code read zero."""
    shape: TileShape = weights.tiles[tile]
    layer, layout = weights.pot.layer, shape.layout
    bits = iter("".join(f"{byte:08b}" for byte in stored))

    def take(count: int) -> int:
        text = "".join(next(bits, "x") for _ in range(count))
        return 0 if "x" in text else int(text, 2)

    first, end = shape.slices
    filters, rows = range(*shape.filters), range(*shape.rows)
    signed = [(take(8) ^ 128) - 128 for _ in range(len(filters) * (end - first) * 9)]
    bases = np.array(signed, np.float64).reshape(len(filters), end - first, 3, 3)
    lines = shape.index_shape[0]
    kept = [[bool(take(1)) for _ in range(shape.index_bits // lines)] for _ in range(lines)]
    found = np.zeros((len(filters), len(rows), 3))
    for number, owner in enumerate(filters):
        line = kept[owner // 32 - filters[0] // 32 if shape.index == "group" else number]
        for row, place in enumerate(rows):
            coefficients = np.zeros(3)
            for column in range(3):
                if not line[3 * row + column if shape.index == "element" else row]:
                    continue
                left = "".join(next(bits, "x") for _ in range(4))
                code = int(left, 2) if "x" not in left else -1
                size = (code & 7) + (shape.index == "element") if code >= 0 else 0
                if size:
                    coefficients[column] = (-1 if code & 8 else 1) * 2.0 ** (size - 1 + layer.lowest_exponent)
            found[number, row] = coefficients @ bases[number, place // layout.rows - first]
    return found * layer.basis_scale


def with_flips(weights: EncodedWeights, places: list[int]) -> np.ndarray[Any, Any]:
    """All weights when bits at these places flip, (outputs, inputs)."""
    read = weights.stored.copy()
    for place in places:
        read[place // 8] ^= 128 >> place % 8
    elements, values = weights.changed(read, np.unique(np.array(places, np.int64) // 8))
    assert len(np.unique(elements)) == len(elements)
    found = weights.weights.reshape(-1).copy()
    assert (found[elements] != values).all()
    found[elements] = values
    return found.reshape(weights.weights.shape)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("cut", CUTS)
def test_bytes_as_stored_change_nothing(index: Index, cut: WeightOrder) -> None:
    weights = encoded(index, cut)
    elements, values = weights.changed(weights.stored, np.arange(weights.stored.size))
    assert elements.size == values.size == 0
    assert weights.order.size_bytes == weights.stored.size == weights.starts[-1]


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("cut", CUTS)
@settings(max_examples=15)
@given(data=st.data())
def test_flipped_bits_give_what_a_slow_decoder_reads(index: Index, cut: WeightOrder, data: st.DataObject) -> None:
    weights = encoded(index, cut)
    tile = data.draw(st.integers(0, len(weights.tiles) - 1))
    begin, end = weights.starts[tile : tile + 2]
    places = data.draw(st.lists(st.integers(8 * int(begin), 8 * int(end) - 1), min_size=1, max_size=5, unique=True))
    found = with_flips(weights, places)
    read = weights.stored.copy()
    for place in places:
        read[place // 8] ^= 128 >> place % 8
    shape = weights.tiles[tile]
    slow = slowly_decoded(weights, tile, read[begin:end]).reshape(shape.filters[1] - shape.filters[0], -1)
    depth = cut.k if cut.tile_k == cut.k else cut.tile_k
    first = tile % -(-cut.k // depth) * depth
    last = min(first + depth, cut.k)
    before = shape.rows[0] * 3
    expected = weights.weights.copy()
    expected[slice(*shape.filters), first:last] = slow[:, first - before : last - before].astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def places_of(weights: EncodedWeights) -> tuple[int, int]:
    """First bits of index and codes of a layer that is one tile."""
    shape = weights.tiles[0]
    return shape.basis_bits, shape.basis_bits + shape.index_bits


def coefficients_changed(weights: EncodedWeights, found: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """Filters and rows whose weights differ from those stored."""
    rows = (found != weights.weights).reshape(len(found), -1, 3).any(axis=2)
    return [(int(owner), int(row)) for owner, row in np.argwhere(rows)]


def test_sign_bits_negate_and_exponent_bits_scale() -> None:
    weights = encoded("element")
    codes, layer = places_of(weights)[1], weights.pot.layer
    owner, row, column = (int(part[70]) for part in np.nonzero(weights.pot.levels))
    level = int(weights.pot.levels[owner, row, column])
    scales = {0: -2.0 * abs(2.0 ** (abs(level) - 1)) * np.sign(level)}
    for bit, worth in ((1, 4), (2, 2), (3, 1)):
        code = (abs(level) - 1) ^ worth
        scales[bit] = np.sign(level) * (2.0**code - 2.0 ** (abs(level) - 1))
    basis = layer.basis[owner * layer.layout.slices, column].astype(np.float64) * layer.basis_scale
    for bit, change in scales.items():
        found = with_flips(weights, [codes + 4 * 70 + bit])
        assert coefficients_changed(weights, found) == [(owner, row)]
        difference = (found - weights.weights).reshape(len(found), -1, 3)[owner, row]
        np.testing.assert_allclose(difference, change * 2.0**layer.lowest_exponent * basis, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("index", INDICES)
def test_a_byte_of_a_basis_changes_its_slice_alone(index: Index) -> None:
    weights = encoded(index, WeightOrder(1, 4, 81 * 9, 1, 4, 81 * 9, 8), (4, 81, 3, 3))
    layout = weights.pot.layout
    assert layout.slices > 1
    number = 2 * layout.slices + 1
    found = with_flips(weights, [number * 72 + 1])
    touched = coefficients_changed(weights, found)
    assert touched
    assert {(owner, row // layout.rows) for owner, row in touched} == {(2, 1)}


def test_an_index_bit_adds_or_removes_a_coefficient_and_shifts_those_behind_it() -> None:
    weights = encoded("element")
    start = places_of(weights)[0]
    stored = np.argwhere(weights.pot.levels)
    last = tuple(stored[-1])
    place = start + int(np.ravel_multi_index(last, weights.pot.levels.shape))
    removed = with_flips(weights, [place])
    assert coefficients_changed(weights, removed) == [(last[0], last[1])]
    first = tuple(stored[0])
    shifted = with_flips(weights, [start + int(np.ravel_multi_index(first, weights.pot.levels.shape))])
    assert len(coefficients_changed(weights, shifted)) > 0.5 * len(np.unique(stored[:, :2], axis=0))
    empty = tuple(np.argwhere(weights.pot.levels[0] == 0)[0])
    added = with_flips(weights, [start + int(np.ravel_multi_index(empty, weights.pot.levels.shape[1:]))])
    assert (0, empty[0]) in coefficients_changed(weights, added)


def test_rebuilt_weights_that_cannot_be_right_are_corrected() -> None:
    words = np.array([[100, -20], [-3, 50]], np.int8).view(np.uint8)
    place = WeightInput("node", 1, "w", inputs_first=False)
    stored = StoredWeights("w", place, INT8, np.array([[0.5], [2.0]], np.float32), words)
    elements, values = np.array([0, 1, 3]), np.array([60.0, -4.0, 500.0], np.float32)
    wanted = {"zero": ([0, -8, 0], 2), "saturate": ([100, -8, 100], 2), "none": ([120, -8, 127], 0)}
    for correction, (expected, corrected) in wanted.items():
        found, count = stored.rebuilt(elements, values, correction)  # type: ignore[arg-type]
        assert found.view(np.int8).tolist() == expected
        assert count == corrected
    pair = np.array([[1.0, -2.0]], np.float32).view(np.uint32)
    floats = StoredWeights("w", place, FP32, np.ones((), np.float32), pair)
    found, count = floats.rebuilt(np.array([0, 1]), np.array([0.5, -9.0], np.float32), "zero")
    assert found.view(np.float32).tolist() == [0.5, 0.0]
    assert count == 1


MODELS = Path(__file__).parents[3] / "workloads" / "models"
LOW = ["dram.partitions=[{name: all, operating_point: {vdd_v: 1.1}}]", "dram.bit_errors={table: eden_table3}"]
NOMINAL = ["dram.partitions=[{name: all}]", "dram.bit_errors={table: eden_table3}"]


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained Fashion-MNIST network with decomposed weights, and its test images."""
    folder = tmp_path_factory.mktemp("pot")
    arrays = read_weights(MODELS / "fashion_cnn.onnx").arrays
    save_pot_weights(decompose_network(arrays, PotParameters(index="vector")), folder / "pot.npz")
    images = MODELS.parent / "images" / "fashion_mnist_2000.npz"
    (folder / "net.yaml").write_text(
        f"accelsim_workload: 1\nnetwork: {MODELS / 'fashion_cnn.onnx'}\npot_weights: pot.npz\nimages: {images}\n"
    )
    return folder / "net.yaml"


def accuracy(machine: str, workload: Path, overrides: list[str], seed: int = 0) -> AccuracyResult:
    request = AccuracyRequest(samples=200, images_per_load=50)
    found = simulate(machine, workload, overrides=overrides, accuracy=request, seed=seed).accuracy
    assert found is not None
    return found


@pytest.mark.parametrize("machine", ["smartexchange", "systolic_32x32"])
def test_encoded_weights_flip_in_runs(workload: Path, machine: str) -> None:
    """On an array that rebuilds, and on one behind a decoder."""
    whole = accuracy(machine, workload, NOMINAL)
    assert whole.value == whole.clean
    assert whole.flips_per_pass == {}
    faulty, again = (accuracy(machine, workload, LOW, seed=1) for _ in range(2))
    assert faulty == again
    flipped = {tensor for layer in faulty.flips_per_pass.values() for tensor in layer}
    weights = {f"{name}.weight" for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1")}
    assert len(flipped & weights) >= 4
    assert faulty.clean is not None
    assert faulty.value < faulty.clean


@pytest.mark.parametrize("machine", ["smartexchange", "systolic_32x32"])
def test_tiles_lie_in_dram_as_they_are_encoded(workload: Path, machine: str) -> None:
    config = load_hardware(machine)
    mapping = map_network(
        load_workload(workload), config, memory_interface(config, Dram(config.dram)), build_array(config)
    )
    for index, stored in mapping.weights.items():
        found = encoded_weights(mapping, mapping.stages[index])
        assert found is not None
        assert mapping.placement.regions[stored.region].size_bytes == found.stored.size
