"""YOLOv2 and its tiny variant, for COCO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_PREDICTIONS = 5 * (4 + 1 + 80)
"""Five anchors, each with a box, an objectness and the 80 classes of COCO."""


def yolov2() -> LayerGraph:
    """YOLOv2 for 416 x 416 COCO.

    Redmon and Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017: Darknet-19 of table 6 without its last layer,
    then the detection head of section 2 with its passthrough, sizes as in the released yolov2.cfg.
    """
    net = NetworkBuilder(3, 416)
    made = "image"
    backbone = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
    number, fine = 0, ""
    for stage, widths in enumerate(backbone):
        if stage:
            fine = made
            made = net.pool(f"pool{stage}", made, 2)
        for index, channels in enumerate(widths):
            number += 1
            made = _conv(net, f"conv{number}", made, channels, 1 if index % 2 else 3)
    for number in (19, 20):
        made = _conv(net, f"conv{number}", made, 1024, 3)
    narrow = _conv(net, "conv21", fine, 64, 1)
    passed = net.view("reorg", narrow, 256, 13, 13)
    made = _conv(net, "conv22", net.concat("passthrough", passed, made), 1024, 3)
    _predict(net, "conv23", made)
    return net.build("yolov2", "YOLOv2, 416x416 COCO (Redmon and Farhadi 2017)")


def yolov2_tiny() -> LayerGraph:
    """Tiny YOLOv2 for 416 x 416 COCO.

    Redmon and Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017; sizes as in the released yolov2-tiny.cfg,
    whose last pool keeps the size by one row and column of padding after the map.
    """
    net = NetworkBuilder(3, 416)
    made = "image"
    for number, channels in enumerate((16, 32, 64, 128, 256, 512), start=1):
        made = _conv(net, f"conv{number}", made, channels, 3)
        made = net.pool(f"pool{number}", made, 2) if number < 6 else net.pool("pool6", made, 2, 1, (0, 0, 1, 1))
    made = _conv(net, "conv7", made, 1024, 3)
    made = _conv(net, "conv8", made, 512, 3)
    _predict(net, "conv9", made)
    return net.build("yolov2_tiny", "Tiny YOLOv2, 416x416 COCO (Redmon and Farhadi 2017)")


def _conv(net: NetworkBuilder, name: str, source: str, channels: int, kernel: int) -> str:
    return net.conv_norm(name, source, channels, kernel, activation="leaky_relu")


def _predict(net: NetworkBuilder, name: str, source: str) -> None:
    """Add the linear convolution that predicts, and the sigmoid of its region layer."""
    net.activation("region", net.conv(name, source, _PREDICTIONS, 1), "sigmoid")
