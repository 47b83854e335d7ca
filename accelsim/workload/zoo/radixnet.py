"""RadiX-Nets: sparse networks of equal layers, those of the Sparse DNN Challenge among them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from accelsim.workload.annotations import Annotations
from accelsim.workload.graph import LayerGraph, Tensor, chain
from accelsim.workload.operand_data import OperandData, OperandStatistics
from accelsim.workload.operators import Activation, Gemm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from accelsim.workload.operators import Operator

CONNECTIONS = 32
"""Connections of a neuron in the challenge, to the layer before and to the one behind."""

_COPIES = CONNECTIONS // 2  # a node of a step of radix 2 has two
_MOST_KNOWN_WEIGHTS = 2**24
"""Weights of a layer, zeros included, up to which they are known one by one; wider layers state how many are none."""


def radixnet(neurons: int, layers: int) -> LayerGraph:
    """A network of the Sparse DNN Challenge, for images of as many pixels as it has neurons in a layer.

    Kepner et al., "Sparse deep neural network graph challenge", HPEC 2019: 1024, 4096, 16384 or 65536 neurons, 120, 480
    or 1920 layers, 32 connections a neuron, weights of 1/16, here stored as 1. Their topology is that of radix 2 in as
    many steps as neurons / 16 has bits, each node made 16 (recalled: assumption); the neurons of the challenge are
    shuffled as well, which is left out.

    Parameters
    ----------
    neurons
        In each layer: 16 times a power of two.
    layers
        How many.

    Raises
    ------
    ValueError
        When there is no such network.
    """
    steps = (neurons // _COPIES).bit_length() - 1
    if steps < 1 or neurons != _COPIES << steps or layers < 1:
        message = f"{neurons} neurons in each of {layers} layers are no network of radix 2 with {_COPIES} copies"
        raise ValueError(message)
    name = f"radixnet_{neurons}" + ("" if layers == 120 else f"_{layers}")
    graph = chain(name, Tensor("image", (1, neurons)), _steps(neurons, layers))
    radices = (2,) * steps
    operands = {f"layer{index + 1}.weight": _weights(radices, _COPIES, index % steps) for index in range(layers)}
    size = f"{layers} layers of {neurons} neurons with {CONNECTIONS} connections each"
    description = f"RadiX-Net of {size} (Kepner et al. 2019)"
    source, annotations = f"zoo network {name}", Annotations(operands=operands)
    return replace(graph, source=source, description=description, annotations=annotations)


def _steps(neurons: int, layers: int) -> Iterator[tuple[str, Operator]]:
    for index in range(1, layers + 1):
        yield f"layer{index}", Gemm(neurons)
        yield f"layer{index}.relu", Activation()


@cache
def _weights(radices: tuple[int, ...], copies: int, step: int) -> OperandData:
    """What is known of the weights of a layer; shared by layers that are equal."""
    neurons = copies * math.prod(radices)
    if neurons * neurons <= _MOST_KNOWN_WEIGHTS:
        return OperandData(load=partial(topology, radices, copies, step))
    return OperandData(OperandStatistics(radices[step] * copies / neurons), stated=True)


def topology(radices: tuple[int, ...], copies: int, step: int) -> NDArray[np.int8]:
    """Connections of one layer of a RadiX-Net, 1 where there is one, (outputs, inputs).

    Robinett and Kepner, "RadiX-Net: structured sparse matrices for deep neural networks", 2019: nodes are numbers in a
    mixed-radix system. In each step a node reaches those that differ from it, modulo their number, in multiples of the
    place value of a digit, as many as the digit has values; after all steps every node has been reached by every one
    over the same number of ways. Each node is then made several, connected as the one was (a Kronecker product).

    Parameters
    ----------
    radices
        Values of each digit, the lowest one first.
    copies
        What each node is made into.
    step
        Which digit is chosen.
    """
    nodes = math.prod(radices)
    place = math.prod(radices[:step])
    source = np.arange(nodes)
    connected = np.zeros((nodes, nodes), np.int8)
    for value in range(radices[step]):
        connected[(source + value * place) % nodes, source] = 1
    return np.kron(connected, np.ones((copies, copies), np.int8))
