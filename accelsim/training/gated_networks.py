"""Networks with gates: CIFAR ResNets whose blocks can be skipped, and a small DenseNet whose layers can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from accelsim.errors import InputError
from accelsim.training.gates import Decision, RecurrentGate, scale_by_gate
from accelsim.training.networks import BasicBlock, ConvNorm, Recipe, global_mean, resnet_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

torch.fx.wrap("global_mean")
torch.fx.wrap("scale_by_gate")

Answer = tuple[Tensor, list[Decision]]


class GatedNetwork(nn.Module):
    """What gated networks have in common.

    Attributes
    ----------
    gating
        While false, everything runs and there are no decisions: how the backbone is trained.
    gates
        The gate that all blocks share.
    """

    gates: RecurrentGate

    def __init__(self) -> None:
        super().__init__()
        self.gating = True

    def gated_modules(self) -> Sequence[nn.Module]:
        """Modules that each decision is about, in the order of the decisions."""
        raise NotImplementedError


class GatedResNet(GatedNetwork):
    """CIFAR ResNet; every block but the first can be skipped for an image, which then takes the shortcut alone.

    Parameters
    ----------
    depth
        6n + 2.
    channel_gates
        Decide as well which channels between a block's two convolutions are computed.
    """

    def __init__(self, depth: int, *, channel_gates: bool = False) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 16)
        blocks = resnet_blocks(depth)
        self.blocks = nn.ModuleList(blocks)
        self.gates = RecurrentGate(
            [block.inputs for block in blocks[1:]], [block.width for block in blocks[1:]] if channel_gates else None
        )
        self.head = nn.Linear(64, 10)

    def gated_modules(self) -> list[BasicBlock]:
        """All blocks but the first."""
        return [block for block in self.blocks if isinstance(block, BasicBlock)][1:]

    def load_plain(self, weights: dict[str, Tensor]) -> None:
        """Take over trained weights: those of `accelsim.training.networks.resnet_cifar`, or of another's backbone."""
        last = len(self.blocks) + 2
        places = {"0": "stem", str(last): "head"} | {str(i + 1): f"blocks.{i}" for i in range(len(self.blocks))}
        renamed = {}
        for name, values in weights.items():
            number, _, rest = name.partition(".")
            if number != "gates":
                renamed[f"{places.get(number, number)}.{rest}"] = values
        own = {name for name in self.state_dict() if not name.startswith("gates.")}
        if set(renamed) != own:
            raise InputError("is no plain network of the same depth", where="backbone", value=len(weights))
        self.load_state_dict(renamed, strict=False)

    def forward(self, images: Tensor) -> Answer:
        """Logits (n, 10) and the decisions on all blocks but the first."""
        made = self.blocks[0](self.stem(images))
        state: tuple[Tensor, Tensor] | None = None
        decisions: list[Decision] = []
        for index, block in enumerate(self.gated_modules()):
            if not self.gating:
                made = block(made)
                continue
            decision, state = self.gates(index, global_mean(made), state)
            decisions.append(decision)
            residual = block.conv1(made)
            if decision.channels is not None:
                residual = scale_by_gate(residual, decision.channels)
            residual = scale_by_gate(block.conv2(residual), decision.layer)
            made = functional.relu(residual + block.shortcut(made))
        return self.head(global_mean(made)), decisions


class GatedDenseNet(GatedNetwork):
    """Small DenseNet whose layers, all but the first, can be skipped: their features are then zeros.

    Layers are convolution, normalisation and rectifier in this order, so that the normalisation folds into the
    convolution (Huang et al. 2017 normalise first); as there, the stem pools, and a transition halves the channels and
    the size.

    Parameters
    ----------
    layers
        Layers of each dense block.
    growth
        Channels that a layer adds.
    """

    def __init__(self, layers: tuple[int, ...] = (4, 6, 6), growth: int = 16) -> None:
        super().__init__()
        width = 2 * growth
        self.stem = nn.Sequential(ConvNorm(3, width), nn.MaxPool2d(2))
        self.dense = nn.ModuleList()
        self.transitions = nn.ModuleList()
        entering: list[int] = []
        for block, count in enumerate(layers):
            if block:
                self.transitions.append(nn.Sequential(ConvNorm(width, width // 2, 1, padding=0), nn.AvgPool2d(2)))
                width //= 2
            self.dense.append(nn.ModuleList(ConvNorm(width + growth * index, growth) for index in range(count)))
            entering += [width + growth * index for index in range(count)]
            width += growth * count
        self.gates = RecurrentGate(entering[1:])
        self.head = nn.Linear(width, 10)

    def gated_modules(self) -> list[nn.Module]:
        """All dense layers but the first."""
        return [layer for part in self.dense for layer in part.children()][1:]

    def forward(self, images: Tensor) -> Answer:
        """Logits (n, 10) and the decisions on all dense layers but the first."""
        made = self.stem(images)
        state: tuple[Tensor, Tensor] | None = None
        decisions: list[Decision] = []
        for number, block in enumerate(self.dense):
            made = self.transitions[number - 1](made) if number else made
            for index, layer in enumerate(block.children()):
                features = layer(made)
                if self.gating and (number or index):
                    decision, state = self.gates(len(decisions), global_mean(made), state)
                    decisions.append(decision)
                    features = scale_by_gate(features, decision.layer)
                made = torch.cat((made, features), 1)
        return self.head(global_mean(made)), decisions


@dataclass(frozen=True)
class GatedRecipe:
    """How a gated network is trained: the backbone first, then its gates, then both for one budget after the other.

    Attributes
    ----------
    build
        Makes the network.
    backbone
        Training with everything executed.
    gates
        Training of the gates alone, everything executed.
    joint
        Training of the whole network towards one budget.
    strength
        Weight of the cost of a percent beside the cross-entropy. It is an assumption: large enough to reach a target
        within an epoch, small enough not to swing about it (E2-Train's 1e-5 weighs another unit of cost).
    """

    build: Callable[[], GatedNetwork]
    backbone: Recipe
    gates: Recipe
    joint: Recipe
    strength: float = 0.005


def _recipe(build: Callable[[], GatedNetwork]) -> GatedRecipe:
    return GatedRecipe(build, Recipe(build), Recipe(build, epochs=1, rate=0.01), Recipe(build, epochs=10, rate=0.05))


GATED_RECIPES = {
    "resnet20_gated": _recipe(lambda: GatedResNet(20)),
    "resnet38_gated": _recipe(lambda: GatedResNet(38)),
    "resnet38_channel_gated": _recipe(lambda: GatedResNet(38, channel_gates=True)),
    "resnet74_gated": _recipe(lambda: GatedResNet(74)),
    "densenet_gated": _recipe(GatedDenseNet),
}
"""Networks with gates, by name."""


@torch.no_grad()
def share_of_work(model: GatedNetwork, image_shape: tuple[int, int, int] = (3, 32, 32)) -> tuple[float, list[float]]:
    """Shares of one image's multiply-accumulates: those that no gate can skip, and those of each gated module."""
    macs: dict[nn.Module, int] = {}

    def count(module: nn.Module, _: object, made: Tensor) -> None:
        taps = module.weight[0].numel()  # type: ignore[index]
        macs[module] = macs.get(module, 0) + made.numel() * taps

    hooks = [part.register_forward_hook(count) for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    training = model.training
    device = next(model.parameters()).device
    model.eval()(torch.zeros(1, *image_shape, device=device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    total = sum(macs.values())
    gated = [sum(macs.get(part, 0) for part in module.modules()) / total for module in model.gated_modules()]
    return 1.0 - sum(gated), gated
