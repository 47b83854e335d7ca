"""The graphs that ship inside the onnx wheel, against published counts and against a count of their own nodes."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx_models import LIGHT

from accelsim.workload.loader import load_workload
from accelsim.workload.onnx_import import import_onnx

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph

NAMES = (
    "resnet50", "densenet121", "vgg19", "bvlc_alexnet", "squeezenet", "shufflenet", "inception_v1", "inception_v2",
    "zfnet512",
)  # fmt: skip

# Multiply-accumulates (10^9) and parameters. ResNet-50, DenseNet-121, VGG-19 and SqueezeNet 1.1: num_params and _ops of
# torchvision. AlexNet: the parameters of Caffe's bvlc_alexnet (an input of 224 gives 0.655 where 227 gives 0.724).
# Inception v1: Caffe's bvlc_googlenet without its auxiliary classifiers; Szegedy et al. 2015 name 1.5e9 operations.
PUBLISHED = {
    "resnet50": (4.089, 25_557_032),
    "densenet121": (2.834, 7_978_856),
    "vgg19": (19.632, 143_667_240),
    "squeezenet": (0.349, 1_235_496),
    "bvlc_alexnet": (0.655, 60_965_224),
    "inception_v1": (1.432, 6_998_552),
}


@pytest.fixture(scope="module")
def graphs() -> dict[str, LayerGraph]:
    return {name: import_onnx(LIGHT / f"light_{name}.onnx") for name in NAMES}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name: str, graphs: dict[str, LayerGraph]) -> None:
    assert (round(graphs[name].total_macs / 1e9, 3), graphs[name].total_parameters) == PUBLISHED[name]


@pytest.mark.parametrize("name", NAMES)
def test_macs_are_those_of_the_nodes(name: str, graphs: dict[str, LayerGraph]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(LIGHT / f"light_{name}.onnx"))
    values = (*model.graph.value_info, *model.graph.output, *model.graph.input)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    macs = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            macs += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "Gemm":
            macs += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][1]
    assert graphs[name].total_macs == macs


@pytest.mark.parametrize("name", NAMES)
def test_model_reads_one_image_and_gives_a_thousand_classes(name: str, graphs: dict[str, LayerGraph]) -> None:
    assert [tensor.shape for tensor in graphs[name].inputs] == [(1, 3, 224, 224)]
    assert [tensor.elements for tensor in graphs[name].outputs] == [1000]


@pytest.mark.parametrize("name", NAMES)
def test_batch_scales_every_model(name: str, graphs: dict[str, LayerGraph]) -> None:
    assert graphs[name].with_batch(4).total_macs == 4 * graphs[name].total_macs


@pytest.mark.parametrize(
    ("name", "zoo"),
    [("resnet50", "resnet50"), ("densenet121", "densenet121"), ("vgg19", "vgg19"), ("squeezenet", "squeezenet1_1")],
)
def test_zoo_networks_have_the_matrix_products_of_the_onnx_models(
    name: str, zoo: str, graphs: dict[str, LayerGraph]
) -> None:
    built = load_workload(zoo)
    expected = Counter(graphs[name].gemm_dims(layer) for layer in graphs[name].layers if graphs[name].dense_macs(layer))
    assert Counter(built.gemm_dims(layer) for layer in built.layers if built.dense_macs(layer)) == expected


def test_shuffles_become_single_views(graphs: dict[str, LayerGraph]) -> None:
    counts = Counter(layer.op for layer in graphs["shufflenet"].layers)
    assert counts["view"] == 16  # one for reshape, transpose and reshape; none for the flattening before the classifier
    assert counts["conv"] == 49
