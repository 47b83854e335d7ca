from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from accelsim.errors import InputError  # noqa: E402 - torch first
from accelsim.training import export, sample_images, train, train_gated  # noqa: E402
from accelsim.training.augment import Batches  # noqa: E402
from accelsim.training.checkpoint import save_checkpoint  # noqa: E402
from accelsim.training.gated_networks import GatedDenseNet  # noqa: E402
from accelsim.workload.datasets import NORMALISATIONS, load_dataset, read_images  # noqa: E402
from accelsim.workload.decision_trace import load_trace  # noqa: E402
from accelsim.workload.network_file import load_network  # noqa: E402
from accelsim.workload.onnx_import import import_onnx  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGES = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("cifar")
    draw = np.random.default_rng(4)
    for split in ("train", "test"):
        images = draw.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / f"cifar10_{split}.npz", images=images, labels=draw.integers(0, 10, IMAGES).astype(np.uint8))
    return folder


def test_a_network_goes_from_images_to_its_files(tmp_path: Path, data: Path) -> None:
    model = train.run("lenet_cifar", data, tmp_path, train.Schedule(seed=3), epochs=1)
    export.main(tmp_path / "lenet_cifar.pt", data, tmp_path, "this test", onnx=True)
    note = json.loads((tmp_path / "weights" / "lenet_cifar.json").read_text())
    assert (note["test_images"], note["trained_by"]) == (IMAGES, "this test")
    network = load_network(tmp_path / "weights" / "lenet_cifar.npz")
    assert note["parameters"] == import_onnx(tmp_path / "models" / "lenet_cifar.onnx").total_parameters
    batches = Batches(load_dataset("cifar10", data, "test"), NORMALISATIONS["cifar10"], 16)
    assert note["right"]["float32"] == train.count_correct(model, batches)
    stored = onnx.load(tmp_path / "models" / "lenet_cifar.onnx").graph.initializer
    weights = {part.name.removesuffix(".weight"): onnx.numpy_helper.to_array(part) for part in stored}
    for name, integers in network.weights.items():
        scales = network.weight_scales[name].reshape(-1, *(1,) * (integers.ndim - 1))
        assert np.abs(integers * scales - weights[name]).max() <= 0.501 * scales.max(), name


def test_a_gated_network_gets_a_trace_of_its_decisions(tmp_path: Path, data: Path) -> None:
    torch.manual_seed(6)
    model = GatedDenseNet()
    model.gates.layer_head.bias.data.fill_(-0.02)
    save_checkpoint(tmp_path / "densenet_gated_50.pt", {"name": "here", "model": model.state_dict(), "epoch": 1})
    note = export.export_network(tmp_path / "densenet_gated_50.pt", data, tmp_path, "this test", with_onnx=False)
    trace = load_trace(tmp_path / "skip" / "densenet_gated_50.npz")
    assert [block.name for block in trace.blocks][:2] == ["dense.0.1", "dense.0.2"]
    assert trace.decisions.shape == (IMAGES, 15)
    assert int(trace.right.sum()) == note["right"]["int8_weights"]
    assert note["executed_percent"] == pytest.approx(100 * trace.executed_shares().mean(), abs=1e-3)
    fixed = trace.executed_shares()[~trace.decisions.any(axis=1)]
    assert fixed == pytest.approx(1 - sum(block.share for block in trace.blocks))
    assert not (tmp_path / "models" / "densenet_gated_50.onnx").exists()


def test_checkpoints_of_no_network_are_refused(tmp_path: Path, data: Path) -> None:
    save_checkpoint(tmp_path / "mine.pt", {"name": "mine", "model": {}, "epoch": 1})
    with pytest.raises(InputError, match="is not named after a network"):
        export.export_network(tmp_path / "mine.pt", data, tmp_path, "this test", with_onnx=False)


def test_the_first_images_are_written_as_they_are(tmp_path: Path, data: Path) -> None:
    sample_images.main("cifar10", data, tmp_path / "few.npz", 5)
    assert np.array_equal(read_images(tmp_path / "few.npz", "cifar10").images,
                          load_dataset("cifar10", data, "test").images[:5])  # fmt: skip


def test_wrong_input_ends_with_one_line_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong: list[Callable[[], None]] = [
        lambda: train.main("lenet", tmp_path, tmp_path),
        lambda: train.main("lenet_cifar", tmp_path / "nowhere", tmp_path),
        lambda: train_gated.main("resnet38_gated", tmp_path, tmp_path, budgets="half"),
        lambda: export.main(tmp_path / "none.pt", tmp_path, tmp_path, "nothing"),
        lambda: sample_images.main("cifar10", tmp_path, tmp_path / "few.npz"),
    ]
    for call in wrong:
        with pytest.raises(SystemExit) as ended:
            call()
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
