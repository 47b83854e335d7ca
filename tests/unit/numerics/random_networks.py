"""A network with a node of every kind, and what it computes by plain numpy loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.workload.network_file import Network, Node, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

STRUCTURE = Structure(
    "small",
    "cifar10",
    (3, 8, 8),
    (
        Node("conv1", "conv", ("image",), {"kernel": 3, "stride": 1, "padding": 1}, "conv1"),
        Node("relu1", "relu", ("conv1",)),
        Node("short", "shortcut", ("relu1",), {"margin": 2}),
        Node("conv2", "conv", ("relu1",), {"kernel": 3, "stride": 2, "padding": 1}, "conv2"),
        Node("seen", "global_average", ("relu1",)),
        Node("embedded", "linear", ("seen",), {}, "embedding"),
        Node("half", "slice", ("embedded",), {"start": 0, "stop": 1}),
        Node("other", "slice", ("embedded",), {"start": 1, "stop": 2}),
        Node("squashed", "tanh", ("other",)),
        Node("product", "mul", ("half", "squashed")),
        Node("sure", "sigmoid", ("product",)),
        Node("open", "decide", ("sure",)),
        Node("gated", "gate", ("conv2", "open")),
        Node("sum", "add", ("gated", "short")),
        Node("largest", "max_pool", ("sum",), {"size": 2}),
        Node("mean", "average_pool", ("sum",), {"size": 2}),
        Node("both", "concat", ("largest", "mean")),
        Node("flat", "flatten", ("both",)),
        Node("answer", "linear", ("flat",), {}, "answer"),
    ),
    "answer",
    ("open",),
)


def random_network(seed: int = 1) -> Network:
    draw = np.random.default_rng(seed)
    shapes = {"conv1": (4, 3, 3, 3), "conv2": (8, 4, 3, 3), "embedding": (2, 4), "answer": (10, 64)}
    weights = {name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    biases = {name: draw.normal(0, 0.5, shape[0]).astype(np.float32) for name, shape in shapes.items()}
    return Network(STRUCTURE, weights, biases)


def random_images(count: int = 16, seed: int = 2) -> Floats:
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 8, 8)).astype(np.float32)


def convolve(images: Floats, weights: Floats, bias: Floats, stride: int) -> Floats:
    """3 x 3 with a padding of one."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    size = images.shape[2] // stride
    made = np.zeros((len(images), len(weights), size, size), np.float32)
    for row in range(size):
        for column in range(size):
            part = padded[:, :, row * stride : row * stride + 3, column * stride : column * stride + 3]
            made[:, :, row, column] = np.tensordot(part, weights, ((1, 2, 3), (1, 2, 3))) + bias
    return made


def compute(network: Network, images: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Answers and decisions of the network above."""
    weights, biases = network.weights, network.biases
    first = np.maximum(convolve(images, weights["conv1"], biases["conv1"], 1), 0)
    embedded = first.mean(axis=(2, 3)) @ weights["embedding"].T + biases["embedding"]
    product = embedded[:, :1] * np.tanh(embedded[:, 1:])
    runs = 1 / (1 + np.exp(-product)) > 0.5
    second = convolve(first, weights["conv2"], biases["conv2"], 2) * runs[:, :, None, None]
    second[:, 2:6] += first[:, :, ::2, ::2]
    windows = second.reshape(len(images), 8, 2, 2, 2, 2)
    both = np.concatenate([windows.max(axis=(3, 5)), windows.mean(axis=(3, 5))], axis=1)
    return both.reshape(len(images), -1) @ weights["answer"].T + biases["answer"], runs
