"""A layer row by row: its loops one after the other, and which rows are simulated where a few stand for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.pe_array import simd_rows as sr
from accelsim.hardware.pe_array.simd_repeats import Repeat, mark
from accelsim.hardware.pe_array.simd_row_product import LOOP_INSTRUCTIONS
from accelsim.hardware.pe_array.simd_streams import run_stream
from accelsim.units import BITS_PER_BYTE, BYTES_PER_KIB, ceil_div
from accelsim.workload.operators import Gemm

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words
    from accelsim.hardware.pe_array.simd import SimdConfig
    from accelsim.hardware.pe_array.simd_row_product import PlainProduct, RowProduct

UNTIMED_SHARE = 1 / 8
"""Share of the last caches that the first operand of untimed rows may fill before the shared matrix is used again."""

FILL_CHUNK_BYTES = 4_096
"""Bytes that a core sets to zero in turn."""


def run_row_product(layer: RowProduct, records: Words, caches: Caches) -> list[Repeat]:
    """Run all products of a layer; the rows that stand for others.

    Parameters
    ----------
    layer
        The products.
    records
        Room for a batch of records.
    caches
        As `simd_rows.run_rows` takes them.
    """
    config, repeats = layer.config, []
    fill = (1 + LOOP_INSTRUCTIONS) * lo.TICKS // config.issue_width * BYTES_PER_KIB * BITS_PER_BYTE
    fill //= config.vector_bits
    nothing = np.empty((0, 2), np.int64)
    for product in layer.products():
        if isinstance(layer.stage.operator, Gemm):
            sr.run_dots(product.rows, product.first, product.second, records, caches)
            continue
        sums = np.array([product.rows[sr.RW_SUM] // BITS_PER_BYTE, product.sum_bytes])
        run_stream(nothing, sums, FILL_CHUNK_BYTES, fill, records, caches)
        if product.planes is not None:
            sr.run_lowering(layer.lowering_words, product.planes, layer.stage.scratch, records, caches)
        repeat = _run_rows(config, product, records, caches)
        if repeat is not None:
            repeats.append(repeat)
    return repeats


def _run_rows(config: SimdConfig, product: PlainProduct, records: Words, caches: Caches) -> Repeat | None:
    """Run the rows of a product, or the first ones, one that stands for those that follow, and the last."""
    words, first, second = product.rows, product.first, product.second
    turns, simulated = ceil_div(int(words[sr.RW_M]), config.cores), config.simulated_rows
    if simulated is None or turns <= simulated + 1:
        sr.run_rows(words, first, second, 0, turns, 0, records, caches)
        return None
    sr.run_rows(words, first, second, 0, simulated - 1, 0, records, caches)
    begin = mark(caches)
    sr.run_rows(words, first, second, simulated - 1, simulated, 0, records, caches)
    end = mark(caches)
    for at in range(simulated, turns - 1, step := _untimed_rows(config, words)):
        until = min(at + step, turns - 1)
        sr.run_rows(words, first, second, at, until - 1, int(words[sr.RW_K]) - 1, records, caches)
        sr.run_rows(words, first, second, until - 1, until, 0, records, caches)
    resume = mark(caches)
    sr.run_rows(words, first, second, turns - 1, turns, 0, records, caches)
    moves, sums = _moving_lines(config, product), _lines_of_sums(config, words, simulated - 1)
    return Repeat(begin, end, resume, turns - 1 - simulated, moves, sums)


def _untimed_rows(config: SimdConfig, words: Words) -> int:
    """Rows after which the untimed pass goes through the shared matrix, before their weights push it out."""
    last = list(config.caches.values())[-1]
    size = last.capacity_kib * BYTES_PER_KIB * config.cores / last.cores
    row = int(words[sr.RW_K] * words[sr.RW_FIRST_BITS]) // BITS_PER_BYTE * config.cores
    return max(int(size * UNTIMED_SHARE / max(row, 1)), 1)


def _lines_of_sums(config: SimdConfig, words: Words, turn: int) -> tuple[tuple[int, int], ...]:
    """Lines of the sums of the row that each core takes in a turn."""
    m, line = int(words[sr.RW_M]), config.line_bytes * BITS_PER_BYTE
    rows = [m * core // config.cores + turn for core in range(config.cores)]
    places = [int(words[sr.RW_SUM] + row * words[sr.RW_SUM_ROW]) for row in rows]
    length = int(words[sr.RW_N] * words[sr.RW_SUM_BITS])
    return tuple((place // line, (place + length - 1) // line + 1) for place in places)


def _moving_lines(config: SimdConfig, product: PlainProduct) -> tuple[tuple[int, int, int], ...]:
    """Lines of the first operand, of the sums and of results, which move on from row to row."""
    words, rows = product.rows, int(product.rows[sr.RW_M])
    stretches = [
        (int(product.first[:, 0].min()), int(product.first[0, 1])),
        (int(words[sr.RW_SUM]), int(words[sr.RW_SUM_ROW])),
    ]
    if words[sr.RW_OUT] >= 0:
        stretches.append((int(words[sr.RW_OUT]), int(words[sr.RW_OUT_ROW])))
    line = config.line_bytes * BITS_PER_BYTE
    return tuple((place // line, (place + rows * row) // line + 1, row // BITS_PER_BYTE) for place, row in stretches)
