from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from random_networks import STRUCTURE, compute, random_images, random_network

from accelsim.numerics.quantise import LARGEST, quantise_network, quantise_weights, stored_tensors
from accelsim.numerics.session import open_session
from accelsim.workload.onnx_build import build_onnx
from accelsim.workload.onnx_import import import_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SMALL_MACS = 8 * 8 * 4 * 27 + 4 * 4 * 8 * 36 + 2 * 4 + 10 * 64


@pytest.mark.parametrize("seed", range(4))
def test_a_model_computes_what_plain_loops_compute(seed: int) -> None:
    network, images = random_network(seed), random_images(seed=seed)
    logits, decisions = open_session(build_onnx(network)).run(["logits", "decisions"], {"image": images})
    expected, runs = compute(network, images)
    assert np.abs(logits - expected).max() < 1e-4
    assert np.array_equal(decisions, runs.astype(np.float32))


def test_gates_of_the_small_network_differ_between_images() -> None:
    runs = [compute(random_network(seed), random_images(seed=seed))[1].mean() for seed in range(4)]
    assert any(0 < share < 1 for share in runs)


def test_int8_weights_give_the_answers_of_their_values() -> None:
    images = random_images()
    quantised = quantise_network(random_network(), images)
    logits, _ = open_session(build_onnx(quantised)).run(None, {"image": images})
    assert np.abs(logits - compute(quantised.dequantised(), images)[0]).max() < 1e-4


def test_int8_feature_maps_lie_on_their_grid_and_cover_the_calibration_images() -> None:
    images = random_images()
    quantised = quantise_network(random_network(), images)
    names = stored_tensors(STRUCTURE)[1:]
    rounded = [f"{name}.int8" for name in names]
    model = build_onnx(quantised, quantise_activations=True, outputs=rounded)
    logits, _, *integers = open_session(model, optimise=False).run(None, {"image": images})
    for name, values in zip(names, integers, strict=True):
        assert values.dtype == np.int8, name
        assert np.abs(values.astype(int)).max() >= LARGEST - 3, name
        assert np.abs(values).mean() > 5, name
    expected = compute(random_network(), images)[0]
    assert 0 < np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("form", ["float32", "int8_weights", "int8"])
def test_models_import_as_workloads(tmp_path: Path, form: str) -> None:
    network = random_network()
    quantised = quantise_network(network, random_images())
    model = build_onnx(network if form == "float32" else quantised, quantise_activations=form == "int8")
    onnx.save(model, tmp_path / "net.onnx")
    graph = import_onnx(tmp_path / "net.onnx")
    assert graph.total_macs == SMALL_MACS
    assert graph.total_parameters == 108 + 288 + 8 + 640 + 4 + 8 + 2 + 10


def test_a_model_says_how_its_images_are_normalised() -> None:
    properties = {entry.key: entry.value for entry in build_onnx(random_network()).metadata_props}
    assert properties["dataset"] == "cifar10"
    assert properties["mean"] == "[0.4914, 0.4822, 0.4465]"


floats = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=floats))
def test_quantised_weights_are_within_half_a_step(weights: NDArray[np.float32]) -> None:
    integers, scales = quantise_weights(weights)
    assert np.abs(integers.astype(int)).max() <= LARGEST
    error = np.abs(integers * scales[:, None].astype(np.float64) - weights)
    assert (error <= 0.5001 * scales[:, None]).all()
    peaks = np.abs(weights).max(axis=1)
    assert (np.abs(integers.astype(int)).max(axis=1)[peaks > 0] == LARGEST).all()
    again, _ = quantise_weights(-weights)
    assert np.array_equal(again, -integers)
