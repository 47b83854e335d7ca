"""Integer arithmetic beside a reference in plain integers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import CHANNELS, CLASSES, MODELS, SIDE, images, model, node, weights

from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.inference import Inference
from accelsim.numerics.integer_product import multiplier_of
from accelsim.numerics.number_format import INT4, INT8
from accelsim.numerics.stored_network import Formats, StoredNetwork, store_network

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def integer(proto: onnx.ModelProto, form: Any = INT8) -> StoredNetwork:  # noqa: ANN401
    return store_network(load_classifier(proto), Formats.uniform(form), images(100), arithmetic="integer")


@given(st.floats(1e-9, 1e3))
def test_multipliers_have_31_bits(ratio: float) -> None:
    multiplier, shift = multiplier_of(np.array([ratio]))
    assert 2**30 <= multiplier[0] <= 2**31
    assert abs(Fraction(int(multiplier[0])) / 2 ** int(shift[0]) - Fraction(ratio)) <= Fraction(ratio) / 2**31


def convolve(numbers: NDArray[np.int64], kernel: NDArray[np.int64]) -> NDArray[np.int64]:
    padded = np.pad(numbers, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    summed: NDArray[np.int64] = np.einsum("nchwij,ocij->nohw", windows, kernel)
    return summed


def requantised(total: NDArray[np.int64], ratio: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64]:
    """Value by value in Python's own integers."""
    multiplier, shift = multiplier_of(ratio)
    result = np.empty_like(total)
    for index in np.ndindex(total.shape):
        m, s = int(multiplier[index[1]]), int(shift[index[1]])
        result[index] = min(max((int(total[index]) * m + (1 << s - 1)) >> s, low), high)
    return result


@pytest.mark.parametrize("form", [INT8, INT4])
@pytest.mark.parametrize("channels", [8, 130])
def test_two_convolutions_are_those_of_plain_integers(channels: int, form: Any) -> None:  # noqa: ANN401
    """130 channels make sums beyond 2**24 possible, so that weights go in two halves."""
    nodes = [
        node("Conv", ["image", "w1", "b1"], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2"], "c2", pads=[1, 1, 1, 1]),
        node("Flatten", ["c2"], "flat"),
        node("Gemm", ["flat", "w3", "b3"], "scores", transB=1),
    ]
    constants = {"w1": weights(1, channels, CHANNELS, 3, 3), "b1": weights(2, channels),
                 "w2": weights(3, 4, channels, 3, 3), "w3": weights(4, CLASSES, 4 * SIDE * SIDE),
                 "b3": weights(5, CLASSES)}  # fmt: skip
    network = integer(model(nodes, constants), form)
    scale = {name: np.float64(np.float32(kept.scale)) for name, kept in network.maps.items()}
    number = {index: entry.words.view(np.int8).astype(np.int64) for index, entry in network.weights.items()}
    step = {index: entry.scale.reshape(-1).astype(np.float64) for index, entry in network.weights.items()}
    image = form.encode(images(3), scale["image"].astype(np.float32)).view(np.int8).astype(np.int64)
    bias = np.rint(constants["b1"] / (scale["image"] * step[0])).astype(np.int64)
    first = requantised(
        convolve(image, number[0]) + bias.reshape(1, -1, 1, 1), scale["image"] * step[0] / scale["r1"], 0, form.largest
    )
    second = requantised(convolve(first, number[1]), scale["r1"] * step[1] / scale["c2"], -form.largest, form.largest)
    last = second.reshape(3, -1) @ number[2].T + np.rint(constants["b3"] / (scale["c2"] * step[2])).astype(np.int64)
    made = Inference(network).scores(images(3))
    assert np.allclose(made, last * (scale["c2"] * step[2]), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_integer_arithmetic_is_near_that_of_floats(name: str) -> None:
    classifier = load_classifier(MODELS[name]())
    scores = [
        Inference(store_network(classifier, Formats.uniform(INT8), images(100), arithmetic=kind)).scores(images(60))
        for kind in ("float", "integer")
    ]
    assert np.abs(scores[0] - scores[1]).max() < 0.06 * np.abs(scores[0]).max()
    assert not np.array_equal(scores[0], scores[1])


def test_flips_reach_integer_products() -> None:
    from test_inference import GivenFaults

    network = integer(MODELS["plain"]())
    clean = Inference(network).scores(images(4))
    in_weights = Inference(network, GivenFaults({}, {1: [(3, 6)]})).scores(images(4))
    in_map = Inference(network, GivenFaults({(1, "r1"): [(7, 6)]}, {})).scores(images(4))
    assert not np.allclose(in_weights, clean, atol=1e-6)
    assert not np.allclose(in_map, clean, atol=1e-6)
