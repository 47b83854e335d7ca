"""Small networks for mobile devices: MobileNetV2, SqueezeNet 1.1 and EfficientNet-B0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph


def mobilenetv2() -> LayerGraph:
    """MobileNetV2 of width 1.0 for 224 x 224 ImageNet.

    Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, table 2 (expansion t, output
    channels c, repeats n, stride s).
    """
    net = NetworkBuilder(3, 224)
    made = net.conv_norm("stem", "image", 32, 3, 2, activation="relu6")
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for row, (expansion, channels, count, stride) in enumerate(rows, start=1):
        for index in range(count):
            name, source = f"block{row}.{index}", made
            hidden = expansion * net.channels(source)
            if expansion > 1:
                made = net.conv_norm(f"{name}.expand", made, hidden, 1, activation="relu6")
            step = 1 if index else stride
            made = net.conv_norm(f"{name}.depthwise", made, hidden, 3, step, groups=hidden, activation="relu6")
            made = net.conv_norm(f"{name}.project", made, channels, 1, activation=None)
            if net.shapes[made] == net.shapes[source]:
                made = net.sum(f"{name}.add", made, source)
    made = net.conv_norm("head", made, 1280, 1, activation="relu6")
    net.softmax("softmax", net.gemm("fc", net.global_pool("avgpool", made), 1000))
    return net.build("mobilenetv2", "MobileNetV2 1.0, 224x224 ImageNet (Sandler et al. 2018)")


def squeezenet1_1() -> LayerGraph:
    """SqueezeNet 1.1 for 224 x 224 ImageNet.

    Iandola et al., "SqueezeNet", arXiv:1602.07360, table 1, in the released version 1.1: a first convolution of 64
    filters of 3 x 3, pools after it, fire3 and fire5.
    """
    net = NetworkBuilder(3, 224)
    made = net.activation("conv1.relu", net.conv("conv1", "image", 64, 3, 2, 0))
    made = net.pool("pool1", made, 3, 2, ceil_mode=True)
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        name = f"fire{index}"
        made = net.activation(f"{name}.squeeze.relu", net.conv(f"{name}.squeeze", made, squeeze, 1))
        halves = [
            net.activation(f"{name}.{half}.relu", net.conv(f"{name}.{half}", made, 4 * squeeze, kernel))
            for half, kernel in (("expand1x1", 1), ("expand3x3", 3))
        ]
        made = net.concat(f"{name}.concat", *halves)
        if index in {3, 5}:
            made = net.pool(f"pool{index}", made, 3, 2, ceil_mode=True)
    made = net.activation("conv10.relu", net.conv("conv10", made, 1000, 1))
    net.softmax("softmax", net.view("flatten", net.global_pool("avgpool", made), 1000))
    return net.build("squeezenet1_1", "SqueezeNet 1.1, 224x224 ImageNet (Iandola et al. 2016)")


def efficientnet_b0() -> LayerGraph:
    """EfficientNet-B0 for 224 x 224 ImageNet.

    Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019, table 1; squeeze
    and excitation with a quarter of the block's input channels, as in MnasNet.
    """
    net = NetworkBuilder(3, 224)
    made = net.conv_norm("stem", "image", 32, 3, 2, activation="silu")
    rows = (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )
    for row, (expansion, kernel, channels, count, stride) in enumerate(rows, start=1):
        for index in range(count):
            step = 1 if index else stride
            made = _mbconv(net, f"block{row}.{index}", made, expansion, kernel, channels, step)
    made = net.conv_norm("head", made, 1280, 1, activation="silu")
    net.softmax("softmax", net.gemm("fc", net.global_pool("avgpool", made), 1000))
    return net.build("efficientnet_b0", "EfficientNet-B0, 224x224 ImageNet (Tan and Le 2019)")


def _mbconv(
    net: NetworkBuilder, name: str, source: str, expansion: int, kernel: int, channels: int, stride: int
) -> str:
    hidden = expansion * net.channels(source)
    made = source
    if expansion > 1:
        made = net.conv_norm(f"{name}.expand", made, hidden, 1, activation="silu")
    made = net.conv_norm(f"{name}.depthwise", made, hidden, kernel, stride, groups=hidden, activation="silu")
    made = _squeeze_excite(net, f"{name}.se", made, max(1, net.channels(source) // 4))
    made = net.conv_norm(f"{name}.project", made, channels, 1, activation=None)
    return net.sum(f"{name}.add", made, source) if net.shapes[made] == net.shapes[source] else made


def _squeeze_excite(net: NetworkBuilder, name: str, source: str, squeezed: int) -> str:
    made = net.global_pool(f"{name}.pool", source)
    made = net.activation(f"{name}.silu", net.conv(f"{name}.reduce", made, squeezed, 1), "silu")
    made = net.conv(f"{name}.expand", made, net.channels(source), 1)
    return net.scale(f"{name}.scale", source, net.activation(f"{name}.sigmoid", made, "sigmoid"))
