"""Networks with classifiers along the way: MSDNet and RANet. ``exit1.softmax`` is the confidence of the first one.

The layers of an exit come before those that run only where it is not taken. The last exit is the end of the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelsim.workload.operators import Pool, Window
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_CIFAR_HEAD_CHANNELS = 128


@dataclass(frozen=True)
class Scales:
    """What both networks have for each of their resolutions, MSDNet's finest first, RANet's coarsest first.

    Parameters
    ----------
    channels, growth
        Channels of the first feature maps, and those that a layer adds, before they are multiplied by `factors`.
    factors
        For each scale, what channels and growth are multiplied by, and a bottleneck's width over what it makes.
    classes
        Classes: 10 at 32 x 32 pixels, 1000 at 224 x 224.
    """

    channels: int
    growth: int
    factors: tuple[int, ...]
    classes: int

    @property
    def is_imagenet(self) -> bool:
        """Whether images are large: a stem that halves twice, and classifiers as wide as what enters them."""
        return self.classes == 1000

    def builder(self) -> NetworkBuilder:
        """An empty network."""
        return NetworkBuilder(3, 224 if self.is_imagenet else 32)

    def finest(self, net: NetworkBuilder, channels: int) -> str:
        """Add the first layer, which makes the finest scale."""
        if not self.is_imagenet:
            return net.conv_norm("stem1", "image", channels, 3)
        made = net.conv("stem1", "image", channels, 7, 2)
        return net.pool("stem1.pool", net.activation("stem1.relu", net.norm("stem1.norm", made)), 3, 2, 1)

    def exit(self, net: NetworkBuilder, number: int, source: str) -> None:
        """Add a classifier: two convolutions that halve, an average and a linear layer."""
        name = f"exit{number}"
        made, width = source, net.channels(source) if self.is_imagenet else _CIFAR_HEAD_CHANNELS
        for index in (1, 2):
            made = net.conv_norm(f"{name}.conv{index}", made, width, 3, 2)
        made = net.pool(f"{name}.pool", made, 2, function="average")
        net.softmax(f"{name}.softmax", net.gemm(f"{name}.fc", made, self.classes))


def _bottleneck(net: NetworkBuilder, name: str, source: str, channels: int, factor: int, stride: int = 1) -> str:
    """Add a convolution of one pixel to `factor` times the channels, or as many as there are, and one of nine."""
    inner = min(net.channels(source), factor * channels)
    return net.conv_norm(f"{name}.conv", net.conv_norm(f"{name}.inner", source, inner, 1), channels, 3, stride)


def msdnet_cifar() -> LayerGraph:
    """MSDNet of five exits for 32 x 32 CIFAR-10, the one for budgets: blocks of 1 to 5 layers."""
    return _msdnet("msdnet_cifar", Scales(16, 6, (1, 2, 4), 10), (1, 2, 3, 4, 5), "32x32 CIFAR-10")


def msdnet() -> LayerGraph:
    """MSDNet of five exits for 224 x 224 ImageNet: blocks of 7 layers, the largest of the three published."""
    return _msdnet("msdnet", Scales(32, 16, (1, 2, 4, 4), 1000), (7,) * 5, "224x224 ImageNet")


def _msdnet(name: str, scales: Scales, blocks: tuple[int, ...], images: str) -> LayerGraph:
    """Huang et al., "Multi-scale dense networks", ICLR 2018, and its released PyTorch code.

    Every scale joins to what it has a half that is made of itself and a half that is made of the next finer scale. The
    finest one is given up after each third (CIFAR) or quarter (ImageNet) of the layers; all channels are halved then.
    """
    net = scales.builder()
    maps = [scales.finest(net, scales.channels * scales.factors[0])]
    for index, factor in enumerate(scales.factors[1:], start=2):
        maps.append(net.conv_norm(f"stem{index}", maps[-1], scales.channels * factor, 3, 2))
    count, total = len(scales.factors), sum(blocks)
    interval, layer, before = math.ceil(total / count), 0, count
    for number, length in enumerate(blocks, start=1):
        for _ in range(length):
            kept = count - layer // interval
            layer += 1
            maps = _msdnet_layer(net, f"layer{layer}", maps, scales, kept)
            if kept < before:
                maps = [
                    net.conv_norm(f"transition{layer}.{index}", made, net.channels(made) // 2, 1)
                    for index, made in enumerate(maps, start=count - kept + 1)
                ]
            before = kept
        scales.exit(net, number, maps[-1])
    return net.build(name, f"MSDNet, {len(blocks)} exits, {images} (Huang et al. 2018)")


def _msdnet_layer(net: NetworkBuilder, name: str, maps: list[str], scales: Scales, kept: int) -> list[str]:
    """One layer at the `kept` coarsest scales."""
    count, made = len(scales.factors), []
    for scale in range(count - kept, count):
        at = len(maps) - count + scale
        new, factor = scales.growth * scales.factors[scale], scales.factors[scale]
        here = f"{name}.{scale + 1}"
        if at == 0:
            parts = [_bottleneck(net, here, maps[0], new, factor)]
        else:
            parts = [
                _bottleneck(net, f"{here}.down", maps[at - 1], new // 2, scales.factors[scale - 1], 2),
                _bottleneck(net, here, maps[at], new // 2, factor),
            ]
        made.append(net.concat(f"{here}.concat", maps[at], *parts))
    return made


def ranet_cifar() -> LayerGraph:
    """RANet of eight exits for 32 x 32 CIFAR-10: sub-networks at 8, 16, 32 and 32 pixels, blocks of 4 layers."""
    return _ranet("ranet_cifar", Scales(16, 6, (4, 2, 1, 1), 10), (1, 2, 3, 3), 4, "32x32 CIFAR-10")


def ranet() -> LayerGraph:
    """RANet of eight exits for 224 x 224 ImageNet: sub-networks at 7, 14, 28 and 56 pixels, blocks of 8 layers.

    The released scripts begin with 32 or 16 channels and multiply by 4-2-1-1 or 4-2-2-1. Of all their combinations, and
    those with 64 channels, 64 and 4-2-2-1 alone has exits where the paper's figure has them.
    """
    return _ranet("ranet", Scales(64, 16, (4, 2, 2, 1), 1000), (1, 2, 3, 4), 8, "224x224 ImageNet")


_EXITS_EACH = 2


@dataclass(frozen=True)
class _SubNetwork:
    """One of RANet's sub-networks, for its fusion blocks to read from.

    Parameters
    ----------
    number
        From 1, the coarsest.
    halvings
        One more than how often it halves its resolution.
    features
        For each of its blocks what entered it and what each of its layers made.
    """

    number: int
    halvings: int
    features: list[list[str]]

    @property
    def blocks(self) -> int:
        """Number of its blocks, of which the last ones have exits."""
        return _EXITS_EACH * self.number

    @property
    def fused(self) -> int:
        """Number of its blocks that read from the sub-network before it."""
        return self.blocks - _EXITS_EACH

    def halves(self, block: int) -> bool:
        """Whether a fusion block halves its resolution at its end."""
        ends = range(0, self.fused + 1, _EXITS_EACH)
        return block in ends[max(len(ends) - self.halvings + 1, 0) :]

    def compresses(self, block: int) -> bool:
        """Whether a block halves its channels at its end."""
        return block in {self.blocks * part // self.halvings for part in range(1, self.halvings)}


def _ranet(name: str, scales: Scales, halvings: tuple[int, ...], length: int, images: str) -> LayerGraph:
    """Yang et al., "Resolution adaptive networks for efficient inference", CVPR 2020, and its released code.

    Sub-networks from the coarsest to the finest; all but the first begin with blocks that take in a quarter of their
    features from the sub-network before, interpolated to their size.
    """
    net = scales.builder()
    count = len(scales.factors)
    made = scales.finest(net, scales.channels * scales.factors[-1])
    stems = [made]
    for index in range(count - 1, 0, -1):
        stride = 1 if halvings[index] == halvings[index - 1] else 2
        made = net.conv_norm(f"stem{count - index + 1}", made, scales.channels * scales.factors[index - 1], 3, stride)
        stems.append(made)
    lower: _SubNetwork | None = None
    for number, stem in enumerate(reversed(stems), start=1):
        sub, made = _SubNetwork(number, halvings[number - 1], []), stem
        for block in range(1, sub.blocks + 1):
            made = _ranet_block(net, scales, sub, lower, block, length, made)
            if block > sub.fused:
                scales.exit(net, _EXITS_EACH * (number - 1) + block - sub.fused, made)
        lower = sub
    return net.build(name, f"RANet, {_EXITS_EACH * count} exits, {images} (Yang et al. 2020)")


def _ranet_block(
    net: NetworkBuilder, scales: Scales, sub: _SubNetwork, lower: _SubNetwork | None, block: int, length: int, made: str
) -> str:  # fmt: skip
    """A dense block, one that takes in features of the sub-network before it while there are any."""
    factor = scales.factors[sub.number - 1]
    growth = scales.growth * factor
    taken = lower.features[block - 1] if lower is not None and block <= sub.fused else None
    name = f"sub{sub.number}.{block}"
    features = [made]
    for layer in range(length):
        here = f"{name}.{layer + 1}"
        if taken is None:
            made = net.concat(f"{here}.concat", made, _bottleneck(net, here, made, growth, factor))
        else:
            stride = 2 if layer == length - 1 and sub.halves(block) else 1
            below = _bottleneck(net, f"{here}.up", taken[layer], growth // 4, scales.factors[sub.number - 2])
            new = _bottleneck(net, here, made, growth - growth // 4, factor, stride)
            size = net.shapes[new][2]
            parts = (_resized(net, f"{here}.kept", made, size), _resized(net, f"{here}.taken", below, size), new)
            made = net.concat(f"{here}.concat", *parts)
        features.append(made)
    sub.features.append(features)
    if taken is not None:
        last = net.conv_norm(f"{name}.last", taken[-1], net.channels(made) // 4, 1)
        made = net.concat(f"{name}.concat", made, _resized(net, f"{name}.last.taken", last, net.shapes[made][2]))
    if sub.compresses(block):
        made = net.conv_norm(f"{name}.transition", made, net.channels(made) // 2, 1)
    return made


def _resized(net: NetworkBuilder, name: str, source: str, size: int) -> str:
    """Bilinear interpolation: every pixel made of four, which a pool of 2 x 2 costs as well.

    Where the map grows, padding makes the pool's output as large: it reads and writes as much, of other pixels.
    """
    old = net.shapes[source][2]
    if old == size:
        return source
    if old > size:
        stride = old // size
        return net.add(name, Pool("average", Window((2, 2), (stride, stride))), source)
    missing = size + 1 - old
    before, after = missing // 2, missing - missing // 2
    return net.add(name, Pool("average", Window((2, 2), padding=(before, before, after, after))), source)
