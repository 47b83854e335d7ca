"""The zoo against published counts.

- torchvision: `num_params` and `_ops` (10^9 multiply-accumulates, three decimals) of the weights in torchvision.models.
- alexnet: Sze et al., "Efficient processing of deep neural networks", Proc. IEEE 105(12), 2017, table 2 (724 M MACs,
  61 M weights); 60,965,224 parameters of Caffe's bvlc_alexnet.
- googlenet: Szegedy et al. 2015, about 1.5 billion multiply-adds; 6,998,552 parameters of Caffe's bvlc_googlenet.
- lenet5: LeCun et al. 1998, section II.B, layer by layer below.
- CIFAR ResNets: He et al. 2016, table 6 (0.27 M, 0.85 M and 1.7 M parameters); resnet164: Liu et al. 2017, table 1
  (1.70 M), as vgg19_cifar (20.04 M parameters, 7.97e8 operations).
- yolov2: 50,962,889 trainable parameters (YAD2K's Keras model), a yolov2.weights of 203,934,260 bytes, 62.94e9
  operations at 608 x 608 and 5.41e9 for the tiny one at 416 x 416 (the authors' page).
- yolov3: a yolov3.weights of 248,007,048 bytes and a yolov3-tiny.weights of 35,434,956, 65.86e9 and 5.56e9 operations
  at 416 x 416 (the authors' page); layers 36, 61 and 8 joined as in yolov3.cfg and yolov3-tiny.cfg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accelsim.workload.loader import load_workload
from accelsim.workload.operators import Conv
from accelsim.workload.zoo import ALIASES, NETWORKS

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

TORCHVISION = {  # parameters, 10^9 MACs
    "alexnet_torchvision": (61_100_840, 0.714),
    "vgg11": (132_863_336, 7.609),
    "vgg16": (138_357_544, 15.470),
    "vgg19": (143_667_240, 19.632),
    "resnet18": (11_689_512, 1.814),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "mobilenetv2": (3_504_872, 0.301),
    "densenet121": (7_978_856, 2.834),
    "densenet201": (20_013_928, 4.291),
    "squeezenet1_1": (1_235_496, 0.349),
    "efficientnet_b0": (5_288_548, 0.386),
}


@pytest.fixture(scope="module")
def networks() -> dict[str, LayerGraph]:
    return {name: build() for name, build in NETWORKS.items()}


@pytest.mark.parametrize("name", TORCHVISION)
def test_counts_equal_those_of_torchvision(name: str, networks: dict[str, LayerGraph]) -> None:
    parameters, giga_macs = TORCHVISION[name]
    assert networks[name].total_parameters == parameters
    assert round(networks[name].total_macs / 1e9, 3) == giga_macs


def test_alexnet_is_the_grouped_network_of_2012(networks: dict[str, LayerGraph]) -> None:
    graph = networks["alexnet"]
    macs = [graph.dense_macs(layer) for layer in graph.layers if graph.dense_macs(layer)]
    # Sze et al. 2017: 666 M in the convolutions, 58.6 M in the linear layers
    assert macs == [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192, 37_748_736, 16_777_216, 4_096_000]
    assert sum(macs[:5]) == 665_784_864
    assert (graph.total_macs, graph.total_parameters) == (724_406_816, 60_965_224)


def test_googlenet_is_that_of_caffe(networks: dict[str, LayerGraph]) -> None:
    graph = networks["googlenet"]
    assert (graph.total_parameters, graph.total_macs) == (6_998_552, 1_582_671_872)
    assert {tensor.name for tensor in graph.outputs} == {"softmax"}
    assert graph.tensors["inception_3a.concat"].shape == (1, 256, 28, 28)
    assert graph.tensors["inception_5b.concat"].shape == (1, 1024, 7, 7)


def test_lenet5_has_the_trainable_connections_of_the_paper(networks: dict[str, LayerGraph]) -> None:
    graph = networks["lenet5"]
    by_name = {layer.name: layer for layer in graph.layers}
    connections = graph.dense_macs(by_name["c1"]) + 6 * 28 * 28  # the paper counts the bias as a connection
    assert (graph.parameters(by_name["c1"]), connections) == (156, 122_304)
    assert graph.parameters(by_name["c5"]) == 48_120
    assert graph.parameters(by_name["f6"]) == 10_164
    assert (graph.total_macs, graph.total_parameters) == (416_520, 61_706)


@pytest.mark.parametrize(
    ("depth", "parameters", "published_millions"),
    [(20, 269_722, 0.27), (56, 853_018, 0.85), (110, 1_727_962, 1.7), (164, 1_703_258, 1.70)],
)
def test_cifar_resnets_have_the_published_parameters(
    depth: int, parameters: int, published_millions: float, networks: dict[str, LayerGraph]
) -> None:
    graph = networks[f"resnet{depth}_cifar"]
    assert graph.total_parameters == parameters
    assert round(parameters / 1e6, 1 if published_millions == 1.7 else 2) == published_millions


@pytest.mark.parametrize("depth", [20, 38, 56, 74, 110, 164])
def test_depth_counts_the_convolutions_and_the_linear_layer(depth: int, networks: dict[str, LayerGraph]) -> None:
    graph = networks[f"resnet{depth}_cifar"]
    main_path = [layer for layer in graph.layers if layer.op in {"conv", "gemm"} and "downsample" not in layer.name]
    assert len(main_path) == depth
    blocks = (depth - 2) // (9 if depth == 164 else 6)
    assert sum(layer.op == "elementwise" for layer in graph.layers) == 3 * blocks


def test_cifar_vgg19_has_the_counts_of_network_slimming(networks: dict[str, LayerGraph]) -> None:
    graph = networks["vgg19_cifar"]
    assert graph.total_parameters == 20_035_018
    assert round(2 * graph.total_macs / 1e8, 1) == 8.0  # 7.97e8 there


def test_yolov2_has_the_released_weights_and_operations(networks: dict[str, LayerGraph]) -> None:
    graph = networks["yolov2"]
    normalised = sum(graph.parameters(layer) // 2 for layer in graph.layers if layer.op == "normalisation")
    assert graph.total_parameters == 50_962_889
    assert 4 * (graph.total_parameters + 2 * normalised) + 16 == 203_934_260  # running mean and variance, header
    assert round(2 * graph.total_macs * (608 / 416) ** 2 / 1e9, 2) == 62.94
    assert graph.outputs[0].shape == (1, 425, 13, 13)


def test_tiny_yolov2_has_the_published_operations(networks: dict[str, LayerGraph]) -> None:
    graph = networks["yolov2_tiny"]
    assert round(2 * graph.total_macs / 1e9, 2) == 5.41
    assert graph.outputs[0].shape == (1, 425, 13, 13)


@pytest.mark.parametrize(
    ("name", "file_bytes", "giga_operations", "convolutions", "shortcuts", "sides"),
    [("yolov3", 248_007_048, 65.86, 75, 23, [13, 26, 52]), ("yolov3_tiny", 35_434_956, 5.56, 13, 0, [13, 26])],
)
def test_yolov3_has_the_released_weights_and_operations(
    name: str, file_bytes: int, giga_operations: float, convolutions: int, shortcuts: int, sides: list[int],
    networks: dict[str, LayerGraph],
) -> None:  # fmt: skip
    graph = networks[name]
    normalised = sum(graph.parameters(layer) // 2 for layer in graph.layers if layer.op == "normalisation")
    assert 4 * (graph.total_parameters + 2 * normalised) + 20 == file_bytes  # running mean and variance, header
    assert round(2 * graph.total_macs / 1e9, 2) == giga_operations
    kinds = [layer.op for layer in graph.layers]
    assert (kinds.count("conv"), kinds.count("elementwise")) == (convolutions, shortcuts)
    assert kinds.count("upsample") == kinds.count("concat") == len(sides) - 1
    assert [tensor.shape for tensor in graph.outputs] == [(1, 255, side, side) for side in sides]


def test_yolov3_joins_maps_of_the_backbone_as_darknet_does(networks: dict[str, LayerGraph]) -> None:
    graph, tiny = networks["yolov3"], networks["yolov3_tiny"]
    by_name = {layer.name: layer for layer in (*graph.layers, *tiny.layers)}
    assert by_name["head2.route"].inputs[1] == "conv5.leaky_relu"  # layer 8 of yolov3-tiny.cfg, before its pool
    assert tiny.tensors["head2.route"].shape == (1, 384, 26, 26)
    assert tiny.tensors["pool6"].shape == (1, 512, 13, 13)  # stride 1, a row and a column of padding
    routes = [layer for layer in graph.layers if layer.op == "concat"]
    assert [graph.tensors[layer.output].shape for layer in routes] == [(1, 768, 26, 26), (1, 384, 52, 52)]
    assert [layer.inputs[1] for layer in routes] == ["stage4.7.add", "stage3.7.add"]  # layers 61 and 36 of yolov3.cfg
    narrowed = [graph.producers(graph.producers(layer)[0])[0] for layer in routes]
    assert [layer.name for layer in narrowed] == ["head2.narrow.leaky_relu", "head3.narrow.leaky_relu"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_scales_with_the_batch(name: str, networks: dict[str, LayerGraph]) -> None:
    graph = networks[name]
    batched = graph.with_batch(4)
    assert (graph.name, batched.batch) == (name, 4)
    assert graph.batch == 1 or name.startswith("tpu_")  # those are of the batch that the paper ran
    assert batched.total_macs * graph.batch == 4 * graph.total_macs
    assert batched.total_parameters == graph.total_parameters
    assert all(tensor.shape == (4, *graph.tensors[key].shape[1:]) for key, tensor in batched.tensors.items())
    assert graph.description


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_one_input_and_one_output(name: str, networks: dict[str, LayerGraph]) -> None:
    one_input = name != "tpu_lstm0"  # one step of a recurrent network, which takes its states as well
    assert (len(networks[name].inputs) == 1) == one_input
    several = name.startswith(("msdnet", "ranet", "yolov3"))  # an output for each exit, or scale
    assert len(networks[name].outputs) == 1 or not one_input or several


def test_depthwise_layers_are_grouped_by_channel(networks: dict[str, LayerGraph]) -> None:
    for name, count in (("mobilenetv2", 17), ("efficientnet_b0", 16)):
        graph = networks[name]
        grouped = [layer.operator for layer in graph.layers if isinstance(layer.operator, Conv)]
        assert sum(conv.groups == conv.out_channels for conv in grouped) == count


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ResNet-50", "resnet50"),
        ("resnet_164", "resnet164_cifar"),
        ("SqueezeNet-1.1", "squeezenet1_1"),
        ("EfficientNet-B0", "efficientnet_b0"),
        ("YOLOv2-tiny", "yolov2_tiny"),
        ("YOLOv3-tiny", "yolov3_tiny"),
        ("VGG19-CIFAR", "vgg19_cifar"),
        *ALIASES.items(),
    ],
)
def test_names_are_matched_forgivingly(written: str, name: str) -> None:
    assert load_workload(written).name == name
