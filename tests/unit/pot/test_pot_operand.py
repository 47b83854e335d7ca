"""What tiles of decomposed weights take, how their bytes lie, and what annotated workloads make of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.units import ceil_div
from accelsim.workload.loader import load_workload
from accelsim.workload.pot.files import load_pot_weights, save_pot_weights
from accelsim.workload.pot.operand import KnownPotOperand, StatedPotOperand
from accelsim.workload.pot.parameters import Index, PotParameters
from accelsim.workload.pot.reshaping import SliceLayout, slice_layout
from accelsim.workload.pot.tile_bytes import TileContent, TileShape, decode_tile, encode_tile, tile_content
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

INDICES: tuple[Index, ...] = ("element", "vector", "group")
indices = st.sampled_from(INDICES)


def operand(shape: tuple[int, ...], rows: int, index: Index, seed: int = 0, density: float = 0.6) -> KnownPotOperand:
    """Random coefficients, `rows` to a slice; padding is zero, as the solver leaves it."""
    random = np.random.default_rng(seed)
    weights = math.prod(shape[1:])
    layout = SliceLayout(shape, ceil_div(ceil_div(weights, 3), rows), rows)
    levels = random.integers(1, 9 if index == "element" else 8, (shape[0], layout.slices * rows * 3))
    levels *= random.choice([-1, 1], levels.shape)
    levels[random.random(levels.shape) >= density] = 0
    levels[:, weights:] = 0
    levels = levels.reshape(layout.all_slices, rows, 3)
    levels[random.random(levels.shape[:2]) >= density] = 0
    basis = random.integers(-127, 128, (layout.all_slices, 3, 3)).astype(np.int8)
    return KnownPotOperand(PotLayer("w", layout, levels.astype(np.int8), -3, basis, 0.5, 0.0), index)


def whole(of: KnownPotOperand) -> tuple[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]], ...]:
    return tuple((np.array([0]), np.array([end])) for end in (of.layout.filters, of.filter_rows))


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize(("shape", "rows"), [((70, 8, 3, 3), 8), ((5, 10, 1, 1), 4), ((33, 40), 3)])
def test_one_tile_takes_what_the_file_takes(shape: tuple[int, ...], rows: int, index: Index) -> None:
    pot = operand(shape, rows, index)
    tile, stored = pot.tile_bits(*whole(pot)), pot.layer.storage(index)
    assert (tile.codes.item(), tile.index.item(), tile.basis.item()) == (
        stored.coefficient_bits, stored.index_bits, stored.basis_bits
    )  # fmt: skip
    assert pot.storage == stored


@pytest.mark.parametrize("index", INDICES)
def test_tiles_along_slices_and_index_groups_add_up(index: Index) -> None:
    pot = operand((70, 8, 3, 3), 8, index)
    filters = np.array([0, 32, 64, 70])
    rows = np.array([0, 8, 24])
    tiles = pot.tile_bits((filters[:-1], filters[1:]), (rows[:-1], rows[1:]))
    assert tiles.total.shape == (3, 2)
    assert tiles.total.sum() == pot.storage.total_bits


def test_what_lies_on_a_cut_is_in_both_tiles() -> None:
    pot = operand((40, 8, 3, 3), 8, "group")
    halves = pot.tile_bits((np.array([0, 20]), np.array([20, 40])), (np.array([0, 4]), np.array([4, 24])))
    assert halves.codes.sum() == pot.storage.coefficient_bits
    assert halves.basis.sum() == pot.storage.basis_bits + 40 * 72, "the first slice is cut"
    assert halves.index[:, 0].tolist() == [4, 2 * 4], "filters 20 to 39 are of two groups of 32"


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(40, 3, 3, 3), (35, 7, 1, 1), (3, 20), (66, 2, 3, 3)]), rows=st.integers(1, 6),
    index=indices, seed=st.integers(0, 50), cut=st.tuples(*(st.floats(0, 1) for _ in range(4))),
)  # fmt: skip
def test_bytes_of_a_tile_and_back(
    shape: tuple[int, ...], rows: int, index: Index, seed: int, cut: tuple[float, ...]
) -> None:
    pot = operand(shape, rows, index, seed)
    first, begin = int(cut[0] * (pot.layout.filters - 1)), int(cut[1] * (pot.filter_rows - 1))
    end = first + 1 + int(cut[2] * (pot.layout.filters - first - 1))
    stop = begin + 1 + int(cut[3] * (pot.filter_rows - begin - 1))
    tile = TileShape(pot.layout, index, (first, end), (begin, stop))
    content = tile_content(pot, tile)
    stored = encode_tile(content, tile)
    bits = pot.tile_bits((np.array([first]), np.array([end])), (np.array([begin]), np.array([stop]))).total.item()
    assert stored.nbytes == ceil_div(bits, 8)
    back = decode_tile(stored, tile)
    for name in ("levels", "index", "basis"):
        np.testing.assert_array_equal(getattr(back, name), getattr(content, name))
    assert back.levels.dtype == back.basis.dtype == np.int8


@pytest.mark.parametrize("index", INDICES)
def test_any_bytes_are_read_as_a_machine_would(index: Index) -> None:
    pot = operand((6, 4, 3, 3), 4, index)
    tile = TileShape(pot.layout, index, (0, 6), (0, pot.filter_rows))
    stored = encode_tile(tile_content(pot, tile), tile)
    random = np.random.default_rng(1)
    for _ in range(50):
        flipped = stored.copy()
        flipped[random.integers(flipped.size)] ^= np.uint8(1 << random.integers(8))
        read = decode_tile(flipped, tile)
        assert read.levels.shape == (6, pot.filter_rows, 3)
        assert np.abs(read.levels).max() <= (8 if index == "element" else 7)
    nothing = decode_tile(np.full(stored.size, 255, np.uint8), tile)
    assert nothing.index.all(), "codes that are not there count as zero"


def test_a_flipped_code_changes_one_coefficient() -> None:
    pot = operand((4, 4, 3, 3), 4, "element", density=1.0)
    tile = TileShape(pot.layout, "element", (0, 4), (0, pot.filter_rows))
    content = tile_content(pot, tile)
    stored = encode_tile(content, tile)
    stored[-1] ^= 0b1000  # the sign of the last code
    read = decode_tile(stored, tile)
    assert isinstance(read, TileContent)
    changed = np.argwhere(read.levels != content.levels)
    assert changed.tolist() == [[3, 11, 2]]
    assert read.levels[3, 11, 2] == -content.levels[3, 11, 2]


def test_stated_sparsity_takes_what_its_storage_says() -> None:
    layout = slice_layout((64, 64, 3, 3))
    pot = StatedPotOperand(layout, "vector", 0.5, 0.8)
    rows = 64 * 64 * 3
    assert pot.storage.coefficient_bits == rows // 2 * 3 * 4
    assert pot.storage.index_bits == rows
    assert pot.storage.basis_bits == 64 * 72
    assert pot.nonzeros == round(rows * 3 * 0.5 * 0.8)
    assert pot.shared_row_density(2) == 0.75
    grouped = StatedPotOperand(layout, "vector", 0.5, 0.8, 32)
    assert grouped.storage == pot.storage
    assert grouped.shared_row_density(32) == 0.5
    assert grouped.shared_row_density(64) == 0.75
    by_element = StatedPotOperand(layout, "element", 0.5, 0.8)
    assert by_element.storage.coefficient_bits == round(rows * 3 * 0.4) * 4


# -- annotated workloads -----------------------------------------------------------------------------------------------

NETWORK = """
accelsim_workload: 1
name: net
inputs: {image: [1, 4, 8, 8]}
layers:
  - {name: stem, op: conv, out_channels: 8, kernel: 5, padding: 2}
  - {name: body, op: conv, out_channels: 8, kernel: 3, padding: 1}
  - {name: head, op: gemm, out_features: 10}
