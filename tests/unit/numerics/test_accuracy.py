from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_models import CLASSES, images, plain
from test_inference import GivenFaults

from accelsim.errors import InputError
from accelsim.numerics.accuracy import (
    Z95,
    accuracy_interval,
    count_plain,
    count_right,
    measure_accuracy,
    wilson_interval,
)
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.number_format import FORMATS, FP32, INT8
from accelsim.numerics.rated_faults import RatedFaults
from accelsim.numerics.session import open_session
from accelsim.numerics.stored_network import Formats, store_network
from accelsim.resources import resource_folder
from accelsim.workload.datasets import load_dataset
from accelsim.workload.image_files import LabelledImages

if TYPE_CHECKING:
    from accelsim.numerics.stored_network import StoredNetwork

sys.path.insert(0, str(Path(__file__).parents[2]))
from published_resnets import RIGHT, SHARED, published_resnet


def labelled(count: int) -> LabelledImages:
    """Images with the class that the small network gives most of them."""
    values = images(count)
    best = open_session(plain()).run(None, {"image": values})[0].argmax(axis=1)
    best[::4] = (best[::4] + 1) % CLASSES
    return LabelledImages(values, best.astype(np.int64), None, "test")


def network(form: str = "int8") -> StoredNetwork:
    return store_network(load_classifier(plain()), Formats.uniform(FORMATS[form]), images(50))


def test_wilson_intervals_are_those_of_the_formula() -> None:
    """Centre and width of Wilson's score interval solve (p - x)^2 = z^2 x (1 - x) / n for both ends x."""
    for share, count in ((0.5, 10), (0.9, 1000), (0.0, 20), (1.0, 20), (0.123, 77)):
        for end in wilson_interval(share, count):
            assert (share - end) ** 2 == pytest.approx(Z95**2 * end * (1 - end) / count, abs=1e-9)
    low, high = wilson_interval(0.0, 20)
    assert low == 0.0
    assert high == pytest.approx(0.1611, abs=1e-4)


def test_intervals_cover_what_they_should() -> None:
    rng = np.random.default_rng(0)
    for truth in (0.5, 0.9, 0.98):
        shares = rng.binomial(200, truth, 3000) / 200
        inside = [low <= truth <= high for low, high in (wilson_interval(share, 200) for share in shares)]
        assert 0.92 <= np.mean(inside) <= 0.98  # it varies with the share: Brown, Cai and DasGupta, 2001


def test_modules_that_differ_widen_the_interval() -> None:
    one = accuracy_interval([0.9], 1000)
    alike = accuracy_interval([0.9, 0.9, 0.9], 1000)
    apart = accuracy_interval([0.8, 0.9, 1.0], 1000)
    assert alike == pytest.approx(one)
    assert apart[1] - apart[0] > 3 * (one[1] - one[0])
    spread = math.sqrt(0.09 / 1000 + 0.01 / 3)
    assert apart[1] - apart[0] == pytest.approx(2 * Z95 * spread, rel=0.15)


def test_accuracy_at_full_precision_is_that_of_onnxruntime() -> None:
    found = labelled(300)
    plainly = count_plain(load_classifier(plain()), found)
    assert plainly.right == 225
    assert plainly.top5 == 1.0
    assert np.array_equal(count_right(network("fp32"), found).first, plainly.first)


def test_answers_that_tie_count_for_the_first_class() -> None:
    made = network("fp32")
    for tensor in made.classifier.model.graph.initializer:
        if tensor.name in {"w3", "b3"}:
            tensor.raw_data = bytes(len(tensor.raw_data))
    flat = store_network(load_classifier(made.classifier.model), Formats.uniform(FP32), images(10))
    labels = np.array([0, 1, 2, 3, 0, 0])
    assert count_right(flat, LabelledImages(images(6), labels, None, "test")).first.tolist() == [
        True, False, False, False, True, True,
    ]  # fmt: skip


