from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from accelsim.errors import InputError, RunError  # noqa: E402 - torch first
from accelsim.numerics.session import open_session  # noqa: E402
from accelsim.training.augment import Batches  # noqa: E402
from accelsim.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from accelsim.training.fold import fold_network  # noqa: E402
from accelsim.training.gated_networks import GatedDenseNet, GatedResNet, share_of_work  # noqa: E402
from accelsim.training.gates import Budget, Decision, decide  # noqa: E402
from accelsim.training.networks import RECIPES, Recipe, lenet_cifar, resnet_cifar  # noqa: E402
from accelsim.training.train import Schedule, cross_entropy, learning_rate, run, train_network  # noqa: E402
from accelsim.training.train_gated import train_gated  # noqa: E402
from accelsim.workload.datasets import ImageSet, Normalisation  # noqa: E402
from accelsim.workload.onnx_build import build_onnx  # noqa: E402
from accelsim.workload.operators import Conv  # noqa: E402
from accelsim.workload.zoo.resnet import resnet_cifar as zoo_resnet  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor
    from torch.nn import Linear, Module

PLAIN = Normalisation((0.5,), (0.25,))
TINY = Recipe(lenet_cifar, epochs=2, batch=16, rate=0.05, margin=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def stripes(count: int = 64, seed: int = 3) -> ImageSet:
    """Noise with a bright row that tells the class."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, count).astype(np.uint8)
    images = draw.integers(0, 100, (count, 32, 32, 3), dtype=np.uint8)
    images[np.arange(count), 3 * labels.astype(int) + 1] = 250
    return ImageSet("cifar10", images, labels)


def trained(epochs: int = 2, checkpoint: Path | None = None, stop_after: int | None = None) -> dict[str, Tensor]:
    """Weights of a tiny run, which is killed after `stop_after` epochs."""
    torch.manual_seed(5)
    model = lenet_cifar()
    data = Batches(stripes(), PLAIN, 16, 2)
    calls = 0

    def objective(network: Module, images: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        if stop_after is not None and calls == stop_after * len(data):
            raise KeyboardInterrupt
        calls += 1
        return cross_entropy(network, images, labels)

    train_network("tiny", model, replace(TINY, epochs=epochs), data, Schedule(1, checkpoint=checkpoint), objective)
    return model.state_dict()


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return all(torch.equal(left[key], right[key]) for key in left)


def test_a_run_is_decided_by_its_seed() -> None:
    first = trained()
    assert same(first, trained())
    assert not same(first, trained(epochs=1))


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint=tmp_path / "net.pt", stop_after=1)
    assert load_checkpoint(tmp_path / "net.pt")["epoch"] == 1
    assert same(trained(checkpoint=tmp_path / "net.pt"), trained())
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    first = trained(checkpoint=tmp_path / "net.pt")
    assert same(trained(checkpoint=tmp_path / "net.pt"), first)


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    trained(checkpoint=tmp_path / "net.pt")
    with pytest.raises(InputError, match="belongs to another run"):
        trained(epochs=3, checkpoint=tmp_path / "net.pt")


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    save_checkpoint(tmp_path / "other.pt", {"weights": torch.zeros(1)})
    for name in ("cut.pt", "other.pt"):
        with pytest.raises(InputError, match="is no checkpoint"):
            load_checkpoint(tmp_path / name)


def test_training_learns() -> None:
    data = Batches(stripes(256), PLAIN, 16, 0)
    losses = train_network("tiny", lenet_cifar(), replace(TINY, epochs=4, rate=0.02), data, Schedule())
    assert losses[-1] < 0.5 * losses[0]


def test_a_diverging_run_says_so() -> None:
    def no_number(model: Module, images: Tensor, labels: Tensor) -> Tensor:
        return float("nan") * cross_entropy(model, images, labels)

    with pytest.raises(RunError, match="is not a number"):
        train_network("tiny", lenet_cifar(), TINY, Batches(stripes(16), PLAIN, 16, 2), Schedule(), no_number)


def test_the_learning_rate_goes_up_and_down_once() -> None:
    rates = [learning_rate(TINY, step, 100) for step in range(101)]
    assert max(rates) == rates[19] == TINY.rate
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[100] == 0


def test_wrong_names_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no network has this name"):
        run("resnet1000", tmp_path, tmp_path, Schedule())
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="there is no such device"):
            run("lenet_cifar", tmp_path, tmp_path, Schedule(device="cuda"))


def test_shifted_images_are_windows_of_the_mirrored_image() -> None:
    images = stripes(8)
    data = Batches(images, Normalisation((0.0,), (1 / 255,)), 8, 2)
    (ordered, labels) = next(data.in_order())
    assert torch.equal(ordered.byte(), torch.from_numpy(images.images.transpose(0, 3, 1, 2)))
    shifted, chosen = next(data.shuffled(9))
    assert sorted(chosen.tolist()) == sorted(labels.tolist())
    padded = np.pad(images.images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    windows = {
        view.tobytes()
        for image in padded
        for down in range(5)
        for right in range(5)
        for part in [image[down : down + 32, right : right + 32]]
        for view in (np.ascontiguousarray(part), np.ascontiguousarray(part[:, ::-1]))
    }
    for image in shifted.round().byte().numpy().transpose(0, 2, 3, 1):
        assert np.ascontiguousarray(image).tobytes() in windows


def exercised(model: Module) -> Module:
    """A network whose normalisations have seen something."""
    torch.manual_seed(2)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(16, 3, 32, 32))
    return model.eval()


@pytest.mark.parametrize("build", [lenet_cifar, lambda: resnet_cifar(20), RECIPES["vgg7_cifar"].build])
def test_folded_networks_answer_as_the_trained_ones(build: Callable[[], Any]) -> None:
    model, images = exercised(build()), torch.randn(8, 3, 32, 32)
    with torch.no_grad():
        expected = model(images).numpy()
    network = fold_network("net", "cifar10", model)
    logits = open_session(build_onnx(network)).run(None, {"image": images.numpy()})[0]
    assert np.abs(logits - expected).max() < 1e-5


def open_for_half(model: Module, head: Linear, images: Tensor) -> None:
    """Set a gate's bias so that it is open about half the time."""
    seen: list[Tensor] = []
    hook = head.register_forward_hook(lambda _, __, made: seen.append(made))
    with torch.no_grad():
        model(images)
        ordered = torch.cat(seen).sort(0).values
        middle = len(ordered) // 2
        head.bias.sub_((ordered[middle - 1] + ordered[middle]) / 2)
    hook.remove()


@pytest.mark.parametrize(
    "build", [lambda: GatedResNet(14), lambda: GatedResNet(14, channel_gates=True), lambda: GatedDenseNet((2, 3), 4)]
)
def test_folded_gated_networks_answer_and_decide_as_the_trained_ones(build: Callable[[], Any]) -> None:
    exercised(model := build())
    images = torch.randn(32, 3, 32, 32) * torch.linspace(0.2, 3, 32)[:, None, None, None]
    for head in (model.gates.layer_head, *model.gates.channel_heads.values()):
        open_for_half(model, head, images)
    with torch.no_grad():
        logits, decisions = model(images)
    gates = [part for d in decisions for part in (d.layer, d.channels) if part is not None]
    session = open_session(build_onnx(fold_network("net", "cifar10", model)))
    made, decided = session.run(["logits", "decisions"], {"image": images.numpy()})
    assert np.abs(made - logits.numpy()).max() < 1e-5
    assert np.array_equal(decided, torch.cat(gates, 1).numpy())
    assert 0 < decided.mean() < 1


def test_what_no_exported_network_can_do_is_refused() -> None:
    with pytest.raises(RunError, match="does what no exported network can"):
        fold_network("net", "cifar10", torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Softplus()))


