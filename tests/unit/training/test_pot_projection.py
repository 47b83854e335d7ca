"""Retraining for decomposed weights: what comes out is what the file holds, and training makes up for what is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from accelsim.errors import InputError  # noqa: E402 - torch first
from accelsim.training.augment import Batches  # noqa: E402
from accelsim.training.fold import fold_network  # noqa: E402
from accelsim.training.networks import Recipe, lenet_cifar  # noqa: E402
from accelsim.training.pot_projection import Projection, retrain, run  # noqa: E402
from accelsim.training.pot_tuning import EncodedModule, nearest_powers, tune  # noqa: E402
from accelsim.training.structure_module import StructureModule  # noqa: E402
from accelsim.training.train import Schedule, count_correct, train_network  # noqa: E402
from accelsim.training.trainable import FoldedTrainable, NormalisedTrainable, zeros_kept  # noqa: E402
from accelsim.workload.datasets import ImageSet, Normalisation  # noqa: E402
from accelsim.workload.loader import load_workload  # noqa: E402
from accelsim.workload.onnx_build import build_onnx  # noqa: E402
from accelsim.workload.pot.files import load_pot_weights, save_pot_weights  # noqa: E402
from accelsim.workload.pot.parameters import PotParameters  # noqa: E402
from accelsim.workload.pot.weights import PlainLayer, PotLayer  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.network_file import Network

PLAIN = Normalisation((0.5,), (0.25,))
COARSE = Projection(PotParameters(theta=0.02, index="vector"), vector_sparsity=0.5)
HARSH = Projection(PotParameters(theta=0.2, index="vector"), vector_sparsity=0.93)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(1)
    return fold_network("lenet", "cifar10", lenet_cifar(), (3, 32, 32))


def stripes(count: int) -> ImageSet:
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 10, count).astype(np.uint8)
    images = draw.integers(0, 100, (count, 32, 32, 3), dtype=np.uint8)
    images[np.arange(count), 3 * labels.astype(int) + 1] = 250
    return ImageSet("cifar10", images, labels)


@pytest.fixture(scope="module")
def data() -> Batches:
    """Images to train on."""
    return Batches(stripes(320), PLAIN, 32)


@pytest.fixture(scope="module")
def trained(network: Network, data: Batches) -> Network:
    """The network, trained with ordinary weights."""
    module = StructureModule(network)
    recipe = Recipe(lenet_cifar, epochs=8, batch=32, rate=0.05, decay=0.0)
    train_network("stripes", module, recipe, data, Schedule(half=False))
    return module.network()


def right(network: Network) -> int:
    """Images of those trained on that a network gets right."""
    return count_correct(StructureModule(network), Batches(stripes(320), PLAIN, 160))


def test_a_projected_network_has_the_decoded_weights(network: Network, tmp_path: Path) -> None:
    found, pot = COARSE.project(network)
    save_pot_weights(pot, tmp_path / "pot.npz")
    loaded = {layer.name: layer for layer in load_pot_weights(tmp_path / "pot.npz").layers}
    assert set(loaded) == {f"{name}.weight" for name in network.weights}
    for name, weights in found.weights.items():
        assert np.array_equal(weights, loaded[f"{name}.weight"].decode())
    assert any(isinstance(layer, PotLayer) for layer in loaded.values())
    assert found.biases is network.biases


def test_arrays_have_the_names_of_the_graph_that_is_written(network: Network, tmp_path: Path) -> None:
    found, pot = COARSE.project(network)
    (tmp_path / "found.onnx").write_bytes(build_onnx(found).SerializeToString())
    assert len(pot.for_graph(load_workload(tmp_path / "found.onnx"))) == len(network.weights)


def test_training_makes_up_for_what_decomposition_costs(trained: Network, data: Batches) -> None:
    once, _ = HARSH.project(trained)
    found, pot = retrain(FoldedTrainable(trained), HARSH, data, epochs=4, rate=0.05, schedule=Schedule())
    plain, before, after = (right(entry) for entry in (trained, once, found))
    assert before < plain
    assert after > before
    again, _ = retrain(FoldedTrainable(trained), HARSH, data, epochs=4, rate=0.05, schedule=Schedule())
    assert all((again.weights[key] == found.weights[key]).all() for key in found.weights)
    for layer in pot.layers:
        assert np.array_equal(found.weights[layer.name.removesuffix(".weight")], layer.decode())


def test_tuning_keeps_powers_of_two_and_zeros_and_makes_up_for_more(
    trained: Network, data: Batches, tmp_path: Path
) -> None:
    once, pot = HARSH.project(trained)
    tuned, found = tune(trained, pot, data, epochs=4, rate=0.05, schedule=Schedule(checkpoint=tmp_path / "tuned.pt"))
    assert right(tuned) > right(once)
    save_pot_weights(found, tmp_path / "pot.npz")
    stored = {layer.name: layer for layer in load_pot_weights(tmp_path / "pot.npz").layers}
    moved = 0
    for before in pot.layers:
        after, name = stored[before.name], before.name.removesuffix(".weight")
        assert np.array_equal(tuned.weights[name], after.decode())
        if isinstance(before, PotLayer):
            assert isinstance(after, PotLayer)
            assert np.array_equal(after.levels != 0, before.levels != 0)
            moved += int((after.levels != before.levels).sum()) + int((after.basis != before.basis).sum())
        else:
            moved += int((after.decode() != before.decode()).sum())
    assert moved > 0
    again, _ = tune(trained, pot, data, epochs=4, rate=0.05, schedule=Schedule(checkpoint=tmp_path / "tuned.pt"))
    assert all((again.weights[key] == tuned.weights[key]).all() for key in tuned.weights)  # taken up from its end


def test_training_with_normalisations_projects_what_they_fold_to(tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = lenet_cifar()
    data = Batches(stripes(64), PLAIN, 32)
    recipe = Recipe(lenet_cifar, epochs=1, batch=32, rate=0.05, decay=0.0)
    train_network("stripes", module, recipe, data, Schedule(half=False))  # moves the statistics
    structure = fold_network("lenet", "cifar10", module).structure
    trainable = NormalisedTrainable(module, structure)
    once, _ = COARSE.project(trainable.network())
    trainable.put(once.weights)
    for name, weights in trainable.network().weights.items():
        assert np.allclose(weights, once.weights[name], rtol=1e-5, atol=1e-7)
    with zeros_kept(trainable):
        train_network("stripes", module, recipe, data, Schedule(half=False))
    after = trainable.network().weights
    for name, weights in once.weights.items():
        assert (after[name][weights == 0] == 0).all()
        assert not np.array_equal(after[name], weights)
    schedule = Schedule(checkpoint=tmp_path / "turns.pt")
    found, pot = retrain(trainable, COARSE, data, epochs=2, rate=0.01, schedule=schedule)
    for layer in pot.layers:
        assert np.array_equal(found.weights[layer.name.removesuffix(".weight")], layer.decode())
    other = NormalisedTrainable(lenet_cifar(), structure)
    resumed, _ = retrain(other, COARSE, data, epochs=2, rate=0.01, schedule=schedule)
    assert all((resumed.weights[key] == found.weights[key]).all() for key in found.weights)
    with pytest.raises(InputError, match="belongs to another run"):
        retrain(other, COARSE, data, epochs=3, rate=0.01, schedule=schedule)


def test_a_network_that_is_not_tuned_computes_with_what_decodes(network: Network) -> None:
    once, pot = COARSE.project(network)
    module = EncodedModule(network, pot)
    for name, weights in once.weights.items():
        assert np.allclose(module.weight(name).detach().numpy(), weights, rtol=1e-6, atol=1e-7)


def test_how_a_slice_splits_its_scale_does_not_decide_how_far_a_step_goes(network: Network) -> None:
    """Coefficients sixteen times smaller with bases sixteen times larger: the same weights, and the same step."""
    _, pot = COARSE.project(network)
    other = replace(pot, layers=tuple(split_otherwise(layer) for layer in pot.layers))
    steps = []
    for weights in (pot, other):
        module = EncodedModule(network, weights)
        name = next(iter(module.coefficients)).replace("/", ".")
        before = module.weight(name)
        (before * torch.arange(before.numel(), dtype=torch.float32).reshape(before.shape)).sum().backward()
        coefficients, bases = (parts[name.replace(".", "/")] for parts in (module.coefficients, module.bases))
        steps.append((before.detach(), coefficients.grad @ bases.detach() + coefficients.detach() @ bases.grad))
    assert torch.allclose(steps[0][0], steps[1][0], rtol=1e-5)
    assert torch.allclose(steps[0][1], steps[1][1], rtol=1e-2, atol=1e-3 * float(steps[0][1].abs().max()))


def split_otherwise(layer: PotLayer | PlainLayer) -> PotLayer | PlainLayer:
    if isinstance(layer, PlainLayer):
        return layer
    return replace(layer, lowest_exponent=layer.lowest_exponent - 4, basis_scale=16 * layer.basis_scale)


@pytest.mark.parametrize(
    ("value", "power"), [(0.75, 0.5), (0.76, 1.0), (-3.1, -4.0), (1e-9, 0.25), (-0.0, -0.25), (100.0, 8.0)]
)
def test_latent_coefficients_stand_for_the_nearest_power(value: float, power: float) -> None:
    assert float(nearest_powers(torch.tensor([value]), -2, 3)) == power


def test_weights_that_are_not_finite_are_told(network: Network) -> None:
    name = next(iter(network.weights))
    broken = dict(network.weights) | {name: np.full_like(network.weights[name], np.nan)}
    with pytest.raises(InputError, match=f"{name}.weight.*not finite"):
        COARSE.project(replace(network, weights=broken))


def test_a_missing_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none\\.npz"):
        run(tmp_path / "none.npz", tmp_path, tmp_path, COARSE, 1, 0.01, Schedule())
