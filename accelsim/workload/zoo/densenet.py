"""DenseNets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_BLOCKS = {121: (6, 12, 24, 16), 201: (6, 12, 48, 32)}
_GROWTH = 32


def densenet(depth: int) -> LayerGraph:
    """DenseNet-BC of growth 32 for 224 x 224 ImageNet.

    Huang et al., "Densely connected convolutional networks", CVPR 2017, table 1. Each layer reads the concatenation of
    everything before it in its block; a transition halves channels and size.
    """
    net = NetworkBuilder(3, 224)
    made = net.pool("pool0", net.conv_norm("conv0", "image", 2 * _GROWTH, 7, 2), 3, 2, 1)
    for block, count in enumerate(_BLOCKS[depth], start=1):
        for index in range(1, count + 1):
            name = f"block{block}.{index}"
            new = _normalised_conv(net, f"{name}.conv1", made, 4 * _GROWTH, 1)
            new = _normalised_conv(net, f"{name}.conv2", new, _GROWTH, 3)
            made = net.concat(f"{name}.concat", made, new)
        if block < len(_BLOCKS[depth]):
            made = _normalised_conv(net, f"transition{block}.conv", made, net.channels(made) // 2, 1)
            made = net.pool(f"transition{block}.pool", made, 2, function="average")
    made = net.activation("relu5", net.norm("norm5", made))
    net.softmax("softmax", net.gemm("fc", net.global_pool("avgpool", made), 1000))
    return net.build(f"densenet{depth}", f"DenseNet-{depth}, growth 32, 224x224 ImageNet (Huang et al. 2017)")


def densenet_cifar(layers: tuple[int, ...] = (4, 6, 6), growth: int = 16) -> LayerGraph:
    """A small DenseNet for CIFAR-10, the one whose weights `accelsim.training.gated_networks.GatedDenseNet` trains.

    Layers are convolution, normalisation and rectifier in this order, so that the normalisation folds into the
    convolution (Huang et al. normalise first); as there, the stem pools, and a transition halves channels and size.
    """
    net = NetworkBuilder(3, 32)
    made = net.pool("stem.pool", net.conv_norm("stem", "image", 2 * growth, 3), 2)
    for block, count in enumerate(layers):
        if block:
            name = f"transitions.{block - 1}"
            made = net.conv_norm(name, made, net.channels(made) // 2, 1)
            made = net.pool(f"{name}.pool", made, 2, function="average")
        for index in range(count):
            name = f"dense.{block}.{index}"
            made = net.concat(f"{name}.concat", made, net.conv_norm(name, made, growth, 3))
    net.softmax("softmax", net.gemm("head", net.global_pool("pool", made), 10))
    return net.build("densenet_cifar", f"DenseNet of {sum(layers)} layers, growth {growth}, for CIFAR-10")


def _normalised_conv(net: NetworkBuilder, name: str, source: str, channels: int, kernel: int) -> str:
    made = net.activation(f"{name}.relu", net.norm(f"{name}.norm", source))
    return net.conv(name, made, channels, kernel, bias=False)
