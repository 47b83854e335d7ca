"""GoogLeNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_MODULES = {  # filters: 1x1, before the 3x3, 3x3, before the 5x5, 5x5, after the pool
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet() -> LayerGraph:
    """GoogLeNet for 224 x 224 ImageNet, without the classifiers that help in training.

    Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1; pools round up and the order of the layers is
    that of Caffe's reference model.
    """
    net = NetworkBuilder(3, 224)
    made = _conv(net, "conv1", "image", 64, 7, 2)
    made = net.norm("norm1", net.pool("pool1", made, 3, 2, ceil_mode=True), "local_response")
    made = _conv(net, "conv2_reduce", made, 64, 1)
    made = net.norm("norm2", _conv(net, "conv2", made, 192, 3), "local_response")
    made = net.pool("pool2", made, 3, 2, ceil_mode=True)
    for name, filters in _MODULES.items():
        if name in {"4a", "5a"}:
            made = net.pool(f"pool{int(name[0]) - 1}", made, 3, 2, ceil_mode=True)
        made = _inception(net, f"inception_{name}", made, filters)
    net.softmax("softmax", net.gemm("fc", net.global_pool("avgpool", made), 1000))
    return net.build("googlenet", "GoogLeNet, 224x224 ImageNet (Szegedy et al. 2015)")


def _conv(net: NetworkBuilder, name: str, source: str, filters: int, kernel: int, stride: int = 1) -> str:
    return net.activation(f"{name}.relu", net.conv(name, source, filters, kernel, stride))


def _inception(net: NetworkBuilder, name: str, source: str, filters: tuple[int, ...]) -> str:
    """Four branches side by side."""
    one, before_three, three, before_five, five, pooled = filters
    branches = [
        _conv(net, f"{name}.1x1", source, one, 1),
        _conv(net, f"{name}.3x3", _conv(net, f"{name}.3x3_reduce", source, before_three, 1), three, 3),
        _conv(net, f"{name}.5x5", _conv(net, f"{name}.5x5_reduce", source, before_five, 1), five, 5),
        _conv(net, f"{name}.pool_proj", net.pool(f"{name}.pool", source, 3, 1, 1), pooled, 1),
    ]
    return net.concat(f"{name}.concat", *branches)
