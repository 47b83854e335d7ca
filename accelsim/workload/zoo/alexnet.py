"""AlexNet: the network of the paper, with its two groups, and the one of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph


def alexnet() -> LayerGraph:
    """AlexNet of 2012 with its two groups, 227 x 227 input: 724 M MACs, 61 M parameters.

    Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012, section 3.5 and
    figure 2; the input of 227 that its shapes imply and the order of the layers as in Caffe's reference model. This
    is the AlexNet of the accelerator literature (Eyeriss, SCALE-Sim).
    """
    net = NetworkBuilder(3, 227)
    made = net.activation("conv1.relu", net.conv("conv1", "image", 96, 11, 4, 0))
    made = net.pool("pool1", net.norm("norm1", made, "local_response"), 3, 2)
    made = net.activation("conv2.relu", net.conv("conv2", made, 256, 5, groups=2))
    made = net.pool("pool2", net.norm("norm2", made, "local_response"), 3, 2)
    made = net.activation("conv3.relu", net.conv("conv3", made, 384, 3))
    made = net.activation("conv4.relu", net.conv("conv4", made, 384, 3, groups=2))
    made = net.activation("conv5.relu", net.conv("conv5", made, 256, 3, groups=2))
    _classify(net, net.pool("pool5", made, 3, 2))
    return net.build("alexnet", "AlexNet of 2012 with two groups, 227x227 ImageNet (Krizhevsky et al. 2012)")


def alexnet_torchvision() -> LayerGraph:
    """AlexNet as torchvision has it, without groups or local response normalisation, 224 x 224 input.

    Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997, 2014; shapes of
    torchvision.models.alexnet.
    """
    net = NetworkBuilder(3, 224)
    made = net.activation("conv1.relu", net.conv("conv1", "image", 64, 11, 4, 2))
    made = net.pool("pool1", made, 3, 2)
    made = net.activation("conv2.relu", net.conv("conv2", made, 192, 5))
    made = net.pool("pool2", made, 3, 2)
    for name, channels in (("conv3", 384), ("conv4", 256), ("conv5", 256)):
        made = net.activation(f"{name}.relu", net.conv(name, made, channels, 3))
    _classify(net, net.pool("pool5", made, 3, 2))
    return net.build("alexnet_torchvision", "AlexNet of torchvision, no groups, 224x224 ImageNet (Krizhevsky 2014)")


def _classify(net: NetworkBuilder, made: str) -> None:
    made = net.activation("fc6.relu", net.gemm("fc6", made, 4096))
    made = net.activation("fc7.relu", net.gemm("fc7", made, 4096))
    net.softmax("softmax", net.gemm("fc8", made, 1000))
