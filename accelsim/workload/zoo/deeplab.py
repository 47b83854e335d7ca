"""The backbone of DeepLabV3+."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.operators import Conv, Window
from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_STAGES = ((3, 1, 1), (4, 2, 1), (6, 2, 1), (3, 1, 2))
"""Blocks, stride and dilation of each stage at output stride 16."""


def deeplabv3plus_backbone() -> LayerGraph:
    """ResNet-50 at output stride 16 for 360 x 480 CamVid, without the pyramid and the decoder behind it.

    Chen et al., "Encoder-decoder with atrous separable convolution for semantic image segmentation", ECCV 2018: the
    last stage keeps its size and dilates its 3 x 3 kernels by 2. SmartExchange (ISCA 2020) does not say which backbone
    it takes: ResNet-50 is an assumption. 360 x 480 is the size at which CamVid is commonly used.
    """
    net = NetworkBuilder(3, (360, 480))
    made = net.pool("maxpool", net.conv_norm("conv1", "image", 64, 7, 2), 3, 2, 1)
    for stage, (count, stride, dilation) in enumerate(_STAGES):
        for index in range(count):
            step = 1 if index else stride
            made = _bottleneck(net, f"layer{stage + 1}.{index}", made, 64 << stage, step, dilation)
    return net.build("deeplabv3plus_backbone", "DeepLabV3+ backbone, ResNet-50, 360x480 CamVid (Chen et al. 2018)")


def _bottleneck(net: NetworkBuilder, name: str, source: str, width: int, stride: int, dilation: int) -> str:
    made = net.conv_norm(f"{name}.conv1", source, width, 1)
    window = Window((3, 3), (stride, stride), (dilation,) * 4, (dilation, dilation))
    made = net.add(f"{name}.conv2", Conv(width, window, bias=False), made)
    made = net.activation(f"{name}.conv2.relu", net.norm(f"{name}.conv2.norm", made))
    made = net.conv_norm(f"{name}.conv3", made, 4 * width, 1, activation=None)
    if net.shapes[source] != net.shapes[made]:
        source = net.conv_norm(f"{name}.downsample", source, 4 * width, 1, stride, activation=None)
    return net.activation(f"{name}.relu", net.sum(f"{name}.add", made, source))
