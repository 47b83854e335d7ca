"""YOLOv2, YOLOv3 and their tiny variants, for COCO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

_PREDICTIONS = 5 * (4 + 1 + 80)
"""Five anchors, each with a box, an objectness and the 80 classes of COCO."""

_PREDICTIONS_OF_A_SCALE = 3 * (4 + 1 + 80)
"""The same of three anchors, as each scale of YOLOv3 has."""


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


def yolov3() -> LayerGraph:
    """YOLOv3 for 416 x 416 COCO.

    Redmon and Farhadi, "YOLOv3: an incremental improvement", arXiv 1804.02767, 2018: Darknet-53 of table 1 without its
    last layers, and predictions at three scales (section 2.3), layers as in the released yolov3.cfg.
    """
    net = NetworkBuilder(3, 416)
    made = _conv(net, "conv1", "image", 32, 3)
    scales = []
    for stage, blocks in enumerate((1, 2, 8, 8, 4), start=1):
        width = 32 << stage
        made = _conv(net, f"stage{stage}.conv", made, width, 3, 2)
        for block in range(blocks):
            name = f"stage{stage}.{block}"
            narrow = _conv(net, f"{name}.conv1", made, width // 2, 1)
            made = net.sum(f"{name}.add", made, _conv(net, f"{name}.conv2", narrow, width, 3))
        scales.append(made)
    for number, fine in enumerate((scales[4], scales[3], scales[2]), start=1):
        width = 1024 >> number
        made = _upsampled(net, f"head{number}", made, fine, width) if number > 1 else made
        for index in range(1, 6):
            channels, kernel = (width, 1) if index % 2 else (2 * width, 3)
            made = _conv(net, f"head{number}.conv{index}", made, channels, kernel)
        _detect(net, f"head{number}", _conv(net, f"head{number}.conv6", made, 2 * width, 3))
    return net.build("yolov3", "YOLOv3, 416x416 COCO (Redmon and Farhadi 2018)")


def yolov3_tiny() -> LayerGraph:
    """Tiny YOLOv3 for 416 x 416 COCO.

    Redmon and Farhadi, "YOLOv3: an incremental improvement", arXiv 1804.02767, 2018; layers as in the released
    yolov3-tiny.cfg, whose last pool keeps the size by one row and column of padding after the map.
    """
    net = NetworkBuilder(3, 416)
    made, fine = "image", ""
    for number, channels in enumerate((16, 32, 64, 128, 256, 512), start=1):
        made = _conv(net, f"conv{number}", made, channels, 3)
        fine = made if number == 5 else fine
        made = net.pool(f"pool{number}", made, 2) if number < 6 else net.pool("pool6", made, 2, 1, (0, 0, 1, 1))
    narrow = _conv(net, "conv8", _conv(net, "conv7", made, 1024, 3), 256, 1)
    _detect(net, "head1", _conv(net, "conv9", narrow, 512, 3))
    joined = _upsampled(net, "head2", narrow, fine, 128)
    _detect(net, "head2", _conv(net, "conv10", joined, 256, 3))
    return net.build("yolov3_tiny", "Tiny YOLOv3, 416x416 COCO (Redmon and Farhadi 2018)")


def _conv(net: NetworkBuilder, name: str, source: str, channels: int, kernel: int, stride: int = 1) -> str:
    return net.conv_norm(name, source, channels, kernel, stride, activation="leaky_relu")


def _predict(net: NetworkBuilder, name: str, source: str) -> None:
    """Add the linear convolution that predicts, and the sigmoid of its region layer."""
    net.activation("region", net.conv(name, source, _PREDICTIONS, 1), "sigmoid")


def _upsampled(net: NetworkBuilder, name: str, coarse: str, fine: str, channels: int) -> str:
    """Join a map of twice as many rows and columns with a coarse one, narrowed and repeated to its size."""
    narrow = _conv(net, f"{name}.narrow", coarse, channels, 1)
    return net.concat(f"{name}.route", net.upsample(f"{name}.upsample", narrow), fine)


def _detect(net: NetworkBuilder, name: str, source: str) -> None:
    """Add the linear convolution that predicts at one scale, and the sigmoid of its yolo layer."""
    net.activation(f"{name}.yolo", net.conv(f"{name}.predict", source, _PREDICTIONS_OF_A_SCALE, 1), "sigmoid")
