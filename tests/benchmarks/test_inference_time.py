"""How long inference with flipped bits takes beside plain onnxruntime."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from accelsim.numerics.accuracy import count_plain, count_right
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.number_format import FORMATS
from accelsim.numerics.rated_faults import RatedFaults
from accelsim.numerics.stored_network import Formats, StoredNetwork, store_network
from accelsim.pipeline import simulate
from accelsim.resources import resource_folder
from accelsim.workload.image_files import LabelledImages, read_labelled_images

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

WORKLOADS = resource_folder("workloads")


@cache
def network(form: str) -> tuple[StoredNetwork, LabelledImages]:
    classifier = load_classifier(WORKLOADS / "models" / "fashion_cnn.onnx")
    images = read_labelled_images(WORKLOADS / "images" / "fashion_mnist_2000.npz", classifier.metadata)
    return store_network(classifier, Formats.uniform(FORMATS[form]), images.values(1500)), images.head(500)


def test_plain_onnxruntime(benchmark: BenchmarkFixture) -> None:
    stored, images = network("int8")
    assert benchmark(count_plain, stored.classifier, images).right > 450


@pytest.mark.parametrize("form", ["int8", "fp32"])
@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_inference(benchmark: BenchmarkFixture, rate: float, form: str) -> None:
    stored, images = network(form)
    counts = benchmark(lambda: count_right(stored, images, RatedFaults(stored, rate)))
    assert counts.right > (450 if rate == 0 else 300)


def test_default_run(benchmark: BenchmarkFixture) -> None:
    assert benchmark(simulate).accuracy is not None
