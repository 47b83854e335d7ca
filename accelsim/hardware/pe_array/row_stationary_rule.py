"""Layouts of convolutions as Eyeriss chooses them: for the least traffic, within what its spads and banks hold.

The letters are those of the paper (Chen et al., JSSC 2017): n images and m filters whose sums are in the buffer
together, strips of e output rows, p filters and q channels of an element, r sets for other channels, t for other
filters. A layout is possible where

- an element's weights, inputs and sums fit into its spads, and the PE sets onto the array,
- the sums of n images and m filters, and the inputs of n images and q r channels, fit into the banks of their buffer,
  each bank holding either,
- the weights of a pass fit into the filter buffer,
- several images are worked on together only where their maps are not cut into strips, and
- the inputs of an image take no more than the banks that a pass may use, unless they are those of a single channel.

Of those that use nearly as many elements as any the one with the least DRAM traffic is taken; among equals the one with
the least traffic of the buffer, then the one that uses the most elements. Traffic is that of plain words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.pe_array.row_stationary_rule_kernel import RULE_DTYPE, best_layout

if TYPE_CHECKING:
    from accelsim.hardware.pe_array.row_stationary_layer import RowGeometry
    from accelsim.workload.operators import GemmDims

Layout = tuple[int, int, int, int, int, int, int]
"""n, m, e, p, q, r, t."""


@dataclass(frozen=True)
class BankedBuffers:
    """Room for a layout.

    Parameters
    ----------
    banks, bank_bits
        Banks of the buffer of maps and sums.
    ifmap_banks
        Banks that the inputs of an image take in a pass of several channels.
    filter_bits
        Room for the weights of a pass.
    least_use
        Share of the most elements that any layout uses, which a layout has to use.
    """

    banks: int
    bank_bits: int
    ifmap_banks: int
    filter_bits: int
    least_use: float


@lru_cache(maxsize=4_096)
def ruled_layout(
    geometry: RowGeometry,
    dims: GemmDims,
    spads: tuple[int, int, int],
    bits: tuple[int, int, int],
    buffers: BankedBuffers,
) -> Layout | None:
    """Lay out a convolution; None where nothing fits, or where a group alone cannot use the array.

    Parameters
    ----------
    geometry
        Array, rows and columns.
    dims
        The layer as matrix products.
    spads
        Words of filter, ifmap and psum spad.
    bits
        Of ifmap, weight and psum.
    buffers
        Room, and the share of the elements to be used.
    """
    record = np.zeros(1, RULE_DTYPE)
    channels, height = dims.k // geometry.window, geometry.folded_height
    taps = geometry.folded_taps(min(spads[0], spads[1]))
    record["rows"], record["cols"] = geometry.array
    record["filter_spad"], record["ifmap_spad"], record["psum_spad"] = spads
    record["height"], record["taps"] = height, taps
    record["window"], record["window_height"] = geometry.window, geometry.height
    record["stride_y"], record["dilation_y"] = geometry.stride[0], geometry.dilation[0]
    record["images"], record["channels"], record["filters"] = geometry.images, channels, dims.n
    record["out_height"], record["out_width"] = geometry.out_height, geometry.out_width
    record["in_width"] = (geometry.out_width - 1) * geometry.stride[1] + (geometry.taps - 1) * geometry.dilation[1] + 1
    record["ifmap_bits"], record["weight_bits"], record["psum_bits"] = bits
    record["banks"], record["bank_bits"] = buffers.banks, buffers.bank_bits
    record["ifmap_banks"], record["filter_bits"] = buffers.ifmap_banks, buffers.filter_bits
    shares = np.array([size for size in range(1, dims.n + 1) if dims.n % size == 0])
    batches = np.array([size for size in range(1, geometry.images + 1) if geometry.images % size == 0])
    most, _ = best_layout(record, shares, batches, 0)  # type: ignore[no-untyped-call]
    usable = max(height * e * geometry.sets(e) for e in range(1, min(geometry.out_height, geometry.widest) + 1))
    if most < buffers.least_use * usable:
        return None
    least = max(int(np.ceil(buffers.least_use * most)), 1)
    _, letters = best_layout(record, shares, batches, least)  # type: ignore[no-untyped-call]
    n, m, e, p, q, r, t = letters.tolist()
    return n, m, e, p, q, r, t
