"""From the weights of a network to sparse power-of-two weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.pot import encoding
from accelsim.workload.pot.parameters import PotParameters
from accelsim.workload.pot.pruning import prune_channels, prune_vectors
from accelsim.workload.pot.reshaping import chunks, plain_reason, slice_layout, to_slices
from accelsim.workload.pot.solver import choose_lowest_exponent, fit_slices
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Weights = np.ndarray[Any, Any]

_MATRIX = 2


def decompose_network(
    weights: Mapping[str, Weights],
    parameters: PotParameters | None = None,
    *,
    network: str = "weights",
    where: object | None = None,
    vector_sparsity: float = 0.0,
    layer_sparsity: Mapping[str, float] | None = None,
    pruned_channels: Mapping[str, Sequence[int]] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> PotWeights:
    """Decompose all weight arrays of a network.

    Parameters
    ----------
    weights
        Arrays by name: ``(out, in, kernel rows, kernel columns)`` or ``(out, in)``.
    parameters
        How; the defaults where left out.
    network
        Name of the network.
    where
        File the weights came from, for messages; the network where left out.
    vector_sparsity
        Fraction of the vectors of each group of 32 filters to zero beforehand, in all convolutions.
    layer_sparsity
        The same by name of the array, where it differs; fully connected layers are exempt unless named.
    pruned_channels
        Input channels to zero beforehand, by name of the array.
    progress
        Called with the name of the array and the fraction of all weights that are done.

    Raises
    ------
    WorkloadError
        When an array has weights that are not finite or no weights at all, an option names an array or a channel that
        does not exist, or no array can be decomposed; the message names the array.
    """
    parameters = parameters or PotParameters()
    pruned_channels = pruned_channels or {}
    where = where or network
    fractions = _fractions(weights, vector_sparsity, layer_sparsity or {}, where)
    _check_names(weights, where, "pruned_channels", pruned_channels)
    total = sum(array.size for array in weights.values())
    done = 0
    layers: list[PotLayer | PlainLayer] = []
    for name, array in weights.items():
        _check_values(array, name, where)

        def report(size: int, name: str = name, done: int = done) -> None:
            if progress is not None:
                progress(name, (done + size) / total)

        report(0)
        reason = plain_reason(array.shape)
        if reason is None:
            channels = pruned_channels.get(name, ())
            layers.append(_decompose(array, name, parameters, fractions[name], channels, report, where))
        else:
            layers.append(PlainLayer(name, array.astype(np.float32), reason))
        done += array.size
    if not any(isinstance(layer, PotLayer) for layer in layers):
        raise _nothing_to_decompose(layers, where)
    return PotWeights(network, tuple(layers), parameters)


def _nothing_to_decompose(layers: Sequence[PotLayer | PlainLayer], where: object) -> WorkloadError:
    first = next((layer for layer in layers if isinstance(layer, PlainLayer)), None)
    if first is None:
        return WorkloadError("has no weights", where=where)
    return WorkloadError(f"no weight array can be decomposed: {first.reason}", where=where, key=first.name)


def decompose_layer(weights: Weights, name: str = "weights", parameters: PotParameters | None = None) -> PotLayer:
    """Decompose one weight array.

    Raises
    ------
    WorkloadError
        When a weight is not finite, or the array is one that stays plain.
    """
    _check_values(weights, name, "weights")
    reason = plain_reason(weights.shape)
    if reason is not None:
        raise WorkloadError(f"cannot be decomposed: {reason}", where="weights", key=name)
    return _decompose(weights, name, parameters or PotParameters(), 0.0, (), lambda _: None, "weights")


def _decompose(
    weights: Weights, name: str, parameters: PotParameters, fraction: float, channels: Sequence[int],
    report: Callable[[int], None], where: object,
) -> PotLayer:  # fmt: skip
    layout = slice_layout(weights.shape)
    pruned = weights
    if channels:
        try:
            pruned = prune_channels(pruned, channels)
        except IndexError as problem:
            raise WorkloadError(f"cannot prune channels: {problem}", where=where, key=name) from None
    if fraction:
        pruned = prune_vectors(pruned, fraction, layout)
    lowest = choose_lowest_exponent(pruned, parameters.magnitudes, parameters.max_exponent)
    levels = np.empty((layout.all_slices, layout.rows, layout.basis), np.int8)
    bases = np.empty((layout.all_slices, layout.basis, layout.basis))
    for filters, slices in chunks(layout):
        pieces = to_slices(pruned[filters], layout)
        fit = fit_slices(pieces, parameters, lowest, row_mode=parameters.row_mode and layout.is_kernel)
        levels[slices] = encoding.to_levels(fit.coefficients, lowest)
        bases[slices] = fit.bases
        report(filters.stop * layout.filter_weights)
    basis, scale = quantise_basis(bases, parameters.basis_bits)
    layer = PotLayer(name, layout, levels, lowest, basis, scale, math.nan)
    return PotLayer(name, layout, levels, lowest, basis, scale, relative_error(weights, layer.decode()))


def quantise_basis(bases: Weights, bits: int) -> tuple[np.ndarray[Any, np.dtype[np.int8]], float]:
    """Bases as signed integers, symmetric around zero, and the value of a unit, which 32-bit floating point holds."""
    largest = float(np.abs(bases).max())
    if largest == 0.0:
        return np.zeros(bases.shape, np.int8), 1.0
    most = (1 << (bits - 1)) - 1
    scale = float(np.float32(largest / most))
    return np.clip(np.rint(bases / scale), -most, most).astype(np.int8), scale


def relative_error(weights: Weights, decoded: Weights) -> float:
    """Frobenius norm of a difference relative to that of the weights; zero where both are zero."""
    norm = math.hypot(*(float(np.linalg.norm(part.astype(np.float64).ravel())) for part in weights))
    parts = zip(weights, decoded, strict=True)
    difference = math.hypot(*(float(np.linalg.norm((part.astype(np.float64) - new).ravel())) for part, new in parts))
    return difference / norm if norm else 0.0


def _check_values(array: Weights, name: str, where: object) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise WorkloadError(f"holds {array.dtype}, not floating-point numbers", where=where, key=name)
    if array.size == 0:
        raise WorkloadError(f"has no weights: its shape is {array.shape}", where=where, key=name)
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(position) for position in np.argwhere(~finite)[0])
        problem = f"{int((~finite).sum())} of its weights are not finite, the first at {place}"
        raise WorkloadError(problem, where=where, key=name, value=float(array[place]))


def _check_names(weights: Mapping[str, Weights], where: object, option: str, named: Mapping[str, object]) -> None:
    for name in named:
        if name not in weights:
            raise WorkloadError(f"{option} names a weight array that does not exist", where=where, key=name)


def _fractions(
    weights: Mapping[str, Weights], overall: float, by_name: Mapping[str, float], where: object
) -> dict[str, float]:
    """Vector sparsity of each array."""
    _check_names(weights, where, "sparsity", by_name)
    for name, fraction in (("vector_sparsity", overall), *by_name.items()):
        if not 0 <= fraction <= 1:
            raise WorkloadError("is no sparsity", where=where, key=name, value=fraction, allowed="0 to 1")
    default = {name: 0.0 if array.ndim == _MATRIX else float(overall) for name, array in weights.items()}
    return {**default, **by_name}