def test_gated_resnets_have_the_weights_of_the_zoo_and_count_all_their_work() -> None:
    model = GatedResNet(38)
    fixed, gated = share_of_work(model)
    assert fixed + sum(gated) == pytest.approx(1)
    assert len(gated) == 17
    weights = [part.weight for name, part in model.named_modules() if hasattr(part, "in_channels")]
    graph = zoo_resnet(38)
    convolutions = [layer for layer in graph.layers if isinstance(layer.operator, Conv)]
    assert len(weights) == len(convolutions) == 37
    assert sum(weight.numel() for weight in weights) == sum(graph.parameters(layer) for layer in convolutions)


def test_a_gated_resnet_takes_over_a_plain_one() -> None:
    exercised(plain := resnet_cifar(14))
    model = GatedResNet(14).eval()
    model.load_plain(plain.state_dict())
    model.gating = False
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images)[0], plain(images))
    with pytest.raises(InputError, match="no plain network of the same depth"):
        model.load_plain(resnet_cifar(20).state_dict())


def test_a_gated_resnet_takes_over_the_backbone_of_one_with_other_gates() -> None:
    exercised(other := GatedResNet(14))
    model = GatedResNet(14, channel_gates=True).eval()
    model.load_plain(other.state_dict())
    model.gating = other.eval().gating = False
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images)[0], other(images)[0])


