"""Retraining for a memory with errors: the rising rate, the module that loads through weak cells, a small run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from accelsim.errors import InputError  # noqa: E402 - torch first
from accelsim.numerics.quantise import quantise_network  # noqa: E402
from accelsim.numerics.session import open_session  # noqa: E402
from accelsim.training.augment import Batches  # noqa: E402
from accelsim.training.boost import Curriculum, FaultyModule, boost, run  # noqa: E402
from accelsim.training.fold import fold_network  # noqa: E402
from accelsim.training.networks import lenet_cifar, resnet_cifar  # noqa: E402
from accelsim.training.structure_module import StructureModule  # noqa: E402
from accelsim.training.train import Schedule  # noqa: E402
from accelsim.workload.datasets import ImageSet, Normalisation  # noqa: E402
from accelsim.workload.onnx_build import build_onnx  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from accelsim.workload.network_file import Network

PLAIN = Normalisation((0.5,), (0.25,))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def network(name: str = "lenet") -> Network:
    torch.manual_seed(1)
    model = lenet_cifar() if name == "lenet" else resnet_cifar(8)
    return fold_network(name, "cifar10", model, (3, 32, 32))


def noise(count: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal((count, 3, 32, 32)).astype(np.float32)


def scales(made: Network) -> dict[str, float]:
    return quantise_network(made, noise(64)).activation_scales


def stripes(count: int) -> ImageSet:
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 10, count).astype(np.uint8)
    images = draw.integers(0, 100, (count, 32, 32, 3), dtype=np.uint8)
    images[np.arange(count), 3 * labels.astype(int) + 1] = 250
    return ImageSet("cifar10", images, labels)


@pytest.mark.parametrize("name", ["lenet", "resnet"])
def test_the_module_computes_what_the_onnx_model_does(name: str) -> None:
    made = network(name)
    expected = open_session(build_onnx(made)).run(["logits"], {"image": noise()})[0]
    found = StructureModule(made)(torch.from_numpy(noise())).detach().numpy()
    assert np.abs(found - expected).max() < 1e-4
    back = StructureModule(made).network()
    assert all((back.weights[key] == made.weights[key]).all() for key in made.weights)


def test_the_rate_rises_every_two_epochs_from_none_to_the_one_aimed_at() -> None:
    rates = [Curriculum(0.03, epochs=8).rate_in(epoch) for epoch in range(8)]
    assert rates == pytest.approx([0, 0, 0.01, 0.01, 0.02, 0.02, 0.03, 0.03])
    assert {Curriculum(0.03, epochs=8, curricular=False).rate_in(epoch) for epoch in range(8)} == {0.03}
    assert Curriculum(0.03, epochs=1).rate_in(0) == 0.03


def test_a_module_without_errors_rounds_and_no_more() -> None:
    made = network()
    module = FaultyModule(made, scales(made), 1, Curriculum(0.01)).eval()
    module.rate = 0.0
    images = torch.from_numpy(noise())
    exact = StructureModule(made)(images).detach()
    assert (module(images).detach() - exact).abs().max() < 0.1 * exact.abs().max()


def test_bits_flip_at_the_rate_that_is_asked_for() -> None:
    made = network()
    module = FaultyModule(made, scales(made), 1, Curriculum(0.02)).eval()
    module.rate = 0.02
    module(torch.from_numpy(noise(1)))  # finds the weak cells
    cells = module._cells["conv2.weight"]
    words = torch.zeros((400, made.weights["conv2"].size), dtype=torch.int32)
    flipped = module._flipped(words, cells) & 255
    bits = int(np.bitwise_count(flipped.numpy().astype(np.uint8)).sum())
    expected = float(cells.flip_zero.sum()) * len(words)
    spread = float((cells.flip_zero * (1 - cells.flip_zero)).sum()) * len(words)
    assert abs(bits - expected) < 4 * spread**0.5
    assert expected / len(words) / (8 * words.shape[1]) == pytest.approx(0.02, rel=0.3)


def test_gradients_pass_as_if_nothing_had_happened() -> None:
    made = network()
    module = FaultyModule(made, scales(made), 1, Curriculum(0.02))
    module.rate = 0.02
    module(torch.from_numpy(noise())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.weights.values())


def test_a_run_that_is_stopped_ends_in_the_same_weights(tmp_path: Path) -> None:
    made, images = network(), stripes(48)
    found = []
    for folder, parts in (("whole", (2,)), ("cut", (1, 2))):
        for epochs in parts:
            curriculum = Curriculum(0.005, epochs=2)
            data = Batches(images, PLAIN, 16)
            schedule = Schedule(checkpoint=tmp_path / f"{folder}.pt")
            if epochs == 1:
                with pytest.raises(KeyboardInterrupt):
                    boost(made, scales(made), _Stopping(data, after=4), curriculum, schedule, rate=0.01)  # type: ignore[arg-type]
                continue
            result = boost(made, scales(made), data, curriculum, schedule, rate=0.01)
        found.append(result)
    assert all((found[0].weights[key] == found[1].weights[key]).all() for key in made.weights)
    assert any((found[0].weights[key] != made.weights[key]).any() for key in made.weights)


class _Stopping:
    """Batches that end the program after so many of them."""

    def __init__(self, data: Batches, after: int) -> None:
        self._data, self._left = data, after

    def __len__(self) -> int:
        return len(self._data)

    def shuffled(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._data.shuffled(seed):
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            yield batch


def test_rates_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--rate: 0\.7: not accepted"):
        run(tmp_path / "x.npz", tmp_path, tmp_path, Curriculum(0.7), Schedule())
