from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from accelsim.numerics.evaluate import classify
from accelsim.numerics.session import open_session
from accelsim.resources import resource_folder
from accelsim.workload.datasets import NORMALISATIONS, load_dataset, read_images
from accelsim.workload.decision_trace import load_trace
from accelsim.workload.loader import load_workload
from accelsim.workload.network_file import load_network
from accelsim.workload.onnx_build import build_onnx
from accelsim.workload.onnx_import import import_onnx
from accelsim.workload.pot.files import load_pot_weights
from accelsim.workload.pot.sources import read_weights

WORKLOADS = resource_folder("workloads")
NETWORKS = sorted(path.stem for path in (WORKLOADS / "weights").glob("*.npz") if not path.stem.endswith("_pot"))
CIFAR = [name for name in NETWORKS if "fashion" not in name]
WITH_ONNX = sorted(path.stem for path in (WORKLOADS / "models").glob("*.onnx"))
RETRAINED = sorted(path.stem for path in (WORKLOADS / "weights").glob("*_retrained_pot.npz"))
"""Networks retrained for decomposed weights."""
TRACES = sorted(name for name in NETWORKS if (WORKLOADS / "skip" / f"{name}.npz").exists())
SHARED = Path(__file__).parents[4] / "shared" / "data"


def note(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((WORKLOADS / "weights" / f"{name}.json").read_text())
    return read


def test_the_promised_networks_are_there() -> None:
    assert {"fashion_cnn", "lenet_cifar", "resnet20_cifar", "vgg7_cifar"} <= set(NETWORKS)
    assert {"fashion_cnn", "lenet_cifar", "resnet20_cifar", "vgg7_cifar"} <= set(WITH_ONNX)
    assert (
        sum(path.stat().st_size for path in WORKLOADS.rglob("*") if path.is_file()) < 15_000_000
    )  # of the 20 MB that a checkout may hold


@pytest.mark.parametrize("name", NETWORKS)
def test_a_note_describes_the_weights_beside_it(name: str) -> None:
    path = WORKLOADS / "weights" / f"{name}.npz"
    written = note(name)
    network = load_network(path)
    assert written["network"] == network.structure.name == name
    assert written["weights_sha256"] == sha256(path.read_bytes()).hexdigest()
    sizes = [part.size for part in network.weights.values()] + [part.size for part in network.biases.values()]
    assert written["parameters"] == sum(sizes)
    assert abs(written["right"]["int8"] - written["right"]["float32"]) <= 0.005 * written["test_images"]


@pytest.mark.parametrize("name", NETWORKS)
def test_shipped_networks_import_as_workloads(name: str, tmp_path: Path) -> None:
    network = load_network(WORKLOADS / "weights" / f"{name}.npz")
    onnx.save(build_onnx(network), tmp_path / "net.onnx")
    graph = import_onnx(tmp_path / "net.onnx")
    assert graph.total_parameters == note(name)["parameters"]


@pytest.mark.parametrize("name", [name for name in WITH_ONNX if name.startswith("resnet")])
def test_shipped_resnets_are_those_of_the_zoo(name: str) -> None:
    assert import_onnx(WORKLOADS / "models" / f"{name}.onnx").total_macs == load_workload(name).total_macs


@pytest.mark.parametrize("form", ["float32", "int8_weights", "int8"])
def test_fashion_cnn_is_right_as_often_as_its_note_says(form: str) -> None:
    images = read_images(WORKLOADS / "images" / "fashion_mnist_2000.npz", "fashion_mnist")
    network = load_network(WORKLOADS / "weights" / "fashion_cnn.npz")
    model = build_onnx(network, quantise_activations=form == "int8")
    if form == "float32":
        model = onnx.load(WORKLOADS / "models" / "fashion_cnn.onnx")
    answers = classify(open_session(model, optimise=form != "int8"), images, NORMALISATIONS["fashion_mnist"])
    assert int(answers.right.sum()) == note("fashion_cnn")["right_of_first_2000"][form]
    assert answers.right.mean() > 0.9


@pytest.mark.parametrize("name", TRACES)
def test_traces_agree_with_the_notes(name: str) -> None:
    trace, written = load_trace(WORKLOADS / "skip" / f"{name}.npz"), note(name)
    assert int(trace.right.sum()) == written["right"]["int8_weights"]
    assert len(trace.right) == written["test_images"]
    assert 100 * trace.executed_shares().mean() == pytest.approx(written["executed_percent"], abs=1e-3)
    assert len(written["execution_rates"]) == len(trace.blocks)


def cifar_answers(name: str, model: onnx.ModelProto, *, optimise: bool = True, count: int = 10_000) -> Any:  # noqa: ANN401
    if not (SHARED / "cifar10_test.npz").exists():
        pytest.skip("no CIFAR-10 in the folder beside the checkout")
    images = load_dataset(note(name)["dataset"], SHARED, "test").head(count)
    return classify(open_session(model, optimise=optimise), images, NORMALISATIONS["cifar10"])


@pytest.mark.shared
@pytest.mark.parametrize("name", [name for name in WITH_ONNX if name in CIFAR])
def test_shipped_models_are_right_as_often_as_their_notes_say(name: str) -> None:
    model = onnx.load(WORKLOADS / "models" / f"{name}.onnx")
    integers = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    assert int(cifar_answers(name, model).right.sum()) == note(name)["right"]["int8_weights" if integers else "float32"]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("form", ["int8_weights", "int8"])
@pytest.mark.parametrize("name", CIFAR)
def test_shipped_weights_are_right_as_often_as_their_notes_say(name: str, form: str) -> None:
    network = load_network(WORKLOADS / "weights" / f"{name}.npz")
    model = build_onnx(network, quantise_activations=form == "int8")
    answers = cifar_answers(name, model, optimise=form != "int8")
    assert int(answers.right.sum()) == note(name)["right"][form]


@pytest.mark.shared
@pytest.mark.parametrize("name", TRACES)
def test_gated_networks_decide_as_their_traces_say(name: str) -> None:
    network = load_network(WORKLOADS / "weights" / f"{name}.npz")
    answers = cifar_answers(name, build_onnx(network), count=500)
    trace = load_trace(WORKLOADS / "skip" / f"{name}.npz")
    assert np.array_equal(answers.decisions, trace.decisions[:500])
    assert np.array_equal(answers.right, trace.right[:500])


@pytest.mark.parametrize("name", RETRAINED)
def test_retrained_networks_compute_with_what_their_files_decode_to(name: str) -> None:
    path, written = WORKLOADS / "weights" / f"{name}.npz", note(name)
    assert written["weights_sha256"] == sha256(path.read_bytes()).hexdigest()
    pot = load_pot_weights(path)
    arrays = read_weights(WORKLOADS / "models" / f"{written['network']}.onnx").arrays
    assert {layer.name for layer in pot.layers} == set(arrays)
    for layer in pot.layers:
        np.testing.assert_array_equal(arrays[layer.name], layer.decode())
    assert 32 * pot.weight_count / pot.storage().total_bits == pytest.approx(written["compression"])
    assert written["right_decomposed"] < written["right_retrained"]
    graph = load_workload(written["network"])
    assert len(pot.for_graph(graph)) == len(arrays)


@pytest.mark.shared
@pytest.mark.parametrize("name", RETRAINED)
def test_retrained_networks_are_right_as_often_as_their_notes_say(name: str) -> None:
    model = onnx.load(WORKLOADS / "models" / f"{note(name)['network']}.onnx")
    assert int(cifar_answers(name, model).right.sum()) == note(name)["right_retrained"]