def test_errors_cost_accuracy_and_are_reported() -> None:
    found, made = labelled(200), network()
    clean = count_right(made, found)
    result = measure_accuracy(made, found, lambda seed: RatedFaults(made, 0.02, seed=seed), range(3))
    assert result.images == 200
    assert len(result.counts) == 3
    assert len({count.right for count in result.counts}) > 1
    assert result.top1 < clean.top1
    assert result.top5 == 1.0
    low, high = result.interval()
    assert low < result.top1 < high
    flips = result.flips_per_pass()
    bits = made.weights[1].words.size * 8
    assert flips["c2", "w2"] == pytest.approx(bits * 0.02, rel=0.5)


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    made = network()
    measure_accuracy(made, labelled(50), lambda _: None, (0, 1), progress=seen.append)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (LabelledImages(images(4)[:, :2], np.zeros(4, np.int64), None, "x"), "images of another shape"),
        (LabelledImages(images(4), np.full(4, 9), None, "x"), "no such class"),
    ],
)
def test_images_that_do_not_fit_are_refused(case: LabelledImages, words: str) -> None:
    with pytest.raises(InputError, match=words):
        count_right(network(), case)
    with pytest.raises(InputError, match="fewer images than the model takes"):
        count_plain(load_classifier(plain(batch=8)), labelled(4))


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("depth", [20, 56])
def test_published_networks_are_right_as_often_as_published(depth: int) -> None:
    """To the image, through plain onnxruntime and through accelsim without errors."""
    classifier = load_classifier(published_resnet(depth))
    found = LabelledImages.of_dataset(load_dataset("cifar10", SHARED, "test"), classifier.metadata)
    assert count_plain(classifier, found).right == RIGHT[depth]
    full = store_network(classifier, Formats.uniform(FP32), found.values(0, 100))
    assert count_right(full, found).right == RIGHT[depth]
    assert count_right(full, found, RatedFaults(full, 0.0)).right == RIGHT[depth]


@pytest.mark.shared
@pytest.mark.slow
def test_the_published_network_survives_being_cut_everywhere() -> None:
    """Every map and weight is read from words without weak cells: thirty models, and the same answers."""
    classifier = load_classifier(published_resnet(20))
    found = LabelledImages.of_dataset(load_dataset("cifar10", SHARED, "test"), classifier.metadata).head(1000)
    full = store_network(classifier, Formats.uniform(FP32), found.values(0, 100))
    nothing: list[tuple[int, int]] = []
    reads = {(stage.index, root): nothing for stage in classifier.stages for root in stage.roots}
    everywhere = GivenFaults(reads, dict.fromkeys(full.weights, nothing))
    cut = count_right(full, found, everywhere, correction="none", images_per_load=125)
    assert np.array_equal(cut.first, count_plain(classifier, found).first)


@pytest.mark.shared
@pytest.mark.slow
def test_int8_costs_the_published_network_less_than_half_a_point() -> None:
    classifier = load_classifier(published_resnet(20))
    found = LabelledImages.of_dataset(load_dataset("cifar10", SHARED, "test"), classifier.metadata)
    made = store_network(classifier, Formats.uniform(INT8), found.values(0, 1000))
    assert abs(count_right(made, found).right - RIGHT[20]) <= 50


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet_cifar", "resnet20_cifar", "vgg7_cifar"])
def test_int8_costs_the_shipped_networks_less_than_half_a_point(name: str) -> None:
    if not (SHARED / "cifar10_test.npz").exists():
        pytest.skip("no CIFAR-10 in the folder beside the checkout")
    classifier = load_classifier(resource_folder("workloads") / "models" / f"{name}.onnx")
    found = LabelledImages.of_dataset(load_dataset("cifar10", SHARED, "test"), classifier.metadata)
    stored = store_network(classifier, Formats.uniform(INT8), found.values(0, 1000))
    assert abs(count_right(stored, found).right - count_plain(classifier, found).right) <= 50
