"""Accuracy as a part of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_models import images, plain

from accelsim import pipeline
from accelsim.cli import run_command
from accelsim.errors import InputError
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.numerics.session import open_session
from accelsim.pipeline import simulate
from accelsim.report.saved_run import read_run
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOW = [
    "dram.partitions=[{name: all, operating_point: {vdd_v: 1.1}}]",
    "dram.bit_errors={table: eden_table3}",
]


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """A small network with three hundred images, all of which it classifies right."""
    (tmp_path / "plain.onnx").write_bytes(plain().SerializeToString())
    values = images(300)
    labels = open_session(plain()).run(None, {"image": values})[0].argmax(axis=1)
    np.savez(tmp_path / "images.npz", images=values, labels=labels)
    (tmp_path / "net.yaml").write_text("accelsim_workload: 1\nnetwork: plain.onnx\nimages: images.npz\n")
    return tmp_path / "net.yaml"


def test_a_workload_with_images_has_accuracy(workload: Path) -> None:
    accuracy = simulate("systolic_32x32", workload).accuracy
    assert accuracy is not None
    assert (accuracy.metric, accuracy.baseline, accuracy.samples, accuracy.seeds) == ("top1", 1.0, 300, 1)
    assert accuracy.value == accuracy.clean
    assert accuracy.value > 0.9
    assert accuracy.ci95_low < accuracy.value <= accuracy.ci95_high
    assert accuracy.flips_per_pass == {}


def test_low_voltage_costs_accuracy_and_counts_the_same_flips(workload: Path) -> None:
    request = AccuracyRequest(samples=100, images_per_load=1, seeds=2)
    result = simulate("systolic_32x32", workload, overrides=LOW, accuracy=request)
    accuracy = result.accuracy
    assert accuracy is not None
    assert accuracy.clean is not None
    assert accuracy.value < accuracy.clean
    assert (accuracy.samples, accuracy.seeds) == (100, 2)
    drawn = sum(flips for layer in accuracy.flips_per_pass.values() for flips in layer.values())
    assert drawn == pytest.approx(result.dram.bits_flipped, rel=0.5)  # one pass of one module, and the mean of many


def test_accuracy_is_repeatable(workload: Path) -> None:
    first, second = (simulate("systolic_32x32", workload, overrides=LOW, seed=3).accuracy for _ in range(2))
    assert first == second
    assert simulate("systolic_32x32", workload, overrides=LOW, seed=4).accuracy != first


def test_timing_and_energy_are_as_without_accuracy(workload: Path) -> None:
    with_it, without = (simulate("systolic_32x32", workload, overrides=LOW, accuracy=flag) for flag in (True, False))
    assert without.accuracy is None
    assert with_it.to_dict() | {"accuracy": None} == without.to_dict()


def test_integer_arithmetic_is_another_measurement(workload: Path) -> None:
    """Of a network of four bits, whose answers hang on every rounding."""
    widths = [f"precision.{name}_bits=4" for name in ("ifmap", "weight", "ofmap")]
    values = []
    for arithmetic in ("float", "integer"):
        request = replace(AccuracyRequest(), arithmetic=arithmetic)
        accuracy = simulate("systolic_32x32", workload, overrides=widths, accuracy=request).accuracy
        assert accuracy is not None
        values.append(accuracy.value)
    assert 0 < abs(values[0] - values[1]) < 0.1


@pytest.mark.parametrize("correction", ["zero", "saturate", "none"])
def test_every_correction_runs(workload: Path, correction: Any) -> None:  # noqa: ANN401
    request = AccuracyRequest(correction=correction, samples=50)
    assert simulate("systolic_32x32", workload, overrides=LOW, accuracy=request).accuracy is not None


@pytest.mark.parametrize("bits", [4, 16])
def test_tensors_have_the_bits_of_the_machine(workload: Path, bits: int) -> None:
    widths = [f"precision.{name}_bits={bits}" for name in ("ifmap", "weight", "ofmap")]
    accuracy = simulate("systolic_32x32", workload, overrides=[*widths, "pe_array.operand_bits=16"]).accuracy
    assert accuracy is not None
    assert accuracy.value == 1.0 if bits == 16 else accuracy.value < 1.0


def test_a_workload_without_images_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_DATA", raising=False)
    assert simulate("systolic_32x32", "lenet5").accuracy is None
    (tmp_path / "plain.onnx").write_bytes(plain().SerializeToString())
    assert simulate("systolic_32x32", tmp_path / "plain.onnx").accuracy is None
    for source, words in (
        ("lenet5", "it has shapes only"),
        (tmp_path / "plain.onnx", "nothing names its images"),
        ("resnet20_trained", "its test images of cifar10 are in no folder that was named"),
    ):
        with pytest.raises(InputError, match=words):
            simulate("systolic_32x32", source, accuracy=True)


def test_images_may_be_named_with_the_run(workload: Path) -> None:
    model, data = workload.parent / "plain.onnx", workload.parent / "images.npz"
    accuracy = simulate("systolic_32x32", model, data=data).accuracy
    assert accuracy is not None
    assert accuracy.samples == 300


def test_a_folder_without_the_dataset_is_no_error_unless_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELSIM_DATA", str(tmp_path))
    assert simulate("systolic_32x32", "lenet_cifar").accuracy is None
    with pytest.raises(InputError, match="has no CIFAR-10 test images"):
        simulate("systolic_32x32", "lenet_cifar", accuracy=True)
    (tmp_path / "cifar10_test.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="is damaged"):
        simulate("systolic_32x32", "lenet_cifar")


def test_the_dataset_of_a_model_is_found_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8), (np.arange(40) % 10).astype(np.uint8)
    np.savez(tmp_path / "cifar10_test.npz", images=pixels, labels=labels)
    for named in (True, False):
        if not named:
            monkeypatch.setenv("ACCELSIM_DATA", str(tmp_path))
        accuracy = simulate("systolic_32x32", "lenet_cifar", data=tmp_path if named else None).accuracy
        assert accuracy is not None
        assert accuracy.samples == 40
        assert accuracy.value < 0.5  # noise


def test_the_default_run_has_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (pipeline.DEFAULT_HARDWARE, pipeline.DEFAULT_WORKLOAD) == ("systolic_32x32", "fashion_cnn")
    assert run_command(["run", "--json", "--out", str(tmp_path / "run")]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert accuracy["samples"] == 1000
    assert accuracy["baseline"] == 0.939
    assert abs(accuracy["value"] - accuracy["baseline"]) <= 0.005
    assert read_run(tmp_path / "run").to_dict()["accuracy"] == accuracy
    assert run_command(["run", "--no-accuracy", "--json", "--out", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] is None


def test_the_summary_names_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--images", "100", "--out", str(tmp_path / "run")]) == 0
    assert "100 images; " in capsys.readouterr().out


@pytest.mark.parametrize(
    "build",
    [lambda: AccuracyRequest(samples=0), lambda: AccuracyRequest(seeds=0), lambda: AccuracyRequest(images_per_load=0)],
)
def test_counts_below_one_are_refused(build: Callable[[], AccuracyRequest]) -> None:
    with pytest.raises(InputError, match="is below 1"):
        build()


def test_trained_networks_are_listed() -> None:
    for name in ("fashion_cnn", "lenet_cifar", "resnet20_trained", "vgg7_cifar"):
        graph = load_workload(name)
        assert graph.annotations.model is not None
        assert "rained" in (graph.description or "")
