"""Networks in training whose weights, normalisations folded in, can be read and replaced."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from accelsim.training.fold import fold_network, folded_layers
from accelsim.training.structure_module import StructureModule, parameter_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from accelsim.workload.network_file import Network, Structure

    Arrays = Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]


class Trainable(Protocol):
    """A network in training."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""

    @property
    def weights(self) -> dict[str, Tensor]:
        """Parameters behind the weights of a network, by their names there."""

    def network(self) -> Network:
        """The network with its present weights, normalisations folded in."""

    def put(self, weights: Arrays) -> None:
        """Replace weights, so that `network` has these."""


class FoldedTrainable:
    """A network whose normalisations were folded into its weights, as its files have it.

    Parameters
    ----------
    network
        Structure and initial weights.
    """

    def __init__(self, network: Network) -> None:
        self.module = StructureModule(network)
        self._names = tuple(network.weights)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Parameters behind the weights."""
        return {name: self.module.weights[parameter_key(name)] for name in self._names}

    def network(self) -> Network:
        """The network with its present weights."""
        return self.module.network()

    def put(self, weights: Arrays) -> None:
        """Replace weights."""
        for name, parameter in self.weights.items():
            _fill(parameter, weights[name])


class NormalisedTrainable:
    """A network with its batch normalisations, which makes training far quicker to recover.

    Parameters
    ----------
    module
        The network as it was trained.
    structure
        What it becomes when it is folded.
    """

    def __init__(self, module: nn.Module, structure: Structure) -> None:
        self.module, self._structure = module, structure
        self._layers = folded_layers(module, structure.input_shape)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Parameters behind the weights."""
        return {name: layer.product.weight for name, layer in self._layers.items()}

    def network(self) -> Network:
        """The network with its present weights, folded."""
        structure = self._structure
        return fold_network(structure.name, structure.dataset, self.module, structure.input_shape)

    def put(self, weights: Arrays) -> None:
        """Replace weights by what folds to these; those of a channel that folding zeroes stay as they are."""
        for name, layer in self._layers.items():
            before = layer.product.weight.detach().cpu().numpy().astype(np.float64)
            factor = np.broadcast_to(layer.factor, before.shape)
            unfolded = np.divide(weights[name], factor, out=before, where=factor != 0)
            _fill(layer.product.weight, unfolded)


def _fill(parameter: Tensor, values: np.ndarray[Any, Any]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)).to(parameter))


@contextmanager
def zeros_kept(trainable: Trainable) -> Iterator[None]:
    """Keep gradients from weights that are zero on entry, so that they stay so."""

    def masked(mask: Tensor) -> Any:  # noqa: ANN401 - a hook
        return lambda gradient: gradient * mask

    hooks = [parameter.register_hook(masked(parameter.detach() != 0)) for parameter in trainable.weights.values()]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
