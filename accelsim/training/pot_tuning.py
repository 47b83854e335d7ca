"""Trains decomposed weights as they are: coefficients stay signed powers of two, bases 8-bit numbers, zeros zero.

The gradients are SmartDeal's (arXiv 2101.01163): of the coefficients dW B^T, of a basis Ce^T dW, with the places of
the zeros frozen. Both have a latent value of full width that the optimiser moves, while the network computes with what
is stored of it: the nearest power of two in linear distance, the nearest step of the layer's basis scale. SmartDeal's
released code instead counts the signs of a coefficient's gradient and shifts its exponent when the count is full; a
latent value gathers their sizes as well, and needs no threshold of its own.

A slice may split its scale between its two factors in any way, and in some that are nearly singular one of them is
large and a small step of the other throws the weights far off. So each gradient is divided by the Gram matrix of the
other factor, after which a step moves the weights as far as one of ordinary gradient descent would (scaled gradient
descent: Tong, Ma and Chi, JMLR 22, 2021).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from accelsim.training.networks import Recipe
from accelsim.training.structure_module import StructureModule, parameter_key
from accelsim.training.train import train_network
from accelsim.workload.pot.decompose import quantise_basis, relative_error
from accelsim.workload.pot.encoding import to_levels
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

if TYPE_CHECKING:
    from accelsim.training.augment import Batches
    from accelsim.training.train import Schedule
    from accelsim.workload.network_file import Network

TUNING_RATE, MOMENTUM, DECAY, BATCH = 0.01, 0.9, 5e-4, 128
"""Momentum and decay: SmartDeal's released code. Its learning rate of 0.1 is for networks with batch normalisation."""


DAMPING = 1e-2
"""Of the Gram matrices, as a share of their mean diagonal (assumption)."""


def nearest_powers(values: Tensor, lowest: int, highest: int) -> Tensor:
    """Signed powers of two nearest in linear distance, the lower on ties; none becomes zero."""
    fractions, exponents = torch.frexp(values.abs())
    powers = torch.where(values == 0, lowest, exponents - 1 + (fractions > 0.75).int()).clamp(lowest, highest)
    return torch.copysign(torch.ldexp(torch.ones_like(values), powers), values)


def _scale_gradient(factor: Tensor, other: Tensor, *, from_left: bool) -> None:
    """Divide the gradient of a factor by the Gram matrix of the columns of the other one, slice by slice."""
    gram = other.mT @ other
    size = gram.shape[-1]
    damped = gram.diagonal(dim1=-2, dim2=-1).mean(-1) * DAMPING + torch.finfo(gram.dtype).tiny ** 0.25
    inverse = torch.linalg.inv(gram + damped[:, None, None] * torch.eye(size, device=gram.device))
    factor.register_hook(lambda gradient: inverse @ gradient if from_left else gradient @ inverse)  # type: ignore[no-untyped-call]


class EncodedModule(StructureModule):
    """A network that computes with what decomposed weights decode to, and trains coefficients and bases.

    Parameters
    ----------
    network
        Structure, biases and the weights that stay plain.
    pot
        Decomposed weights, by the names that `accelsim.training.pot_projection.Projection` gives them.
    """

    def __init__(self, network: Network, pot: PotWeights) -> None:
        super().__init__(network)
        self.coefficients, self.bases = nn.ParameterDict(), nn.ParameterDict()
        self._pot = pot
        self._layers: dict[str, PotLayer] = {}
        for layer in pot.layers:
            if isinstance(layer, PotLayer):
                key = parameter_key(layer.name.removesuffix(".weight"))
                self._layers[key] = layer
                self.coefficients[key] = torch.tensor(layer.coefficients(), dtype=torch.float32)
                self.bases[key] = torch.tensor(layer.basis * layer.basis_scale, dtype=torch.float32)
                self.register_buffer(f"kept/{key}", torch.tensor(layer.levels != 0))
                del self.weights[key]

    def weight(self, name: str) -> Tensor:
        """Weights as they are computed with: decoded where they are decomposed."""
        key = parameter_key(name)
        layer = self._layers.get(key)
        if layer is None:
            return super().weight(name)
        latent, basis = self.coefficients[key], self.bases[key]
        with torch.no_grad():
            scale = basis.abs().max() / self._most
            off_basis = torch.round(basis / scale) * scale - basis
            off_power = self._powers(key) - latent
        with torch.autocast(latent.device.type, enabled=False):  # what is stored decodes exactly
            powers, stored = (latent + off_power) * self.get_buffer(f"kept/{key}"), basis + off_basis
            slices = powers @ stored
        if slices.requires_grad:
            _scale_gradient(powers, stored.detach().mT, from_left=False)
            _scale_gradient(stored, powers.detach(), from_left=True)
        filters = slices.reshape(layer.layout.filters, -1)[:, : layer.layout.filter_weights]
        weight: Tensor = filters.reshape(layer.weight_shape)
        return weight

    @property
    def _most(self) -> int:
        return (1 << (self._pot.parameters.basis_bits - 1)) - 1

    def _powers(self, key: str) -> Tensor:
        lowest = self._layers[key].lowest_exponent
        return nearest_powers(self.coefficients[key], lowest, lowest + self._pot.parameters.magnitudes - 1)

    @torch.no_grad()
    def decomposed(self, originals: Network) -> PotWeights:
        """Present weights as they are stored; `originals` is what their errors are relative to."""
        return replace(self._pot, layers=tuple(self._stored(layer, originals) for layer in self._pot.layers))

    def _stored(self, layer: PotLayer | PlainLayer, originals: Network) -> PotLayer | PlainLayer:
        name = layer.name.removesuffix(".weight")
        key = parameter_key(name)
        if isinstance(layer, PlainLayer):
            return replace(layer, weights=self.weights[key].detach().cpu().numpy().copy())
        powers = self._powers(key) * self.get_buffer(f"kept/{key}")
        levels = to_levels(powers.cpu().numpy().astype(np.float64), layer.lowest_exponent)
        bases = self.bases[key].detach().cpu().numpy().astype(np.float64)
        basis, scale = quantise_basis(bases, self._pot.parameters.basis_bits)
        found = replace(layer, levels=levels, basis=basis, basis_scale=scale)
        return replace(found, error=relative_error(originals.weights[name], found.decode()))


def tune(
    network: Network, pot: PotWeights, data: Batches, epochs: int, rate: float, schedule: Schedule
) -> tuple[Network, PotWeights]:
    """Train a network with decomposed weights.

    Parameters
    ----------
    network
        The network with ordinary weights.
    pot
        Its weights, decomposed.
    data
        Training images.
    epochs, rate
        Length of the run, one cycle of the learning rate, and its peak.
    schedule
        Seed, device and checkpoint.

    Returns
    -------
    tuple
        The network with decoded weights, and the decomposed ones.

    Raises
    ------
    InputError
        When the checkpoint is damaged or belongs to another run.
    RunError
        When the loss is no longer a number.
    """
    module = EncodedModule(network, pot).to(schedule.device)
    recipe = Recipe(lambda: module, epochs=epochs, batch=BATCH, rate=rate, decay=DECAY, momentum=MOMENTUM)
    train_network(f"{network.structure.name}, decomposed", module, recipe, data, schedule)
    found = module.decomposed(network)
    decoded = {layer.name.removesuffix(".weight"): layer.decode() for layer in found.layers}
    biases = {name: module.biases[parameter_key(name)].detach().cpu().numpy().copy() for name in network.biases}
    return replace(network, weights=decoded, biases=biases), found
