from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from accelsim.errors import InputError, WorkloadError
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, Gemm, Window
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.files import load_pot_weights, save_pot_weights, to_arrays
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Arrays = dict[str, np.ndarray[Any, Any]]

GRAPH = chain(
    "small",
    Tensor("x", (1, 3, 8, 8)),
    [
        ("stem", Conv(3, Window((7, 7), padding=(3, 3, 3, 3)), bias=False)),
        ("conv", Conv(9, Window((3, 3)), bias=False)),
        ("fc", Gemm(10, bias=False)),
    ],
)


def weights_of_graph(index: Any = "element") -> PotWeights:  # noqa: ANN401 - a literal
    random = np.random.default_rng(0)
    tensors = [GRAPH.weight_tensor(layer) for layer in GRAPH.layers]
    arrays = {t.name: random.normal(0, 0.1, t.shape).astype(np.float32) for t in tensors if t is not None}
    return decompose_network(arrays, PotParameters(index=index, iterations=4), network="small", vector_sparsity=0.4)


@pytest.fixture(scope="module")
def made() -> PotWeights:
    return weights_of_graph()


@pytest.fixture
def arrays(made: PotWeights) -> Arrays:
    return to_arrays(made)


def header_of(arrays: Arrays) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(arrays["header"].tobytes())
    return header


def with_header(arrays: Arrays, change: Callable[[dict[str, Any]], object]) -> Arrays:
    header = header_of(arrays)
    change(header)
    return arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}


def test_the_header_says_what_the_file_is(arrays: Arrays) -> None:
    header = header_of(arrays)
    assert (header["format"], header["version"], header["network"]) == ("accelsim-pot-weights", 1, "small")
    assert [layer["kind"] for layer in header["layers"]] == ["plain", "pot", "pot"]
    assert header["layers"][1] | {"error": 0, "basis_scale": 0} == {
        "kind": "pot", "name": "conv.weight", "weight_shape": [9, 3, 3, 3], "slices": 1, "rows": 9, "basis": 3,
        "lowest_exponent": header["layers"][1]["lowest_exponent"], "basis_scale": 0, "error": 0,
    }  # fmt: skip
    assert [name for name in arrays if name != "header"] == [
        "plain_0", "coefficients_1", "index_1", "basis_1", "coefficients_2", "index_2", "basis_2"
    ]  # fmt: skip


def test_codes_are_laid_out_as_documented() -> None:
    """One slice of three rows: +lowest, -next, 0 / zeros / 0, 0, +highest."""
    levels = np.array([[[1, -2, 0], [0, 0, 0], [0, 0, 7]]], np.int8)
    from accelsim.workload.pot.encoding import encode
    from accelsim.workload.pot.reshaping import slice_layout

    layout = slice_layout((1, 9))
    codes, index = encode(levels, layout, "element")
    assert index.tolist() == [0b11000000, 0b10000000]
    assert codes.tolist() == [0b1001_0000, 0b0110]
    codes, index = encode(levels, layout, "vector")
    assert index.tolist() == [0b10100000]
    assert codes.tolist() == [0b1010_0001, 0b0000_0000, 0b0111_0000]


def test_the_same_weights_make_the_same_bytes(made: PotWeights, tmp_path: Path) -> None:
    for name in ("one.npz", "other.npz"):
        save_pot_weights(made, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "other.npz"]


def test_a_write_that_fails_leaves_what_was_there(
    made: PotWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.npz"
    path.write_text("before")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("accelsim.workload.pot.files.np.savez", fail)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        save_pot_weights(made, path)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.npz"]


def test_weights_find_their_layers(made: PotWeights) -> None:
    found = made.for_graph(GRAPH)
    assert list(found) == ["stem", "conv", "fc"]
    assert isinstance(found["stem"], PlainLayer)
    assert isinstance(found["conv"], PotLayer)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([("conv", Conv(8, Window((3, 3))))], "w.npz: conv.weight: has shape (9, 3, 3, 3), in network other it has"),
        ([("convolution", Conv(8, Window((3, 3))))], "w.npz: stem.weight: network other has no such weight array: "),
    ],
)
def test_weights_of_another_network_are_refused(made: PotWeights, steps: list[Any], message: str) -> None:
    other = chain("other", Tensor("x", (1, 3, 8, 8)), steps)
    with pytest.raises(WorkloadError) as caught:
        made.for_graph(other, "w.npz")
    assert str(caught.value).startswith(message)


def layer_change(number: int, **values: object) -> Callable[[Arrays], Arrays]:
    return lambda arrays: with_header(arrays, lambda header: header["layers"][number].update(values))


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