def test_gates_are_hard_and_let_gradients_through() -> None:
    probability = torch.tensor([0.2, 0.5, 0.7], requires_grad=True)
    hard = decide(probability)
    assert hard.tolist() == [0, 0, 1]
    hard.sum().backward()  # type: ignore[no-untyped-call]
    assert probability.grad is not None
    assert probability.grad.tolist() == [1, 1, 1]


def test_a_skipped_block_passes_its_shortcut_on() -> None:
    exercised(model := GatedResNet(14))
    model.gates.layer_head.bias.data.fill_(-100)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        logits, decisions = model(images)
        made = model.blocks[0](model.stem(images))
        for block in model.gated_modules():
            made = block.shortcut(made)
        expected = model.head(made.mean((2, 3)))
    assert all(not decision.layer.any() for decision in decisions)
    assert torch.allclose(logits, expected, atol=1e-5)


def test_work_is_dear_above_the_target_and_a_gain_below() -> None:
    half = Decision(torch.tensor([[1.0], [0.0]]))
    quarter = Decision(torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    budget = Budget(0.5, 0.2, (0.3, 0.5), strength=0.01)
    assert float(budget.share([half, quarter])) == pytest.approx(0.2 + 0.15 + 0.125)
    blocks = 0.2 + 0.15 + 0.25
    assert float(replace(budget, target=0.61).loss([half, half])) == pytest.approx(-blocks)
    assert float(replace(budget, target=0.59).loss([half, half])) == pytest.approx(blocks)
    channels = 0.2 + 0.3 + 0.375
    for target, cost in ((0.8, -blocks - channels), (0.5, -blocks + channels), (0.3, blocks + channels)):
        assert float(replace(budget, target=target).loss([half, quarter])) == pytest.approx(cost), target


def test_cost_pushes_a_channel_as_hard_as_a_block() -> None:
    layer, channels = torch.ones(2, 1, requires_grad=True), torch.ones(2, 4, requires_grad=True)
    Budget(0.5, 0.2, (0.8,), strength=0.01).loss([Decision(layer, channels)]).backward()  # type: ignore[no-untyped-call]
    assert layer.grad is not None
    assert channels.grad is not None
    assert layer.grad.unique().tolist() == channels.grad.unique().tolist() == pytest.approx([0.4])


def test_gated_training_moves_the_work_towards_each_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelsim.training import train_gated as module
    from accelsim.training.gated_networks import GatedRecipe

    step = Recipe(lambda: GatedDenseNet((2, 2), 4), epochs=1, batch=16, rate=0.05, margin=2)
    joint = replace(step, epochs=12, rate=0.3)
    recipe = GatedRecipe(step.build, step, replace(step, rate=0.01), joint, strength=0.03)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "GATED_RECIPES", {"small": recipe})
    images = stripes(128)
    model = train_gated("small", images, images, tmp_path, Schedule(1), (80,))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small_80.pt", "small_backbone.pt", "small_gates.pt"]
    fixed, gated = share_of_work(model)
    budget = Budget(1.0, fixed, tuple(gated))
    opened = GatedDenseNet((2, 2), 4)
    opened.load_state_dict(load_checkpoint(tmp_path / "small_gates.pt")["model"])
    assert module.report("gates", opened, budget, images, "cpu")[1] == pytest.approx(1)
    assert module.report("joint", model, budget, images, "cpu")[1] < 0.9
    with pytest.raises(InputError, match="no gated network has this name"):
        train_gated("large", images, images, tmp_path, Schedule(), (50,))
