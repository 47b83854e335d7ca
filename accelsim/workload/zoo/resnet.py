"""ResNets: those for ImageNet, those for CIFAR, and the pre-activation one for CIFAR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.operators import Pool, Window
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_IMAGENET_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_PAPER = "He et al. 2016"


def resnet(depth: int) -> LayerGraph:
    """ResNet for 224 x 224 ImageNet: basic blocks at depth 18, bottlenecks at 50 and 101.

    He et al., "Deep residual learning for image recognition", CVPR 2016, table 1, projection shortcuts (option B). As
    in torchvision and NVIDIA's "v1.5" a bottleneck that halves the size does so in its 3 x 3 convolution.
    """
    net = NetworkBuilder(3, 224)
    made = net.pool("maxpool", net.conv_norm("conv1", "image", 64, 7, 2), 3, 2, 1)
    block = _basic_block if depth == 18 else _bottleneck
    for stage, count in enumerate(_IMAGENET_BLOCKS[depth]):
        for index in range(count):
            stride = 2 if stage and not index else 1
            made = block(net, f"layer{stage + 1}.{index}", made, 64 << stage, stride)
    made = net.global_pool("avgpool", made)
    net.softmax("softmax", net.gemm("fc", made, 1000))
    return net.build(f"resnet{depth}", f"ResNet-{depth}, 224x224 ImageNet ({_PAPER})")


def _basic_block(net: NetworkBuilder, name: str, source: str, width: int, stride: int) -> str:
    made = net.conv_norm(f"{name}.conv1", source, width, 3, stride)
    made = net.conv_norm(f"{name}.conv2", made, width, 3, activation=None)
    return _close(net, name, made, source, stride)


def _bottleneck(net: NetworkBuilder, name: str, source: str, width: int, stride: int) -> str:
    made = net.conv_norm(f"{name}.conv1", source, width, 1)
    made = net.conv_norm(f"{name}.conv2", made, width, 3, stride)
    made = net.conv_norm(f"{name}.conv3", made, 4 * width, 1, activation=None)
    return _close(net, name, made, source, stride)


def _close(net: NetworkBuilder, name: str, made: str, source: str, stride: int) -> str:
    """Add the shortcut, projected where the shape changes, and the last activation."""
    if net.shapes[source] != net.shapes[made]:
        channels = net.channels(made)
        source = net.conv_norm(f"{name}.downsample", source, channels, 1, stride, activation=None)
    return net.activation(f"{name}.relu", net.sum(f"{name}.add", made, source))


def resnet_cifar(depth: int) -> LayerGraph:
    """ResNet of depth 6n + 2 for 32 x 32 CIFAR-10, with shortcuts that have no parameters.

    He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2 and table 6: widths 16, 32 and
    64, n basic blocks each, option A (where the shape changes, every second pixel, and channels of zeros added).
    """
    net = NetworkBuilder(3, 32)
    made = net.conv_norm("conv1", "image", 16, 3)
    for stage in range(3):
        for index in range((depth - 2) // 6):
            name = f"layer{stage + 1}.{index}"
            source = made
            made = net.conv_norm(f"{name}.conv1", source, 16 << stage, 3, 2 if stage and not index else 1)
            made = net.conv_norm(f"{name}.conv2", made, 16 << stage, 3, activation=None)
            if net.shapes[source] != net.shapes[made]:
                source = _zero_padded_shortcut(net, f"{name}.shortcut", source)
            made = net.activation(f"{name}.relu", net.sum(f"{name}.add", made, source))
    net.softmax("softmax", net.gemm("fc", net.global_pool("avgpool", made), 10))
    return net.build(f"resnet{depth}_cifar", f"ResNet-{depth}, 32x32 CIFAR-10, option A shortcuts ({_PAPER})")


def _zero_padded_shortcut(net: NetworkBuilder, name: str, source: str) -> str:
    """Half the rows and columns, twice the channels: a slice, then a copy into a map that has the zeros around it.

    Seen as one map with a row for each channel the copy is a pool of 1 x 1 with padding above and below.
    """
    _, channels, height, width = net.shapes[source]
    made = net.view(f"{name}.slice", source, 1, channels, height * width // 4)
    window = Window((1, 1), padding=(channels // 2, 0, channels // 2, 0))
    made = net.add(f"{name}.pad", Pool("average", window), made)
    return net.view(name, made, 2 * channels, height // 2, width // 2)


def resnet164_cifar() -> LayerGraph:
    """Pre-activation ResNet-164 for 32 x 32 CIFAR-10.

    He et al., "Identity mappings in deep residual networks", ECCV 2016, section 5 and its released code: depth
    9n + 2 with n = 18 bottlenecks for each of the widths 64, 128 and 256; the first unit of a stage projects.
    """
    net = NetworkBuilder(3, 32)
    made = net.conv("conv1", "image", 16, 3, bias=False)
    for stage in range(3):
        for index in range(18):
            stride = 2 if stage and not index else 1
            made = _pre_activation_bottleneck(net, f"layer{stage + 1}.{index}", made, 16 << stage, stride)
    made = net.activation("relu", net.norm("norm", made))
    net.softmax("softmax", net.gemm("fc", net.global_pool("avgpool", made), 10))
    return net.build("resnet164_cifar", "Pre-activation ResNet-164, 32x32 CIFAR-10 (He et al. 2016, Identity mappings)")


def _pre_activation_bottleneck(net: NetworkBuilder, name: str, source: str, width: int, stride: int) -> str:
    made = source
    for index, (channels, kernel, step) in enumerate(((width, 1, 1), (width, 3, stride), (4 * width, 1, 1)), start=1):
        made = net.activation(f"{name}.relu{index}", net.norm(f"{name}.norm{index}", made))
        made = net.conv(f"{name}.conv{index}", made, channels, kernel, step, bias=False)
    if net.shapes[source] != net.shapes[made]:
        source = net.conv(f"{name}.downsample", source, 4 * width, 1, stride, bias=False)
    return net.sum(f"{name}.add", made, source)
