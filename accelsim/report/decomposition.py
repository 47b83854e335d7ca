"""What the terminal and ``--json`` show of decomposed weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from accelsim.errors import InputError
from accelsim.report import quantities
from accelsim.report.labels import printable
from accelsim.report.tables import fitted_table
from accelsim.units import BITS_PER_BYTE, bits_to_bytes
from accelsim.workload.pot.storage import FLOAT_BITS, StorageBits
from accelsim.workload.pot.weights import PlainLayer, PotLayer, PotWeights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

_WIDE = 100
_DISPENSABLE = (1, 4)
"""Columns that a narrow window leaves out: the shape and the fraction of zero rows."""


def parse_sparsity(texts: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Read ``--sparsity`` options: a fraction for all convolutions, or ``NAME=FRACTION`` for one weight array.

    Raises
    ------
    InputError
        When a text is neither.
    """
    overall, by_name = 0.0, {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            fraction = float(number)
        except ValueError:
            fraction = math.nan
        if not 0 <= fraction <= 1:
            allowed = "a fraction from 0 to 1, or NAME=FRACTION"
            raise InputError("not accepted", where="--sparsity", value=text, allowed=allowed)
        if name:
            by_name[name] = fraction
        else:
            overall = fraction
    return overall, by_name


def parse_channels(texts: Sequence[str]) -> dict[str, list[int]]:
    """Read ``--channels`` options: ``NAME=0,4,7`` names input channels of a weight array.

    Raises
    ------
    InputError
        When a text is anything else.
    """
    by_name: dict[str, list[int]] = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        parts = numbers.split(",")
        if not name or not all(part.isdecimal() for part in parts):
            allowed = "NAME= and channels from 0 on, commas between them"
            raise InputError("not accepted", where="--channels", value=text, allowed=allowed)
        by_name.setdefault(name, []).extend(map(int, parts))
    return by_name


def decomposition_record(weights: PotWeights, left_out: Mapping[str, str]) -> dict[str, Any]:
    """Plain data of decomposed weights: one record per weight array and their totals.

    Parameters
    ----------
    weights
        The decomposed weights.
    left_out
        Arrays that were not taken, with the reason.
    """
    return {
        "network": weights.network,
        "parameters": weights.parameters.to_dict(),
        "layers": [_layer_record(layer, weights) for layer in weights.layers],
        "totals": {
            "weights": weights.weight_count,
            "sparsity": weights.sparsity,
            **_bits(weights.storage()),
            "float32_bits": FLOAT_BITS * weights.weight_count,
            "compression_ratio": compression_ratio(weights),
        },
        "left_out": dict(left_out),
    }


def compression_ratio(weights: PotWeights) -> float:
    """Bits of the weights in 32-bit floating point, relative to those stored."""
    return FLOAT_BITS * weights.weight_count / weights.storage().total_bits


def _layer_record(layer: PotLayer | PlainLayer, weights: PotWeights) -> dict[str, Any]:
    is_pot = isinstance(layer, PotLayer)
    return {
        "name": layer.name,
        "shape": list(layer.weight_shape),
        "decomposed": is_pot,
        "reason": layer.reason if isinstance(layer, PlainLayer) else None,
        "error": layer.error if isinstance(layer, PotLayer) else 0.0,
        "sparsity": layer.sparsity if isinstance(layer, PotLayer) else 0.0,
        "vector_sparsity": layer.vector_sparsity if isinstance(layer, PotLayer) else 0.0,
        **_bits(layer.storage(weights.parameters.index)),
    }


def _bits(storage: StorageBits) -> dict[str, int]:
    return {
        "coefficient_bits": storage.coefficient_bits,
        "index_bits": storage.index_bits,
        "basis_bits": storage.basis_bits,
        "plain_bits": storage.plain_bits,
        "total_bits": storage.total_bits,
    }


def decomposition_summary(
    weights: PotWeights, left_out: Mapping[str, str], width: int, path: Path | None = None
) -> RenderableType:
    """Table of the weight arrays with error, sparsity and storage, and what it comes to.

    Parameters
    ----------
    weights
        The decomposed weights.
    left_out
        Arrays that were not taken, with the reason.
    width
        Columns of the terminal.
    path
        Where they were written.
    """
    headings = [
        ("weights", True),
        ("shape", True),
        ("error", False),
        ("zeros", False),
        ("zero rows", False),
        ("coeff.", False),
        ("index", False),
        ("basis", False),
        ("ratio", False),
    ]
    rows = [_cells(layer, weights) for layer in weights.layers]
    if width < _WIDE:  # names tell more than shapes
        headings = [heading for place, heading in enumerate(headings) if place not in _DISPENSABLE]
        rows = [[cell for place, cell in enumerate(row) if place not in _DISPENSABLE] for row in rows]
    storage = weights.storage()
    ratio = compression_ratio(weights)
    parts: list[RenderableType] = [
        Text.assemble((printable(weights.network), "bold"), f", index per {weights.parameters.index}"),
        Text(),
        fitted_table(headings, rows, width),
        Text(),
        Text.assemble(
            (f"{_size(storage.total_bits)}, {ratio:.2f} times less than 32-bit floating point", "bold"),
            f" ({_size(FLOAT_BITS * weights.weight_count)}): coefficients {_size(storage.coefficient_bits)}, index "
            f"{_size(storage.index_bits)}, basis {_size(storage.basis_bits)}, not decomposed "
            f"{_size(storage.plain_bits)}; {weights.sparsity:.1%} of the coefficients are zero",
            overflow="fold",
        ),
    ]
    kept = {layer.name: layer.reason for layer in weights.layers if isinstance(layer, PlainLayer)}
    for what, reasons in (("Not decomposed", kept), ("Left out", left_out)):
        parts += [Text(f"{what}: {printable(name)}: {why}", overflow="fold") for name, why in reasons.items()]
    if path is not None:
        parts.append(Text(f"Written to {path}", overflow="fold"))
    return Group(*parts)


def _cells(layer: PotLayer | PlainLayer, weights: PotWeights) -> list[str]:
    shape = "x".join(str(size) for size in layer.weight_shape)
    storage = layer.storage(weights.parameters.index)
    ratio = f"{FLOAT_BITS * math.prod(layer.weight_shape) / storage.total_bits:.1f}"
    if isinstance(layer, PlainLayer):
        return [printable(layer.name), shape, "", "", "", _size(storage.plain_bits), "", "", ratio]
    return [
        printable(layer.name),
        shape,
        f"{layer.error:.1%}",
        f"{layer.sparsity:.1%}",
        f"{layer.vector_sparsity:.1%}",
        _size(storage.coefficient_bits),
        _size(storage.index_bits),
        _size(storage.basis_bits),
        ratio,
    ]


def _size(bits: int) -> str:
    return quantities.traffic(bits_to_bytes(bits) if bits % BITS_PER_BYTE else bits // BITS_PER_BYTE)
