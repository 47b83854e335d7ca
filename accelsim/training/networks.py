"""The networks that ship with accelsim, in PyTorch, and how each is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable


def zero_padded_shortcut(source: Tensor, channels: int) -> Tensor:
    """Every second pixel, with channels of zeros added on both sides up to `channels` (option A of ResNet)."""
    margin = (channels - source.shape[1]) // 2
    return functional.pad(source[:, :, ::2, ::2], (0, 0, 0, 0, margin, margin))


def global_mean(source: Tensor) -> Tensor:
    """Mean over height and width, in float32."""
    return source.mean((2, 3), dtype=torch.float32)


torch.fx.wrap("zero_padded_shortcut")
torch.fx.wrap("global_mean")


class ConvNorm(nn.Sequential):
    """A square convolution without bias, its batch normalisation, and a rectifier unless `activate` is false."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1,
                 *, activate: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        if activate:
            self.relu = nn.ReLU(inplace=True)


class GlobalMean(nn.Module):
    """Mean over height and width, as a module."""

    def forward(self, source: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c)."""
        return global_mean(source)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without parameters."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.inputs, self.width, self.stride = inputs, width, stride
        self.conv1 = ConvNorm(inputs, width, stride=stride)
        self.conv2 = ConvNorm(width, width, activate=False)

    def shortcut(self, source: Tensor) -> Tensor:
        """What the block passes on when its convolutions are skipped."""
        return source if self.stride == 1 else zero_padded_shortcut(source, self.width)

    def forward(self, source: Tensor) -> Tensor:
        """Sum of both paths, rectified."""
        return functional.relu(self.conv2(self.conv1(source)) + self.shortcut(source))


def resnet_blocks(depth: int) -> list[BasicBlock]:
    """Blocks of the CIFAR ResNet of depth 6n + 2 (He et al. 2016, section 4.2)."""
    shapes = [(16 << stage, index) for stage in range(3) for index in range((depth - 2) // 6)]
    return [
        BasicBlock(width // 2 if (halve := index == 0 and width > 16) else width, width, 2 if halve else 1)
        for width, index in shapes
    ]


def resnet_cifar(depth: int) -> nn.Module:
    """CIFAR ResNet with option A shortcuts, as `accelsim.workload.zoo.resnet_cifar` describes it."""
    return nn.Sequential(ConvNorm(3, 16), *resnet_blocks(depth), GlobalMean(), nn.Linear(64, 10))


def fashion_cnn() -> nn.Module:
    """Five 3 x 3 convolutions for 28 x 28 grey images; about 93,000 parameters."""
    return _plain_cnn(1, (16, None, 32, 48, None, 64, 80))


def vgg7_cifar() -> nn.Module:
    """Seven 3 x 3 convolutions in the manner of VGG for 32 x 32 images; about 580,000 parameters."""
    return _plain_cnn(3, (32, 32, None, 64, 64, None, 128, 128, None, 256))


def _plain_cnn(channels: int, widths: tuple[int | None, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    for width in widths:
        layers.append(nn.MaxPool2d(2) if width is None else ConvNorm(channels, width))
        channels = width or channels
    return nn.Sequential(*layers, GlobalMean(), nn.Linear(channels, 10))


def lenet_cifar() -> nn.Module:
    """LeNet-5's shapes on three channels, with rectifiers, maximum pooling and batch normalisation."""
    return nn.Sequential(
        ConvNorm(3, 6, 5, padding=0), nn.MaxPool2d(2), ConvNorm(6, 16, 5, padding=0), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: stochastic gradient descent with Nesterov momentum and a one-cycle learning rate.

    Attributes
    ----------
    build
        Makes the network.
    dataset
        Name of its images.
    epochs, batch
        Length and step of a run.
    rate, momentum, decay
        Highest learning rate, momentum and weight decay.
    margin
        Images are shifted by up to so many pixels and flipped left to right at random.
    """

    build: Callable[[], nn.Module]
    dataset: str = "cifar10"
    epochs: int = 40
    batch: int = 128
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    margin: int = 4


RECIPES = {
    "fashion_cnn": Recipe(fashion_cnn, "fashion_mnist", epochs=16, margin=2),
    "lenet_cifar": Recipe(lenet_cifar, epochs=30, rate=0.05, margin=2),
    "vgg7_cifar": Recipe(vgg7_cifar),
    "resnet20_cifar": Recipe(lambda: resnet_cifar(20)),
}
"""Networks without gates, by name; `accelsim.training.gated_networks` has those with gates."""