"""


def annotated(folder: Path, text: str) -> Path:
    (folder / "net.yaml").write_text(NETWORK, "utf-8")
    path = folder / "annotated.yaml"
    path.write_text(f"accelsim_workload: 1\nnetwork: net.yaml\n{text}", "utf-8")
    return path


def saved(folder: Path, *layers: PotLayer | PlainLayer, index: Index = "vector") -> None:
    save_pot_weights(PotWeights("net", layers, PotParameters(index=index)), folder / "pot.npz")


def body(index: Index = "vector") -> PotLayer:
    layer = operand((8, 8, 3, 3), 24, index).layer
    return PotLayer("body.weight", layer.layout, layer.levels, -3, layer.basis, 0.5, 0.0)


def test_weights_of_a_file_are_annotations(tmp_path: Path) -> None:
    stem = PlainLayer("stem.weight", np.ones((8, 4, 5, 5), np.float32), "its kernel is too large")
    saved(tmp_path, stem, body())
    known = load_workload(annotated(tmp_path, "pot_weights: pot.npz\n")).annotations
    pot = known.of_tensor("body.weight").pot
    assert isinstance(pot, KnownPotOperand)
    assert pot.index == "vector"
    np.testing.assert_array_equal(pot.layer.levels, body().levels)
    assert known.of_tensor("stem.weight").pot is None
    np.testing.assert_array_equal(known.of_tensor("stem.weight").values, np.full((8, 4, 5, 5), 127))
    values, decoded = known.of_tensor("body.weight").values, body().decode()
    assert values is not None
    assert values.dtype == np.int8
    scale = np.abs(decoded).max(axis=(1, 2, 3), keepdims=True) / 127
    assert np.abs(values - decoded / scale).max() <= 0.5 + 1e-5
    assert not values[decoded == 0].any()
    assert known.of_tensor("head.weight").known == "nothing", "a file may leave weights out"


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    other = operand((8, 4, 3, 3), 12, "vector").layer
    saved(tmp_path, PotLayer("body.weight", other.layout, other.levels, -3, other.basis, 0.5, 0.0))
    path = annotated(tmp_path, "pot_weights: pot.npz\n")
    with pytest.raises(WorkloadError, match=r"pot.npz: body.weight: has shape .*8, 4, 3, 3.*in network net it has"):
        load_workload(path)
    saved(tmp_path, other)
    with pytest.raises(WorkloadError, match=r"pot.npz: w: network net has no such weight array: .* 'net'"):
        load_workload(path)
    path.write_text(path.read_text("utf-8").replace("pot.npz", "none.npz"), "utf-8")
    with pytest.raises(WorkloadError, match=r"none.npz: no such file"):
        load_workload(path)


def test_stated_sparsity_holds_for_all_layers_that_can_be_decomposed(tmp_path: Path) -> None:
    text = "statistics: {default: {weight: {density: 0.9, pot: {vector_density: 0.4, density: 0.7, index: group}}}}"
    known = load_workload(annotated(tmp_path, text)).annotations
    for name in ("body", "head"):
        pot = known.of_tensor(f"{name}.weight").pot
        assert isinstance(pot, StatedPotOperand)
        assert (pot.vector_density, pot.density, pot.index, pot.shared_filters) == (0.4, 0.7, "group", 32)
        assert known.of_tensor(f"{name}.weight").density == 0.4
    assert known.of_tensor("stem.weight").pot is None
    assert known.of_tensor("stem.weight").density == 0.9


def test_a_layer_states_its_own_sparsity(tmp_path: Path) -> None:
    layers = "{body: {weight: {pot: {density: 0.5}}}, head: {weight: {density: 0.1}}}"
    text = f"statistics: {{default: {{weight: {{pot: {{}}}}}}, layers: {layers}}}"
    known = load_workload(annotated(tmp_path, text)).annotations
    assert known.of_tensor("body.weight").pot == StatedPotOperand(slice_layout((8, 8, 3, 3)), "vector", 1.0, 0.5)
    assert known.of_tensor("head.weight").pot is None
    assert known.of_tensor("stem.weight").known == "nothing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("statistics: {layers: {stem: {weight: {pot: {}}}}}", r"layers.stem.weight.pot: .*5 x 5 is neither"),
        ("statistics: {layers: {body: {weight: {}}}}", "weight: needs density, or pot"),
        ("statistics: {layers: {body: {weight: {pot: {density: 1.5}}}}}", "pot.density = 1.5: not accepted"),
        ("statistics: {layers: {body: {weight: {pot: {index: row}}}}}", "pot.index = 'row': not accepted"),
        ("statistics: {layers: {body: {ifmap: {pot: {}}}}}", "ifmap.pot: unknown key"),
        ("statistics: {layers: {body: {weight: {pot: {shared_filters: 0}}}}}", "pot.shared_filters = 0: not accepted"),
        ("pot_weights: 3", "pot_weights = 3: not accepted"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        load_workload(annotated(tmp_path, text))


@pytest.mark.parametrize("name", ["resnet20_cifar", "vgg7_cifar"])
def test_shipped_networks_are_what_their_note_says(name: str) -> None:
    folder = Path(__file__).parents[3] / "workloads" / "weights"
    path = folder / f"{name}_pot.npz"
    assert path.stat().st_size < 300_000
    weights = load_pot_weights(path)
    graph = load_workload(f"{name}_pot")
    assert len(weights.for_graph(graph)) == sum(graph.weight_tensor(layer) is not None for layer in graph.layers)
    plain = weights.weight_count * 32
    assert f"{plain / weights.storage().total_bits:.1f} times smaller" in (graph.description or "")


@pytest.mark.parametrize(
    ("network", "published"),
    [("vgg11", 17.98), ("resnet50", 8.88), ("mobilenetv2", 2.12), ("efficientnet_b0", 3.06), ("vgg19_cifar", 1.08),
     ("resnet164_cifar", 0.84)],
)  # fmt: skip
def test_workloads_of_smartexchange_take_what_its_table_says(network: str, published: float) -> None:
    """Megabytes of SmartExchange's table 2, recalled; the table counts what stays plain, too, so these are less."""
    graph = load_workload(f"{network}_smartexchange")
    pots = [data.pot for data in graph.annotations.operands.values() if data.pot]
    assert 0.94 * published <= sum(pot.storage.megabytes for pot in pots) <= 1.02 * published
