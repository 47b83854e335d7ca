"""Trained networks as data: nodes in order, float or int8 weights, and the npz file that keeps them.

Version 1 of the file holds ``network`` (JSON: name, dataset, input shape, nodes, output, decisions), for each set of
weights W ``W.weight`` (int8), ``W.weight_scale`` (float32, one for each output channel) and ``W.bias`` (float32), and
``activation_names`` with ``activation_scales`` (float32). A value is its integer times its scale.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.atomic_file import written_whole
from accelsim.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

FORMAT = "accelsim-network"
VERSION = 1

OPERATIONS = {
    "conv": ("kernel", "stride", "padding"),
    "linear": (),
    "relu": (),
    "sigmoid": (),
    "tanh": (),
    "add": (),
    "mul": (),
    "max_pool": ("size",),
    "average_pool": ("size",),
    "global_average": (),
    "flatten": (),
    "concat": (),
    "slice": ("start", "stop"),  # of the channels
    "shortcut": ("margin",),  # every second pixel, `margin` channels of zeros added on both sides
    "decide": (),  # 1 where the input is above one half, else 0
    "gate": (),  # feature maps times a gate for each image or channel
}
"""Kinds of nodes, and the integer attributes of each."""


@dataclass(frozen=True)
class Node:
    """One operation; its name is that of the tensor it makes, `weights` that of its weights where it has any."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, int] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True)
class Structure:
    """A network without its weights.

    Attributes
    ----------
    name, dataset
        What it is called, and whose images it classifies.
    input_shape
        (channels, height, width); the tensor is called ``image``.
    nodes
        In an order in which they can be computed.
    output
        Tensor of the answers, one for each class.
    decisions
        Tensors of gates, (n, 1) or (n, channels), in order; empty where there are none.
    """

    name: str
    dataset: str
    input_shape: tuple[int, int, int]
    nodes: tuple[Node, ...]
    output: str
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A network with float32 weights, by name of the weights: (outputs, inputs, ...) and a bias (outputs,)."""

    structure: Structure
    weights: dict[str, Floats]
    biases: dict[str, Floats]


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network with int8 weights.

    Attributes
    ----------
    structure
        What is computed.
    weights
        int8, symmetric, by name.
    weight_scales
        float32, one for each output channel.
    biases
        float32.
    activation_scales
        Value of one step of an int8 feature map, by tensor.
    """

    structure: Structure
    weights: dict[str, NDArray[np.int8]]
    weight_scales: dict[str, Floats]
    biases: dict[str, Floats]
    activation_scales: dict[str, float]

    def dequantised(self) -> Network:
        """Return the network with the float32 values that the integers stand for."""
        weights = {}
        for name, integers in self.weights.items():
            scales = self.weight_scales[name].reshape(-1, *(1,) * (integers.ndim - 1))
            weights[name] = integers.astype(np.float32) * scales
        return Network(self.structure, weights, self.biases)


def save_network(path: Path, network: QuantisedNetwork) -> None:
    """Write version 1 of the file, whole or not at all; the same network gives the same bytes."""
    header = {"format": FORMAT, "version": VERSION, **asdict(network.structure)}
    names = sorted(network.activation_scales)
    arrays: dict[str, NDArray[Any]] = {
        "network": np.array(json.dumps(header, separators=(",", ":"))),
        "activation_names": np.array(names, dtype=np.str_),
        "activation_scales": np.array([network.activation_scales[name] for name in names], np.float32),
    }
    for name, integers in network.weights.items():
        arrays[f"{name}.weight"] = integers
        arrays[f"{name}.weight_scale"] = network.weight_scales[name]
        arrays[f"{name}.bias"] = network.biases[name]
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # its stub takes allow_pickle for a name


def load_network(path: Path) -> QuantisedNetwork:
    """Read what `save_network` wrote.

    Raises
    ------
    WorkloadError
        When the file is missing or damaged, of another format or version, or its parts do not fit together.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as archive:
            arrays = {key: archive[key] for key in archive.files}
        header = json.loads(str(arrays["network"]))
    except FileNotFoundError:
        raise WorkloadError("no such file", where=path) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        raise WorkloadError("is no network, or is damaged", where=path) from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise WorkloadError("is no network of accelsim", where=path, key="format", allowed=FORMAT)
    if header.get("version") != VERSION:
        allowed = str(VERSION)
        raise WorkloadError("is of another version", where=path, key="version", value=header.get("version"),
                            allowed=allowed)  # fmt: skip
    try:
        network = _assembled(header, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise WorkloadError(f"lacks a part ({problem})", where=path) from None
    _check(network, path)
    return network


def _assembled(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> QuantisedNetwork:
    nodes = tuple(
        Node(node["name"], node["op"], tuple(node["inputs"]), dict(node["attributes"]), node["weights"])
        for node in header["nodes"]
    )
    channels, height, width = header["input_shape"]
    structure = Structure(header["name"], header["dataset"], (channels, height, width), nodes, header["output"],
                          tuple(header["decisions"]))  # fmt: skip
    names = sorted({node.weights for node in nodes if node.weights})
    scales = zip(arrays["activation_names"].tolist(), arrays["activation_scales"].tolist(), strict=True)
    return QuantisedNetwork(
        structure,
        {name: arrays[f"{name}.weight"] for name in names},
        {name: arrays[f"{name}.weight_scale"] for name in names},
        {name: arrays[f"{name}.bias"] for name in names},
        dict(scales),
    )


def _check(network: QuantisedNetwork, path: Path) -> None:
    known = {"image"}
    for node in network.structure.nodes:
        if node.op not in OPERATIONS or set(node.attributes) != set(OPERATIONS[node.op]):
            raise WorkloadError("is no operation with such attributes", where=path, key=node.name, value=node.op)
        if not known.issuperset(node.inputs) or node.name in known:
            raise WorkloadError("reads what is not computed yet, or is there twice", where=path, key=node.name)
        known.add(node.name)
    if not known.issuperset({network.structure.output, *network.structure.decisions, *network.activation_scales}):
        raise WorkloadError("an output or a scale has no tensor", where=path)
    for name, integers in network.weights.items():
        outputs = integers.shape[:1]
        if integers.dtype != np.int8 or not outputs == network.weight_scales[name].shape == network.biases[name].shape:
            raise WorkloadError("weights, scales and bias do not fit together", where=path, key=name)
