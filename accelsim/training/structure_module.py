"""A trained network as a PyTorch module: its nodes computed one by one, with a place to change tensors on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from accelsim.training.networks import zero_padded_shortcut
from accelsim.workload.network_file import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.workload.network_file import Node, Structure

_PLAIN: dict[str, Callable[..., Tensor]] = {
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "add": torch.add,
    "mul": torch.mul,
    "flatten": lambda source: source.flatten(1),
    "global_average": lambda source: source.mean((2, 3)),
    "concat": lambda *sources: torch.cat(sources, 1),
}


class StructureModule(nn.Module):
    """A network whose weights may be trained; batch normalisation has been folded into them.

    Parameters
    ----------
    network
        Structure and initial weights, without gates.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.structure: Structure = network.structure
        self.weights = nn.ParameterDict(
            {parameter_key(name): torch.tensor(value) for name, value in network.weights.items()}
        )
        self.biases = nn.ParameterDict(
            {parameter_key(name): torch.tensor(value) for name, value in network.biases.items()}
        )

    def weight(self, name: str) -> Tensor:
        """Weights as they are computed with; a subclass may change them."""
        weight: Tensor = self.weights[parameter_key(name)]
        return weight

    def stored(self, name: str, values: Tensor) -> Tensor:  # noqa: ARG002 - for subclasses
        """A feature map as it is computed with; a subclass may change it."""
        return values

    def forward(self, images: Tensor) -> Tensor:
        """Answers, (images, classes)."""
        tensors = {"image": self.stored("image", images)}
        for node in self.structure.nodes:
            made = self._node(node, [tensors[name] for name in node.inputs])
            tensors[node.name] = made if node.name == self.structure.output else self.stored(node.name, made)
        return tensors[self.structure.output]

    def _node(self, node: Node, inputs: list[Tensor]) -> Tensor:
        given = node.attributes
        if node.weights is not None:
            weight, bias = self.weight(node.weights), self.biases[parameter_key(node.weights)]
            if node.op == "linear":
                return functional.linear(inputs[0], weight, bias)
            return functional.conv2d(inputs[0], weight, bias, given["stride"], given["padding"])
        if node.op == "max_pool":
            return functional.max_pool2d(inputs[0], given["size"])
        if node.op == "average_pool":
            return functional.avg_pool2d(inputs[0], given["size"])
        if node.op == "shortcut":
            return zero_padded_shortcut(inputs[0], inputs[0].shape[1] + 2 * given["margin"])
        return _PLAIN[node.op](*inputs)

    def network(self) -> Network:
        """The network with its present weights."""
        names = {parameter_key(node.weights): node.weights for node in self.structure.nodes if node.weights is not None}
        return Network(
            self.structure,
            {names[key]: value.detach().cpu().numpy().copy() for key, value in self.weights.items()},
            {names[key]: value.detach().cpu().numpy().copy() for key, value in self.biases.items()},
        )


def parameter_key(name: str) -> str:
    """Name as PyTorch takes it: without points."""
    return name.replace(".", "/")
