"""Weights and feature maps as int8: symmetric, weights by output channel, feature maps by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.numerics.session import open_session
from accelsim.workload.network_file import Network, QuantisedNetwork
from accelsim.workload.onnx_build import build_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.workload.network_file import Structure

LARGEST = 127  # -128 is left out, so that a value and its negative are both there
_CALIBRATION_BATCH = 250
_STORED = frozenset({"relu", "max_pool", "average_pool", "global_average", "concat", "shortcut"})


def quantise_weights(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers and the scale of each output channel (the first axis); the greatest magnitude becomes 127."""
    peaks = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    scales = np.where(peaks > 0, peaks / LARGEST, 1.0).astype(np.float32)
    steps = weights / scales.reshape(-1, *(1,) * (weights.ndim - 1))
    return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8), scales


def stored_tensors(structure: Structure) -> tuple[str, ...]:
    """Tensors that a machine with fused activations writes to memory: the image, and what activations and pools make.

    The few values inside a gate are not among them.
    """
    return ("image", *(node.name for node in structure.nodes if node.op in _STORED))


def quantise_network(network: Network, images: NDArray[np.float32]) -> QuantisedNetwork:
    """Quantise a network.

    Parameters
    ----------
    network
        Float32, batch normalisation folded.
    images
        Normalised calibration images, (n, c, h, w). The greatest magnitude that a feature map takes on them is 127.
    """
    integers, scales = {}, {}
    for name, weights in network.weights.items():
        integers[name], scales[name] = quantise_weights(weights)
    peaks = _peaks(network, images)
    activation_scales = {name: float(np.float32(peak / LARGEST if peak > 0 else 1.0)) for name, peak in peaks.items()}
    return QuantisedNetwork(network.structure, integers, scales, network.biases, activation_scales)


def _peaks(network: Network, images: NDArray[np.float32]) -> dict[str, float]:
    names = stored_tensors(network.structure)
    session = open_session(build_onnx(network, outputs=names[1:]))
    peaks = {"image": float(np.abs(images).max()), **dict.fromkeys(names[1:], 0.0)}
    for start in range(0, len(images), _CALIBRATION_BATCH):
        values = session.run(list(names[1:]), {"image": images[start : start + _CALIBRATION_BATCH]})
        for name, value in zip(names[1:], values, strict=True):
            peaks[name] = max(peaks[name], float(np.abs(value).max()))
    return peaks
