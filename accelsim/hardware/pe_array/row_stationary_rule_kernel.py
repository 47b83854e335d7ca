"""Compiled search over the layouts of `accelsim.hardware.pe_array.row_stationary_rule`; Numba infers the types."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.hardware.pe_array.row_stationary_kernel import ceil_div, distinct_rows, sets_that_fit
from accelsim.jit import kernel

RULE_DTYPE = np.dtype(
    [
        ("rows", "i8"),
        ("cols", "i8"),
        ("filter_spad", "i8"),
        ("ifmap_spad", "i8"),
        ("psum_spad", "i8"),
        ("height", "i8"),
        ("taps", "i8"),
        ("window", "i8"),
        ("window_height", "i8"),
        ("stride_y", "i8"),
        ("dilation_y", "i8"),
        ("images", "i8"),
        ("channels", "i8"),
        ("filters", "i8"),
        ("out_height", "i8"),
        ("out_width", "i8"),
        ("in_width", "i8"),
        ("ifmap_bits", "i8"),
        ("weight_bits", "i8"),
        ("psum_bits", "i8"),
        ("banks", "i8"),
        ("bank_bits", "i8"),
        ("ifmap_banks", "i8"),
        ("filter_bits", "i8"),
    ]
)
"""Array and spads (words), the layer in rows (`height` and `taps` as an element holds them), and the buffers."""


@kernel
def _input_rows(a, e):
    """Input rows under all strips of `e` output rows of an image."""
    strips = ceil_div(a["out_height"], e)
    whole = distinct_rows(e, a["window_height"], a["stride_y"], a["dilation_y"])
    last = a["out_height"] - (strips - 1) * e
    return (strips - 1) * whole + distinct_rows(last, a["window_height"], a["stride_y"], a["dilation_y"])


@kernel
def _fits(a, e, n, m, together):
    """Whether sums and inputs fit into the banks of their buffer, which they do not share."""
    rows = distinct_rows(e, a["window_height"], a["stride_y"], a["dilation_y"])
    sums = n * m * min(e, a["out_height"]) * a["out_width"] * a["psum_bits"]
    inputs = n * together * rows * a["in_width"] * a["ifmap_bits"]
    return ceil_div(sums, a["bank_bits"]) + ceil_div(inputs, a["bank_bits"]) <= a["banks"]


@kernel
def _traffic(a, e, n, m, at_once, together):
    """Bits to and from DRAM, results left out, and bits between buffer and array, for one group."""
    inputs = a["images"] * a["channels"] * _input_rows(a, e) * a["in_width"] * a["ifmap_bits"]
    weights = a["filters"] * a["channels"] * a["window"] * a["weight_bits"]
    sums = a["images"] * a["filters"] * a["out_height"] * a["out_width"] * a["psum_bits"]
    strips = ceil_div(a["out_height"], e)
    dram = inputs * (a["filters"] // m) + weights * ceil_div(a["images"], n) * strips
    return dram, inputs * (a["filters"] // at_once) + 2 * sums * ceil_div(a["channels"], together)


@kernel
def _try_blocks(a, shares, batches, letters, best, ranking):
    """Try all numbers of images and filters with the letters e to t; whether any fits. The best so far is kept."""
    e, p, q, r, t = letters
    any_fits = False
    for m in shares:
        for n in batches:
            if m % (p * t) or (n > 1 and e < a["out_height"]) or not _fits(a, e, n, m, q * r):
                continue
            any_fits = True
            dram, buffer = _traffic(a, e, n, m, p * t, q * r)
            idle = a["rows"] * a["cols"] - a["height"] * e * r * t
            if ranking[0] < 0 or (dram, buffer, idle) < (ranking[0], ranking[1], ranking[2]):
                ranking[0], ranking[1], ranking[2] = dram, buffer, idle
                best[0], best[1], best[2], best[3], best[4], best[5], best[6] = n, m, e, p, q, r, t
    return any_fits


@kernel
def best_layout(record, shares, batches, least_active):
    """Most elements that a layout uses, and the best layout (n, m, e, p, q, r, t) of at least `least_active`.

    `shares` and `batches` are the divisors of the filters and of the images. With `least_active` 0 only layouts that
    use more elements than those before are tried, so that it is their number alone that counts.
    """
    a = record[0]
    most, best, ranking = 0, np.zeros(7, np.int64), np.full(3, -1, np.int64)
    for e in range(1, min(a["out_height"], a["rows"] // a["height"] * a["cols"]) + 1):
        sets = sets_that_fit(a, e, a["height"])
        rows = distinct_rows(e, a["window_height"], a["stride_y"], a["dilation_y"])
        channel_bits = rows * a["in_width"] * a["ifmap_bits"]
        for q in range(1, min(a["ifmap_spad"] // a["taps"], a["channels"]) + 1):
            for r in range(1, min(sets, a["channels"] // q) + 1):
                if q * r > 1 and q * r * channel_bits > a["ifmap_banks"] * a["bank_bits"]:
                    break
                for t in range(1, sets // r + 1):
                    active = a["height"] * e * r * t
                    if active < max(least_active, 1) or (least_active == 0 and active <= most):
                        continue
                    for p in range(1, min(a["psum_spad"], a["filter_spad"] // (q * a["taps"])) + 1):
                        weights = p * t * q * r * a["height"] * a["taps"] * a["weight_bits"]
                        if a["filters"] % (p * t) or weights > a["filter_bits"]:
                            continue
                        if _try_blocks(a, shares, batches, (e, p, q, r, t), best, ranking):
                            most = max(most, active)
    return most, best
