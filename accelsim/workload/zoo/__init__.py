"""Named networks with the layer shapes of their papers, a file for each family; batch 1 where no paper states another.

Batch normalisation, activations, residual sums and the closing softmax are layers of their own; precision is left to
the hardware.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from accelsim.workload.zoo.alexnet import alexnet, alexnet_torchvision
from accelsim.workload.zoo.deeplab import deeplabv3plus_backbone
from accelsim.workload.zoo.densenet import densenet, densenet_cifar
from accelsim.workload.zoo.googlenet import googlenet
from accelsim.workload.zoo.lenet import lenet5
from accelsim.workload.zoo.mobile import efficientnet_b0, mobilenetv2, squeezenet1_1
from accelsim.workload.zoo.multi_exit import msdnet, msdnet_cifar, ranet, ranet_cifar
from accelsim.workload.zoo.radixnet import radixnet
from accelsim.workload.zoo.resnet import resnet, resnet164_cifar, resnet_cifar
from accelsim.workload.zoo.tpu import tpu_cnn0, tpu_cnn1, tpu_lstm0, tpu_lstm1, tpu_mlp0, tpu_mlp1
from accelsim.workload.zoo.vgg import binarynet, vgg, vgg19_cifar
from accelsim.workload.zoo.yolo import yolov2, yolov2_tiny, yolov3, yolov3_tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.workload.graph import LayerGraph

_RADIXNET_NEURONS = (1024, 4096, 16384, 65536)
_CIFAR_DEPTHS = (20, 38, 56, 74, 110)

NETWORKS: dict[str, Callable[[], LayerGraph]] = {
    "lenet5": lenet5,
    "alexnet": alexnet,
    "alexnet_torchvision": alexnet_torchvision,
    "vgg11": partial(vgg, 11),
    "vgg16": partial(vgg, 16),
    "vgg19": partial(vgg, 19),
    "vgg19_cifar": vgg19_cifar,
    "binarynet": binarynet,
    "googlenet": googlenet,
    "resnet18": partial(resnet, 18),
    "resnet50": partial(resnet, 50),
    "resnet101": partial(resnet, 101),
    **{f"resnet{depth}_cifar": partial(resnet_cifar, depth) for depth in _CIFAR_DEPTHS},
    "resnet164_cifar": resnet164_cifar,
    "mobilenetv2": mobilenetv2,
    "densenet_cifar": densenet_cifar,
    "densenet121": partial(densenet, 121),
    "densenet201": partial(densenet, 201),
    "deeplabv3plus_backbone": deeplabv3plus_backbone,
    "squeezenet1_1": squeezenet1_1,
    "efficientnet_b0": efficientnet_b0,
    "yolov2": yolov2,
    "yolov2_tiny": yolov2_tiny,
    "yolov3": yolov3,
    "yolov3_tiny": yolov3_tiny,
    "msdnet": msdnet,
    "msdnet_cifar": msdnet_cifar,
    "ranet": ranet,
    "ranet_cifar": ranet_cifar,
    **{f"radixnet_{neurons}": partial(radixnet, neurons, 120) for neurons in _RADIXNET_NEURONS},
    "radixnet_1024_480": partial(radixnet, 1024, 480),
    "radixnet_1024_1920": partial(radixnet, 1024, 1920),
    "tpu_mlp0": tpu_mlp0,
    "tpu_mlp1": tpu_mlp1,
    "tpu_lstm0": tpu_lstm0,
    "tpu_lstm1": tpu_lstm1,
    "tpu_cnn0": tpu_cnn0,
    "tpu_cnn1": tpu_cnn1,
}
"""Builder of each network, by name."""

ALIASES = {f"resnet{depth}": f"resnet{depth}_cifar" for depth in (*_CIFAR_DEPTHS, 164)}
"""Shorter names of networks that exist for one dataset only."""
