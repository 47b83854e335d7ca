"""VGG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_BLOCKS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)


def vgg(depth: int) -> LayerGraph:
    """VGG for 224 x 224 ImageNet, without batch normalisation.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1:
    columns A (11), D (16) and E (19).
    """
    net = NetworkBuilder(3, 224)
    made = "image"
    for block, (count, channels) in enumerate(zip(_BLOCKS[depth], _CHANNELS, strict=True), start=1):
        for index in range(1, count + 1):
            name = f"conv{block}_{index}"
            made = net.activation(f"{name}.relu", net.conv(name, made, channels, 3))
        made = net.pool(f"pool{block}", made, 2)
    for name in ("fc6", "fc7"):
        made = net.activation(f"{name}.relu", net.gemm(name, made, 4096))
    net.softmax("softmax", net.gemm("fc8", made, 1000))
    return net.build(f"vgg{depth}", f"VGG-{depth}, 224x224 ImageNet (Simonyan and Zisserman 2015)")


def vgg19_cifar() -> LayerGraph:
    """VGG-19 for CIFAR-10: batch normalisation, no last pool but an average over 2 x 2, one linear layer.

    Liu et al., "Learning efficient convolutional networks through network slimming", ICCV 2017, table 1(a), VGGNet
    (the columns of VGG's table 1 E, cut to four max pools).
    """
    net = NetworkBuilder(3, 32)
    made = "image"
    for block, (count, channels) in enumerate(zip(_BLOCKS[19], _CHANNELS, strict=True), start=1):
        for index in range(1, count + 1):
            made = net.conv_norm(f"conv{block}_{index}", made, channels, 3)
        made = net.pool(f"pool{block}", made, 2, function="max" if block < len(_CHANNELS) else "average")
    net.softmax("softmax", net.gemm("fc", made, 10))
    return net.build("vgg19_cifar", "VGG-19 with batch normalisation, 32x32 CIFAR-10 (Liu et al. 2017)")


def binarynet() -> LayerGraph:
    """The network for CIFAR-10 of BinaryNet: three pairs of 3 x 3 convolutions, three linear layers.

    Courbariaux et al., "Binarized neural networks", 2016, section 2.1 (that of BinaryConnect): each pair ends in a max
    pool, batch normalisation and activation follow it. Widths of one bit are an annotation.
    """
    net = NetworkBuilder(3, 32)
    made = "image"
    for index, channels in enumerate((128, 128, 256, 256, 512, 512), start=1):
        made = net.conv(f"conv{index}", made, channels, 3, bias=False)
        if index % 2 == 0:
            made = net.pool(f"pool{index // 2}", made, 2)
        made = net.activation(f"sign{index}", net.norm(f"norm{index}", made), "sign")
    for index in (1, 2):
        made = net.gemm(f"fc{index}", made, 1024)
        made = net.activation(f"fc{index}.sign", net.norm(f"fc{index}.norm", made), "sign")
    net.softmax("softmax", net.gemm("fc3", made, 10))
    return net.build("binarynet", "VGG-like network of BinaryNet, 32x32 CIFAR-10 (Courbariaux et al. 2016)")