def changed(name: str, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {name: change(arrays[name])}


def header_change(**values: object) -> Callable[[Arrays], Arrays]:
    return lambda arrays: with_header(arrays, lambda header: header.update(values))


def raised_bit(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    raised = array.copy()
    raised[-1] |= 1
    return raised


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("header"), "is no file of power-of-two weights: it has no header"),
        (changed("header", lambda a: a[:-5]), "header: is no JSON text"),
        (changed("header", lambda a: a.astype(np.float32)), "header: is no JSON text"),
        (header_change(format="zip"), "header: is no file of power-of-two weights"),
        (header_change(version=2), "version = 2: is a version that this accelsim does not read; allowed: 1"),
        (header_change(extra=1), "extra: unknown key"),
        (header_change(layers=[]), "layers"),
        (header_change(parameters={}), "parameters.theta"),
        (layer_change(1, weight_shape=[8, 0, 3, 3]), "conv.weight.weight_shape = (8, 0, 3, 3): is no shape of weights"),
        (layer_change(1, weight_shape=[2**30, 2**30, 3, 3]), "is no shape of weights"),
        (layer_change(1, weight_shape=[18, 3, 3, 3]), "conv.weight: its array basis_1 is int8 of shape (9, 3, 3), not"),
        (layer_change(1, weight_shape=[9, 4, 3, 3]), "conv.weight: 1 slices of 9 rows do not hold filters of 36"),
        (layer_change(1, rows=40), "conv.weight: its index has 31 bytes, the layer needs 135"),
        (layer_change(1, slices=2), "conv.weight: 2 slices of 9 rows do not hold filters of 27 weights"),
        (layer_change(1, rows=-1), "layers.1"),
        (layer_change(1, lowest_exponent=200), "lowest_exponent"),
        (layer_change(1, lowest_exponent=119), "conv.weight.lowest_exponent = 119: too large"),
        (layer_change(1, basis_scale=0.0), "basis_scale"),
        (layer_change(1, basis=4), "layers.1"),
        (layer_change(0, weight_shape=[3, 3, 7, 8]), "stem.weight: its array plain_0 is float32 of shape (3, 3, 7, 7)"),
        (without("plain_0"), "stem.weight: its array plain_0 is missing"),
        (without("index_2"), "fc.weight: its array index_2 is missing"),
        (changed("coefficients_1", lambda a: a[:-1]), "conv.weight: its index names "),
        (changed("coefficients_1", lambda a: a.astype(np.int16)), "conv.weight: its array coefficients_1 is int16"),
        (changed("coefficients_1", lambda a: a[None]), "conv.weight: its array coefficients_1 is uint8 of shape (1, "),
        (changed("index_1", raised_bit), "conv.weight: bits are set behind the end of its index"),
        (changed("index_1", lambda a: a[:-1]), "conv.weight: its index has 30 bytes, the layer needs 31"),
        (changed("index_2", np.bitwise_not), "fc.weight: its index names "),
        (changed("plain_0", lambda a: a * np.nan), "stem.weight: some of its weights are not finite"),
        (lambda arrays: arrays | {"basis_9": arrays["basis_1"]}, "basis_9: is an array that the header does not know"),
    ],
)
def test_tampered_files_are_refused(
    damage: Callable[[Arrays], Arrays], message: str, arrays: Arrays, tmp_path: Path
) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, allow_pickle=False, **damage(arrays))
    with pytest.raises(WorkloadError) as caught:
        load_pot_weights(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_zeros_that_no_encoder_writes_are_refused(tmp_path: Path) -> None:
    for name, change, message in (
        ("coefficients_1", lambda a: np.full_like(a, 0x88), "conv.weight: it has a negative zero"),
        ("coefficients_1", np.zeros_like, "conv.weight: its index names vectors without any nonzero"),
    ):
        arrays = to_arrays(weights_of_graph("vector"))
        np.savez(tmp_path / "w.npz", allow_pickle=False, **changed(name, change)(arrays))
        with pytest.raises(WorkloadError, match=message):
            load_pot_weights(tmp_path / "w.npz")


def test_a_file_cut_short_anywhere_is_refused(made: PotWeights, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    save_pot_weights(made, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(WorkloadError, match="is no npz archive of plain arrays, or a damaged one"):
            load_pot_weights(path)


def test_a_flipped_byte_never_ends_in_another_error(made: PotWeights, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    save_pot_weights(made, path)
    whole = bytearray(path.read_bytes())
    for place in range(0, len(whole), 61):
        spoilt = whole.copy()
        spoilt[place] ^= 0xFF
        path.write_bytes(bytes(spoilt))
        with suppress(WorkloadError):  # or none: some bytes of an archive mean nothing, such as dates
            load_pot_weights(path)


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones(3))
    np.savez(tmp_path / "pickled.npz", a=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name, message in (
        ("absent.npz", "no such file"),
        (".", "is a directory, not a file"),
        ("one.npy", "is one array, not an npz archive"),
        ("pickled.npz", "is no npz archive of plain arrays, or a damaged one"),
        ("text.npz", "is no npz archive of plain arrays, or a damaged one"),
        ("empty.npz", "is no npz archive of plain arrays, or a damaged one"),
    ):
        with pytest.raises(WorkloadError, match=message) as told:
            load_pot_weights(tmp_path / name)
        assert "pickle=" not in str(told.value), "no advice how to load it nevertheless"
