"""Builds the published CIFAR ResNets, whose weights lie beside the checkout, as ONNX models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper

from accelsim.workload.network_file import Network, Node, Structure
from accelsim.workload.onnx_build import build_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARED = Path(__file__).parents[2] / "shared" / "data"
BLOCKS = {20: 3, 56: 9}
RIGHT = {20: 9173, 56: 9339}
"""Test images of 10,000 whose class each network finds, as its author states them."""
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def published_resnet(depth: int) -> onnx.ModelProto:
    """ResNet of the depth, batch normalisations folded in float64; skips where its weights are not there."""
    path = SHARED / f"cifar_resnet{depth}_akamaster.npz"
    if not path.exists() or not (SHARED / "cifar10_test.npz").exists():
        pytest.skip(f"needs {path.name} and CIFAR-10 in the folder shared/ beside the checkout")
    with np.load(path) as archive:
        states = {key: archive[key] for key in archive.files}
    builder = _Builder(states)
    last = builder.convolution("conv1", "bn1", "image", 1)
    last = builder.node("relu1", "relu", [last])
    for layer in (1, 2, 3):
        for block in range(BLOCKS[depth]):
            stride = 2 if layer > 1 and block == 0 else 1
            last = builder.block(f"layer{layer}.{block}", last, stride, 4 * 2**layer // 2)
    last = builder.node("average", "global_average", [last])
    weights = {**builder.weights, "linear": states["linear.weight"]}
    biases = {**builder.biases, "linear": states["linear.bias"]}
    builder.nodes.append(Node("linear", "linear", (last,), {}, "linear"))
    structure = Structure(f"resnet{depth}", "cifar10", (3, 32, 32), tuple(builder.nodes), "linear")
    model = build_onnx(Network(structure, weights, biases))
    del model.metadata_props[:]
    helper.set_model_props(model, {"dataset": "cifar10", "mean": str(MEAN), "std": str(STD)})
    return model


class _Builder:
    def __init__(self, states: dict[str, NDArray[Any]]) -> None:
        self.states = states
        self.nodes: list[Node] = []
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.biases: dict[str, NDArray[np.float32]] = {}

    def node(self, name: str, op: str, inputs: list[str], **attributes: int) -> str:
        self.nodes.append(Node(name, op, tuple(inputs), attributes))
        return name

    def convolution(self, name: str, norm: str, source: str, stride: int) -> str:
        part = {key: self.states[f"{norm}.{key}"].astype(np.float64) for key in
                ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
        factor = part["weight"] / np.sqrt(part["running_var"] + 1e-5)
        weight = self.states[f"{name}.weight"].astype(np.float64) * factor[:, None, None, None]
        self.weights[name] = weight.astype(np.float32)
        self.biases[name] = (part["bias"] - part["running_mean"] * factor).astype(np.float32)
        self.nodes.append(Node(name, "conv", (source,), {"kernel": 3, "stride": stride, "padding": 1}, name))
        return name

    def block(self, name: str, source: str, stride: int, margin: int) -> str:
        first = self.convolution(f"{name}.conv1", f"{name}.bn1", source, stride)
        first = self.node(f"{name}.relu1", "relu", [first])
        second = self.convolution(f"{name}.conv2", f"{name}.bn2", first, 1)
        if stride == 2:
            source = self.node(f"{name}.shortcut", "shortcut", [source], margin=margin)
        total = self.node(f"{name}.sum", "add", [second, source])
        return self.node(f"{name}.relu2", "relu", [total])
