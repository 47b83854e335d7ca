"""Compiled loops of the row-stationary array: cycles and traffic of a block, and the best way to lay it out.

A block is `groups` times (`images` x `rows` output rows of `width` pixels, `filters`, `channels` of `height` x `taps`
weights). It is worked on in *passes*, in each of which every element keeps one set of weights; see
`accelsim.hardware.pe_array.row_stationary` for what happens in a pass. Arguments are typed by Numba.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

GEOMETRY_DTYPE = np.dtype(
    [
        ("rows", "i8"),
        ("cols", "i8"),
        ("filter_spad", "i8"),
        ("ifmap_spad", "i8"),
        ("psum_spad", "i8"),
        ("filter_rate", "i8"),
        ("ifmap_rate", "i8"),
        ("psum_rate", "i8"),
        ("out_height", "i8"),
        ("out_width", "i8"),
        ("height", "i8"),
        ("taps", "i8"),
        ("stride_y", "i8"),
        ("stride_x", "i8"),
        ("dilation_y", "i8"),
        ("dilation_x", "i8"),
        ("given", "i8", 5),
    ]
)
"""Array, spads (words) and networks (words per cycle), and the window of a layer; `given` is e, p, q, r, t or zeros."""

BLOCK_DTYPE = np.dtype(
    [
        ("groups", "i8"),
        ("images", "i8"),
        ("rows", "i8"),
        ("first_rows", "i8"),
        ("width", "i8"),
        ("filters", "i8"),
        ("channels", "i8"),
        ("height", "i8"),
        ("taps", "i8"),
        ("pixels", "i8"),
    ]
)
"""Extents of a block; `pixels` are its output pixels, which may be fewer than its rows hold, `first_rows` those of its
rows that belong to the image that it begins in, where it takes the last rows of one and the first of the next."""

SHAPE_DTYPE = np.dtype(
    [
        ("e", "i8"),
        ("p", "i8"),
        ("q", "i8"),
        ("r", "i8"),
        ("t", "i8"),
        ("g", "i8"),
        ("strips", "i8"),
        ("height", "i8"),
        ("taps", "i8"),
    ]
)
"""How a block is laid out: columns of a set; filters and channels of an element; sets for other channels, filters and
groups; strips of rows; filter rows and taps that an element holds."""


@kernel
def ceil_div(numerator, denominator):
    """Quotient, rounded up."""
    return -(-numerator // denominator)


@kernel
def _common_divisor(one, other):
    while other:
        one, other = other, one % other
    return one


@kernel
def distinct_rows(e, height, stride, dilation):
    """Input rows under `e` output rows of a window of `height` rows: those that several outputs need count once."""
    common = _common_divisor(stride, dilation)
    shared = max(e - dilation // common, 0) * max(height - stride // common, 0)
    return e * height - shared


@kernel
def input_rows(a, block, shape, height):
    """Input rows under the output rows of a PE set."""
    first = min(block["first_rows"], shape["e"])
    rows = distinct_rows(first, height, a["stride_y"], a["dilation_y"])
    return rows + distinct_rows(shape["e"] - first, height, a["stride_y"], a["dilation_y"])


@kernel
def fresh_columns(a, taps):
    """Words of a row that a window needs and the one before it did not hold; a dilated window keeps none."""
    return min(taps, a["stride_x"]) if a["dilation_x"] == 1 else taps


@kernel
def sets_that_fit(a, e, height):
    """PE sets of `height` x `e` elements that fit; a set wider than the array is cut and stacked."""
    stacked = a["rows"] // height
    if e <= a["cols"]:
        return stacked * (a["cols"] // e)
    return stacked // ceil_div(e, a["cols"])


@kernel
def part_of(index, total, size):
    """How many parts of a size there are: the whole ones (0) and what is left over (1)."""
    if index == 0:
        return total // size, size
    rest = total % size
    return (1 if rest else 0), rest


@kernel
def window_cycles(a, block, shape, height, taps, p, q, filters, channels, groups):
    """Cycles of a window by cause: multiply, sums in or out, its inputs, and inputs of a first window."""
    rows = input_rows(a, block, shape, height) * channels * groups
    multiply = p * q * taps
    sums = ceil_div(shape["e"] * filters * groups, a["psum_rate"])
    following = ceil_div(rows * fresh_columns(a, taps), a["ifmap_rate"])
    first = ceil_div(rows * taps, a["ifmap_rate"])
    return multiply, sums, following, first


@kernel
def pass_cycles(a, block, shape, height, taps, filters, channels, groups):
    """Cycles of a pass: weights in, windows one after the other, sums of the last window out."""
    p, q = ceil_div(filters, shape["t"]), ceil_div(channels, shape["r"])
    multiply, sums, following, first = window_cycles(a, block, shape, height, taps, p, q, filters, channels, groups)
    runs, width = block["images"] * shape["strips"], block["width"]
    fill = ceil_div(filters * channels * groups * height * taps, a["filter_rate"])
    pace = max(multiply, sums)
    # a window begins when its inputs are there and the one before is over; the last one ends after the latest of these
    latest = 0
    for run in (0, runs - 1):
        for window in (0, width - 1):
            inputs = (run + 1) * first + (run * (width - 1) + window) * following
            latest = max(latest, inputs + ((runs - run) * width - window) * pace)
    return fill + latest + sums


@kernel
def block_cycles(a, block, shape):
    """Cycles of all passes of a block."""
    total = 0
    for ig in range(2):
        g_count, groups = part_of(ig, block["groups"], shape["g"])
        for i_f in range(2):
            f_count, filters = part_of(i_f, block["filters"], shape["p"] * shape["t"])
            for ic in range(2):
                c_count, channels = part_of(ic, block["channels"], shape["q"] * shape["r"])
                outer = g_count * f_count * c_count
                if outer == 0:
                    continue
                for ih in range(2):
                    h_count, height = part_of(ih, block["height"], shape["height"])
                    for it in range(2):
                        t_count, taps = part_of(it, block["taps"], shape["taps"])
                        count = outer * h_count * t_count
                        if count:
                            total += count * pass_cycles(a, block, shape, height, taps, filters, channels, groups)
    return total


@kernel
def _traffic(a, block, shape):
    """Words on the input and sum networks of a whole block, to tell layouts of equal cycles apart."""
    f_chunks = ceil_div(block["filters"], shape["p"] * shape["t"])
    c_chunks = ceil_div(block["channels"], shape["q"] * shape["r"])
    rows = input_rows(a, block, shape, shape["height"]) * shape["strips"]
    return block["channels"] * rows * block["width"] * f_chunks + 2 * block["pixels"] * block["filters"] * c_chunks


@kernel
def _fold(a, block, shape):
    """What follows from the block alone: filter rows and taps of an element, columns of a set, strips of rows."""
    shape["height"] = ceil_div(block["height"], ceil_div(block["height"], a["rows"]))
    most_taps = min(a["ifmap_spad"], a["filter_spad"])
    shape["taps"] = ceil_div(block["taps"], ceil_div(block["taps"], most_taps))
    widest = a["rows"] // shape["height"] * a["cols"]
    if a["given"][0] > 0:
        widest = min(widest, a["given"][0])  # r and t are as many sets as fit beside each other with so many columns
    shape["strips"] = ceil_div(block["rows"], widest)
    shape["e"] = ceil_div(block["rows"], shape["strips"])


@kernel
def _take_given(a, block, shape):
    """Use the layout that was given, as far as the block goes."""
    given = a["given"]
    shape["p"], shape["t"] = min(given[1], block["filters"]), min(given[4], block["filters"])
    shape["q"], shape["r"] = min(given[2], block["channels"]), min(given[3], block["channels"])
    shape["g"] = 1


@kernel
def _even_share(total, most):
    """The largest share of at most `most` without a remainder; where that is small, with one."""
    for share in range(min(total, most), most // 2, -1):
        if total % share == 0:
            return share
    return ceil_div(total, ceil_div(total, most))


@kernel
def _next_share(total, most):
    """The largest of the even shares, rounded up, that is no more than `most`; 0 where there is none."""
    return ceil_div(total, ceil_div(total, most)) if most > 0 else 0


@kernel
def _lay_out(a, block, shape, r, most_q, sets):
    """Fill in p, q, t, g for `r` sets of other channels: as much in an element as its spads hold, in even parts."""
    channels, filters = block["channels"], block["filters"]
    q = min(most_q, ceil_div(channels, r))
    q = ceil_div(channels, ceil_div(channels, q * r) * r)
    most_p = min(a["psum_spad"], a["filter_spad"] // (q * shape["taps"]))
    t = min(sets // r, filters)
    together = _even_share(filters, most_p * t)
    p = ceil_div(together, t)
    shape["p"], shape["q"], shape["r"], shape["t"] = p, q, r, ceil_div(together, p)
    shape["g"] = max(min(block["groups"], sets // (r * shape["t"])), 1)


@kernel
def choose_shape(a, block, shape, trial):
    """Lay a block out for the fewest cycles, among equals for the fewest words on the networks.

    What may lie in an element and side by side are even shares of the channels; larger spads only add to them.
    """
    _fold(a, block, shape)
    if a["given"][0] > 0:
        _take_given(a, block, shape)
        return block_cycles(a, block, shape)
    _fold(a, block, trial)
    sets = sets_that_fit(a, shape["e"], shape["height"])
    spad_q = min(a["ifmap_spad"], a["filter_spad"]) // shape["taps"]
    best, best_words = -1, -1
    most_q = _next_share(block["channels"], spad_q)
    while most_q > 0:
        r = _next_share(ceil_div(block["channels"], most_q), sets)
        while r > 0:
            _lay_out(a, block, trial, r, most_q, sets)
            cycles, words = block_cycles(a, block, trial), _traffic(a, block, trial)
            if best < 0 or cycles < best or (cycles == best and words < best_words):
                best, best_words = cycles, words
                shape["p"], shape["q"], shape["r"] = trial["p"], trial["q"], trial["r"]
                shape["t"], shape["g"] = trial["t"], trial["g"]
            r = _next_share(ceil_div(block["channels"], most_q), r - 1)
        most_q = _next_share(block["channels"], most_q - 1)
    return best


@kernel
def estimate(record, blocks, cycles):
    """Cycles of many blocks."""
    a = record[0]
    shapes = np.zeros(2, SHAPE_DTYPE)
    for index in range(len(blocks)):
        cycles[index] = choose_shape(a, blocks[index], shapes[0], shapes[1])
